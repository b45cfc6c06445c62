//! One question to the tables for all who have it at the same time.
//!
//! Many clients poll the same source. While one question is on its way, whoever has the
//! same one waits for the next, which is asked once for all of them.
//!
//! # Invariants
//!
//! - A question is put to the tables after everybody who gets its answer has asked: the
//!   answer is never older than the request.
//! - A source has one question on its way. Who waits holds a place among the requests,
//!   whose number is bounded.
//! - If a question failed, the first who waited is told why, and the others ask by
//!   themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::commit::SourceState;
use schemas::source::SourceId;
use tokio::sync::oneshot;

use crate::error::ApiError;
use crate::state::Api;

/// What the tables hold of a source, if they know it; or why they do not say, told to
/// one.
type Answer = Result<Option<Arc<SourceState>>, Option<ApiError>>;

/// Who waits for the next question about a source. A source is in it while a question
/// is on its way.
#[derive(Default)]
pub(crate) struct Together(Mutex<HashMap<SourceId, Vec<oneshot::Sender<Answer>>>>);

impl Together {
    fn waiting(&self) -> MutexGuard<'_, HashMap<SourceId, Vec<oneshot::Sender<Answer>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next question; whether somebody must begin to ask.
    fn join(&self, source: SourceId) -> (oneshot::Receiver<Answer>, bool) {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.waiting();
        let begins = !waiting.contains_key(&source);
        waiting.entry(source).or_default().push(answer);
        (answered, begins)
    }

    /// All who wait by now. If nobody does, the source is left alone.
    fn next(&self, source: SourceId) -> Vec<oneshot::Sender<Answer>> {
        let mut waiting = self.waiting();
        let all = waiting.get_mut(&source).map(std::mem::take).unwrap_or_default();
        if all.is_empty() {
            waiting.remove(&source);
        }
        all
    }
}

/// What the tables hold of `source` now; none if they do not know it.
pub(crate) async fn source(
    api: &Api,
    source: SourceId,
) -> Result<Option<Arc<SourceState>>, ApiError> {
    let (answered, begins) = api.together().join(source);
    if begins {
        // Goes on if the client leaves: others may have come to wait.
        tokio::spawn(answer_all(api.clone(), source));
    }
    match answered.await {
        Ok(Ok(known)) => Ok(known),
        Ok(Err(Some(error))) => Err(error),
        Ok(Err(None)) | Err(_) => ask(api, source).await,
    }
}

/// Asks until nobody waits.
async fn answer_all(api: Api, source: SourceId) {
    loop {
        let waiting = api.together().next(source);
        if waiting.is_empty() {
            return;
        }
        let (answer, mut error) = match ask(&api, source).await {
            Ok(known) => (Some(known), None),
            Err(error) => (None, Some(error)),
        };
        for one in waiting {
            // Who has left needs none.
            _ = one.send(answer.clone().ok_or_else(|| error.take()));
        }
    }
}

async fn ask(api: &Api, source: SourceId) -> Result<Option<Arc<SourceState>>, ApiError> {
    Ok(api.read(move |store| store.source(source)).await?.map(Arc::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_while_a_question_is_on_its_way_waits_for_the_next() {
        let (together, source) = (Together::default(), SourceId::try_from(1).unwrap());
        let other = SourceId::try_from(2).unwrap();
        let (_first, begins) = together.join(source);
        assert!(begins);
        assert_eq!(together.next(source).len(), 1);
        // The question is on its way now.
        let (mut second, begins) = together.join(source);
        assert!(!begins);
        let (mut third, begins) = together.join(source);
        assert!(!begins);
        assert!(together.join(other).1, "another source has a question of its own");
        let waiting = together.next(source);
        assert_eq!(waiting.len(), 2);
        waiting.into_iter().for_each(|one| _ = one.send(Ok(None)));
        assert!(matches!(second.try_recv(), Ok(Ok(None))));
        assert!(matches!(third.try_recv(), Ok(Ok(None))));
        assert!(together.next(source).is_empty());
        assert!(together.join(source).1, "the next begins anew");
    }
}
