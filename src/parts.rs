//! The parts of a site that are embedded or servers, as the configuration says:
//! opened here, and from here on known by their seams alone.

mod log;
mod spool;
mod tables;

use std::path::Path;

use anyhow::Context;
use prometheus::Registry;
use sinks::config::MONGO_PASSWORD_ENV;
use sinks::snapshots::mongo::MongoSnapshots;
use sinks::snapshots::{self, Opened};

use crate::config::{Config, variable};

pub(crate) use log::{Log, kafka_secrets, log_to_read};
pub(crate) use spool::Outlet;
pub(crate) use tables::{migrate_tables, original_database, tables, tables_to_read};

/// Two parts with metrics of one name.
const TWICE: &str = "a metric has two owners";

/// Opens the snapshots for writing.
///
/// # Errors
///
/// They cannot be opened, or have another version.
pub(crate) fn snapshots(config: &Config, registry: &Registry) -> anyhow::Result<Opened> {
    make_parent(&config.snapshots.path)?;
    let password = secret(MONGO_PASSWORD_ENV);
    let opened = snapshots::open(&config.snapshots, password.as_deref())?;
    opened.metrics.register(registry).context(TWICE)?;
    Ok(opened)
}

/// Reaches the server of the snapshots, and makes the indexes that it lacks; where
/// it is, for a person.
///
/// # Errors
///
/// It does not answer, or refuses.
pub(crate) fn reach_snapshots(config: &Config) -> anyhow::Result<String> {
    let mongo = &config.snapshots.mongo;
    MongoSnapshots::open(mongo, secret(MONGO_PASSWORD_ENV).as_deref())?.reach()?;
    Ok(format!("MongoDB, collection {}.{}", mongo.database, mongo.collection))
}

/// What the environment variable `name` holds, unless that is nothing.
fn secret(name: &str) -> Option<String> {
    variable(name).filter(|secret| !secret.is_empty())
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
