//! Who is let in.

use api::{ApiConfig, ApiToken, Server, StartError};
use axum::http::{Method, StatusCode};

use serde_json::Value;

use crate::world::{TOKEN, World};

/// Every route that tells or takes data.
const CLOSED: [(Method, &str); 6] = [
    (Method::GET, "/v1/sources"),
    (Method::GET, "/v1/sources/1/windows/1m"),
    (Method::GET, "/v1/audit"),
    (Method::GET, "/v1/parked"),
    (Method::GET, "/v1/site"),
    (Method::POST, "/v1/frames"),
];

/// Every route that is open to anybody, and what it answers with.
const OPEN: [(&str, &str); 11] = [
    ("/", "text/html; charset=utf-8"),
    ("/app.js", "text/javascript; charset=utf-8"),
    ("/chart.js", "text/javascript; charset=utf-8"),
    ("/login.js", "text/javascript; charset=utf-8"),
    ("/words.js", "text/javascript; charset=utf-8"),
    ("/style.css", "text/css; charset=utf-8"),
    ("/icon.svg", "image/svg+xml"),
    ("/healthz", "application/json"),
    ("/readyz", "application/json"),
    ("/metrics", "text/plain; version=0.0.4"),
    ("/v1/openapi.json", "application/json"),
];

fn guarded() -> World {
    World { token: Some(ApiToken::new(TOKEN).unwrap()), ..World::small() }
}

#[tokio::test]
async fn without_the_token_nothing_is_told() {
    let client = guarded().client();
    for (method, path) in CLOSED {
        let answer = client.send(method.clone(), path, Vec::new()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="animov""#, "{path}");
        for wrong in [
            "Bearer a goat has five legs",
            "Bearer ",
            "Bearer",
            "Basic a goat has four legs",
            TOKEN,
        ] {
            let answer =
                client.with("authorization", wrong).send(method.clone(), path, Vec::new()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} with {wrong:?}");
            assert!(answer.problem().starts_with("401 unauthenticated"), "{path}");
        }
    }
    // A wrong source must not be told from an unknown one either.
    assert_eq!(client.get("/v1/sources/pen/windows/9m").await.status, StatusCode::UNAUTHORIZED);
}

/// Every operation of the document, with a path that could be asked for, and whether
/// it says that it is open.
fn operations() -> Vec<(Method, String, bool)> {
    let document: Value = serde_json::from_str(api::openapi_json()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let filled = path
            .replace("{source}", "1")
            .replace("{size}", "1m")
            .replace("{session}", "0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11")
            .replace("{seq}", "0")
            .replace("{n}", "0");
        assert!(!filled.contains('{'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let none = serde_json::json!([{}]);
            found.push((method, filled.clone(), operation["security"] == none));
        }
    }
    found
}

#[tokio::test]
async fn of_all_routes_only_these_are_open() {
    let open: Vec<String> =
        operations().into_iter().filter(|(.., open)| *open).map(|(_, path, _)| path).collect();
    assert_eq!(open, ["/healthz", "/metrics", "/readyz", "/v1/auth/token", "/v1/openapi.json"]);
    for world in [guarded(), World::with_people()] {
        let client = world.client();
        let mut closed = 0;
        for (method, path, open) in operations() {
            if open {
                continue;
            }
            for client in [&client, &client.bearing("none.of.ours"), &client.bearing("nobody's")] {
                // Whatever it is asked with: nobody learns what a route would take.
                let asked = client.with("content-type", "application/json");
                let answer = asked.send(method.clone(), &path, Vec::new()).await;
                if path == "/v1/auth/revoke" && world.keys.is_none() {
                    assert_eq!(answer.status, StatusCode::NOT_FOUND);
                    continue;
                }
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            }
            closed += 1;
        }
        assert!(25 < closed, "{closed}");
    }
}

#[tokio::test]
async fn with_the_token_everything_is() {
    let world = guarded();
    for scheme in ["Bearer", "bearer"] {
        let client = world.client().with("authorization", &format!("{scheme} {TOKEN}"));
        for (method, path) in CLOSED {
            let answer = client.send(method, path, Vec::new()).await;
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        }
        // From another machine, by any name.
        assert_eq!(
            client.with("host", "goats.example").get("/v1/sources").await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn health_documents_and_the_page_are_open() {
    let client = guarded().client();
    for (path, content_type) in OPEN {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, content_type));
    }
}

#[tokio::test]
async fn without_a_token_only_this_machines_names_are_answered() {
    let world = World {
        config: ApiConfig { hosts: vec!["goats.example".to_owned()], ..ApiConfig::default() },
        ..World::small()
    };
    let client = world.client();
    for host in ["localhost", "127.0.0.1:8420", "[::1]:8420", "goats.example:443"] {
        assert_eq!(
            client.with("host", host).get("/v1/sources").await.status,
            StatusCode::OK,
            "{host}"
        );
    }
    for host in ["evil.example", "localhost.evil.example:8420", "", "127.0.0.1.evil.example"] {
        for path in ["/v1/sources", "/", "/metrics"] {
            let answer = client.with("host", host).get(path).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host} {path}");
            assert!(answer.problem().starts_with("421 unknown-host"));
        }
    }
}

#[tokio::test]
async fn a_foreign_page_cannot_append() {
    let world = World::small();
    let client = world.client();
    let frame = r#"{"source":1,"session":"0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11","seq":0,"captured_at":1,"counts":{}}"#;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "http://localhost:3000"),
        ("origin", "null"),
    ] {
        let answer = client.with(name, value).post(frame).await;
        assert!(answer.problem().starts_with("403 foreign-page"), "{name}: {value}: {answer:?}");
    }
    // What a form or a script may send without asking first.
    for simple in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let client = client.with("content-type", simple);
        let answer = client.send(Method::POST, "/v1/frames", frame.as_bytes().to_vec()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{simple}");
    }
    assert_eq!(world.log.records.lock().unwrap().len(), 0);
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", "http://localhost:8420"),
    ] {
        assert_eq!(
            client.with(name, value).post(frame).await.status,
            StatusCode::ACCEPTED,
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn no_answer_lets_a_browser_do_more_than_it_must() {
    let client = World::small().client();
    for path in ["/", "/v1/sources", "/nothing"] {
        let answer = client.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}

#[tokio::test]
async fn an_open_address_is_not_listened_on_without_a_token() {
    let open = ApiConfig { bind: "0.0.0.0:0".parse().unwrap(), ..ApiConfig::default() };
    let world = World::small();
    let refused = Server::bind(open.clone(), None, world.parts()).await.err().unwrap();
    assert!(matches!(refused, StartError::Config(_)), "{refused}");
    assert!(refused.to_string().contains("ANIMOV_API_TOKEN"), "{refused}");
    let token = Some(ApiToken::new(TOKEN).unwrap());
    assert!(Server::bind(open, token, world.parts()).await.is_ok());
}
