//! The tables of a site, opened by whoever needs them.

use std::path::Path;

use anyhow::{Context, bail};
use sinks::state::sqlite::SqliteState;

use crate::config::Config;

/// Opens the tables for writing, and makes new ones where there are none.
///
/// # Errors
///
/// They cannot be opened, or have another version.
pub(crate) fn open(config: &Config) -> anyhow::Result<SqliteState> {
    make_parent(&config.state.path)?;
    Ok(SqliteState::open(&config.state.path)?)
}

/// Opens the tables for reading.
///
/// # Errors
///
/// There are none, or they cannot be read.
pub(crate) fn open_to_read(config: &Config) -> anyhow::Result<SqliteState> {
    let path = &config.state.path;
    if !path.exists() {
        bail!(
            "there are no tables at {}; name their folder with --state DIR, or begin with \
             `animov run`",
            path.display()
        );
    }
    Ok(SqliteState::open_read_only(path)?)
}

/// Makes the folder that `path` is to be in.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn make_parent(path: &Path) -> anyhow::Result<()> {
    let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))
}
