//! What is known of logins and tokens for a moment, and how often somebody failed.
//!
//! # Invariants
//!
//! - What the tables said counts for `recheck`, and then they are asked again. Only
//!   while they are away it counts on, at most as long as the token itself.
//! - What they did not know is not remembered.
//! - Everything here is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::time::UnixMillis;
use schemas::users::{Digest, Entry, LoginId, UserName, UserRole, UserStore};
use tokio::sync::Semaphore;

use super::Caller;
use super::config::AuthConfig;
use super::keys::Claims;
use super::limit::Limit;
use crate::error::ApiError;
use crate::state::Api;

/// Logins and tokens that are known at one time, at most.
const KNOWN_MAX: usize = 10_000;

/// Passwords that are hashed at one time: each takes 19 MiB and a core.
const HASHES_MAX: usize = 2;

/// Wrong tokens from one address within `login_window`, at most.
const GUESSES_MAX: u32 = 100;

/// After how many lines of the log those that are too old are deleted.
const FORGET_EVERY: u32 = 100;

/// What is presented to be let in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Presented {
    Login(LoginId, u64),
    Producer(Digest),
}

/// What counts failures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Failing {
    /// This user, from this address.
    Pair(Arc<str>, Option<IpAddr>),
    /// Anybody, from this network.
    Network(Option<IpAddr>),
    /// This user, from anywhere.
    User(Arc<str>),
    /// Wrong tokens, from this network.
    Guess(Option<IpAddr>),
}

struct Standing {
    asked: Instant,
    caller: Arc<Caller>,
    expires_at: Option<UnixMillis>,
}

/// The memory of the routes that let people in.
pub(crate) struct Logins {
    recheck: Duration,
    known: Mutex<HashMap<Presented, Standing>>,
    failing: Limit<Failing>,
    tries: u32,
    hashes: Semaphore,
    noted: AtomicU32,
}

impl Logins {
    pub(crate) fn new(config: &AuthConfig) -> Logins {
        Logins {
            recheck: config.recheck,
            known: Mutex::default(),
            failing: Limit::new(config.login_window),
            tries: config.login_tries.get(),
            hashes: Semaphore::new(HASHES_MAX),
            noted: AtomicU32::new(0),
        }
    }

    /// The user of a token that was signed here.
    pub(super) async fn user(
        &self,
        api: &Api,
        claims: &Claims,
    ) -> Result<Option<Arc<Caller>>, ApiError> {
        let (login, generation) = (claims.sid.id(), claims.generation);
        let presented = Presented::Login(login, generation);
        if let Some(caller) = self.remembered(presented, api, false) {
            return Ok(Some(caller));
        }
        let now = api.clock().now();
        let found = match api.users(move |users| users.login(login, now)).await {
            Ok(found) => found,
            Err(error) => return self.remembered(presented, api, true).map(Some).ok_or(error),
        };
        let found =
            found.filter(|user| user.generation == generation && user.name.as_str() == claims.sub);
        let caller = found.map(|user| {
            let (name, login) = (user.name.as_str().into(), Some(login));
            Arc::new(Caller { name, role: user.role, scope: user.scope, login })
        });
        self.remember(presented, caller.as_ref(), None);
        Ok(caller)
    }

    /// The producer whose token has this digest.
    pub(super) async fn producer(
        &self,
        api: &Api,
        digest: Digest,
    ) -> Result<Option<Arc<Caller>>, ApiError> {
        let presented = Presented::Producer(digest);
        if let Some(caller) = self.remembered(presented, api, false) {
            return Ok(Some(caller));
        }
        let found = match api.users(move |users| users.token(&digest)).await {
            Ok(found) => found,
            Err(error) => return self.remembered(presented, api, true).map(Some).ok_or(error),
        };
        let now = api.clock().now();
        let found = found.filter(|token| token.expires_at.is_none_or(|end| now < end));
        let expires_at = found.as_ref().and_then(|token| token.expires_at);
        let caller = found.map(|token| {
            let (name, role) = (token.name.as_str().into(), UserRole::Ingest);
            Arc::new(Caller { name, role, scope: token.scope, login: None })
        });
        self.remember(presented, caller.as_ref(), expires_at);
        Ok(caller)
    }

