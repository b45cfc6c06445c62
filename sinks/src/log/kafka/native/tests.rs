//! A broker that knows two requests, and denies that there are brokers when told to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::*;

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const UNSUPPORTED_VERSION: i16 = 35;

const TOPIC: &str = "animov.frames";

/// How long there are no brokers.
const DENIED: Duration = Duration::from_millis(1500);

const PATIENCE: Duration = Duration::from_secs(30);

struct Broker {
    port: u16,
    denies: Arc<AtomicBool>,
}

impl Broker {
    fn new() -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let denies = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&denies);
        // Ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = Arc::clone(&told);
                thread::spawn(move || serve(stream, port, &told));
            }
        });
        Broker { port, denies }
    }
}

/// Answers until the client is gone.
fn serve(mut stream: TcpStream, port: u16, denies: &AtomicBool) -> Option<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut request = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
        stream.read_exact(&mut request).ok()?;
        let short = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let mut answer = request[4..8].to_vec();
        match (short(0), short(2)) {
            (API_VERSIONS, 0) => api_versions(0, &mut answer),
            (API_VERSIONS, _) => api_versions(UNSUPPORTED_VERSION, &mut answer),
            (METADATA, _) => metadata(port, denies.load(Ordering::SeqCst), &mut answer),
            (other, _) => panic!("a request of kind {other}"),
        }
        stream.write_all(&u32::try_from(answer.len()).ok()?.to_be_bytes()).ok()?;
        stream.write_all(&answer).ok()?;
        // As one does that is started and stopped again.
        if denies.load(Ordering::SeqCst) && short(0) == METADATA {
            return None;
        }
    }
}

fn api_versions(error: i16, out: &mut Vec<u8>) {
    out.extend(error.to_be_bytes());
    out.extend(2_u32.to_be_bytes());
    for (kind, oldest, newest) in [(METADATA, 0_i16, 1_i16), (API_VERSIONS, 0, 0)] {
        [kind, oldest, newest].iter().for_each(|number| out.extend(number.to_be_bytes()));
    }
}

/// The answer of version 1.
fn metadata(port: u16, denies: bool, out: &mut Vec<u8>) {
    let text = |text: &str, out: &mut Vec<u8>| {
        out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        out.extend(text.as_bytes());
    };
    out.extend(u32::from(!denies).to_be_bytes());
    if !denies {
        out.extend(1_u32.to_be_bytes());
        text("127.0.0.1", out);
        out.extend(u32::from(port).to_be_bytes());
        // No rack.
        out.extend((-1_i16).to_be_bytes());
    }
    // The controller.
    out.extend((if denies { -1_i32 } else { 1 }).to_be_bytes());
    out.extend(1_u32.to_be_bytes());
    out.extend(0_i16.to_be_bytes());
    text(TOPIC, out);
    // Not internal, and no partitions.
    out.push(0);
    out.extend(0_u32.to_be_bytes());
}

fn asks(client: &BaseConsumer, seconds: u64) -> bool {
    client.fetch_metadata(Some(TOPIC), Duration::from_secs(seconds)).is_ok()
}

#[test]
fn a_client_that_was_told_that_there_are_no_brokers_finds_them_again() {
    let broker = Broker::new();
    let address = format!("127.0.0.1:{}", broker.port);
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &address)
        .set("reconnect.backoff.max.ms", "100")
        .create()
        .unwrap();
    assert!(asks(&client, 30), "it finds the broker");

    // The first time it finds them by itself, as a rule.
    for _ in 0..3 {
        broker.denies.store(true, Ordering::SeqCst);
        let began = Instant::now();
        while began.elapsed() < DENIED {
            asks(&client, 1);
        }
        broker.denies.store(false, Ordering::SeqCst);

        let began = Instant::now();
        while !asks(&client, 1) {
            assert!(began.elapsed() < PATIENCE, "it has forgotten the broker for good");
            remind(client.client(), &address);
        }
    }
}
