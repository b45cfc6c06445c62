//! HTTPS, by certificates that openssl makes.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use api::{ApiConfig, Server, StartError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::{PATIENCE, Running, start};
use crate::world::World;

/// Makes a certificate for this name, and its key, in `dir`.
fn certificate(dir: &Path, name: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj"])
        .arg(format!("/CN={name}"))
        .arg("-addext")
        .arg(format!("subjectAltName=DNS:{name}"))
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem.new", "-out", "certificate.pem.new"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for file in ["key.pem", "certificate.pem"] {
        std::fs::rename(dir.join(format!("{file}.new")), dir.join(file)).unwrap();
    }
}

fn configured(dir: &Path) -> ApiConfig {
    let mut config = ApiConfig { bind: "127.0.0.1:0".parse().unwrap(), ..ApiConfig::default() };
    config.tls.certificate = Some(dir.join("certificate.pem"));
    config.tls.key = Some(dir.join("key.pem"));
    config
}

async fn serving(config: ApiConfig) -> Running {
    start(&World { config, ..World::small() }).await
}

/// A connection of a client that trusts what is in `dir` now.
async fn connected(running: &Running, dir: &Path, name: &str, alpn: &str) -> TlsStream<TcpStream> {
    try_connect(running, dir, name, alpn).await.unwrap()
}

async fn try_connect(
    running: &Running,
    dir: &Path,
    name: &str,
    alpn: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("certificate.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    timeout(PATIENCE, TlsConnector::from(Arc::new(client)).connect(name, stream)).await.unwrap()
}

const ASK: &[u8] = b"GET /v1/sources HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn routes_answer_over_tls_and_not_without() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "localhost");
    let running = serving(configured(dir.path())).await;
    let mut stream = connected(&running, dir.path(), "localhost", "http/1.1").await;
    stream.write_all(ASK).await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");

    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain.write_all(ASK).await.unwrap();
    let mut said = Vec::new();
    // An alert, or nothing; and then the end.
    _ = timeout(PATIENCE, plain.read_to_end(&mut said)).await.unwrap();
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

/// The header of a frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Asks for `path` as the first request of a connection of HTTP/2.
async fn ask_http_2(stream: &mut TlsStream<TcpStream>, path: &str) {
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // :method GET, :scheme https, :path, :authority localhost, as literals.
    let literal = |name: u8, value: &str| {
        let length = u8::try_from(value.len()).unwrap();
        [&[name, length][..], value.as_bytes()].concat()
    };
    let headers = [vec![0x82, 0x87], literal(0x04, path), literal(0x01, "localhost")].concat();
    stream.write_all(&frame(1, 0x05, 1, &headers)).await.unwrap();
}

/// The next frame: its kind, whether it is the last of the answer, and its payload.
async fn next_frame(stream: &mut TlsStream<TcpStream>) -> (u8, bool, Vec<u8>) {
    let mut head = [0; 9];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.unwrap().unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length.try_into().unwrap()];
    timeout(PATIENCE, stream.read_exact(&mut payload)).await.unwrap().unwrap();
    (head[3], matches!(head[3], 0 | 1) && head[4] & 1 == 1, payload)
}

#[tokio::test]
async fn a_long_answer_comes_whole_over_http_2_however_slowly_it_is_taken() {
    const LIMIT: Duration = Duration::from_secs(1);
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "localhost");
    let mut config = configured(dir.path());
    config.header_timeout = LIMIT;
    let running = serving(config).await;
    let mut stream = connected(&running, dir.path(), "localhost", "h2").await;
    ask_http_2(&mut stream, "/docs/swagger-ui-bundle.js").await;
    let (begun, mut taken, mut read) = (std::time::Instant::now(), 0, 0_u32);
    loop {
        let (kind, last, payload) = next_frame(&mut stream).await;
        assert_ne!(kind, 7, "the server went away after {taken} bytes: {payload:?}");
        match kind {
            0 => {
                taken += payload.len();
                read += u32::try_from(payload.len()).unwrap();
            }
            // A ping wants to be answered.
            6 => stream.write_all(&frame(6, 1, 0, &payload)).await.unwrap(),
            _ => {}
        }
        if last {
            break;
        }
        // Of the 64 KiB that may be on the way, on the connection and of the answer.
        if 48 << 10 < read {
            tokio::time::sleep(LIMIT / 8).await;
            for of in [0, 1] {
                stream.write_all(&frame(8, 0, of, &read.to_be_bytes())).await.unwrap();
            }
            read = 0;
        }
    }
    assert!(500_000 < taken, "{taken} bytes");
    assert!(2 * LIMIT < begun.elapsed(), "it was not slow");
}

