//! Connections: how one is made, asked and kept.
//!
//! # Invariants
//!
//! - Every question has a limit. An answer that is not there by then is given
//!   up together with its connection, which nobody uses again: what is left of
//!   it in the connection can therefore never be taken for another's answer.
//! - A connection is kept only if its last answer was whole and it is in no
//!   transaction.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::commit::StoreError;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlRow, MySqlSslMode};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Error, MySql, MySqlConnection};
use tokio::sync::Semaphore;

use crate::config::{DATABASE_PASSWORD_ENV, MYSQL_PASSWORD_ENV, MySqlConfig, MySqlPassword, Tls};
use crate::state::mysql::error::{damaged, is_demoted, is_lost, store_error};

/// How long an idle connection is kept. Shorter than [`SILENCE_MAX`], so that
/// it is the owner that lets go of it.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How long the server keeps a connection from which nothing comes, with its
/// transaction and its locks: a client that the network lost no longer holds
/// others up after that.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Prepared statements that a connection keeps: every one that we have.
const STATEMENTS_MAX: usize = 128;

/// Where the tables are, and how to reach them.
pub(super) struct Server {
    options: MySqlConnectOptions,
    at: String,
    /// The same without the user.
    place: String,
    names: Names,
    connect_timeout: Duration,
    answer_timeout: Duration,
    /// How often the server at the address was found to only read. What was connected before
    /// is not asked again: it may be behind the one that writes now.
    term: AtomicU64,
}

/// What its settings are called, for a person who is to change one.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) user: &'static str,
    pub(super) database: &'static str,
    pub(super) tls: &'static str,
    pub(super) password: &'static str,
}

impl Names {
    const TABLES: Names = Names {
        user: "state.mysql.url",
        database: "state.mysql.url",
        tls: "state.mysql.tls",
        password: MYSQL_PASSWORD_ENV,
    };

    /// Of the original system's database.
    pub(super) const ORIGINAL: Names = Names {
        user: "database.username",
        database: "database.database",
        tls: "database.tls",
        password: DATABASE_PASSWORD_ENV,
    };
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Answers come from one moment of the tables.
    Reads,
    /// Sees what others committed meanwhile, and locks no gaps between rows.
    Writes,
}

impl Role {
    /// The isolation of its transactions.
    const fn isolation(self) -> &'static str {
        match self {
            Role::Reads => "REPEATABLE READ",
            Role::Writes => "READ COMMITTED",
        }
    }
}

impl Server {
    /// The server of our own tables.
    pub(super) fn new(config: &MySqlConfig, password: Option<&MySqlPassword>) -> Server {
        Server::named(config, password, Names::TABLES)
    }

    /// A server whose settings have these `names`.
    pub(super) fn named(
        config: &MySqlConfig,
        password: Option<&MySqlPassword>,
        names: Names,
    ) -> Server {
        let MySqlConfig { url, tls, tls_ca, connect_timeout, answer_timeout, .. } = config;
        let mut options = MySqlConnectOptions::new()
            .host(&url.host)
            .port(url.port)
            .username(&url.user)
            .database(&url.database)
            .ssl_mode(match tls {
                Tls::Disabled => MySqlSslMode::Disabled,
                Tls::Preferred => MySqlSslMode::Preferred,
                Tls::Required => MySqlSslMode::Required,
                Tls::VerifyCa => MySqlSslMode::VerifyCa,
                Tls::VerifyIdentity => MySqlSslMode::VerifyIdentity,
            })
            .statement_cache_capacity(STATEMENTS_MAX)
            // The session is set up below, in one go.
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .disable_statement_logging();
        if let Some(file) = tls_ca {
            options = options.ssl_ca(file);
        }
        if let Some(password) = password {
            options = options.password(password.reveal());
        }
        Server {
            options,
            at: url.to_string(),
            place: url.place(),
            names,
            connect_timeout: *connect_timeout,
            answer_timeout: *answer_timeout,
            term: AtomicU64::new(0),
        }
    }

    /// A new connection.
    pub(super) async fn connect(&self, role: Role) -> sqlx::Result<Link> {
        let connection = within(self.connect_timeout, self.options.connect()).await?;
        let (answer_timeout, term) = (self.answer_timeout, self.term());
        let mut link = Link { connection, answer_timeout, used_at: Instant::now(), term };
        let lock_seconds = (answer_timeout.as_secs() / 2).max(1);
        let set_up = format!(
            // Strict: a value that a column cannot hold is an error, never cut.
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',
                 SESSION time_zone = '+00:00',
                 SESSION autocommit = 1,
                 SESSION wait_timeout = {},
                 SESSION lock_wait_timeout = {lock_seconds},
                 SESSION innodb_lock_wait_timeout = {lock_seconds};
             SET SESSION TRANSACTION ISOLATION LEVEL {}",
            SILENCE_MAX.as_secs(),
            role.isolation(),
        );
        let set_up = sqlx::raw_sql(AssertSqlSafe(set_up));
        within(answer_timeout, set_up.execute(&mut link.connection)).await?;
        Ok(link)
    }

    /// How long the server may take to answer.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// The name of the database, for SQL that a person may run.
    pub(super) fn database(&self) -> &str {
        self.options.get_database().unwrap_or_default()
    }

