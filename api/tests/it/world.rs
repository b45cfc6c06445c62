//! A farm in memory, and a client of its API.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use api::{ApiConfig, ApiToken, AuthConfig, Keys, Parts, Site, Users, hash_password};
use axum::Router;
use axum::body::Body;
use axum::http::response::Parts as ResponseParts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use schemas::metric::Postures;
use schemas::time::{Clock, UnixMillis};
use schemas::users::{PasswordHash, User};
use schemas::window::Calendar;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::album::{BlindPictures, MemoryAlbum};
use crate::support::herd;
use crate::support::imported::MemoryImported;
use crate::support::measured::MemoryAccuracy;
use crate::support::memory::{MemoryLog, MemoryStore};
use crate::support::people::MemoryPeople;

/// When everything here happens.
pub(crate) const NOON: &str = "2026-03-01T12:00:00Z";

pub(crate) const TOKEN: &str = "a goat has four legs";

/// Everybody's.
pub(crate) const PASSWORD: &str = "correct horse";

/// What signs.
pub(crate) const SECRET: &str = "a secret of a farm that has thirty-two and more";

static HASH: LazyLock<PasswordHash> = LazyLock::new(|| hash_password(PASSWORD).unwrap());

pub(crate) fn keys(config: &AuthConfig, secret: &str) -> Keys {
    let variable = |name: &str| (name == api::SECRET_ENV).then(|| secret.to_owned());
    Keys::load(config, variable).unwrap().unwrap()
}

pub(crate) fn person(name: &str, role: &str, scope: &str) -> User {
    User {
        name: name.parse().unwrap(),
        role: role.parse().unwrap(),
        scope: scope.parse().unwrap(),
        enabled: true,
        password: HASH.clone(),
        generation: 1,
        created_at: at(NOON),
        changed_at: at(NOON),
    }
}

pub(crate) fn at(text: &str) -> UnixMillis {
    text.parse().unwrap()
}

/// A clock that stands still until it is set.
pub(crate) struct SetClock(pub Mutex<UnixMillis>);

impl Clock for SetClock {
    fn now(&self) -> UnixMillis {
        *self.0.lock().unwrap()
    }
}

/// What is wrong with the pipeline.
pub(crate) type PipelineState = Arc<Mutex<Result<(), String>>>;

pub(crate) struct World {
    pub store: Arc<MemoryStore>,
    pub log: Arc<MemoryLog>,
    pub album: Arc<MemoryAlbum>,
    pub imported: Arc<MemoryImported>,
    pub accuracy: Arc<MemoryAccuracy>,
    pub clock: Arc<SetClock>,
    pub calendar: Calendar,
    pub pipeline: PipelineState,
    pub config: ApiConfig,
    pub token: Option<ApiToken>,
    pub people: Arc<MemoryPeople>,
    /// With these, people log in.
    pub keys: Option<Keys>,
}

impl World {
    /// No source, no token, defaults.
    pub(crate) fn empty() -> World {
        World {
            store: Arc::default(),
            log: Arc::default(),
            album: Arc::default(),
            imported: Arc::default(),
            accuracy: Arc::default(),
            clock: Arc::new(SetClock(Mutex::new(at(NOON)))),
            calendar: Calendar::in_zone("Europe/Paris").unwrap(),
            pipeline: Arc::new(Mutex::new(Ok(()))),
            config: ApiConfig::default(),
            token: None,
            people: Arc::default(),
            keys: None,
        }
    }

    /// Source 1 with three frames: two in 12:00, one in 12:03.
    pub(crate) fn small() -> World {
        let world = World::empty();
        for (captured_at, lying) in
            [("2026-03-01T12:00:05Z", 3), ("2026-03-01T12:00:35Z", 6), ("2026-03-01T12:03:00Z", 0)]
        {
            world.count(1, captured_at, &[("lying", lying), ("standing", 2), ("total", 2 + lying)]);
        }
        herd::settle(&mut world.store.tables());
        world
    }

    pub(crate) fn count(&self, source: i64, captured_at: &str, seen: &[(&str, u32)]) {
        let source = herd::source(source);
        herd::count(&mut self.store.tables(), &self.calendar, source, at(captured_at), seen);
    }

