//! What every implementation of a seam must do, whatever is behind it.
//!
//! An implementation takes part by a type that makes fresh ones of it, and one
//! line: `log_conformance!(Type)` or `state_conformance!(Type)`.

pub(crate) mod log;
pub(crate) mod model;
pub(crate) mod state;
