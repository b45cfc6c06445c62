//! The parts of a site that are embedded or servers, as the configuration says:
//! opened here, and from here on only known by their seams.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use prometheus::Registry;
use schemas::commit::{Place, StateStore};
use schemas::log::{EveryPartition, FrameLog, Offset, Ownership};
use schemas::time::Clock;
use sinks::log::segments::Segments;
use sinks::state::sqlite::SqliteState;

use crate::config::Config;

/// Two parts with metrics of one name.
const TWICE: &str = "a metric has two owners";

/// The log of frames, opened to append and to read.
pub(crate) enum Log {
    Segments(Arc<Segments>),
}

impl Log {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub(crate) fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        registry: &Registry,
    ) -> anyhow::Result<Log> {
        let log = Segments::open(&config.log.dir, config.log.segments.clone(), Arc::clone(clock))?;
        log.metrics().register(registry).context(TWICE)?;
        Ok(Log::Segments(Arc::new(log)))
    }

    /// The log, as everybody knows it.
    pub(crate) fn frames(&self) -> Arc<dyn FrameLog> {
        match self {
            Log::Segments(log) => Arc::<Segments>::clone(log),
        }
    }

    /// Who tells which partitions this process counts.
    ///
    /// # Errors
    ///
    /// The group cannot be joined.
    pub(crate) fn ownership(&self, _config: &Config) -> anyhow::Result<Box<dyn Ownership>> {
        match self {
            Log::Segments(log) => Ok(Box::new(EveryPartition { partitions: log.partitions() })),
        }
    }

    /// Deletes what is counted and older, or more, than configured. A server does
    /// so by itself.
    pub(crate) fn retain(&self, committed: &BTreeMap<Place, Offset>) {
        let Log::Segments(log) = self;
        for (Place { log: _, partition }, next) in committed {
            match log.retain(*partition, *next) {
                Ok(0) => {}
                Ok(segments) => tracing::info!(%partition, segments, "deleted from the log"),
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(%partition, error, "could not delete from the log");
                }
            }
        }
    }
}

/// Opens the tables for writing, and makes new ones where there are none.
///
/// # Errors
///
/// They cannot be opened, or have another version.
pub(crate) fn tables(config: &Config, registry: &Registry) -> anyhow::Result<Arc<dyn StateStore>> {
    make_parent(&config.state.path)?;
    let state = SqliteState::open(&config.state.path)?;
    state.metrics().register(registry).context(TWICE)?;
    Ok(Arc::new(state))
}

/// Opens the tables for reading.
///
/// # Errors
///
/// There are none, or they cannot be read.
pub(crate) fn tables_to_read(config: &Config) -> anyhow::Result<Arc<dyn StateStore>> {
    let path = &config.state.path;
    if !path.exists() {
        bail!(
            "there are no tables at {}; name their folder with --state DIR, or begin with \
             `animov run`",
            path.display()
        );
    }
    Ok(Arc::new(SqliteState::open_read_only(path)?))
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
