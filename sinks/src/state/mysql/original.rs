//! An existing ANIMOV database, read and never written: the minutes that the
//! original system computed.
//!
//! The names of its table and columns are its contract, so they are in its own
//! words here.

use schemas::commit::StoreError;
use schemas::imported::ImportedMinute;
use schemas::imported::minute::{Measured, Thousandths};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Error, Row};
use tokio::sync::Mutex;

use crate::config::{MySqlConfig, MySqlPassword};
use crate::state::mysql::OwnRuntime;
use crate::state::mysql::connection::{Link, Names, Role, Server};
use crate::state::mysql::row::text;

/// The table of minutes.
const TABLE: &str = "table_chevres_minute_serveur_v2";

/// A table that only this program has.
const OUR_OWN: &str = "window_metrics";

/// What is asked of each of `total`, `couche` and `debout`.
const PER_POSTURE: [&str; 8] = [
    "CAST({} AS SIGNED)",
    "CAST(min_{} AS SIGNED)",
    "CAST(max_{} AS SIGNED)",
    "std_{}",
    "Q1_{}",
    "Q2_{}",
    "Q3_{}",
    "mode_{}",
];

const POSTURES: [&str; 3] = ["total", "couche", "debout"];

/// Seconds of the last moment that a calendar has.
const SECONDS_MAX: i64 = 253_402_300_799;

/// The database, over one connection.
pub struct OriginalDatabase {
    server: Server,
    /// None until it is needed, and after it broke.
    link: Mutex<Option<Link>>,
    runtime: OwnRuntime,
}

/// One row: a minute, or why it is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRow {
    pub id: i64,
    pub minute: Result<ImportedMinute, String>,
}

impl OriginalDatabase {
    /// Reaches the database, and looks whether it is such a one.
    ///
    /// # Errors
    ///
    /// It cannot be reached, it refuses us, or it is another database.
    pub fn open(
        config: &MySqlConfig,
        password: Option<&MySqlPassword>,
    ) -> Result<OriginalDatabase, StoreError> {
        let server = Server::named(config, password, Names::ORIGINAL);
        let runtime = OwnRuntime::start().map_err(|error| server.failed("open", error.into()))?;
        let database = OriginalDatabase { server, link: Mutex::default(), runtime };
        database.check()?;
        Ok(database)
    }

    /// What it is known by, for a person too. The user's name is no part of it.
    pub fn name(&self) -> String {
        self.server.place()
    }

    /// How many rows have a key above `after`.
    ///
    /// # Errors
    ///
    /// It cannot be reached or read.
    pub fn rows_behind(&self, after: Option<i64>) -> Result<u64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM {TABLE} WHERE ? < id");
        self.ask("count the minutes of", async |link| {
            let count = sqlx::query(AssertSqlSafe(sql.clone())).bind(after.unwrap_or(i64::MIN));
            let count = link.row(count, |row| row.try_get::<i64, _>(0)).await?;
            Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
        })
    }

    /// The sources that have rows, ascending, and how many each has. A row that names none
    /// is not among them.
    ///
    /// # Errors
    ///
    /// It cannot be reached or read.
    pub fn sources(&self) -> Result<Vec<(i64, u64)>, StoreError> {
        let sql = format!(
            "SELECT CAST(source AS SIGNED), COUNT(*) FROM {TABLE} \
             WHERE source IS NOT NULL GROUP BY source ORDER BY source"
        );
        self.ask("list the sources of", async |link| {
            let row =
                |row: &MySqlRow| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.unsigned_abs()));
            link.rows(sqlx::query(AssertSqlSafe(sql.clone())), row).await
        })
    }

    /// The next rows by key, `limit` at most; none at the end.
    ///
    /// # Errors
    ///
    /// It cannot be reached or read.
    pub fn read(&self, after: Option<i64>, limit: u32) -> Result<Vec<OriginalRow>, StoreError> {
        let sql = select();
        self.ask("read the minutes of", async |link| {
            let rows = sqlx::query(AssertSqlSafe(sql.clone()));
            link.rows(rows.bind(after.unwrap_or(i64::MIN)).bind(limit), original).await
        })
    }

    fn check(&self) -> Result<(), StoreError> {
        let found = self.ask("look into", async |link| {
            let views = sqlx::query(
                "SELECT LOWER(table_name) FROM information_schema.views
                 WHERE table_schema = DATABASE() AND LOWER(table_name) = ?",
            );
            let view = link.row(views.bind(TABLE), |row| Ok(text(row, 0)?.to_owned())).await?;
            let columns = sqlx::query(
                "SELECT LOWER(table_name), LOWER(column_name) FROM information_schema.columns
                 WHERE table_schema = DATABASE() AND LOWER(table_name) IN (?, 'window_metrics')",
            );
            let read = |row: &MySqlRow| Ok((text(row, 0)?.to_owned(), text(row, 1)?.to_owned()));
            let mut found = link.rows(columns.bind(TABLE), read).await?;
            // There it is a table; here, a view over the windows.
            found.extend(view.map(|_| (OUR_OWN.to_owned(), String::new())));
            Ok(found)
        })?;
        let refused = |what: String, hint: &str| {
            Err(StoreError::Refused { at: self.server.at(), what, hint: hint.to_owned() })
        };
        if found.iter().any(|(table, _)| table == OUR_OWN) {
            return refused(
                "it holds this program's own tables, whose minutes are counted already".to_owned(),
                "name the original's database in database.host and database.database",
            );
        }
        if found.is_empty() {
            return refused(
                format!(
                    "it has no table {TABLE} that the user may read, so it is no ANIMOV database"
                ),
                "name another in database.database, or GRANT SELECT on it",
            );
        }
        let wanted = wanted();
        let has = |wanted: &&String| found.iter().any(|(_, name)| *name == wanted.to_lowercase());
        let missing: Vec<&str> =
            wanted.iter().filter(|wanted| !has(wanted)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        refused(
            format!("its table {TABLE} has no {}", missing.join(", ")),
            "is it an older ANIMOV database? Only tables with all columns can be imported",
        )
    }

    /// Has `query` asked; if a kept connection turns out to have gone away, on a new
    /// one.
    fn ask<T>(
        &self,
        doing: &'static str,
        query: impl AsyncFn(&mut Link) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        let answer = self.runtime.wait(async {
            let mut kept = self.link.lock().await;
            if let Some(mut link) = kept.take().filter(Link::is_fresh)
                && let Ok(answer) = query(&mut link).await
            {
                *kept = Some(link.rest());
                return Ok(answer);
            }
            let mut link = self.server.connect(Role::Reads).await?;
            // Whatever the user may do: this program only reads here.
            link.run("SET SESSION TRANSACTION READ ONLY").await?;
            let answer = query(&mut link).await?;
            *kept = Some(link.rest());
            Ok(answer)
        });
        answer.map_err(|error| self.server.failed(doing, error))
    }
}

