//! What was answered last: for as long as the tables are away, and for as long as
//! nothing changed.
//!
//! # Invariants
//!
//! - An answer that is given because the tables are away says so, and how old it is:
//!   header [`STALE`], seconds. It is given only where the handler itself found them
//!   away: whoever may not ask is refused before that.
//! - An answer that is given because nothing changed was made from the very state of
//!   its source that the tables hold now: it is not old, and says nothing.
//! - Either is given only to the very same path and query, and to somebody who may see
//!   the same sources.
//! - Only what has a tag is kept: rows. The ledger's proof is never given from
//!   memory.
//! - At most [`ANSWERS_MAX`] answers and [`BYTES_MAX`] bytes are kept; the oldest
//!   go first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use schemas::commit::SourceState;
use schemas::time::UnixMillis;

use crate::auth::Known;
use crate::state::Api;
use crate::tagged::Answered;

/// Seconds since the tables answered this.
pub(crate) const STALE: HeaderName = HeaderName::from_static("animov-stale");

/// Answers that are kept, at most: the series of a hundred sources, and some.
const ANSWERS_MAX: usize = 1024;

/// Bytes of all of them, at most.
const BYTES_MAX: usize = 32 << 20;

/// Marks a refusal whose reason is that the tables are away.
#[derive(Clone, Copy)]
pub(crate) struct TablesAway;

/// Under what an answer is kept: goes with the request to its handler.
#[derive(Clone)]
pub(crate) struct Address(String);

/// Answers by address.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_address: HashMap<String, (UnixMillis, Answered)>,
    /// Oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Answers {
    fn keep(&self, address: String, at: UnixMillis, answered: Answered) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(&address);
        kept.bytes += weight(&address, &answered);
        kept.order.push_back(address.clone());
        kept.by_address.insert(address, (at, answered));
        while ANSWERS_MAX < kept.order.len() || BYTES_MAX < kept.bytes {
            let Some(oldest) = kept.order.front().cloned() else { break };
            kept.forget(&oldest);
        }
    }

    fn last(&self, address: &str) -> Option<(UnixMillis, Answered)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_address.get(address).cloned()
    }

    /// The answer at `address`, if it was made from `source` as it is now.
    pub(crate) fn unchanged(&self, address: &Address, source: &SourceState) -> Option<Answered> {
        let (_, answered) = self.last(&address.0)?;
        answered.holds_for(source).then_some(answered)
    }
}

impl Kept {
    fn forget(&mut self, address: &str) {
        if let Some((_, answered)) = self.by_address.remove(address) {
            self.bytes -= weight(address, &answered);
            self.order.retain(|known| known != address);
        }
    }
}

fn weight(address: &str, answered: &Answered) -> usize {
    2 * address.len() + answered.bytes()
}

/// Keeps what the tables answer, and gives it again while they are away.
pub(crate) async fn bridge(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // What the page is made of needs no tables.
    let from_tables = path.starts_with("/v1/") || !path.contains('.') && path != "/";
    if request.method() != Method::GET || !from_tables {
        return next.run(request).await;
    }
    // What one may see another may not: an answer is kept for those who see the same.
    let address = match request.extensions().get::<Known>() {
        Some(Known(scope)) => format!("{scope} {}", request.uri()),
        None => request.uri().to_string(),
    };
    request.extensions_mut().insert(Address(address.clone()));
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    if let Some(answered) = response.extensions_mut().remove::<Answered>() {
        api.answers().keep(address, api.clock().now(), answered);
        return response;
    }
    if response.extensions().get::<TablesAway>().is_none() {
        return response;
    }
    let Some((at, answered)) = api.answers().last(&address) else {
        return response;
    };
    let mut response = answered.respond(&headers);
    // It is as old as it was.
    response.extensions_mut().remove::<Answered>();
    let age = api.clock().now().since(at).as_secs();
    response.headers_mut().insert(STALE, HeaderValue::from(age));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(length: usize) -> Answered {
        Answered::new("application/json", vec![0; length])
    }

    #[test]
    fn the_oldest_answers_go_first_and_the_bound_is_kept() {
        let answers = Answers::default();
        let at = UnixMillis::new;
        answers.keep("first".to_owned(), at(1), answered(BYTES_MAX / 2));
        answers.keep("second".to_owned(), at(2), answered(BYTES_MAX / 4));
        // Asked again: now the second is the oldest.
        answers.keep("first".to_owned(), at(3), answered(BYTES_MAX / 2));
        answers.keep("third".to_owned(), at(4), answered(BYTES_MAX / 4));
        assert!(answers.last("second").is_none());
        assert_eq!(answers.last("first").unwrap().0, at(3));
        assert_eq!(answers.last("third").unwrap().0, at(4));
        for number in 0..2 * ANSWERS_MAX {
            answers.keep(number.to_string(), at(5), answered(1));
        }
        let kept = answers.0.lock().unwrap();
        assert_eq!((kept.order.len(), kept.by_address.len()), (ANSWERS_MAX, ANSWERS_MAX));
    }
}
