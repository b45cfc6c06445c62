//! What the stores in SQLite files share: connections, versions, errors and
//! columns.

pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod row;
pub(crate) mod schema;
