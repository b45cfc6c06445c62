//! How the process ends: the codes that scripts go by.

use std::process::ExitCode;

/// What a command has found, when it could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok,
    /// `check` found something wrong, `audit` an imbalance.
    Wrong,
    /// `import` could use nothing of what it was given, or `detect` and `label
    /// export` saw no picture.
    Nothing,
}

/// The work could not be done; the error was printed.
const FAILED: u8 = 1;

/// The command line or the configuration is wrong. Clap ends so too.
pub(crate) const USAGE: u8 = 2;

const WRONG: u8 = 3;

const NOTHING: u8 = 4;

/// For the end of `animov --help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    all is well
  1    the work could not be done; the error says what was tried and what to do
  2    the command line or the configuration is wrong
  3    `check` found something wrong, or `audit` an imbalance
  4    `import` could count nothing of what it was given; `detect` or `label export` saw no picture
  130  ended at once by a second SIGINT (143 by a second SIGTERM)";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        match exit {
            Exit::Ok => ExitCode::SUCCESS,
            Exit::Wrong => ExitCode::from(WRONG),
            Exit::Nothing => ExitCode::from(NOTHING),
        }
    }
}

/// The code for an error.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    let of_usage = error.chain().any(|cause| cause.is::<crate::config::ConfigError>());
    ExitCode::from(if of_usage { USAGE } else { FAILED })
}