    /// The user's name, likewise.
    pub(super) fn user(&self) -> &str {
        self.options.get_username()
    }

    /// What its settings are called.
    pub(super) fn names(&self) -> Names {
        self.names
    }

    /// Where the tables are, whoever asks.
    pub(super) fn place(&self) -> String {
        self.place.clone()
    }

    /// Where the tables are, for a person.
    pub(super) fn at(&self) -> String {
        self.at.clone()
    }

    fn term(&self) -> u64 {
        self.term.load(Ordering::SeqCst)
    }

    /// The error of `doing` something with the tables.
    pub(super) fn failed(&self, doing: &'static str, error: Error) -> StoreError {
        if is_demoted(&error) {
            self.term.fetch_add(1, Ordering::SeqCst);
        }
        store_error(doing, self, error)
    }

    /// The error of tables that hold what they should not.
    pub(super) fn damaged(&self, what: String) -> StoreError {
        damaged(self, what)
    }
}

/// A question to the server.
pub(super) type Ask<'q> = Query<'q, MySql, MySqlArguments>;

/// One connection.
pub(super) struct Link {
    connection: MySqlConnection,
    answer_timeout: Duration,
    used_at: Instant,
    /// The server's when it was made.
    term: u64,
}

impl Link {
    /// Runs a statement that has no parameters and gives no rows.
    pub(super) async fn run(&mut self, sql: &'static str) -> sqlx::Result<()> {
        let answer = sqlx::raw_sql(sql).execute(&mut self.connection);
        within(self.answer_timeout, answer).await.map(drop)
    }

    /// Runs a statement that gives no rows.
    pub(super) async fn execute(&mut self, ask: Ask<'_>) -> sqlx::Result<()> {
        within(self.answer_timeout, ask.execute(&mut self.connection)).await.map(drop)
    }

    /// What `read` makes of each row, one row in memory at a time.
    pub(super) async fn rows<T: Send + Unpin>(
        &mut self,
        ask: Ask<'_>,
        mut read: impl FnMut(&MySqlRow) -> sqlx::Result<T> + Send,
    ) -> sqlx::Result<Vec<T>> {
        let answer = ask.try_map(|row| read(&row)).fetch_all(&mut self.connection);
        within(self.answer_timeout, answer).await
    }

    /// What `read` makes of the row, if there is one.
    pub(super) async fn row<T: Send + Unpin>(
        &mut self,
        ask: Ask<'_>,
        read: impl FnMut(&MySqlRow) -> sqlx::Result<T> + Send,
    ) -> sqlx::Result<Option<T>> {
        Ok(self.rows(ask, read).await?.pop())
    }

    /// The connection itself, for what asks in its own way.
    pub(super) fn connection(&mut self) -> &mut MySqlConnection {
        &mut self.connection
    }

    /// Has it wait so long for each answer from now on.
    pub(super) fn set_answer_timeout(&mut self, answer_timeout: Duration) {
        self.answer_timeout = answer_timeout;
    }

    /// Whether the server surely has not closed it for being idle.
    pub(super) fn is_fresh(&self) -> bool {
        self.used_at.elapsed() < IDLE_MAX
    }

    /// Makes it idle from now.
    pub(super) fn rest(mut self) -> Link {
        self.used_at = Instant::now();
        self
    }
}

/// Waits for `answer`, but not longer than `limit`. The caller drops the
/// connection after every error that [is no answer](super::error::is_answer).
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let silent = format!("no answer within {limit:?}");
            Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, silent)))
        }
    }
}

/// Connections that read.
pub(super) struct Readers {
    /// One permit a connection.
    permits: Semaphore,
    /// Those that nobody uses at the moment.
    idle: Mutex<Vec<Link>>,
}

impl Readers {
    pub(super) fn new(config: &MySqlConfig) -> Readers {
        let readers_max = usize::try_from(config.readers_max.get()).unwrap_or(usize::MAX);
        Readers {
            permits: Semaphore::new(readers_max.min(Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
        }
    }

    /// Has `query` asked on a connection. If a kept one turns out to have gone
    /// away, it is asked again on a new one.
    pub(super) async fn ask<T>(
        &self,
        server: &Server,
        query: impl AsyncFn(&mut Link) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let permit = tokio::time::timeout(server.answer_timeout(), self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Error::PoolTimedOut) };
        if let Some(mut kept) = self.take(server) {
            match query(&mut kept).await {
                Ok(answer) => {
                    self.keep(kept);
                    return Ok(answer);
                }
                Err(error) if is_lost(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut link = server.connect(Role::Reads).await?;
        let answer = query(&mut link).await?;
        self.keep(link);
        Ok(answer)
    }

    /// Puts a connection beside those that are idle.
    fn keep(&self, link: Link) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(link.rest());
    }

    /// The connection that was used last; what has been idle for long is closed.
    fn take(&self, server: &Server) -> Option<Link> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|link| link.is_fresh() && link.term == server.term());
        idle.pop()
    }
}

/// Has `query` asked in one consistent view of the tables.
pub(super) async fn in_view<T>(
    link: &mut Link,
    query: impl AsyncFnOnce(&mut Link) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    link.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let answer = query(link).await?;
    link.run("COMMIT").await?;
    Ok(answer)
}
