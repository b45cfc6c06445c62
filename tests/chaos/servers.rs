//! A broker and a database of this run's own, behind links that can fail.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::proxy::Proxy;
use crate::support::{Random, within};
use crate::workers::show_end_of;

/// What is started by the scripts of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Broker,
    Database,
}

/// Both servers, and the links to them. They end with this value.
pub(crate) struct Servers {
    dir: PathBuf,
    broker: u16,
    pub(crate) database: u16,
    /// Lines for the broker's properties.
    properties: String,
    /// From the producer to the broker.
    pub(crate) producer_link: Proxy,
    /// From the workers to the broker.
    pub(crate) worker_link: Proxy,
    /// From the workers to the database.
    pub(crate) database_link: Proxy,
}

impl Servers {
    /// `None`, with a word, where this machine cannot have them.
    pub(crate) fn start(dir: PathBuf) -> Option<Servers> {
        for server in [Server::Broker, Server::Database] {
            let installed = script(server).arg("install").output().unwrap();
            if !installed.status.success() {
                println!("SKIPPED: {}", String::from_utf8_lossy(&installed.stderr).trim());
                return None;
            }
        }
        let [broker, controller, to_producer, to_worker, database] = own_ports();
        let producer_link = Proxy::new(to_producer);
        let worker_link = Proxy::new(to_worker);
        let database_link = Proxy::new(database);
        // A broker tells each client the address to come to: that of its link.
        let properties = format!(
            "listeners=PLAINTEXT://127.0.0.1:{broker},PRODUCER://127.0.0.1:{to_producer},\
             WORKER://127.0.0.1:{to_worker},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{broker},\
             PRODUCER://127.0.0.1:{},WORKER://127.0.0.1:{}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PRODUCER:PLAINTEXT,\
             WORKER:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
            producer_link.port, worker_link.port
        );
        let servers = Servers {
            dir,
            broker,
            database,
            properties,
            producer_link,
            worker_link,
            database_link,
        };
        servers.up(Server::Database);
        servers.up(Server::Broker);
        servers.sql("CREATE DATABASE animov");
        Some(servers)
    }

    /// Starts it, on the data that it had, and waits until it answers.
    pub(crate) fn up(&self, server: Server) {
        let port = match server {
            Server::Broker => self.broker,
            Server::Database => self.database,
        };
        let started = script(server)
            .arg("start")
            .arg(self.dir_of(server))
            .arg(port.to_string())
            .env("ANIMOV_KAFKA_PROPERTIES", &self.properties)
            .env("ANIMOV_KAFKA_HEAP", "384m")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&started.stderr);
        assert!(started.status.success(), "{server:?} does not start: {said}");
    }

    /// Ends it in good order.
    pub(crate) fn down(&self, server: Server) {
        let stopped = script(server).arg("stop").arg(self.dir_of(server)).status().unwrap();
        assert!(stopped.success(), "{server:?} does not stop");
    }

    /// SIGKILL.
    pub(crate) fn kill(&self, server: Server) {
        let pid = std::fs::read_to_string(self.dir_of(server).join("pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
        within(Duration::from_secs(10), "the end of a killed server", || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            (state.is_empty() || state.contains(") Z ")).then_some(())
        });
    }

    /// What the database answers, past the links: columns parted by tabs.
    pub(crate) fn ask(&self, statement: &str) -> Option<String> {
        let port = self.database.to_string();
        let answer = Command::new("mariadb")
            .args(["--no-defaults", "-h", "127.0.0.1", "-P", &port, "-u", "root"])
            .args(["--connect-timeout=3", "-N", "-e", statement])
            .output()
            .unwrap();
        answer.status.success().then(|| String::from_utf8(answer.stdout).unwrap())
    }

    fn sql(&self, statement: &str) {
        self.ask(statement).unwrap_or_else(|| panic!("{statement} fails"));
    }

    /// The address by which the producer finds the broker.
    pub(crate) fn for_producer(&self) -> String {
        format!("127.0.0.1:{}", self.producer_link.port)
    }

    /// The address by which workers find the broker.
    pub(crate) fn for_workers(&self) -> String {
        format!("127.0.0.1:{}", self.worker_link.port)
    }

    fn dir_of(&self, server: Server) -> PathBuf {
        self.dir.join(name(server))
    }
}

/// Free ports below those that the system gives to connections: while a server is
/// away, nobody else may get its port, and least of all a connection to that very
/// port, which would reach itself. The second is next to the first.
fn own_ports<const N: usize>() -> [u16; N] {
    let mut random = Random(u64::from(std::process::id()));
    loop {
        let first = 20_000 + u16::try_from(random.below(10_000)).unwrap();
        let ports = std::array::from_fn(|at| first + u16::try_from(at).unwrap());
        if ports.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return ports;
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in [Server::Broker, Server::Database] {
                show_end_of(&self.dir_of(server).join("log"));
            }
        }
        for server in [Server::Broker, Server::Database] {
            _ = script(server).arg("stop").arg(self.dir_of(server)).status();
        }
    }
}

fn name(server: Server) -> &'static str {
    match server {
        Server::Broker => "kafka",
        Server::Database => "mariadb",
    }
}

fn script(server: Server) -> Command {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services");
    Command::new(format!("{folder}/{}", name(server)))
}
