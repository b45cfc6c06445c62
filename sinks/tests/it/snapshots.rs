//! What each store of snapshots promises, and what it promises beyond the seam.

mod mongo;
mod sqlite;
