//! Versions of the tables, and how one becomes the next.
//!
//! # Invariants
//!
//! - `PRAGMA user_version` is the number of migrations that were applied.
//! - A migration is applied whole, with its number, or not at all.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use schemas::commit::StoreError;

use crate::state::sqlite::error::{damaged, store_error};

/// Marks a SQLite file as ours: "ANIM".
const APPLICATION_ID: i64 = 0x414E_494D;

/// Every migration, in order; the n-th makes version n.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../../../sql/migrations/sqlite/0001_ledger.sql"),
    include_str!("../../../../sql/migrations/sqlite/0002_windows.sql"),
];

/// The version that `migrations` lead to.
fn version_of(migrations: &[&str]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

/// Makes the tables in an empty file; otherwise only looks whether they have
/// this program's version.
pub(super) fn create_or_check(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let is_new = is_empty(connection).map_err(|error| store_error("look into", path, error))?;
    if is_new {
        return migrate(connection, path, MIGRATIONS).map(drop);
    }
    check(connection, path).map_err(|error| store_error("check the version of", path, error))?
}

/// Whether the tables have this program's version.
pub(super) fn check(
    connection: &Connection,
    path: &Path,
) -> rusqlite::Result<Result<(), StoreError>> {
    let (found, known) = (version(connection)?, version_of(MIGRATIONS));
    if !is_ours(connection)? {
        return Ok(Err(foreign(path)));
    }
    if found == known {
        return Ok(Ok(()));
    }
    Ok(Err(StoreError::SchemaVersion { at: path.display().to_string(), found, known }))
}

/// Applies the migrations that are missing; returns the version before and
/// after.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(i64, i64), StoreError> {
    let known = version_of(migrations);
    let apply = |connection: &mut Connection| {
        // Immediate: of two processes that start at once, one makes the tables
        // and the other finds them made.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !is_empty(&transaction)? && !is_ours(&transaction)? {
            return Ok(Err(foreign(path)));
        }
        let found = version(&transaction)?;
        if known < found {
            let at = path.display().to_string();
            return Ok(Err(StoreError::SchemaVersion { at, found, known }));
        }
        for migration in migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", known)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.commit()?;
        Ok(Ok((found, known)))
    };
    apply(connection).map_err(|error| store_error("migrate", path, error))?
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(id == APPLICATION_ID)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn foreign(path: &Path) -> StoreError {
    damaged(path, "it is a SQLite database of another program; name another file".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sqlite::SqliteState;
    use crate::state::sqlite::connection::open_writer;

    #[test]
    fn older_tables_are_refused_until_they_are_migrated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let mut connection = open_writer(&path).unwrap();
        migrate(&mut connection, &path, &MIGRATIONS[..1]).unwrap();
        drop(connection);

        for opened in [SqliteState::open(&path), SqliteState::open_read_only(&path)] {
            let refused = opened.err().unwrap();
            assert!(
                matches!(refused, StoreError::SchemaVersion { found: 1, known: 2, .. }),
                "{refused}"
            );
        }
        assert_eq!(SqliteState::migrate(&path).unwrap(), (1, 2));
        assert_eq!(SqliteState::migrate(&path).unwrap(), (2, 2));
        SqliteState::open(&path).unwrap();
    }

    #[test]
    fn newer_tables_and_other_programs_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        drop(SqliteState::open(&path).unwrap());
        let connection = open_writer(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        for refused in [SqliteState::open(&path).err(), SqliteState::migrate(&path).err()] {
            assert!(matches!(refused, Some(StoreError::SchemaVersion { found: 99, .. })));
        }

        let path = dir.path().join("other.sqlite");
        open_writer(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        for refused in [SqliteState::open(&path).err(), SqliteState::migrate(&path).err()] {
            assert!(refused.unwrap().to_string().contains("another program"));
        }

        let path = dir.path().join("text.sqlite");
        std::fs::write(&path, "this is no database, and long enough to say so ".repeat(40))
            .unwrap();
        let refused = SqliteState::open(&path).err().unwrap();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_tables_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let mut connection = open_writer(&path).unwrap();
        let broken = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"];
        assert!(migrate(&mut connection, &path, &broken).is_err());
        assert!(is_empty(&connection).unwrap());
        assert_eq!(version(&connection).unwrap(), 0);
    }
}
