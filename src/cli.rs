//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{
    accuracy, api, audit, camera, check, demo, detect, export, import, label, log, migrate,
    pipeline, replay, run, simulate, user,
};
use crate::exit;
use crate::logging::LogFormat;

/// Counts animals in camera pictures: exact statistics of every minute, hour
/// and day, no frame lost, none counted twice.
#[derive(Debug, Parser)]
#[command(
    name = "animov",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_long_help = exit::HELP,
    after_help = "\
Begin with:
  animov demo    a simulated herd, in a minute's time
  animov run     this site: log, pipeline, tables, page and API in one process

`animov COMMAND --help` explains a command, with examples; `animov --help` has the exit codes."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How the log on standard error looks; `RUST_LOG` chooses what is logged
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "ANIMOV_LOG_FORMAT",
        hide_env_values = true
    )]
    pub(crate) log_format: LogFormat,
}

/// One file each in `commands`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Args),
    Pipeline(pipeline::Args),
    Camera(camera::Args),
    Api(api::Args),
    Demo(demo::Args),
    Check(check::Args),
    Detect(detect::Args),
    Label(label::Args),
    // By far the longest.
    Accuracy(Box<accuracy::Args>),
    Import(import::Args),
    Export(export::Args),
    Audit(audit::Args),
    Replay(replay::Args),
    Migrate(migrate::Args),
    Log(log::Args),
    Simulate(simulate::Args),
    User(user::Args),
}

impl Command {
    /// From which level up a command logs: what runs for ever says what it
    /// does, a tool only what is wrong.
    pub(crate) fn usual_log(&self) -> &'static str {
        match self {
            Command::Run(_) | Command::Pipeline(_) | Command::Camera(_) | Command::Api(_) => "info",
            _ => "warn",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself() {
        let mut cli = Cli::command().term_width(100);
        cli.build();
        let mut help = vec![("animov".to_owned(), cli.render_long_help().to_string())];
        for command in cli.get_subcommands_mut().filter(|c| c.get_name() != "help") {
            let name = command.get_name().to_owned();
            help.push((name.clone(), command.render_long_help().to_string()));
            for inner in command.get_subcommands_mut().filter(|c| c.get_name() != "help") {
                help.push((
                    format!("{name}-{}", inner.get_name()),
                    inner.render_long_help().to_string(),
                ));
            }
        }
        for (name, help) in help {
            // Values of the machine that runs the test are none of ours.
            insta::assert_snapshot!(format!("help-{name}"), help);
        }
    }
}
