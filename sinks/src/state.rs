//! The tables: implementations of [`StateStore`](schemas::commit::StateStore).

pub mod sqlite;