fn wanted() -> Vec<String> {
    let mut wanted: Vec<String> =
        ["id", "timestamp", "source", "nb_frames"].map(str::to_owned).to_vec();
    for posture in POSTURES {
        wanted.push(posture.to_owned());
        let prefixes = ["min", "max", "std", "Q1", "Q2", "Q3", "mode"];
        wanted.extend(prefixes.map(|prefix| format!("{prefix}_{posture}")));
    }
    wanted
}

fn select() -> String {
    let mut columns = vec![
        "CAST(id AS SIGNED)".to_owned(),
        "CAST(source AS SIGNED)".to_owned(),
        "CAST(`timestamp` AS SIGNED)".to_owned(),
        "CAST(nb_frames AS SIGNED)".to_owned(),
    ];
    for posture in POSTURES {
        columns.extend(PER_POSTURE.map(|column| match column.replace("{}", posture) {
            number if number.starts_with("CAST") => number,
            mode if mode.starts_with("mode") => format!("CAST({mode} AS CHAR)"),
            // Three decimals, whatever type the column has.
            decimal => format!("CAST(ROUND({decimal} * 1000) AS SIGNED)"),
        }));
    }
    let columns = columns.join(", ");
    format!("SELECT {columns} FROM {TABLE} WHERE ? < id ORDER BY id LIMIT ?")
}

fn original(row: &MySqlRow) -> sqlx::Result<OriginalRow> {
    let id: i64 = row.try_get(0)?;
    let minute = match minute(row, id) {
        Ok(minute) => Ok(minute),
        Err(Fault::Row(what)) => Err(what),
        Err(Fault::Sqlx(error)) => return Err(error),
    };
    Ok(OriginalRow { id, minute })
}

/// Why a row is no minute: it says what none can say, or it was not understood.
enum Fault {
    Row(String),
    Sqlx(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Sqlx(error)
    }
}

fn minute(row: &MySqlRow, id: i64) -> Result<ImportedMinute, Fault> {
    let told = |number: Option<i64>| number.map_or("NULL".to_owned(), |number| number.to_string());
    let source: Option<i64> = row.try_get(1)?;
    let known = source.and_then(|source| SourceId::try_from(source).ok());
    let known = known.ok_or_else(|| Fault::Row(format!("its source is {}", told(source))))?;
    let seconds: Option<i64> = row.try_get(2)?;
    let start = seconds.filter(|seconds| (0..=SECONDS_MAX).contains(seconds));
    let start = start.ok_or_else(|| Fault::Row(format!("its timestamp is {}", told(seconds))))?;
    Ok(ImportedMinute {
        id,
        source: known,
        start: UnixMillis::new(start * 1000),
        frames: small(row, 3, "nb_frames")?,
        total: measured(row, 4, "total")?,
        lying: measured(row, 12, "couche")?,
        standing: measured(row, 20, "debout")?,
    })
}

fn small(row: &MySqlRow, column: usize, name: &str) -> Result<Option<i32>, Fault> {
    let number: Option<i64> = row.try_get(column)?;
    let small = number.map(i32::try_from).transpose();
    small.map_err(|_| Fault::Row(format!("its {name} is {}", number.unwrap_or_default())))
}

fn measured(row: &MySqlRow, first: usize, posture: &str) -> Result<Measured, Fault> {
    let number = |nth: usize| {
        let name = PER_POSTURE.get(nth).copied().unwrap_or_default().replace("{}", posture);
        small(row, first + nth, &name)
    };
    let x1000 = |nth| Ok::<_, Fault>(number(nth)?.map(Thousandths));
    let modes = match row.try_get_unchecked::<Option<&[u8]>, _>(first + 7)? {
        Some(_) => Some(text(row, first + 7)?.to_owned()),
        None => None,
    };
    Ok(Measured {
        sum: number(0)?,
        min: number(1)?,
        max: number(2)?,
        std: x1000(3)?,
        q1: x1000(4)?,
        median: x1000(5)?,
        q3: x1000(6)?,
        modes,
    })
}
