//! Logging in, going on, and logging out.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use schemas::users::{Entry, IngestToken, UserChange, UserStore};
use serde_json::{Value, json};

use crate::support::memory::unplugged;
use crate::world::{Client, NOON, PASSWORD, World, at, keys};

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap()
}

fn with_password(name: &str, password: &str) -> Value {
    json!({"grant_type": "password", "username": name, "password": password})
}

fn refresh(tokens: &Value) -> Value {
    json!({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})
}

fn later(world: &World, by: Duration) {
    let mut now = world.clock.0.lock().unwrap();
    *now = now.plus(by);
}

#[tokio::test]
async fn a_login_reads_until_its_token_expires_and_goes_on_by_refreshing() {
    let world = World::with_people();
    let client = world.client();
    let tokens = client.tokens("vera").await;
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"], &tokens["role"], &tokens["sources"]),
        (&json!("Bearer"), &json!(600), &json!("viewer"), &Value::Null)
    );
    let vera = client.bearing(text(&tokens, "access_token"));
    assert_eq!(vera.get("/v1/sources").await.status, StatusCode::OK);
    assert_eq!(
        vera.get("/v1/auth/me").await.json(),
        json!({"name": "vera", "role": "viewer", "sources": null, "logins": true})
    );
    // A little after its end, clocks differ; and then they do not.
    later(&world, Duration::from_secs(620));
    assert_eq!(vera.get("/v1/sources").await.status, StatusCode::OK);
    later(&world, Duration::from_secs(10));
    let answer = vera.get("/v1/sources").await;
    assert!(answer.problem().starts_with("401 token-expired"), "{answer:?}");
    assert!(answer.header("www-authenticate").contains("invalid_token"));

    let answer = client.token(&refresh(&tokens)).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let next = answer.json();
    let vera = client.bearing(text(&next, "access_token"));
    assert_eq!(vera.get("/v1/sources").await.status, StatusCode::OK);
    later(&world, Duration::from_hours(31 * 24));
    assert_eq!(client.token(&refresh(&next)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_form_is_a_login_too() {
    let client = World::with_people().client();
    let form = client.with("content-type", "application/x-www-form-urlencoded");
    let body = b"grant_type=password&username=vera&password=correct+horse&scope=".to_vec();
    let answer = form.send(Method::POST, "/v1/auth/token", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let body = b"grant_type=password&username=vera&password=correct%20hors".to_vec();
    let answer = form.send(Method::POST, "/v1/auth/token", body).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_ends_the_login() {
    let world = World::with_people();
    let client = world.client();
    let first = client.tokens("vera").await;
    let second = client.token(&refresh(&first)).await.json();
    let other = client.logged_in("vera").await;
    let answer = client.token(&refresh(&first)).await;
    assert!(answer.problem().starts_with("401 refresh-refused"), "{answer:?}");
    assert_eq!(client.token(&refresh(&second)).await.status, StatusCode::UNAUTHORIZED);
    for tokens in [&first, &second] {
        let bearer = client.bearing(text(tokens, "access_token"));
        assert_eq!(bearer.get("/v1/sources").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(other.get("/v1/sources").await.status, StatusCode::OK, "another login");
    let log = client.logged_in("anne").await.get("/v1/auth/log").await.json();
    let reused = log["items"].as_array().unwrap().iter().find(|line| line["what"] == "refresh");
    assert_eq!(reused.unwrap()["who"], "vera");
}

#[tokio::test]
async fn logging_out_ends_the_login_by_either_token() {
    let world = World::with_people();
    let client = world.client();
    let json = client.with("content-type", "application/json");
    for by_refresh in [false, true] {
        let tokens = client.tokens("vera").await;
        let vera = json.bearing(text(&tokens, "access_token"));
        let answer = if by_refresh {
            let body = json!({"refresh_token": tokens["refresh_token"]}).to_string();
            json.send(Method::POST, "/v1/auth/revoke", body.into_bytes()).await
        } else {
            vera.send(Method::POST, "/v1/auth/revoke", Vec::new()).await
        };
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(vera.get("/v1/sources").await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(client.token(&refresh(&tokens)).await.status, StatusCode::UNAUTHORIZED);
    }
    let nothing = json!({"refresh_token": "nothing"}).to_string().into_bytes();
    let answer = json.send(Method::POST, "/v1/auth/revoke", nothing).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let answer = json.send(Method::POST, "/v1/auth/revoke", b"[".to_vec()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_logout_is_noticed_at_once_where_it_was_and_soon_elsewhere() {
    let mut world = World::with_people();
    world.config.auth.recheck = Duration::from_millis(300);
    let (here, there) = (world.client(), world.client());
    let tokens = here.tokens("vera").await;
    let token = text(&tokens, "access_token");
    let (here, there) = (here.bearing(token), there.bearing(token));
    assert_eq!(there.get("/v1/sources").await.status, StatusCode::OK);
    here.send(Method::POST, "/v1/auth/revoke", Vec::new()).await;
    assert_eq!(here.get("/v1/sources").await.status, StatusCode::UNAUTHORIZED);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(there.get("/v1/sources").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_a_user_may_is_asked_of_the_tables_each_time() {
    let world = World::with_people();
    let client = world.client();
    let vera = client.logged_in("vera").await;
    let name = "vera".parse().unwrap();
    let change = |change| world.people.change_user(&name, &change, at(NOON)).unwrap();
    assert_eq!(vera.get("/v1/auth/log").await.status, StatusCode::FORBIDDEN);
    change(UserChange::Role("admin".parse().unwrap()));
    assert_eq!(vera.get("/v1/auth/log").await.status, StatusCode::OK);
    change(UserChange::Scope("2".parse().unwrap()));
    assert_eq!(vera.get("/v1/sources/1/windows/1m").await.status, StatusCode::FORBIDDEN);
    change(UserChange::Enabled(false));
    assert_eq!(vera.get("/v1/sources").await.status, StatusCode::UNAUTHORIZED);
    let answer = client.token(&with_password("vera", PASSWORD)).await;
    assert!(answer.problem().starts_with("401 wrong-login"), "{answer:?}");
    change(UserChange::Enabled(true));
    assert_eq!(vera.get("/v1/sources").await.status, StatusCode::UNAUTHORIZED, "an old login");
    let vera = client.logged_in("vera").await;
    assert_eq!(vera.get("/v1/sources").await.status, StatusCode::OK);
    let same = world.people.kept().users[&name].password.clone();
    change(UserChange::Password(same));
    assert_eq!(vera.get("/v1/sources").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn each_role_may_what_it_may() {
    let world = World::with_people();
    let client = world.client();
    let frame = json!({"source": 2, "session": "0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11", "seq": 0,
                       "captured_at": 1, "counts": {}});
    for (name, reads, appends, log) in [
        ("vera", 200, 403, 403),
        ("otto", 200, 202, 403),
        ("ines", 403, 202, 403),
        ("anne", 200, 202, 200),
    ] {
        let user = client.logged_in(name).await;
        for path in ["/v1/sources", "/sources", "/v1/site", "/v1/snapshots", "/stats_minute"] {
            assert_eq!(user.get(path).await.status.as_u16(), reads, "{name} {path}");
        }
        assert_eq!(user.post(&frame).await.status.as_u16(), appends, "{name}");
        assert_eq!(user.get("/v1/auth/log").await.status.as_u16(), log, "{name}");
        assert_eq!(user.get("/v1/auth/me").await.status, StatusCode::OK, "{name}");
    }
}

#[tokio::test]
async fn a_producers_token_appends_its_sources_until_it_is_revoked() {
    let world = World::with_people();
    let (token, digest) = api::new_ingest_token().unwrap();
    let kept = IngestToken {
        name: "barn".parse().unwrap(),
        scope: "2,3".parse().unwrap(),
        digest,
        created_at: at(NOON),
        expires_at: Some(at(NOON).plus(Duration::from_hours(1))),
    };
    world.people.add_token(&kept).unwrap();
    let barn = world.client().bearing(&token);
    let frame = |source: i32| {
        json!({"source": source, "session": "0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11", "seq": 0,
               "captured_at": 1, "counts": {}})
    };
    assert_eq!(barn.post(frame(2)).await.status, StatusCode::ACCEPTED);
    let answer = barn.post(json!([frame(3), frame(1)])).await;
    assert!(answer.problem().starts_with("403 not-your-source: source 1"), "{answer:?}");
    assert_eq!(world.log.records.lock().unwrap().len(), 1, "none of them was appended");
    assert_eq!(barn.get("/v1/sources").await.status, StatusCode::FORBIDDEN);
    let animov = barn.with("content-type", "application/json");
    let record = json!({"source": 1, "timestamp": 1_772_366_400, "detect": []}).to_string();
    let answer = animov.send(Method::POST, "/receive_data_animov", record.into_bytes()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    later(&world, Duration::from_hours(1));
    assert_eq!(barn.post(frame(2)).await.status, StatusCode::UNAUTHORIZED, "expired");
    world.people.kept().tokens.get_mut(&kept.name).unwrap().expires_at = None;
    assert_eq!(barn.post(frame(2)).await.status, StatusCode::ACCEPTED);
    world.people.revoke_token(&kept.name).unwrap();
    assert_eq!(barn.post(frame(2)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_log_tells_who_came_and_forgets() {
    let mut world = World::with_people();
    world.config.auth.log_keep = Duration::from_hours(24);
    let line = |before: i64| Entry {
        at: at(NOON).minus(Duration::from_hours(u64::try_from(before).unwrap())),
        who: "anne".to_owned(),
        from: "command line".to_owned(),
        what: "user add viewer".to_owned(),
        whom: "vera".to_owned(),
        result: "ok".to_owned(),
    };
    for before in [26, 25, 23] {
        world.people.note(&line(before)).unwrap();
    }
    let client = world.client();
    client.token(&with_password("vera", "wrong horse")).await;
    client.token(&with_password("no' body", "wrong horse")).await;
    let anne = client.logged_in("anne").await;
    let page = anne.get("/v1/auth/log?limit=3").await.json();
    let told = |page: &Value| -> Vec<String> {
        let line = |line: &Value| {
            let field = |name: &str| line[name].as_str().unwrap().to_owned();
            format!("{} {} {}: {}", field("who"), field("what"), field("whom"), field("result"))
        };
        page["items"].as_array().unwrap().iter().map(line).collect()
    };
    assert_eq!(
        told(&page),
        [
            "anne login : ok",
            "\"no' body\" login : wrong name or password",
            "vera login : wrong name or password",
        ]
    );
    let rest = anne.get(&format!("/v1/auth/log?before={}", page["next_before"])).await.json();
    assert_eq!(told(&rest), ["anne user add viewer vera: ok"], "what is older is gone");
    assert_eq!(rest["next_before"], Value::Null);
}

#[tokio::test]
async fn brute_force_is_slowed_down_by_user_and_everybody_else_is_let_in() {
    let mut world = World::with_people();
    world.config.auth.login_tries = NonZeroU32::new(4).unwrap();
    let client = world.client();
    for _ in 0..4 {
        let answer = client.token(&with_password("vera", "wrong horse")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    // Now not even with the right one.
    let answer = client.token(&with_password("vera", PASSWORD)).await;
    assert!(answer.problem().starts_with("429 too-many-tries"), "{answer:?}");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((890..=900).contains(&wait), "{wait}");
    for _ in 0..20 {
        client.logged_in("anne").await;
    }
    // From one address, as anybody: three times as many.
    let mut refused = 0;
    while client.token(&with_password(&format!("name-{refused}"), "wrong horse")).await.status
        == StatusCode::UNAUTHORIZED
    {
        refused += 1;
        assert!(refused < 20);
    }
    assert_eq!(refused, 8);
}

#[tokio::test]
async fn many_guesses_at_one_time_are_no_more_than_one_after_the_other() {
    let mut world = World::with_people();
    world.config.auth.login_tries = NonZeroU32::new(3).unwrap();
    let client = world.client();
    let guess = |client: Client| async move {
        client.token(&with_password("vera", "wrong horse")).await.status
    };
    let guesses: Vec<_> = (0..30).map(|_| tokio::spawn(guess(client.clone()))).collect();
    let mut looked_at = 0;
    for guess in guesses {
        let status = guess.await.unwrap();
        looked_at += usize::from(status == StatusCode::UNAUTHORIZED);
    }
    assert_eq!(looked_at, 3);
}

#[tokio::test]
async fn while_the_tables_are_away_known_logins_read_on_and_nobody_new_comes_in() {
    let world = World::with_people();
    let client = world.client();
    let vera = client.logged_in("vera").await;
    let otto = client.logged_in("otto").await;
    let vic = client.logged_in("vic").await;
    for one in [&vera, &vic] {
        assert_eq!(one.get("/v1/sources").await.status, StatusCode::OK);
    }
    world.people.kept().failure = Some(unplugged);
    world.store.tables().failure = Some(unplugged);
    let answer = vera.get("/v1/sources").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_ne!(answer.header("animov-stale"), "");
    assert_eq!(answer.json()["items"].as_array().unwrap().len(), 3);
    // What vera was told is not told to somebody who may see less.
    let answer = vic.get("/v1/sources").await.json();
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    assert_eq!(answer["items"][0]["source"], 2);
    let answer = otto.get("/v1/sources").await;
    assert!(answer.problem().starts_with("503 tables-away"), "{answer:?}");
    let answer = client.token(&with_password("vera", PASSWORD)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.body.contains("secret-host"), "{answer:?}");
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_is_no_login_is_told_so_without_its_secrets() {
    let client = World::with_people().client();
    for body in [
        "",
        "[]",
        "{\"grant_type\": \"password\"",
        r#"{"grant_type": "password", "username": 7, "password": "hunter22222"}"#,
        r#"{"grant_type": "password", "username": "vera"}"#,
        r#"{"grant_type": "client_credentials", "password": "hunter22222"}"#,
    ] {
        let client = client.with("content-type", "application/json");
        let answer = client.send(Method::POST, "/v1/auth/token", body.into()).await;
        assert!(answer.problem().starts_with("400 bad-login"), "{body}: {answer:?}");
        assert!(!answer.body.contains("hunter"), "{answer:?}");
    }
    let answer = client.send(Method::POST, "/v1/auth/token", b"{}".to_vec()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let foreign = client.with("origin", "http://evil.example");
    let answer = foreign.token(&with_password("vera", PASSWORD)).await;
    assert!(answer.problem().starts_with("403 foreign-page"), "{answer:?}");
    let long = with_password("vera", &"x".repeat(20_000));
    assert_eq!(client.token(&long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn without_keys_nobody_logs_in() {
    let mut world = World::with_people();
    world.keys = None;
    let answer = world.client().token(&with_password("vera", PASSWORD)).await;
    assert!(answer.problem().starts_with("404 no-logins"), "{answer:?}");
    // On this machine alone everything is open, as it was.
    let me = world.client().get("/v1/auth/me").await.json();
    assert_eq!((&me["name"], &me["role"]), (&json!("anybody"), &json!("admin")));
    assert_eq!(me["logins"], json!(false));
}

#[tokio::test]
async fn the_one_token_goes_on_working_beside_users() {
    let mut world = World::with_people();
    world.token = Some(api::ApiToken::new(crate::world::TOKEN).unwrap());
    let client = world.client();
    let token = client.bearing(crate::world::TOKEN);
    assert_eq!(token.get("/v1/auth/log").await.status, StatusCode::OK);
    assert_eq!(client.logged_in("vera").await.get("/v1/sources").await.status, StatusCode::OK);
    // It is the only thing here that may be guessed: not for ever.
    let mut status = StatusCode::UNAUTHORIZED;
    for guess in 0..150 {
        status = client.bearing(&format!("guess number {guess}")).get("/v1/site").await.status;
        if status != StatusCode::UNAUTHORIZED {
            break;
        }
    }
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(client.logged_in("vera").await.get("/v1/sources").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_key_is_replaced_while_people_are_logged_in() {
    let mut world = World::with_people();
    let old = world.client().tokens("vera").await;
    let old = text(&old, "access_token").to_owned();
    let newer = "another secret of the farm, of thirty-two and more";
    let both = |name: &str| {
        Some(if name == api::SECRET_ENV { newer } else { crate::world::SECRET }.to_owned())
    };
    world.keys = api::Keys::load(&world.config.auth, both).unwrap();
    let client = world.client();
    assert_eq!(client.bearing(&old).get("/v1/sources").await.status, StatusCode::OK);
    let new = client.tokens("vera").await;
    let new = text(&new, "access_token").to_owned();
    world.keys = Some(keys(&world.config.auth, newer));
    let client = world.client();
    assert_eq!(client.bearing(&old).get("/v1/sources").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(client.bearing(&new).get("/v1/sources").await.status, StatusCode::OK);
}