    fn remembered(&self, presented: Presented, api: &Api, also_old: bool) -> Option<Arc<Caller>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = known.get(&presented)?;
        let fresh = also_old || standing.asked.elapsed() < self.recheck;
        let good = standing.expires_at.is_none_or(|end| api.clock().now() < end);
        (fresh && good).then(|| Arc::clone(&standing.caller))
    }

    fn remember(
        &self,
        presented: Presented,
        caller: Option<&Arc<Caller>>,
        expires_at: Option<UnixMillis>,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(caller) = caller else {
            known.remove(&presented);
            return;
        };
        if KNOWN_MAX <= known.len() && !known.contains_key(&presented) {
            known.retain(|_, standing| standing.asked.elapsed() < self.recheck);
            if KNOWN_MAX <= known.len() {
                known.clear();
            }
        }
        let (asked, caller) = (Instant::now(), Arc::clone(caller));
        known.insert(presented, Standing { asked, caller, expires_at });
    }

    /// Forgets what was known of a login that has ended.
    pub(super) fn forget(&self, ended: LoginId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(
            |presented, _| !matches!(presented, Presented::Login(login, _) if *login == ended),
        );
    }

    /// What a failed login as `name` from there counts against.
    pub(super) fn failing(&self, name: &str, from: Option<IpAddr>) -> [(Failing, u32); 3] {
        let name: Arc<str> = name.into();
        [
            (Failing::Pair(Arc::clone(&name), from), self.tries),
            (Failing::Network(from.map(network)), self.tries.saturating_mul(3)),
            (Failing::User(name), self.tries.saturating_mul(10)),
        ]
    }

    pub(super) fn limit(&self) -> &Limit<Failing> {
        &self.failing
    }

    /// Whether a guess at a token from there is right; or how long to wait, if too
    /// many were wrong.
    pub(super) fn guess(
        &self,
        from: Option<IpAddr>,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool, Duration> {
        let key = [(Failing::Guess(from.map(network)), GUESSES_MAX)];
        self.failing.begin(&key, Instant::now())?;
        let right = is_right();
        if right {
            self.failing.succeeded(&key);
        }
        Ok(right)
    }

    /// Places for passwords that are hashed.
    pub(super) fn hashes(&self) -> &Semaphore {
        &self.hashes
    }

    /// Writes a line of the log. What could not be written is in the program's own
    /// log, and holds nobody up.
    pub(super) async fn note(&self, api: &Api, line: Line<'_>) {
        let now = api.clock().now();
        let entry = Entry {
            at: now,
            who: line.who.to_owned(),
            from: line.from.map_or_else(|| "unknown".to_owned(), |from| from.to_string()),
            what: line.what.to_owned(),
            whom: String::new(),
            result: line.result.to_owned(),
        };
        let forget = self.noted.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY);
        let before = now.minus(api.config().auth.log_keep);
        let written = api.users(move |users: &dyn UserStore| {
            users.note(&entry)?;
            if forget { users.forget_entries(before).map(drop) } else { Ok(()) }
        });
        if let Err(error) = written.await {
            _ = error.log_and_hide("the log of logins and changes");
        }
    }
}

/// One line of the log, of somebody who asks the routes.
pub(super) struct Line<'a> {
    pub(super) who: &'a str,
    pub(super) from: Option<IpAddr>,
    pub(super) what: &'a str,
    pub(super) result: &'a str,
}

/// The name as the log has it, also where it is none.
pub(super) fn told(name: &str) -> String {
    match name.parse::<UserName>() {
        Ok(name) => name.to_string(),
        Err(_) => format!("{:?}", name.chars().take(40).collect::<String>()),
    }
}

/// What belongs to one customer: an address, or the half of one that a network of
/// IPv6 hands out as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}
