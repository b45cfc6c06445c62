//! Databases for tests, on a server that is there already.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sinks::config::{MySqlConfig, MySqlPassword, MySqlUrl, Tls};
use sinks::state::mysql::MySqlState;
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::child;

/// Names the server: `mysql://user:password@host:port`.
const VARIABLE: &str = "ANIMOV_TEST_MYSQL";

/// A server, and a user that may make databases there.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Server {
    /// `None`, and a line that says so, if there is none for tests.
    pub(crate) fn for_tests() -> Option<Server> {
        let Ok(url) = std::env::var(VARIABLE) else {
            #[expect(
                clippy::explicit_write,
                reason = "the harness keeps to itself what a passing test prints"
            )]
            writeln!(std::io::stderr(), "SKIPPED: {VARIABLE} names no server").unwrap();
            return None;
        };
        let rest = url.trim_end_matches('/').strip_prefix("mysql://").expect("mysql://…");
        let (user, place) = rest.rsplit_once('@').expect("a user");
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(password.to_owned())),
            None => (user, None),
        };
        let (host, port) = place.split_once(':').unwrap_or((place, "3306"));
        let (user, host, port) = (user.to_owned(), host.to_owned(), port.parse().unwrap());
        Some(Server { user, password, host, port })
    }

    /// Runs `sql`, several statements if need be, in `database` if one is named.
    pub(crate) fn run(&self, database: Option<&str>, sql: &str) {
        self.ask(database, sql, |_| ());
    }

    /// What `read` makes of each row that `sql` gives.
    pub(crate) fn ask<T>(
        &self,
        database: Option<&str>,
        sql: &str,
        read: impl FnMut(MySqlRow) -> T,
    ) -> Vec<T> {
        self.try_ask(database, sql, read).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    pub(crate) fn try_ask<T>(
        &self,
        database: Option<&str>,
        sql: &str,
        read: impl FnMut(MySqlRow) -> T,
    ) -> sqlx::Result<Vec<T>> {
        let mut options =
            MySqlConnectOptions::new().host(&self.host).port(self.port).username(&self.user);
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        if let Some(database) = database {
            options = options.database(database);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rows = runtime.block_on(async {
            let mut connection = options.connect().await?;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await
        })?;
        Ok(rows.into_iter().map(read).collect())
    }
}

/// Names, to a process that a test starts, the database that it works in.
const OF_PARENT: &str = "SINKS_TEST_DATABASE";

/// A database of its own, empty at first; gone at the end.
pub(crate) struct Database {
    pub(crate) server: Server,
    pub(crate) name: String,
    /// Whether it is ours to drop.
    is_ours: bool,
}

impl Database {
    pub(crate) fn new() -> Option<Database> {
        Some(Database::on(Server::for_tests()?))
    }

    pub(crate) fn on(server: Server) -> Database {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("animov_test_{}_{number}", std::process::id());
        server.run(None, &format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}"));
        Database { server, name, is_ours: true }
    }

    /// The database of the process that started this one by
    /// [`child`](Database::child).
    pub(crate) fn of_parent() -> Database {
        let server = Server::for_tests().unwrap();
        Database { server, name: std::env::var(OF_PARENT).unwrap(), is_ours: false }
    }

    /// A process that runs only `test`, and in it works here too.
    pub(crate) fn child(&self, test: &str) -> Command {
        let mut command = child::command(test, Path::new("."));
        command.env(OF_PARENT, &self.name);
        command
    }

    /// How to reach it; waits are short.
    pub(crate) fn config(&self) -> MySqlConfig {
        let Server { user, host, port, .. } = self.server.clone();
        MySqlConfig {
            url: MySqlUrl { user, host, port, database: self.name.clone() },
            tls: Tls::Disabled,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(20),
            ..MySqlConfig::default()
        }
    }

    pub(crate) fn password(&self) -> Option<MySqlPassword> {
        self.server.password.clone().map(MySqlPassword::from)
    }

    pub(crate) fn open(&self) -> MySqlState {
        MySqlState::open(&self.config(), self.password().as_ref()).unwrap()
    }

    pub(crate) fn run(&self, sql: &str) {
        self.server.run(Some(&self.name), sql);
    }

    pub(crate) fn ask<T>(&self, sql: &str, read: impl FnMut(MySqlRow) -> T) -> Vec<T> {
        self.server.ask(Some(&self.name), sql, read)
    }

    /// Deletes every row of ours.
    pub(crate) fn clear(&self) {
        for table in [
            "shape",
            "logs",
            "lost_ends",
            "partitions",
            "sources",
            "source_metrics",
            "seq_blocks",
            "parked",
            "parked_rest",
            "writers",
            "windows",
            "window_metrics",
            "headcount_files",
            "headcounts",
            "price_pages",
            "price_visits",
            "prices",
            "imported_databases",
            "imported_minutes",
            "accuracy",
        ] {
            self.run(&format!("DELETE FROM {table}"));
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {}", self.name);
        // The server may be what a test failed of.
        if self.is_ours && self.server.try_ask(None, &drop, |_| ()).is_err() {
            println!("could not drop {}", self.name);
        }
    }
}
