//! The tables: implementations of [`StateStore`](schemas::commit::StateStore).

pub mod mysql;
pub mod sqlite;
