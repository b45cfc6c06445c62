//! Which partitions a run may read, and from where.
//!
//! # Invariants
//!
//! - A partition is claimed only if the log is the one that is counted, and holds
//!   the offset that its ledger has come to. To choose otherwise is a person's
//!   decision.
//! - Looking at a partition moves nothing and fences nobody. Only what must not be
//!   forgotten is written down: the name of a log that nobody counted before, and
//!   an end that was lost.

use schemas::commit::Place;
use schemas::commit::logbook::Standing;
use schemas::log::{Bounds, LogError, Offset};

use crate::dataflow::Owned;
use crate::incident::Incident;
use crate::retry::Patience;
use crate::run::{End, Input, Job, PipelineError};

/// A partition that this run reads, from where.
pub(crate) struct Claimed {
    pub(crate) input: Input,
    pub(crate) owned: Owned,
    pub(crate) next: Offset,
}

/// What became of all partitions.
#[derive(Default)]
pub(crate) struct Claims {
    pub(crate) claimed: Vec<Claimed>,
    /// Those that wait for a decision.
    pub(crate) waiting: Vec<Input>,
}

/// What there is to know of a partition before it is claimed.
struct Seen {
    place: Place,
    bounds: Bounds,
    incident: Option<Incident>,
}

/// How often a question that is not answered is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Once,
    UntilAnswered,
}

/// Takes over every partition that can be read on where its ledger ends. The
/// others are told as incidents.
pub(crate) fn claim_all(job: &Job) -> Result<Claims, PipelineError> {
    job.progress.begins();
    let mut claims = Claims::default();
    for input in &job.inputs {
        let Seen { place, bounds, incident } = look(input, job, Asks::UntilAnswered)?;
        match (job.end, incident) {
            (End::Never, Some(incident)) => {
                tracing::error!(partition = %place.partition, %incident, "the partition is not counted");
                job.progress.incident(place, incident);
                claims.waiting.push(input.clone());
                continue;
            }
            // What is read once, to its end, has nobody who would decide.
            (End::CaughtUp, Some(Incident::Replaced { name, was, now })) => {
                return Err(LogError::Replaced { at: name.to_string(), was, now }.into());
            }
            // Its reader says what is missing.
            (End::CaughtUp, Some(Incident::Gap { .. } | Incident::LostEnd { .. })) | (_, None) => {}
        }
        let patience = Patience { stop: &job.stop, progress: &job.progress };
        let claim = || job.store.claim(&place.log, place.partition, bounds.low);
        let claim = patience.again(|| false, claim)?;
        job.progress.claimed(&place, claim.next_offset);
        let owned = Owned { place, owner_epoch: claim.owner_epoch };
        claims.claimed.push(Claimed { input: input.clone(), owned, next: claim.next_offset });
    }
    Ok(claims)
}

/// Writes down what only the reader of `place` may have seen: by the next look,
/// the log may have grown past the end that it lost.
pub(crate) fn note_lost_end(
    job: &Job,
    place: &Place,
    error: &LogError,
) -> Result<(), PipelineError> {
    let end = match error {
        LogError::LostEnd { end, .. } => *end,
        LogError::OutOfBounds { wanted, bounds, .. } if bounds.high < *wanted => bounds.high,
        _ => return Ok(()),
    };
    if job.end == End::CaughtUp {
        return Ok(());
    }
    let patience = Patience { stop: &job.stop, progress: &job.progress };
    Ok(patience.again(|| false, || job.store.lost_end(&place.log, place.partition, end))?)
}

/// Whether one of those that wait can be claimed now, as far as log and tables
/// answer.
pub(crate) fn is_decided(waiting: &[Input], job: &Job) -> bool {
    waiting.iter().any(|input| look(input, job, Asks::Once).is_ok_and(|s| s.incident.is_none()))
}

fn look(input: &Input, job: &Job, asks: Asks) -> Result<Seen, PipelineError> {
    let Input { log, partition } = input;
    let (store, partition) = (&job.store, *partition);
    let patience = Patience { stop: &job.stop, progress: &job.progress };
    let once = || asks == Asks::Once;

    let now = patience.again(once, || log.identify())?;
    let place = Place { log: now.clone(), partition };
    let mut incident = None;
    if let Some(name) = log.name() {
        let was = patience.again(once, || store.counted(&name, &now))?;
        if was != now {
            incident = Some(Incident::Replaced { name, was, now: now.clone() });
        }
    }
    // Before the bounds: what is committed meanwhile lies within them.
    let standing = patience.again(once, || store.standing(&now, partition))?;
    let bounds = patience.again(once, || log.bounds(partition))?;
    if let (None, Some(Standing { next_offset: wanted, lost_end })) = (&incident, standing) {
        if bounds.high < wanted && job.end == End::Never {
            patience.again(once, || store.lost_end(&now, partition, bounds.high))?;
        }
        let end = lost_end.into_iter().chain([bounds.high]).min();
        incident = match end {
            Some(end) if end < wanted => Some(Incident::LostEnd { wanted, end }),
            _ if wanted < bounds.low => Some(Incident::Gap { wanted, low: bounds.low }),
            _ => None,
        };
    }
    Ok(Seen { place, bounds, incident })
}
