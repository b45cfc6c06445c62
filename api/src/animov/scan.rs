//! Windows of many sources as one list, by time and source, a page at a time.
//!
//! Each source's windows are read in runs and merged, so a page costs about as
//! many rows as it has, however many sources and however long their histories.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use schemas::commit::{SeriesQuery, StateStore, StoreError, WindowState};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;
use serde::Serialize;

use super::criteria::{Criteria, Cursor, Row, link};
use crate::tagged;

/// A part of the list.
pub(super) struct Page {
    /// By time, then by source.
    pub(super) windows: Vec<WindowState>,
    /// Where the rest is, if there is one.
    rest: Option<Cursor>,
}

impl Page {
    /// Answers the windows as `rows` tell them.
    pub(super) fn answer<T: Serialize>(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        rows: &[T],
    ) -> Response {
        let mut response = tagged::json(headers, &rows);
        if let Some(cursor) = self.rest {
            let forth = matches!(cursor, Cursor::After(_));
            let relation = if forth { "next" } else { "prev" };
            link(&mut response, uri, &cursor.to_string(), relation);
        }
        response
    }
}

/// The windows of `size` that `criteria` ask for.
pub(super) fn page(
    store: &dyn StateStore,
    size: WindowSize,
    criteria: &Criteria,
) -> Result<Page, StoreError> {
    let known = store.sources()?.into_iter().map(|known| known.state.source);
    let sources: Vec<SourceId> = known.filter(|known| criteria.scope.admits(*known)).collect();
    let limit = usize::try_from(criteria.limit).unwrap_or(usize::MAX);
    let backwards = matches!(criteria.cursor, Cursor::Last | Cursor::Before(_));
    // A little more than each source's share.
    let run = limit.div_ceil(sources.len().max(1)) + 2;
    let run = u32::try_from(run).unwrap_or(u32::MAX);
    let mut runs: Vec<Run> =
        sources.iter().map(|source| Run::new(*source, size, criteria, backwards, run)).collect();

    let mut heads = BinaryHeap::new();
    for (at, run) in runs.iter_mut().enumerate() {
        heads.extend(run.head(store)?.map(|row| (Ahead::new(row, backwards), at)));
    }
    let mut windows = Vec::new();
    while windows.len() < limit
        && let Some((_, at)) = heads.pop()
    {
        windows.extend(runs[at].ready.pop_front());
        heads.extend(runs[at].head(store)?.map(|row| (Ahead::new(row, backwards), at)));
    }
    let last = windows.last().filter(|_| !heads.is_empty()).map(row);
    let rest = last.map(|last| if backwards { Cursor::Before(last) } else { Cursor::After(last) });
    if backwards {
        windows.reverse();
    }
    Ok(Page { windows, rest })
}

fn row(state: &WindowState) -> Row {
    Row { start: state.window.start, source: state.source }
}

/// The row that comes next is the greatest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Ahead {
    Forwards(Reverse<Row>),
    Backwards(Row),
}

impl Ahead {
    fn new(row: Row, backwards: bool) -> Ahead {
        if backwards { Ahead::Backwards(row) } else { Ahead::Forwards(Reverse(row)) }
    }
}

/// One source's windows, some read ahead.
struct Run {
    ready: VecDeque<WindowState>,
    /// Reads those that follow.
    query: SeriesQuery,
    /// Whether there may be any.
    more: bool,
}

impl Run {
    fn new(
        source: SourceId,
        size: WindowSize,
        criteria: &Criteria,
        backwards: bool,
        limit: u32,
    ) -> Run {
        let Criteria { mut from, mut to, cursor, .. } = *criteria;
        let behind = |moment: UnixMillis| UnixMillis::new(moment.get().saturating_add(1));
        match cursor {
            Cursor::First | Cursor::Last => {}
            Cursor::After(row) => {
                let first = if source <= row.source { behind(row.start) } else { row.start };
                from = from.max(first);
            }
            Cursor::Before(row) => {
                let end = if source < row.source { behind(row.start) } else { row.start };
                to = to.min(end);
            }
        }
        let query =
            SeriesQuery { source, size, from, to, metric: None, limit, newest_first: backwards };
        Run { ready: VecDeque::new(), query, more: true }
    }

    /// The row of the next window.
    fn head(&mut self, store: &dyn StateStore) -> Result<Option<Row>, StoreError> {
        if self.ready.is_empty() && self.more {
            self.ready = store.series(&self.query)?.into();
            self.more = u32::try_from(self.ready.len()).is_ok_and(|len| len == self.query.limit);
            if let Some(last) = self.ready.back() {
                let start = last.window.start;
                match self.query.newest_first {
                    true => self.query.to = start,
                    false => self.query.from = UnixMillis::new(start.get().saturating_add(1)),
                }
            }
        }
        Ok(self.ready.front().map(row))
    }
}
