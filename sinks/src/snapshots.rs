//! The snapshots: implementations of [`SnapshotStore`], and their retention.

pub mod janitor;
pub mod mongo;
pub mod sqlite;

use std::sync::Arc;

use schemas::commit::StoreError;
use schemas::snapshot::SnapshotStore;

use crate::config::{SnapshotsConfig, SnapshotsKind};
use crate::metrics::SnapshotMetrics;
use mongo::MongoSnapshots;
use sqlite::SqliteSnapshots;

/// A store of either kind.
pub struct Opened {
    pub store: Arc<dyn SnapshotStore>,
    /// What it counts of itself, and what the janitor counts.
    pub metrics: SnapshotMetrics,
}

/// Opens what `config` names. `password` goes with the user in a server's URL;
/// whether the server is there shows when it is first asked.
///
/// # Errors
///
/// See [`SqliteSnapshots::open`] and [`MongoSnapshots::open`].
pub fn open(config: &SnapshotsConfig, password: Option<&str>) -> Result<Opened, StoreError> {
    match config.kind {
        SnapshotsKind::Sqlite => Ok(in_file(SqliteSnapshots::open(&config.path)?)),
        SnapshotsKind::Mongo => on_server(config, password),
    }
}

/// The same for reading beside another process that writes: a file is not made
/// if there is none.
///
/// # Errors
///
/// See [`SqliteSnapshots::open_read_only`] and [`MongoSnapshots::open`].
pub fn open_read_only(
    config: &SnapshotsConfig,
    password: Option<&str>,
) -> Result<Opened, StoreError> {
    match config.kind {
        SnapshotsKind::Sqlite => Ok(in_file(SqliteSnapshots::open_read_only(&config.path)?)),
        SnapshotsKind::Mongo => on_server(config, password),
    }
}

fn in_file(store: SqliteSnapshots) -> Opened {
    Opened { metrics: store.metrics().clone(), store: Arc::new(store) }
}

fn on_server(config: &SnapshotsConfig, password: Option<&str>) -> Result<Opened, StoreError> {
    let store = MongoSnapshots::open(&config.mongo, password)?;
    Ok(Opened { metrics: store.metrics().clone(), store: Arc::new(store) })
}
