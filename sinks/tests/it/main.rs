//! Everything that is kept, from outside: one binary, so it links once.

mod child;
mod conformance;
mod segments;
mod sqlite;
mod tmpfs;
