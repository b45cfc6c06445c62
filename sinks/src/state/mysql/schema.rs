//! Versions of the tables, and how one becomes the next.
//!
//! # Invariants
//!
//! - The version is the number of migrations that were applied, as sqlx notes
//!   them in `_sqlx_migrations`.
//! - Whoever changes tables holds a lock named after the database, so of many
//!   processes that start at once one makes the tables.
//! - The server cannot take back a `CREATE`. A migration that was interrupted
//!   is noted as such, and is run again: each is written so that it can be.

use std::time::Duration;

use schemas::commit::StoreError;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Error, Row, SqlSafeStr};

use crate::state::mysql::connection::{Link, Server, within};

/// Every migration, in order, as name and text; the n-th makes version n.
pub(super) const MIGRATIONS: &[(&str, &str)] = &[
    ("ledger", include_str!("../../../../sql/migrations/mysql/0001_ledger.sql")),
    ("windows", include_str!("../../../../sql/migrations/mysql/0002_windows.sql")),
    ("logs", include_str!("../../../../sql/migrations/mysql/0003_logs.sql")),
    ("animov", include_str!("../../../../sql/migrations/mysql/0004_animov.sql")),
    ("animov tables", include_str!("../../../../sql/animov/tables.sql")),
    ("animov views", include_str!("../../../../sql/animov/views.sql")),
    ("animov procedures", include_str!("../../../../sql/animov/procedures.sql")),
    ("users", include_str!("../../../../sql/migrations/mysql/0005_users.sql")),
    ("imported", include_str!("../../../../sql/migrations/mysql/0006_imported.sql")),
    ("accuracy", include_str!("../../../../sql/migrations/mysql/0007_accuracy.sql")),
];

/// How long migrating may take: a table of years is written anew in an hour.
const MIGRATION_MAX: Duration = Duration::from_hours(4);

/// Names the lock; a database's own name may be too long for one.
const LOCK: &str = "SELECT GET_LOCK(CONCAT('animov.', SHA1(DATABASE())), ?)";

const UNLOCK: &str = "DO RELEASE_LOCK(CONCAT('animov.', SHA1(DATABASE())))";

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// Our tables. `interrupted` if the migration after `version` was begun.
    Ours {
        version: i64,
        interrupted: bool,
    },
    /// Another program's tables.
    Others,
}

/// Makes the tables in an empty database; otherwise only looks whether they
/// have this program's version.
pub(super) async fn create_or_check(link: &mut Link, server: &Server) -> Result<(), StoreError> {
    if check(link, server).await.is_ok() {
        return Ok(());
    }
    // Another process may be making them at this moment.
    let made = async {
        lock(link, server.answer_timeout()).await?;
        let made = match look(link).await? {
            // Or somebody was interrupted while making them.
            Found::Nothing | Found::Ours { version: 0, .. } => {
                migrate_up(link).await?;
                true
            }
            Found::Ours { .. } | Found::Others => false,
        };
        link.run(UNLOCK).await?;
        Ok(made)
    };
    match made.await.map_err(|error| server.failed("make the tables in", error))? {
        true => Ok(()),
        false => check(link, server).await,
    }
}

/// Whether the tables have this program's version.
pub(super) async fn check(link: &mut Link, server: &Server) -> Result<(), StoreError> {
    let found = look(link).await;
    match found.map_err(|error| server.failed("check the version of", error))? {
        Found::Ours { version, interrupted: false } if version == known() => Ok(()),
        Found::Ours { version: found, .. } => Err(other_version(server, found)),
        Found::Nothing => Err(other_version(server, 0)),
        Found::Others => Err(others(server)),
    }
}

