//! Clients that are slow or send without end: each is refused, and the server stays
//! up with the memory that it had.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use api::ApiConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::limits::{PATIENCE, Running, rest, start};
use crate::world::{TOKEN, World};

/// Routes that take a body, with who may send one.
const TAKE: [(&str, &str); 3] = [
    ("/v1/auth/token", "Host: localhost\r\nContent-Type: application/json\r\n"),
    (
        "/receive_data_animov",
        "Host: localhost\r\nContent-Type: application/json\r\n\
         Authorization: Bearer a goat has four legs\r\n",
    ),
    (
        "/v1/frames",
        "Host: localhost\r\nContent-Type: application/json\r\n\
         Authorization: Bearer a goat has four legs\r\n",
    ),
];

async fn running(change: impl FnOnce(&mut ApiConfig)) -> Running {
    let mut world = World::with_people();
    world.config.bind = "127.0.0.1:0".parse().unwrap();
    world.token = Some(api::ApiToken::new(TOKEN).unwrap());
    change(&mut world.config);
    start(&world).await
}

async fn is_up(running: &Running) {
    let ask = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(rest(running.connect(ask).await).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_header_that_comes_byte_by_byte_is_given_up() {
    let running = running(|config| config.header_timeout = Duration::from_millis(200)).await;
    for (path, headers) in TAKE {
        let mut stream = running.connect(&format!("POST {path} HTTP/1.1\r\n")).await;
        let begun = Instant::now();
        // Each byte comes in time, and all of them would take for ever.
        let drip = async {
            for byte in headers.bytes().cycle() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, drip).await.expect("the connection was closed");
        assert!(begun.elapsed() < Duration::from_secs(5), "{path}");
    }
    is_up(&running).await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let running = running(|config| {
        config.header_timeout = Duration::from_millis(300);
        config.connections_max = NonZeroUsize::MIN;
    })
    .await;
    // More than the sockets' buffers take.
    let ask = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let unread = running.connect(&ask.repeat(40)).await;
    // There is one place, and it becomes free.
    timeout(PATIENCE, is_up(&running)).await.expect("the connection was closed");
    drop(unread);
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up() {
    let running = running(|config| config.body_timeout = Duration::from_millis(200)).await;
    for (path, headers) in TAKE {
        let request = format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: 5000\r\n\r\n");
        let mut stream = running.connect(&request).await;
        let (mut reading, mut writing) = stream.split();
        let drip = async {
            while writing.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut said = vec![0; 12];
        let answered = async { reading.read_exact(&mut said).await };
        let answered = tokio::select! {
            answered = answered => answered,
            () = drip => panic!("{path}: closed without an answer"),
            () = tokio::time::sleep(PATIENCE) => panic!("{path}: no answer"),
        };
        answered.unwrap();
        assert_eq!(said, b"HTTP/1.1 408", "{path}");
    }
    is_up(&running).await;
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_before_they_are_read() {
    const LENGTH: usize = 100 << 20;
    let running = running(|_| {}).await;
    for (path, headers) in TAKE {
        let request = format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: {LENGTH}\r\n\r\n");
        let mut stream = running.connect(&request).await;
        let mut said = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut said)).await.unwrap().unwrap();
        assert_eq!(&said, b"HTTP/1.1 413", "{path}");

        // Without a length: chunk after chunk, until the server has had enough.
        let request =
            format!("POST {path} HTTP/1.1\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
        let mut stream = running.connect(&request).await;
        let chunk = [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat();
        let (mut reading, mut writing) = stream.split();
        let send = async {
            let mut sent = 0;
            while sent < LENGTH && writing.write_all(&chunk).await.is_ok() {
                sent += 0x10000;
            }
            sent
        };
        let read = async {
            let mut said = [0; 12];
            timeout(PATIENCE, reading.read_exact(&mut said)).await.unwrap().unwrap();
            said
        };
        let (sent, said) = timeout(PATIENCE, async { tokio::join!(send, read) }).await.unwrap();
        assert_eq!(&said, b"HTTP/1.1 413", "{path}");
        assert!(sent < LENGTH / 2, "{path}: {sent} bytes were taken");
    }
    is_up(&running).await;
}

#[tokio::test]
async fn many_slow_clients_leave_room_for_nobody_only_for_a_while() {
    let running = running(|config| {
        config.connections_max = std::num::NonZeroUsize::new(8).unwrap();
        config.header_timeout = Duration::from_millis(300);
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(running.connect("POST /v1/auth/token HTTP/1.1\r\nHost: loc").await);
    }
    // They are closed one after the other, and then there is room again.
    is_up(&running).await;
}
