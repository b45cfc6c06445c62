//! What is wrong with a configuration, for the person who wrote it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("could not read the configuration {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },

    #[error("{0}")]
    Wrong(String),

    #[error("{}: {}", path.display(), faults.join(&format!("\n{}: ", path.display())))]
    Faults { path: PathBuf, faults: Vec<String> },
}

impl ConfigError {
    /// What the parser found in `text`, the content of `path`, with its place.
    pub(super) fn wrong(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
        let message = error.message().trim();
        let Some(span) = error.span() else {
            return ConfigError::Wrong(format!("{}: {message}", path.display()));
        };
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let shown = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let width = span.len().clamp(1, shown.len().saturating_sub(column - 1).max(1));
        let margin = " ".repeat(line.to_string().len());
        let mut told = format!("{}, line {line}, column {column}: {message}\n", path.display());
        _ = writeln!(told, " {line} | {}", without_password(shown));
        _ = write!(told, " {margin} | {}{}", " ".repeat(column - 1), "^".repeat(width));
        ConfigError::Wrong(told)
    }
}

/// A line of the file as it may be shown: the password in a URL is hidden, and
/// everything else stays where it is.
fn without_password(line: &str) -> String {
    let hidden = || {
        let (before, url) = line.split_once("://")?;
        let end = url.find(['"', '\'', ' ']).unwrap_or(url.len());
        let (url, behind) = url.split_at_checked(end)?;
        let (user, place) = url.rsplit_once('@')?;
        let (user, password) = user.split_once(':')?;
        let stars = "*".repeat(password.chars().count());
        Some(format!("{before}://{user}:{stars}@{place}{behind}"))
    };
    hidden().unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_line_is_hidden_and_nothing_else() {
        for (line, shown) in [
            (
                "url = \"mysql://a:b\u{e4}@c@db:3306/x\" # x",
                "url = \"mysql://a:****@db:3306/x\" # x",
            ),
            ("url = 'rtsp://a:pw@cam/1'", "url = 'rtsp://a:**@cam/1'"),
            ("url = \"mysql://a@db:3306/x\"", "url = \"mysql://a@db:3306/x\""),
            ("url = \"http://cam:80/a\" # me@home", "url = \"http://cam:80/a\" # me@home"),
            ("grace = \"1s\"", "grace = \"1s\""),
        ] {
            assert_eq!(without_password(line), shown);
        }
    }
}