/// Applies the migrations that are missing; returns the version before and
/// after.
pub(super) async fn migrate(link: &mut Link, server: &Server) -> Result<(i64, i64), StoreError> {
    let failed = |error| server.failed("migrate", error);
    lock(link, server.answer_timeout()).await.map_err(failed)?;
    let was = match look(link).await.map_err(failed)? {
        Found::Others => return Err(others(server)),
        Found::Ours { version, .. } if known() < version => {
            return Err(other_version(server, version));
        }
        Found::Ours { version, .. } => version,
        Found::Nothing => 0,
    };
    migrate_up(link).await.map_err(failed)?;
    link.run(UNLOCK).await.map_err(failed)?;
    Ok((was, known()))
}

/// The version that this program knows.
fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn migrations() -> Vec<Migration> {
    let migration = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
        Migration::new(version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    (1..).zip(MIGRATIONS).map(migration).collect()
}

async fn lock(link: &mut Link, wait: Duration) -> sqlx::Result<()> {
    // A little less than the answer may take, so that the answer is "no".
    let seconds = wait.as_secs().saturating_sub(1);
    let taken = link.row(sqlx::query(LOCK).bind(seconds), |row| row.try_get::<Option<i64>, _>(0));
    match taken.await?.flatten() {
        Some(1) => Ok(()),
        _ => Err(Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "another process is changing the tables",
        ))),
    }
}

async fn look(link: &mut Link) -> sqlx::Result<Found> {
    let tables = sqlx::query(
        "SELECT COUNT(*), COUNT(CASE WHEN table_name = '_sqlx_migrations' THEN 1 END)
         FROM information_schema.tables
         WHERE table_schema = DATABASE()",
    );
    let counts = link.row(tables, |row| Ok((row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?)));
    let applied = match counts.await?.ok_or(Error::RowNotFound)? {
        (0, _) => return Ok(Found::Nothing),
        (_, 0) => return Ok(Found::Others),
        (tables, _) => {
            let applied = applied(link).await?;
            // Somebody was interrupted before the first migration.
            if applied.is_empty() {
                return Ok(if tables == 1 { Found::Nothing } else { Found::Others });
            }
            applied
        }
    };
    let ours = migrations();
    let is_ours = |(version, checksum, _): &(i64, Vec<u8>, bool)| {
        // A newer program's migrations cannot be compared.
        ours.iter().find(|m| m.version == *version).is_none_or(|m| *m.checksum == **checksum)
    };
    Ok(match applied.iter().all(is_ours) && applied.first().is_some_and(|first| first.0 == 1) {
        true => Found::Ours {
            version: applied.iter().filter(|(_, _, whole)| *whole).map(|m| m.0).max().unwrap_or(0),
            interrupted: applied.iter().any(|(_, _, whole)| !whole),
        },
        false => Found::Others,
    })
}

/// The migrations that were begun: number, check sum, and whether it was ended.
async fn applied(link: &mut Link) -> sqlx::Result<Vec<(i64, Vec<u8>, bool)>> {
    let noted =
        sqlx::query("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version");
    link.rows(noted, |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).await
}

/// Applies what is missing; the caller holds the lock.
async fn migrate_up(link: &mut Link) -> sqlx::Result<()> {
    let mut migrator = Migrator::with_migrations(migrations());
    migrator.set_locking(false);
    let connection = link.connection();
    let run = async {
        connection.ensure_migrations_table("_sqlx_migrations").await.map_err(cause)?;
        sqlx::query("DELETE FROM _sqlx_migrations WHERE success = FALSE")
            .execute(&mut *connection)
            .await?;
        migrator.run(&mut *connection).await.map_err(cause)
    };
    within(MIGRATION_MAX, run).await
}

/// The server's own error, if that is what stopped a migration.
fn cause(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        other => Error::Migrate(Box::new(other)),
    }
}

fn other_version(server: &Server, found: i64) -> StoreError {
    StoreError::SchemaVersion { at: server.at(), found, known: known() }
}

fn others(server: &Server) -> StoreError {
    server.damaged("it holds another program's tables; name an empty database".to_owned())
}
