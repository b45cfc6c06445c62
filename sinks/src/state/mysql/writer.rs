//! Who writes: one connection, and what became of each commit.
//!
//! # The answer that was lost
//!
//! A connection may break between `COMMIT` and its answer; then nobody here
//! knows whether the commit is there. Each of our commits has a number, and
//! writes it into our own row of `writers` as its last statement before
//! `COMMIT`. To find out, that row is read under its lock: the lost transaction
//! holds the lock until it has ended, one way or the other, so what is read is
//! final. The commit is there exactly if its number is.
//!
//! The offsets alone would not tell: a commit that only closes windows moves
//! none, and another process may have gone on from ours meanwhile.
//!
//! As long as the server is away nothing can be found out. Then the commit is
//! remembered, its outcome is "try again", and before anything else is
//! committed its fate is asked for. If it is there, and the same commit comes
//! again, it is answered as applied; in every other case a commit that is
//! there already is refused, because its offsets are behind.

use std::collections::HashSet;
use std::sync::Arc;

use schemas::commit::{Commit, CommitError, StoreError};
use schemas::source::SourceId;
use schemas::window::Calendar;
use sqlx::{Error, Row};
use uuid::Uuid;

use crate::metrics::StateMetrics;
use crate::state::mysql::clock::{self, Clock, Day};
use crate::state::mysql::connection::{Link, Role, Server};
use crate::state::mysql::error::{is_answer, is_deadlock};
use crate::state::mysql::row::text;
use crate::state::mysql::write::{self, Stop};

/// How often a transaction is begun again that the server undid for another's
/// sake.
const DEADLOCKS_MAX: u32 = 5;

/// Days of the clock in one transaction: so many are written in a second.
const DAYS_MAX: usize = 32;

/// Processes that have not committed for thirty days.
const OLD_WRITERS: &str =
    "SELECT writer FROM writers WHERE committed_at < UNIX_TIMESTAMP() - 30 * 24 * 3600";

const FORGET_WRITER: &str = "DELETE FROM writers WHERE writer = ?";

const BEGIN: &str = "START TRANSACTION";

const LAST_COMMIT: &str = "SELECT last_commit FROM writers WHERE writer = ? FOR UPDATE";

/// The one who writes, for this process.
pub(super) struct Writer {
    /// Our key in `writers`.
    id: Uuid,
    /// The number of the newest commit that was tried.
    tried: u64,
    /// None until it is needed, and after it broke.
    link: Option<Link>,
    /// The commit whose answer was lost.
    lost: Option<Lost>,
    /// The rows of `source_metrics` that are known to be there.
    known_metrics: HashSet<(SourceId, Arc<str>)>,
    clock: Clock,
    metrics: StateMetrics,
}

/// A commit that is there, or is not.
struct Lost {
    number: u64,
    commit: Commit,
}

impl Writer {
    /// Writes through `link`, which is in no transaction.
    pub(super) fn new(link: Link, metrics: StateMetrics) -> Writer {
        Writer {
            id: Uuid::new_v4(),
            tried: 0,
            link: Some(link.rest()),
            lost: None,
            known_metrics: HashSet::new(),
            clock: Clock::default(),
            metrics,
        }
    }

    /// Forgets processes that are long gone.
    pub(super) async fn forget_others(&mut self, server: &Server) -> sqlx::Result<()> {
        self.transact(server, async |link| {
            // One by one, by their keys: a search that deletes would wait for each
            // row that a commit holds.
            let old = link.rows(sqlx::query(OLD_WRITERS), |row| Ok(text(row, 0)?.to_owned()));
            for writer in old.await? {
                link.execute(sqlx::query(FORGET_WRITER).bind(writer)).await?;
            }
            Ok(())
        })
        .await
    }

    /// Applies `commit`, durably, or changes nothing.
    pub(super) async fn commit(
        &mut self,
        server: &Server,
        commit: &Commit,
    ) -> Result<(), CommitError> {
        fail::fail_point!("commit-before-begin");
        if let Some(lost) = self.find_lost(server).await?
            && lost.commit == *commit
        {
            return Ok(());
        }
        let days = self.clock.missing(commit);
        self.write_days(server, &days).await.map_err(|error| server.failed("commit to", error))?;
        let mut deadlocks = 0;
        loop {
            match self.try_commit(server, commit).await {
                Ok(()) => {
                    fail::fail_point!("commit-after-commit");
                    return Ok(());
                }
                Err(Stop::Sqlx(error)) if is_deadlock(&error) && deadlocks < DEADLOCKS_MAX => {
                    deadlocks += 1;
                    self.metrics.deadlocks_total.inc();
                }
                Err(Stop::Sqlx(error)) => return Err(server.failed("commit to", error).into()),
                Err(Stop::Refused(refused)) => return Err(refused),
            }
        }
    }

