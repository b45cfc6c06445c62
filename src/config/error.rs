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
        _ = writeln!(told, " {line} | {shown}");
        _ = write!(told, " {margin} | {}{}", " ".repeat(column - 1), "^".repeat(width));
        ConfigError::Wrong(told)
    }
}
