//! Servers that are talked to in secret.

use std::path::{Path, PathBuf};
use std::process::Command;

use schemas::commit::{StateStore, StoreError};
use sinks::config::{MySqlConfig, Tls};
use sinks::state::mysql::MySqlState;

use crate::mysql::database::Database;
use crate::mysql::own_server::OwnServer;
use crate::mysql::refused::told;

/// A certificate for 127.0.0.1 in `dir`, and its key, as PEM; who trusts it
/// trusts the server. `None` where there is no tool for it.
fn certificate(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output();
    let Ok(made) = made else {
        println!("SKIPPED: no openssl to make a certificate");
        return None;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some((cert, key))
}

#[test]
fn tls_is_used_and_the_server_proves_what_it_must() {
    let (dir, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some((cert, key)) = certificate(dir.path()) else { return };
    let Some((others_cert, _)) = certificate(others.path()) else { return };
    let options = format!("--ssl-cert={} --ssl-key={}", cert.display(), key.display());
    let Some(own) = OwnServer::start(&dir.path().join("server"), &options) else { return };
    let database = Database::on(own.server());
    database.run("CREATE USER secret REQUIRE SSL; GRANT ALL ON *.* TO secret");
    let open = |tls: Tls, host: &str, tls_ca: Option<&Path>| {
        let mut config =
            MySqlConfig { tls, tls_ca: tls_ca.map(Path::to_owned), ..database.config() };
        config.url.user = "secret".into();
        config.url.host = host.into();
        MySqlState::open(&config, None)
    };
    let here = "127.0.0.1";
    for (tls, host, trusted) in [
        (Tls::Preferred, here, None),
        (Tls::Required, here, None),
        (Tls::VerifyCa, here, Some(&*cert)),
        // Another name than the certificate's.
        (Tls::VerifyCa, "localhost", Some(&*cert)),
        (Tls::VerifyIdentity, here, Some(&*cert)),
    ] {
        let state = open(tls, host, trusted).unwrap_or_else(|error| panic!("{}", told(&error)));
        assert_eq!(state.sources().unwrap(), []);
    }
    for (tls, host, trusted, why) in [
        (Tls::VerifyCa, here, None, "certificate"),
        (Tls::VerifyCa, here, Some(&*others_cert), "certificate"),
        (Tls::VerifyIdentity, "localhost", Some(&*cert), "certificate"),
        (Tls::VerifyCa, here, Some(Path::new("nowhere.pem")), "No such file"),
        // The user may not come unencrypted.
        (Tls::Disabled, here, None, "Access denied"),
    ] {
        let told = told(&open(tls, host, trusted).err().unwrap());
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn tls_that_the_server_does_not_offer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some(own) = OwnServer::start(dir.path(), "") else { return };
    let database = Database::on(own.server());
    for tls in [Tls::Required, Tls::VerifyCa, Tls::VerifyIdentity] {
        let config = MySqlConfig { tls, ..database.config() };
        let error = MySqlState::open(&config, None).err().unwrap();
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        assert!(told(&error).contains("state.mysql.tls"), "{}", told(&error));
    }
    let config = MySqlConfig { tls: Tls::Preferred, ..database.config() };
    MySqlState::open(&config, None).unwrap();
}
