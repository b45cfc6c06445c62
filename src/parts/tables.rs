//! The tables: a file, or a database on a server.

use std::sync::Arc;

use anyhow::{Context, bail};
use prometheus::Registry;
use schemas::accuracy::AccuracyStore;
use schemas::commit::StateStore;
use schemas::imported::ImportedStore;
use schemas::users::UserStore;
use sinks::config::{DATABASE_PASSWORD_ENV, MYSQL_PASSWORD_ENV, MySqlPassword, StateKind};
use sinks::state::mysql::MySqlState;
use sinks::state::mysql::original::OriginalDatabase;
use sinks::state::sqlite::SqliteState;

use super::{TWICE, make_parent, secret};
use crate::config::Config;

/// The tables, by what is asked of them.
pub(crate) struct Tables {
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) users: Arc<dyn UserStore>,
    pub(crate) imported: Arc<dyn ImportedStore>,
    pub(crate) accuracy: Arc<dyn AccuracyStore>,
}

impl Tables {
    fn of<T: StateStore + UserStore + ImportedStore + AccuracyStore + 'static>(
        tables: T,
    ) -> Tables {
        let tables = Arc::new(tables);
        Tables {
            state: Arc::<T>::clone(&tables),
            users: Arc::<T>::clone(&tables),
            imported: Arc::<T>::clone(&tables),
            accuracy: tables,
        }
    }
}

/// Opens the tables for writing, and makes new ones where there are none.
///
/// # Errors
///
/// They cannot be opened, or have another version.
pub(crate) fn tables(config: &Config, registry: &Registry) -> anyhow::Result<Tables> {
    match config.state.kind {
        StateKind::Sqlite => {
            make_parent(&config.state.path)?;
            let state = SqliteState::open(&config.state.path)?;
            state.metrics().register(registry).context(TWICE)?;
            Ok(Tables::of(state))
        }
        StateKind::MySql => {
            let state = MySqlState::open(&config.state.mysql, password().as_ref())?;
            state.name_columns(&config.animov)?;
            state.metrics().register(registry).context(TWICE)?;
            Ok(Tables::of(state))
        }
    }
}

/// Opens the tables for reading.
///
/// # Errors
///
/// There are none, or they cannot be read.
pub(crate) fn tables_to_read(config: &Config) -> anyhow::Result<Tables> {
    match config.state.kind {
        StateKind::Sqlite => {
            let path = &config.state.path;
            if !path.exists() {
                bail!(
                    "there are no tables at {}; name their folder with --state DIR, or begin with \
                     `animov run`",
                    path.display()
                );
            }
            Ok(Tables::of(SqliteState::open_read_only(path)?))
        }
        StateKind::MySql => {
            let state = MySqlState::open_read_only(&config.state.mysql, password().as_ref())?;
            Ok(Tables::of(state))
        }
    }
}

/// Brings the tables up to date; the version before and after.
///
/// # Errors
///
/// They are newer than this program, or cannot be written.
pub(crate) fn migrate_tables(config: &Config) -> anyhow::Result<(i64, i64)> {
    match config.state.kind {
        StateKind::Sqlite => {
            make_parent(&config.state.path)?;
            Ok(SqliteState::migrate(&config.state.path)?)
        }
        StateKind::MySql => {
            let password = password();
            let versions = MySqlState::migrate(&config.state.mysql, password.as_ref())?;
            MySqlState::open(&config.state.mysql, password.as_ref())?
                .name_columns(&config.animov)?;
            Ok(versions)
        }
    }
}

/// Reaches the original system's database, if one is configured.
///
/// # Errors
///
/// It cannot be reached, or is another.
pub(crate) fn original_database(config: &Config) -> anyhow::Result<Option<OriginalDatabase>> {
    let Some(connection) = config.database.connection() else { return Ok(None) };
    let password = secret(DATABASE_PASSWORD_ENV).map(MySqlPassword::from);
    Ok(Some(OriginalDatabase::open(&connection, password.as_ref())?))
}

fn password() -> Option<MySqlPassword> {
    secret(MYSQL_PASSWORD_ENV).map(MySqlPassword::from)
}
