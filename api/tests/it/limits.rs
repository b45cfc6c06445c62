//! Bounds: what is too much, too slow or at the wrong moment, over a real
//! connection where that is the point.

use std::num::NonZeroUsize;
use std::time::Duration;

use api::{ApiConfig, Server, StartError};
use axum::http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::world::World;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

fn few(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn world(change: impl FnOnce(&mut ApiConfig)) -> World {
    let mut world = World::small();
    world.config.bind = "127.0.0.1:0".parse().unwrap();
    change(&mut world.config);
    world
}

#[tokio::test]
async fn too_many_bytes_or_frames_are_refused() {
    let world = world(|config| {
        config.body_bytes_max = few(1000);
        config.frames_max = few(3);
    });
    let client = world.client();
    let answer = client.post("[".to_owned() + &" ".repeat(1000)).await;
    assert_eq!(
        answer.problem(),
        "413 too-large: the body has more than 1000 bytes; send it in several parts"
    );
    // With a length that is told before the body is sent.
    let answer = client.with("content-length", "1001").post("[]").await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    for (content_type, body) in
        [("application/json", "[{},{},{},{}]"), ("application/x-ndjson", "{}\n{}\n{}\n{}")]
    {
        let client = client.with("content-type", content_type);
        let answer = client.send(Method::POST, "/v1/frames", body.as_bytes().to_vec()).await;
        assert_eq!(
            answer.problem(),
            "413 too-large: the body has more than 3 frames; send them in several requests"
        );
    }
    // Three are only wrong.
    assert_eq!(client.post("[{},{},{}]").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_store_that_hangs_ends_the_request_and_not_the_server() {
    let world = world(|config| config.request_timeout = Duration::from_millis(50));
    let client = world.client();
    world.store.gate.shut();
    let answer = client.get("/v1/sources").await;
    assert!(answer.problem().starts_with("503 too-slow"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    world.store.gate.open();
    assert_eq!(client.get("/v1/sources").await.status, StatusCode::OK);
}

#[tokio::test]
async fn more_requests_than_there_is_room_for_are_told_to_come_again() {
    let world = world(|config| config.requests_max = few(2));
    let client = world.client();
    world.store.gate.shut();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/v1/sources").await.status })
        })
        .collect();
    // Both hold their places once a third one finds none.
    let refused = timeout(PATIENCE, async {
        loop {
            let answer = client.get("/v1/site").await;
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    });
    let refused = refused.await.unwrap();
    assert_eq!(refused.problem(), "503 busy: too many requests at one time; try again in a moment");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    world.store.gate.open();
    for request in waiting {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(client.get("/v1/site").await.status, StatusCode::OK);
}

/// The API on a port of its own.
pub(crate) struct Running {
    server: JoinHandle<()>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) address: std::net::SocketAddr,
}

pub(crate) async fn start(world: &World) -> Running {
    let server =
        Server::bind(world.config.clone(), world.token.clone(), world.parts()).await.unwrap();
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(server.serve(async { _ = stopped.await }));
    Running { server, stop, address }
}

impl Running {
    pub(crate) async fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

/// Everything the server says until it closes.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut said = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    said
}

const SOURCES: &str = "GET /v1/sources HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn what_is_being_answered_is_finished_before_the_server_stops() {
    let world = world(|_| {});
    let running = start(&world).await;
    // One connection is idle, one waits for the store.
    let idle = running.connect("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    world.store.gate.shut();
    let waiting = running.connect(SOURCES).await;
    in_flight(&world, &running, 1).await;
    running.stop.send(()).unwrap();
    assert!(rest(idle).await.starts_with("HTTP/1.1 200 OK"));
    assert!(!running.server.is_finished());
    world.store.gate.open();
    assert!(rest(waiting).await.starts_with("HTTP/1.1 200 OK"));
    timeout(PATIENCE, running.server).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let world = world(|config| config.shutdown_grace = Duration::from_millis(50));
    let running = start(&world).await;
    world.store.gate.shut();
    let _waiting = running.connect(SOURCES).await;
    in_flight(&world, &running, 1).await;
    running.stop.send(()).unwrap();
    timeout(PATIENCE, running.server).await.unwrap().unwrap();
    world.store.gate.open();
}

/// Waits until so many requests beside this one are being answered.
async fn in_flight(_world: &World, running: &Running, requests: u32) {
    let wanted = format!("animov_api_requests_in_flight {}\n", requests + 1);
    timeout(PATIENCE, async {
        loop {
            let ask = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            if rest(running.connect(ask).await).await.contains(&wanted) {
                return;
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_connection_that_sends_no_header_is_closed() {
    let world = world(|config| config.header_timeout = Duration::from_millis(50));
    let running = start(&world).await;
    let said = rest(running.connect("GET /healthz HTTP/1.1\r\nHost: loc").await).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let world = world(|config| config.body_timeout = Duration::from_millis(50));
    let running = start(&world).await;
    let request = "POST /v1/frames HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                   Content-Length: 100\r\n\r\n[";
    let said = rest(running.connect(request).await).await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_wait() {
    let world = world(|config| config.connections_max = few(1));
    let running = start(&world).await;
    let first = running.connect("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut second = running.connect(SOURCES).await;
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(100), second.read(&mut byte)).await.is_err());
    drop(first);
    assert!(rest(second).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let mut world = world(|_| {});
    let running = start(&world).await;
    world.config.bind = running.address;
    let refused = Server::bind(world.config.clone(), None, world.parts()).await.err().unwrap();
    assert!(
        matches!(refused, StartError::Bind { bind, .. } if bind == running.address),
        "{refused}"
    );
}

#[test]
fn two_routers_on_one_registry_are_refused_and_no_panic() {
    let world = World::small();
    let registry = prometheus::Registry::new();
    let parts = || api::Parts { registry: registry.clone(), ..world.parts() };
    assert!(api::router(parts(), &world.config, None).is_ok());
    assert!(matches!(api::router(parts(), &world.config, None), Err(StartError::Metrics(_))));
}
