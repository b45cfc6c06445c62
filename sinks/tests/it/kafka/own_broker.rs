//! A broker of a test's own: to be killed, or to be set up in a way of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How often another port is tried.
const ATTEMPTS: usize = 5;

/// One broker; stopped when dropped.
pub(super) struct OwnBroker {
    script: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    properties: String,
}

impl OwnBroker {
    /// Starts one with the properties that `properties` says for its port; `None`
    /// where brokers are not wanted, or cannot be started.
    pub(super) fn start(properties: &dyn Fn(u16) -> String) -> Option<OwnBroker> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services/kafka");
        if std::env::var_os("ANIMOV_TEST_KAFKA").is_none() || !script.exists() {
            println!("SKIPPED: no brokers, or no script that starts one");
            return None;
        }
        let script = script.canonicalize().unwrap();
        if !Command::new(&script).arg("install").status().unwrap().success() {
            println!("SKIPPED: this machine cannot run a broker, see above");
            return None;
        }
        for _ in 0..ATTEMPTS {
            let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
            let broker =
                OwnBroker { script: script.clone(), dir, port, properties: properties(port) };
            if broker.start_again() {
                return Some(broker);
            }
            let log = std::fs::read_to_string(broker.dir.path().join("log")).unwrap();
            assert!(log.contains("Address already in use"), "a broker does not start");
        }
        panic!("somebody was quicker on {ATTEMPTS} ports");
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn kill(&self) {
        let pid = std::fs::read_to_string(self.dir.path().join("pid")).unwrap();
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status();
        assert!(killed.unwrap().success());
    }

    /// Starts it on the data that it has; whether it did.
    pub(super) fn start_again(&self) -> bool {
        let mut command = Command::new(&self.script);
        command.arg("start").arg(self.dir.path()).arg(self.port.to_string());
        command.env("ANIMOV_KAFKA_HEAP", "256m").env("ANIMOV_KAFKA_PROPERTIES", &self.properties);
        command.status().unwrap().success()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let stopped = Command::new(&self.script).arg("stop").arg(self.dir.path()).status();
        assert!(stopped.unwrap().success());
    }
}

/// A port that is free, as is the next, which will be the controller's: below
/// those that the system hands out by itself.
fn free_port() -> u16 {
    loop {
        let chance = uuid::Uuid::new_v4().as_u128() % 6000;
        let port = 20_000 + 2 * u16::try_from(chance).unwrap();
        if [port, port + 1].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
}
