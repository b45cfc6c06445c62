//! A server of a test's own: to be killed, or to be set up in a way of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::mysql::database::Server;

/// How often another port is tried.
const ATTEMPTS: usize = 5;

/// One server; stopped when dropped, before its folder is.
pub(super) struct OwnServer {
    dir: PathBuf,
    port: u16,
    options: String,
}

impl OwnServer {
    /// Starts one in the empty folder `dir`, with further `options` for `mariadbd`;
    /// `None`, and a line that says so, where servers are not wanted, or cannot be
    /// started.
    pub(super) fn start(dir: &Path, options: &str) -> Option<OwnServer> {
        Server::for_tests()?;
        if !script("install").status().is_ok_and(|status| status.success()) {
            println!("SKIPPED: this machine cannot run a server of a test's own");
            return None;
        }
        for _ in 0..ATTEMPTS {
            let (dir, options) = (dir.to_owned(), options.to_owned());
            let own = OwnServer { dir, port: free_port(), options };
            if own.start_again() {
                return Some(own);
            }
            let log = fs::read_to_string(own.dir.join("log")).unwrap();
            assert!(log.contains("Address already in use"), "a server does not start: {log}");
        }
        panic!("somebody was quicker on {ATTEMPTS} ports");
    }

    /// How to reach it.
    pub(super) fn server(&self) -> Server {
        let (user, host) = ("root".into(), "127.0.0.1".into());
        Server { user, password: None, host, port: self.port }
    }

    /// Starts it on the data that it has; whether it did.
    pub(super) fn start_again(&self) -> bool {
        let mut start = script("start");
        start.arg(&self.dir).arg(self.port.to_string());
        // What it inherits it keeps: nobody may wait for its output to end.
        start.env("ANIMOV_MARIADB_OPTIONS", &self.options).stdout(Stdio::null());
        start.status().unwrap().success()
    }

    /// The same, with other options.
    pub(super) fn start_again_with(&mut self, options: &str) -> bool {
        options.clone_into(&mut self.options);
        self.start_again()
    }

    /// Ends it at once: what it had not given to the system is gone.
    pub(super) fn kill(&self) {
        let process = fs::read_to_string(self.dir.join("pid")).unwrap();
        let killed = Command::new("kill").args(["-KILL", process.trim()]).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let stopped = script("stop").arg(&self.dir).status();
        if !stopped.is_ok_and(|status| status.success()) {
            println!("could not stop the server in {}", self.dir.display());
        }
    }
}

fn script(what: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services/mariadb");
    let mut command = Command::new(script);
    command.arg(what).stdin(Stdio::null());
    command
}

/// A port that is free, below those that the system hands out by itself.
fn free_port() -> u16 {
    loop {
        let chance = uuid::Uuid::new_v4().as_u128() % 12_000;
        let port = 20_000 + u16::try_from(chance).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
