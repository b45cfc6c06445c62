//! TLS by certificate files: the only place that knows rustls.
//!
//! # Invariants
//!
//! - A certificate is taken only with the key that belongs to it. Files that are
//!   wrong when they change are told of, and the last good ones stay.
//! - A handshake has a limit of time, and only so many run at once: the expensive
//!   part of a connection is bounded before anything is known of its client.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;

/// How often it is looked whether the files have changed.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Handshakes at one time, at most; more wait within their own limit of time.
const HANDSHAKES_MAX: usize = 64;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    #[error("the certificates in {} (api.tls.certificate) cannot be read: {what}", file.display())]
    Certificate { file: PathBuf, what: String },

    #[error(
        "the private key in {} (api.tls.key) cannot be read: {what}; it is PEM, PKCS #8, \
         `-----BEGIN PRIVATE KEY-----`",
        file.display()
    )]
    Key { file: PathBuf, what: String },

    #[error(
        "the key in {} (api.tls.key) does not belong to the certificate in {} \
         (api.tls.certificate): {what}",
        key.display(),
        certificate.display()
    )]
    Pair { certificate: PathBuf, key: PathBuf, what: String },

    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Makes connections secret.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    files: Arc<Files>,
    places: Semaphore,
    timeout: Duration,
}

impl Tls {
    /// With the files that `config` names, if it does.
    pub(crate) fn load(config: &TlsConfig) -> Result<Option<Tls>, TlsFault> {
        let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
            return Ok(None);
        };
        let stamp = stamp(certificate, key);
        let current = RwLock::new(Arc::new(read(certificate, key)?));
        let (certificate, key) = (certificate.clone(), key.clone());
        let files = Arc::new(Files { certificate, key, seen: Mutex::new(stamp), current });
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsFault::Setup(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Files>::clone(&files));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Tls {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            files,
            places: Semaphore::new(HANDSHAKES_MAX),
            timeout: config.handshake_timeout,
        }))
    }

    /// The handshake with a client; none if it fails, or takes too long.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let handshake = async {
            let _place = self.places.acquire().await.map_err(io::Error::other)?;
            self.acceptor.accept(stream).await
        };
        match tokio::time::timeout(self.timeout, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a handshake took too long");
                None
            }
        }
    }

    /// Takes the files again, if `always`, or if they have changed. Blocks.
    pub(crate) fn look(&self, always: bool) {
        match self.files.renew(always) {
            Ok(false) => {}
            Ok(true) => tracing::info!("the TLS certificate was read again"),
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(error, "the TLS certificate stays the last good one");
            }
        }
    }
}

/// Whether the client asked for HTTP/2.
pub(crate) fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    let (_, connection) = stream.get_ref();
    connection.alpn_protocol() == Some(b"h2")
}

fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// When files were changed, and how long they are.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// The files, and what was last good in them.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    seen: Mutex<Stamp>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Files {
    fn renew(&self, always: bool) -> Result<bool, TlsFault> {
        let now = stamp(&self.certificate, &self.key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now && !always {
            return Ok(false);
        }
        // Also if they are wrong: they are told of once.
        *seen = now;
        let fresh = Arc::new(read(&self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.certificate.display())
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|file| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsFault> {
    let no_certificate =
        |what: String| TlsFault::Certificate { file: certificate.to_owned(), what };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| no_certificate(error.to_string()))?
        .collect();
    let chain = chain.map_err(|error| no_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(no_certificate("there is none in it (PEM, the server's own first)".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsFault::Key { file: key.to_owned(), what: error.to_string() })?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| TlsFault::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        what: error.to_string(),
    })
}
