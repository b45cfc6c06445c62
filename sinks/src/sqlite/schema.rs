//! Versions of a database, and how one becomes the next.
//!
//! # Invariants
//!
//! - `PRAGMA user_version` is the number of migrations that were applied.
//! - A migration is applied whole, with its number, or not at all.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use schemas::commit::StoreError;

use crate::sqlite::error::{damaged, store_error};

/// What a database of ours is made of.
pub(crate) struct Schema {
    /// Marks the file as such a database.
    pub(crate) application_id: i64,
    /// Every migration, in order; the n-th makes version n.
    pub(crate) migrations: &'static [&'static str],
}

impl Schema {
    /// The version that the migrations lead to.
    fn version(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }

    /// Makes the tables in an empty file; otherwise only looks whether they have
    /// this program's version.
    pub(crate) fn create_or_check(
        &self,
        connection: &mut Connection,
        path: &Path,
    ) -> Result<(), StoreError> {
        let is_new = is_empty(connection).map_err(|error| store_error("look into", path, error))?;
        if is_new {
            return self.migrate(connection, path).map(drop);
        }
        self.check(connection, path)
            .map_err(|error| store_error("check the version of", path, error))?
    }

    /// Whether the tables have this program's version.
    pub(crate) fn check(
        &self,
        connection: &Connection,
        path: &Path,
    ) -> rusqlite::Result<Result<(), StoreError>> {
        let (found, known) = (version(connection)?, self.version());
        if !self.made(connection)? {
            return Ok(Err(foreign(path)));
        }
        if found == known {
            return Ok(Ok(()));
        }
        Ok(Err(StoreError::SchemaVersion { at: path.display().to_string(), found, known }))
    }

    /// Applies the migrations that are missing; returns the version before and
    /// after.
    pub(crate) fn migrate(
        &self,
        connection: &mut Connection,
        path: &Path,
    ) -> Result<(i64, i64), StoreError> {
        let known = self.version();
        let apply = |connection: &mut Connection| {
            // Immediate: of two processes that start at once, one makes the tables
            // and the other finds them made.
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if !is_empty(&transaction)? && !self.made(&transaction)? {
                return Ok(Err(foreign(path)));
            }
            let found = version(&transaction)?;
            if known < found {
                let at = path.display().to_string();
                return Ok(Err(StoreError::SchemaVersion { at, found, known }));
            }
            for migration in self.migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
                transaction.execute_batch(migration)?;
            }
            transaction.pragma_update(None, "user_version", known)?;
            transaction.pragma_update(None, "application_id", self.application_id)?;
            transaction.commit()?;
            Ok(Ok((found, known)))
        };
        apply(connection).map_err(|error| store_error("migrate", path, error))?
    }

    /// Whether the file is marked as such a database.
    fn made(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        Ok(id == self.application_id)
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn foreign(path: &Path) -> StoreError {
    damaged(path, "it is another SQLite database; name another file".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::connection::{Freed, open_writer};

    #[test]
    fn a_migration_that_fails_leaves_the_tables_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broken.sqlite");
        let mut connection = open_writer(&path, Freed::Kept).unwrap();
        let broken = Schema {
            application_id: 1,
            migrations: &["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"],
        };
        assert!(broken.migrate(&mut connection, &path).is_err());
        assert!(is_empty(&connection).unwrap());
        assert_eq!(version(&connection).unwrap(), 0);
    }
}
