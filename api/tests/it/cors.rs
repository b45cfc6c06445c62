//! Pages of other origins.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::world::World;

const FARM: &str = "https://farm.example";

fn world() -> World {
    let mut world = World::with_people();
    world.config.origins = vec![FARM.to_owned()];
    world
}

#[tokio::test]
async fn a_page_of_a_named_origin_asks_and_hears() {
    let client = world().client();
    let page = client.with("origin", FARM).with("sec-fetch-site", "cross-site");
    let asks_first = page.with("access-control-request-method", "POST");
    let answer = asks_first.send(Method::OPTIONS, "/v1/auth/token", Vec::new()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), FARM);
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    assert_eq!(answer.header("access-control-allow-credentials"), "", "nothing goes by itself");
    let vera = page.logged_in("otto").await;
    let answer = vera.get("/v1/sources").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("access-control-allow-origin"), FARM);
    assert!(answer.header("access-control-expose-headers").contains("animov-stale"));
    // A refusal is heard as well: or the page could not tell its user.
    let answer = page.get("/v1/sources").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("access-control-allow-origin"), FARM);
    let frame = json!({"source": 2, "session": "0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11", "seq": 0,
                       "captured_at": 1, "counts": {}});
    assert_eq!(vera.post(frame).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_page_of_any_other_origin_does_not() {
    let client = world().client();
    for origin in
        ["https://evil.example", "http://farm.example", "https://farm.example.evil", "null"]
    {
        let page = client.with("origin", origin);
        let asks_first = page.with("access-control-request-method", "POST");
        let answer = asks_first.send(Method::OPTIONS, "/v1/auth/token", Vec::new()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{origin}");
        for path in ["/v1/sources", "/healthz"] {
            let answer = page.get(path).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin} {path}");
        }
        let login = json!({"grant_type": "password", "username": "vera", "password": "x"});
        assert_eq!(page.token(&login).await.status, StatusCode::FORBIDDEN, "{origin}");
    }
}
