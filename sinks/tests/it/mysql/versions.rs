//! Versions of the tables.

use std::thread;

use schemas::commit::StoreError;
use sinks::state::mysql::MySqlState;

use crate::mysql::animov::migrated::take_back;
use crate::mysql::database::Database;

/// The newest version.
const KNOWN: i64 = 10;

/// Takes all migrations but the first back.
fn make_older(database: &Database) {
    drop(database.open());
    take_back(database);
    database.run(
        "DROP VIEW window_statistics;
         DROP TABLE windows, window_metrics, logs, lost_ends, users, logins, ingest_tokens,
                    access_log, headcount_files, headcounts, price_pages, price_visits, prices,
                    imported_databases, imported_minutes, accuracy;
         DELETE FROM _sqlx_migrations WHERE 1 < version",
    );
}

fn opened(database: &Database) -> [Option<StoreError>; 2] {
    let (config, password) = (database.config(), database.password());
    [
        MySqlState::open(&config, password.as_ref()).err(),
        MySqlState::open_read_only(&config, password.as_ref()).err(),
    ]
}

fn migrate(database: &Database) -> Result<(i64, i64), StoreError> {
    MySqlState::migrate(&database.config(), database.password().as_ref())
}

#[test]
fn of_many_processes_that_start_at_once_one_makes_the_tables() {
    for _ in 0..3 {
        let Some(database) = Database::new() else { return };
        thread::scope(|scope| (0..6).for_each(|_| _ = scope.spawn(|| drop(database.open()))));
        assert_eq!(migrate(&database).unwrap(), (KNOWN, KNOWN));
    }
}

#[test]
fn new_tables_can_be_made_by_migrating() {
    let Some(database) = Database::new() else { return };
    assert_eq!(migrate(&database).unwrap(), (0, KNOWN));
    assert_eq!(migrate(&database).unwrap(), (KNOWN, KNOWN));
    drop(database.open());
}

#[test]
fn older_tables_are_refused_until_they_are_migrated() {
    let Some(database) = Database::new() else { return };
    make_older(&database);
    for refused in opened(&database) {
        let refused = refused.unwrap();
        assert!(
            matches!(refused, StoreError::SchemaVersion { found: 1, known: KNOWN, .. }),
            "{refused}"
        );
    }
    assert_eq!(migrate(&database).unwrap(), (1, KNOWN));
    drop(database.open());
}

#[test]
fn a_migration_that_was_interrupted_is_ended_by_the_next() {
    let Some(database) = Database::new() else { return };
    make_older(&database);
    // Begun, and interrupted behind its first table.
    database.run(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT 2, 'windows', FALSE, checksum, -1 FROM _sqlx_migrations WHERE version = 1;
         CREATE TABLE windows (source INT)",
    );
    database.run("DROP TABLE windows");
    // What is noted of it is its own.
    let Some(other) = Database::new() else { return };
    drop(other.open());
    database.run(&format!(
        "UPDATE _sqlx_migrations AS mine, {}._sqlx_migrations AS theirs
         SET mine.checksum = theirs.checksum WHERE mine.version = 2 AND theirs.version = 2",
        other.name
    ));
    for refused in opened(&database) {
        assert!(matches!(refused, Some(StoreError::SchemaVersion { found: 1, known: KNOWN, .. })));
    }
    assert_eq!(migrate(&database).unwrap(), (1, KNOWN));
    drop(database.open());
    // The very first one is ended by whoever opens the tables.
    database.run("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 1");
    database.run("DELETE FROM _sqlx_migrations WHERE 1 < version");
    drop(database.open());
}

#[test]
fn newer_tables_and_other_programs_databases_are_refused() {
    let Some(database) = Database::new() else { return };
    drop(database.open());
    database.run(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'the future', TRUE, x'00', 1)",
    );
    for refused in opened(&database).into_iter().chain([migrate(&database).err()]) {
        assert!(matches!(refused, Some(StoreError::SchemaVersion { found: 99, .. })));
    }

    let Some(database) = Database::new() else { return };
    database.run("CREATE TABLE theirs (x INT)");
    for refused in opened(&database).into_iter().chain([migrate(&database).err()]) {
        assert!(refused.unwrap().to_string().contains("another program"));
    }
    let tables = database.ask("SHOW TABLES", |_| ());
    assert_eq!(tables.len(), 1, "nothing was added");

    // Another program of the same making.
    let Some(database) = Database::new() else { return };
    drop(database.open());
    database.run("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1");
    for refused in opened(&database).into_iter().chain([migrate(&database).err()]) {
        assert!(refused.unwrap().to_string().contains("another program"));
    }
}
