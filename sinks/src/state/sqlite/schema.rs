//! Versions of the tables.

use crate::sqlite::schema::Schema;

pub(super) const TABLES: Schema = Schema {
    // "ANIM"
    application_id: 0x414E_494D,
    migrations: &[
        include_str!("../../../../sql/migrations/sqlite/0001_ledger.sql"),
        include_str!("../../../../sql/migrations/sqlite/0002_windows.sql"),
        include_str!("../../../../sql/migrations/sqlite/0003_logs.sql"),
        include_str!("../../../../sql/migrations/sqlite/0004_users.sql"),
        include_str!("../../../../sql/migrations/sqlite/0005_imported.sql"),
        include_str!("../../../../sql/migrations/sqlite/0006_accuracy.sql"),
    ],
};

#[cfg(test)]
mod tests {
    use schemas::commit::StoreError;

    use super::*;
    use crate::sqlite::connection::{Freed, open_writer};
    use crate::state::sqlite::SqliteState;

    #[test]
    fn older_tables_are_refused_until_they_are_migrated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let mut connection = open_writer(&path, Freed::Kept).unwrap();
        let first = Schema { migrations: &TABLES.migrations[..1], ..TABLES };
        first.migrate(&mut connection, &path).unwrap();
        drop(connection);

        for opened in [SqliteState::open(&path), SqliteState::open_read_only(&path)] {
            let refused = opened.err().unwrap();
            assert!(
                matches!(refused, StoreError::SchemaVersion { found: 1, known: 6, .. }),
                "{refused}"
            );
        }
        assert_eq!(SqliteState::migrate(&path).unwrap(), (1, 6));
        assert_eq!(SqliteState::migrate(&path).unwrap(), (6, 6));
        SqliteState::open(&path).unwrap();
    }

    #[test]
    fn newer_tables_and_other_programs_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        drop(SqliteState::open(&path).unwrap());
        let connection = open_writer(&path, Freed::Kept).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        for refused in [SqliteState::open(&path).err(), SqliteState::migrate(&path).err()] {
            assert!(matches!(refused, Some(StoreError::SchemaVersion { found: 99, .. })));
        }

        let path = dir.path().join("other.sqlite");
        open_writer(&path, Freed::Kept).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        for refused in [SqliteState::open(&path).err(), SqliteState::migrate(&path).err()] {
            assert!(refused.unwrap().to_string().contains("another SQLite database"));
        }

        let path = dir.path().join("text.sqlite");
        std::fs::write(&path, "this is no database, and long enough to say so ".repeat(40))
            .unwrap();
        let refused = SqliteState::open(&path).err().unwrap();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    }
}
