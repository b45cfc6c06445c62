//! What every implementation of a seam must do, whatever is behind it.
//!
//! An implementation takes part by a type that makes fresh ones of it, and one
//! line: `log_conformance!(Type)`, `state_conformance!(Type)` with
//! `logbook_conformance!(Type)`, `users_conformance!(Type)`, `imported_conformance!(Type)` and
//! `accuracy_conformance!(Type)`, or `snapshot_conformance!(Type)`.

pub(crate) mod accuracy;
pub(crate) mod gallery;
pub(crate) mod imported;
pub(crate) mod log;
pub(crate) mod logbook;
pub(crate) mod model;
pub(crate) mod snapshots;
pub(crate) mod state;
pub(crate) mod users;
