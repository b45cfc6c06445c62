//! Brokers that want to know who one is, and that are talked to in secret.

use std::path::Path;
use std::process::Command;

use sinks::config::{SaslMechanism, Security};

use super::own_broker::OwnBroker;
use super::*;

/// A certificate for 127.0.0.1 and its key, as PEM, signed by itself.
fn certificate(dir: &Path) -> (String, String) {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |path| std::fs::read_to_string(path).unwrap();
    (read(cert), read(key))
}

/// As a value in a properties file.
fn one_line(pem: &str) -> String {
    pem.trim().replace('\n', "\\n\\\n")
}

#[test]
fn brokers_let_in_who_has_the_password_and_only_over_a_certificate_they_trust() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("SKIPPED: no openssl to make a certificate");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(dir.path());
    let properties = |port: u16| {
        format!(
            "listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{}\n\
             advertised.listeners=SASL_SSL://127.0.0.1:{port}\n\
             listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=SASL_SSL\n\
             sasl.enabled.mechanisms=PLAIN\n\
             sasl.mechanism.inter.broker.protocol=PLAIN\n\
             listener.name.sasl_ssl.plain.sasl.jaas.config=\
             org.apache.kafka.common.security.plain.PlainLoginModule required \
             username=\"broker\" password=\"hay\" user_broker=\"hay\" user_animov=\"straw\";\n\
             ssl.keystore.type=PEM\nssl.truststore.type=PEM\n\
             ssl.keystore.certificate.chain={cert}\n\
             ssl.keystore.key={key}\n\
             ssl.truststore.certificates={cert}\n",
            port + 1,
            cert = one_line(&cert),
            key = one_line(&key),
        )
    };
    let Some(broker) = OwnBroker::start(&properties) else { return };
    let config = KafkaConfig {
        brokers: vec![broker.address()],
        partitions: NonZeroU32::MIN,
        security: Security::SaslSsl,
        sasl_mechanism: Some(SaslMechanism::Plain),
        sasl_username: Some("animov".to_owned()),
        ca_file: Some(dir.path().join("cert.pem")),
        ..KafkaConfig::default()
    };
    let knowing = |password: &str| KafkaSecrets {
        password: Some(password.to_owned()),
        ..KafkaSecrets::default()
    };
    let clock = || Arc::new(SystemClock);
    assert_eq!(config.faults(&knowing("straw")), []);
    KafkaLog::migrate(config.clone(), knowing("straw"), clock()).unwrap();
    let log = KafkaLog::open(config.clone(), knowing("straw"), clock()).unwrap();
    append(&log, &["goat"]);
    assert_eq!(texts(&log, ONLY, Offset(0)), ["goat"]);

    let error = KafkaLog::open(config.clone(), knowing("grass"), clock()).err().unwrap();
    assert!(!error.may_succeed_later(), "{error}");
    let told = error.to_string();
    assert!(told.contains("do not accept who this is"), "{told}");
    assert!(!told.contains("grass"), "{told}");

    let other = tempfile::tempdir().unwrap();
    certificate(other.path());
    let distrusting =
        KafkaConfig { ca_file: Some(other.path().join("cert.pem")), ..config.clone() };
    let error = KafkaLog::open(distrusting, knowing("straw"), clock()).err().unwrap();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("certificate verify failed"), "{error}: {cause}");
}
