//! The snapshots: implementations of
//! [`SnapshotStore`](schemas::snapshot::SnapshotStore), and their retention.

pub mod janitor;
pub mod mongo;
pub mod sqlite;