    /// As `small`, with sources 1, 2 and 7, where anne (admin), otto (operator), vera
    /// (viewer), vic (viewer of source 2 alone) and ines (ingest) log in.
    pub(crate) fn with_people() -> World {
        let mut world = World::small();
        for source in [2, 7] {
            for captured_at in ["2026-03-01T12:00:05Z", "2026-03-01T12:01:05Z"] {
                world.count(source, captured_at, &[("lying", 1), ("standing", 1), ("total", 2)]);
            }
        }
        for (name, role, scope) in [
            ("anne", "admin", "all"),
            ("otto", "operator", "all"),
            ("vera", "viewer", "all"),
            ("vic", "viewer", "2"),
            ("ines", "ingest", "2"),
        ] {
            let user = person(name, role, scope);
            world.people.kept().users.insert(user.name.clone(), user);
        }
        world.config.auth.recheck = Duration::ZERO;
        world.keys = Some(keys(&world.config.auth, SECRET));
        world
    }

    fn users(&self) -> Option<Users> {
        let store = Arc::<MemoryPeople>::clone(&self.people);
        Some(Users { store, keys: self.keys.clone() })
    }

    pub(crate) fn parts(&self) -> Parts {
        let pipeline = Arc::clone(&self.pipeline);
        Parts {
            store: Some(Arc::<MemoryStore>::clone(&self.store)),
            imported: Some(Arc::<MemoryImported>::clone(&self.imported)),
            accuracy: Some(Arc::<MemoryAccuracy>::clone(&self.accuracy)),
            snapshots: Some(Arc::<MemoryAlbum>::clone(&self.album)),
            pictures: Arc::new(BlindPictures),
            users: self.users(),
            log: Arc::<MemoryLog>::clone(&self.log),
            clock: Arc::<SetClock>::clone(&self.clock),
            site: Site {
                calendar: self.calendar.clone(),
                postures: Postures::default(),
                names: BTreeMap::from([(herd::source(1), "North pen".to_owned())]),
            },
            readiness: Arc::new(move || {
                vec![("pipeline".to_owned(), pipeline.lock().unwrap().clone())]
            }),
            registry: prometheus::Registry::new(),
        }
    }

    pub(crate) fn client(&self) -> Client {
        let router = api::router(self.parts(), &self.config, self.token.clone()).unwrap();
        Client { router, headers: vec![("host", "localhost:8420".to_owned())] }
    }
}

/// Asks the routes without a network.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Client {
    /// The same client, sending this header instead of the one it sent.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> Client {
        let mut client = self.clone();
        client.headers.retain(|(known, _)| *known != name);
        client.headers.push((name, value.to_owned()));
        client
    }

    /// The same client, with this token.
    pub(crate) fn bearing(&self, token: &str) -> Client {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// Asks for tokens.
    pub(crate) async fn token(&self, body: &Value) -> Answer {
        let client = self.with("content-type", "application/json");
        client.send(Method::POST, "/v1/auth/token", body.to_string().into_bytes()).await
    }

    /// The tokens of a login.
    pub(crate) async fn tokens(&self, name: &str) -> Value {
        let asked = json!({"grant_type": "password", "username": name, "password": PASSWORD});
        let answer = self.token(&asked).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    /// The same client, logged in.
    pub(crate) async fn logged_in(&self, name: &str) -> Client {
        let tokens = self.tokens(name).await;
        self.bearing(tokens["access_token"].as_str().unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Vec::new()).await
    }

    /// Posts frames as JSON.
    pub(crate) async fn post(&self, body: impl ToString) -> Answer {
        let client = self.with("content-type", "application/json");
        client.send(Method::POST, "/v1/frames", body.to_string().into_bytes()).await
    }

    /// The status of an answer, which need be no text.
    pub(crate) async fn status(&self, path: &str) -> StatusCode {
        self.answer(Method::GET, path, Vec::new()).await.0.status
    }

    /// The body of an answer that is no text.
    pub(crate) async fn get_bytes(&self, path: &str) -> Vec<u8> {
        let (parts, body) = self.answer(Method::GET, path, Vec::new()).await;
        assert_eq!(parts.status, StatusCode::OK, "{path}");
        body
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let (parts, body) = self.answer(method, path, body).await;
        let body = String::from_utf8(body).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn answer(&self, method: Method, path: &str, body: Vec<u8>) -> (ResponseParts, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts, body.to_vec())
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The body, laid out.
    pub(crate) fn pretty(&self) -> String {
        serde_json::to_string_pretty(&self.json()).unwrap()
    }

    /// Status, kind and detail of a refusal, which must be a proper one.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        let kind = problem["type"].as_str().unwrap().rsplit(':').next().unwrap();
        let detail = problem["detail"].as_str().unwrap();
        format!("{} {kind}: {detail}", self.status.as_u16())
    }
}
