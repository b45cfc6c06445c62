//! Everything that is kept, from outside: one binary, so it links once.

#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod child;
mod commits;
mod conformance;
mod kafka;
mod mysql;
mod segments;
mod snapshots;
mod sqlite;
mod tmpfs;