#[tokio::test]
async fn http_2_is_spoken_and_an_idle_connection_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "localhost");
    let mut config = configured(dir.path());
    config.header_timeout = Duration::from_millis(300);
    let running = serving(config).await;
    let mut stream = connected(&running, dir.path(), "localhost", "h2").await;
    ask_http_2(&mut stream, "/healthz").await;
    let body = loop {
        let (kind, _, payload) = next_frame(&mut stream).await;
        match kind {
            // Data: the body, once it is not empty.
            0 if !payload.is_empty() => break payload,
            7 => panic!("the server went away: {payload:?}"),
            _ => {}
        }
    };
    assert_eq!(String::from_utf8(body).unwrap(), r#"{"status":"alive"}"#);
    let mut left = Vec::new();
    let closed = timeout(PATIENCE, stream.read_to_end(&mut left)).await;
    assert!(closed.is_ok(), "it stays open");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_on_sighup_and_a_wrong_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "old.example");
    let running = serving(configured(dir.path())).await;
    connected(&running, dir.path(), "old.example", "h2").await;

    let hang_up = || {
        let id = std::process::id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    let old = tempfile::tempdir().unwrap();
    for file in ["key.pem", "certificate.pem"] {
        std::fs::copy(dir.path().join(file), old.path().join(file)).unwrap();
    }
    // The task that hears it may not have begun yet; then the signal would end us all.
    let heard = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
    let _heard = heard.unwrap();
    std::fs::write(dir.path().join("key.pem"), "no key").unwrap();
    hang_up();
    tokio::time::sleep(Duration::from_millis(300)).await;
    connected(&running, old.path(), "old.example", "h2").await;

    certificate(dir.path(), "new.example");
    hang_up();
    let renewed = async {
        while try_connect(&running, dir.path(), "new.example", "h2").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, renewed).await.expect("the new certificate is taken");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "localhost");
    let mut config = configured(dir.path());
    config.tls.handshake_timeout = Duration::from_millis(200);
    let running = serving(config).await;
    let mut mute = Vec::new();
    for _ in 0..80 {
        mute.push(TcpStream::connect(running.address).await.unwrap());
    }
    for mut stream in mute {
        let mut said = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap().unwrap();
        assert!(said.is_empty());
    }
    connected(&running, dir.path(), "localhost", "h2").await;
}

#[tokio::test]
async fn files_that_are_no_certificate_and_key_are_refused_by_name() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificate(dir.path(), "localhost");
    certificate(other.path(), "localhost");
    let world = World::small();
    let refused = async |change: &dyn Fn(&mut ApiConfig)| {
        let mut config = configured(dir.path());
        change(&mut config);
        let refused = Server::bind(config, None, world.parts()).await.err().unwrap();
        assert!(matches!(refused, StartError::Tls(_) | StartError::Config(_)), "{refused}");
        refused.to_string()
    };
    let told = refused(&|config| config.tls.key = Some(other.path().join("key.pem"))).await;
    assert!(told.contains("does not belong to the certificate"), "{told}");
    let told = refused(&|config| config.tls.key = Some(dir.path().join("missing.pem"))).await;
    assert!(told.contains("missing.pem (api.tls.key) cannot be read"), "{told}");
    let told = refused(&|config| config.tls.certificate = Some(dir.path().join("key.pem"))).await;
    assert!(told.contains("there is none in it"), "{told}");
    let told = refused(&|config| config.tls.key = None).await;
    assert_eq!(told, "api.tls has certificate and not key: name both, or neither");
}