    /// From now on the days of each commit are on the clock of `zone`, and so are
    /// those of the windows that are there.
    pub(super) async fn set_zone(&mut self, server: &Server, zone: &str) -> Result<(), StoreError> {
        let calendar =
            Calendar::in_zone(zone).map_err(|error| server.damaged(error.to_string()))?;
        let failed = |error| server.failed("write the clock of", error);
        let overdue = self.transact(server, async |link| clock::overdue(link, &calendar).await);
        let overdue = overdue.await.map_err(failed)?;
        self.write_days(server, &overdue).await.map_err(failed)?;
        self.clock.set(calendar);
        Ok(())
    }

    /// Puts `days` on the clock, a few in a transaction.
    async fn write_days(&mut self, server: &Server, days: &[Day]) -> sqlx::Result<()> {
        for days in days.chunks(DAYS_MAX) {
            self.transact(server, async |link| clock::write(link, days).await).await?;
            self.clock.learn(days);
        }
        Ok(())
    }

    /// Calls `change` in one transaction. It may be called again, and its
    /// outcome may be unknown.
    pub(super) async fn transact<T>(
        &mut self,
        server: &Server,
        change: impl AsyncFn(&mut Link) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let mut deadlocks = 0;
        loop {
            let mut link = self.begin(server).await?;
            match change(&mut link).await {
                Ok(answer) => {
                    link.run("COMMIT").await?;
                    self.link = Some(link.rest());
                    return Ok(answer);
                }
                Err(error) => {
                    let again = is_deadlock(&error) && deadlocks < DEADLOCKS_MAX;
                    self.undo(link, is_answer(&error)).await;
                    if !again {
                        return Err(error);
                    }
                    deadlocks += 1;
                    self.metrics.deadlocks_total.inc();
                }
            }
        }
    }

    /// A connection in a new transaction. It is taken out of `self`: what fails
    /// and does not put it back closes it, and the server undoes what was done.
    async fn begin(&mut self, server: &Server) -> sqlx::Result<Link> {
        if let Some(mut kept) = self.link.take().filter(Link::is_fresh)
            && kept.run(BEGIN).await.is_ok()
        {
            return Ok(kept);
        }
        // The server may have been restarted since.
        let mut link = server.connect(Role::Writes).await?;
        link.run(BEGIN).await?;
        Ok(link)
    }

    /// Ends a transaction without a trace. A connection that is not `whole` is
    /// closed, which does the same.
    async fn undo(&mut self, mut link: Link, is_whole: bool) {
        if is_whole && link.run("ROLLBACK").await.is_ok() {
            self.link = Some(link.rest());
        }
    }

    async fn try_commit(&mut self, server: &Server, commit: &Commit) -> Result<(), Stop> {
        let mut link = self.begin(server).await?;
        self.tried += 1;
        let mark = write::Mark { writer: self.id, number: self.tried };
        let new_metrics =
            match write::apply(&mut link, server, commit, mark, &self.known_metrics).await {
                Ok(new_metrics) => new_metrics,
                Err(stop) => {
                    let is_whole = match &stop {
                        Stop::Refused(_) => true,
                        Stop::Sqlx(error) => is_answer(error),
                    };
                    self.undo(link, is_whole).await;
                    return Err(stop);
                }
            };
        fail::fail_point!("commit-before-commit");
        if let Err(error) = link.run("COMMIT").await {
            // Closed first: it must not hold the lock that is asked for next.
            drop(link);
            self.lost = Some(Lost { number: mark.number, commit: commit.clone() });
            self.metrics.lost_answers_total.inc();
            tracing::warn!(%error, "the answer to a commit was lost");
            if self.find_lost(server).await?.is_none() {
                return Err(error.into());
            }
        } else {
            self.link = Some(link.rest());
        }
        // Only now: what was rolled back is not there.
        self.known_metrics.extend(new_metrics);
        Ok(())
    }

    /// Finds out about the commit whose answer was lost, if there is one, and
    /// returns it if it is there.
    async fn find_lost(&mut self, server: &Server) -> Result<Option<Lost>, StoreError> {
        let Some(lost) = &self.lost else { return Ok(None) };
        let (id, number) = (self.id.to_string(), lost.number);
        let ask = async {
            let mut link = server.connect(Role::Writes).await?;
            let last = sqlx::query(LAST_COMMIT).bind(id);
            let last = link.row(last, |row| row.try_get::<i64, _>(0)).await?;
            Ok::<_, Error>((link, last))
        };
        let (link, last) =
            ask.await.map_err(|error| server.failed("find the last commit in", error))?;
        self.link = Some(link.rest());
        let is_there = last.is_some_and(|last| u64::try_from(last) == Ok(number));
        tracing::info!(is_there, "the commit whose answer was lost was looked for");
        Ok(self.lost.take().filter(|_| is_there))
    }
}
