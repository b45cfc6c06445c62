//! The pictures of several sources as one list, where a user may not see all.
//!
//! The stores know one source, or all. In between, each source's records are read in
//! runs and merged in their common order.

use std::collections::VecDeque;

use schemas::commit::StoreError;
use schemas::frame::FrameId;
use schemas::snapshot::{Images, Record, Snapshot, SnapshotQuery, SnapshotStore};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::users::Scope;

/// Records that are read together.
const RUN: u32 = 200;

/// The only source of `scope`, if it is one; `Err` if they are several, or none.
fn one(scope: &Scope) -> Result<Option<SourceId>, Vec<SourceId>> {
    match scope {
        Scope::All => Ok(None),
        Scope::Only(sources) => match sources.iter().collect::<Vec<_>>()[..] {
            [one] => Ok(Some(*one)),
            _ => Err(sources.iter().copied().collect()),
        },
    }
}

/// The records that `query` asks for, whatever source it names, of the sources of
/// `scope`.
pub(crate) fn find(
    store: &dyn SnapshotStore,
    scope: &Scope,
    query: &SnapshotQuery,
) -> Result<Vec<Record>, StoreError> {
    let sources = match one(scope) {
        Ok(source) => return store.find(&SnapshotQuery { source, ..*query }),
        Err(sources) => sources,
    };
    let mut runs: Vec<Run> = sources.into_iter().map(|source| Run::new(source, query)).collect();
    let (mut skip, mut found) = (query.skip, Vec::new());
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    while found.len() < limit {
        let mut first: Option<(usize, (UnixMillis, String))> = None;
        for (at, run) in runs.iter_mut().enumerate() {
            let Some(key) = run.head(store)? else { continue };
            let ahead = first.as_ref().is_none_or(|(_, best)| match query.newest_first {
                true => *best < key,
                false => key < *best,
            });
            if ahead {
                first = Some((at, key));
            }
        }
        let Some(next) = first.and_then(|(at, _)| runs.get_mut(at)?.ready.pop_front()) else {
            break;
        };
        if 0 < skip {
            skip -= 1;
            continue;
        }
        match query.images {
            Images::Without => found.push(Record::Snapshot(next)),
            // It may have been deleted meanwhile.
            Images::With => found.extend(store.get(&next.id)?),
        }
    }
    Ok(found)
}

/// The `n`-th record, from 0, of the sources of `scope`, with its image.
pub(crate) fn nth(
    store: &dyn SnapshotStore,
    scope: &Scope,
    n: u64,
) -> Result<Option<Record>, StoreError> {
    match one(scope) {
        Ok(source) => store.nth(source, n),
        Err(_) => {
            let all = SnapshotQuery::all();
            let query = SnapshotQuery { skip: n, limit: 1, images: Images::With, ..all };
            Ok(find(store, scope, &query)?.pop())
        }
    }
}

/// How many records there are of the sources of `scope`.
pub(crate) fn count(store: &dyn SnapshotStore, scope: &Scope) -> Result<u64, StoreError> {
    match one(scope) {
        Ok(source) => store.count(source),
        Err(sources) => sources.into_iter().map(|source| store.count(Some(source))).sum(),
    }
}

/// The newest snapshot of each source of `scope`, by source.
pub(crate) fn newest(store: &dyn SnapshotStore, scope: &Scope) -> Result<Vec<FrameId>, StoreError> {
    let ids = store.current(Images::Without)?.into_iter().filter_map(|record| match record {
        Record::Snapshot(snapshot) => Some(snapshot.id),
        Record::Foreign(_) | Record::Unreadable(_) => None,
    });
    Ok(ids.filter(|id| scope.admits(id.source)).collect())
}

/// One source's records, some read ahead.
struct Run {
    ready: VecDeque<Snapshot>,
    /// Reads those that follow.
    query: SnapshotQuery,
    /// Whether there may be any.
    more: bool,
}

impl Run {
    fn new(source: SourceId, query: &SnapshotQuery) -> Run {
        let query = SnapshotQuery {
            source: Some(source),
            skip: 0,
            limit: RUN,
            images: Images::Without,
            ..*query
        };
        Run { ready: VecDeque::new(), query, more: true }
    }

    /// The place of the next record in the common order.
    fn head(
        &mut self,
        store: &dyn SnapshotStore,
    ) -> Result<Option<(UnixMillis, String)>, StoreError> {
        while self.ready.is_empty() && self.more {
            let found = store.find(&self.query)?;
            self.more = u32::try_from(found.len()).is_ok_and(|len| len == RUN);
            self.query.skip = self.query.skip.saturating_add(u64::from(RUN));
            self.ready.extend(found.into_iter().filter_map(|record| match record {
                Record::Snapshot(snapshot) => Some(snapshot),
                // Whose it is cannot be told.
                Record::Foreign(_) | Record::Unreadable(_) => None,
            }));
        }
        Ok(self.ready.front().map(|next| (next.captured_at, next.id.to_string())))
    }
}
