//! Asking for a password, so that nobody else reads it.

use std::io::{self, BufRead, IsTerminal, Read};

use anyhow::{Context, bail};
use console::Term;

use crate::config::variable;

/// The environment variable that a script may put a password in.
const PASSWORD_ENV: &str = "ANIMOV_USER_PASSWORD";

/// A password, from the environment, from the terminal, or the first line of standard
/// input.
///
/// # Errors
///
/// There is none, or what was typed twice is not the same.
pub(super) fn password() -> anyhow::Result<String> {
    if let Some(password) = variable(PASSWORD_ENV).filter(|password| !password.is_empty()) {
        return Ok(password);
    }
    if io::stdin().is_terminal() {
        return typed();
    }
    // More than any password has, and not without end.
    let longest = u64::try_from(api::PASSWORD_BYTES_MAX).unwrap_or(u64::MAX) + 2;
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(longest)
        .read_line(&mut line)
        .context("could not read the password from standard input")?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        bail!(
            "there is no password: type it on a terminal, send it to standard input, or put it \
             into {PASSWORD_ENV}"
        );
    }
    Ok(password.to_owned())
}

fn typed() -> anyhow::Result<String> {
    let term = Term::stderr();
    let ask = |prompt: &str| {
        term.write_str(prompt)?;
        term.read_secure_line()
    };
    let min = api::PASSWORD_CHARS_MIN;
    let first = ask(&format!("password ({min} characters or more): "));
    let first = first.context("could not read the password from the terminal")?;
    let second = ask("once more: ").context("could not read the password from the terminal")?;
    if first != second {
        bail!("the two are not the same; nothing is changed");
    }
    Ok(first)
}
