//! The workers and who starts them again: as many processes as wanted.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{ANIMOV, free_port};

/// Workers under one configuration. They end with this value.
pub(crate) struct Workers {
    dir: PathBuf,
    config: PathBuf,
    running: Vec<Worker>,
    wanted: usize,
    /// How many were started, the first ones included.
    pub(crate) started: usize,
    /// How many have ended by themselves because the tables refused their write.
    pub(crate) fenced: usize,
    /// How many have ended by themselves for another reason.
    pub(crate) gave_up: usize,
    /// The most memory that any of them has had, KiB, as far as was looked at.
    pub(crate) memory_max: u64,
}

struct Worker {
    child: Child,
    said: PathBuf,
}

impl Workers {
    /// None yet; their words go to files in `dir`.
    pub(crate) fn new(dir: PathBuf, config: PathBuf) -> Workers {
        let (running, wanted) = (Vec::new(), 0);
        Workers { dir, config, running, wanted, started: 0, fenced: 0, gave_up: 0, memory_max: 0 }
    }

    /// From now on there are to be so many.
    pub(crate) fn scale(&mut self, wanted: usize) {
        self.wanted = wanted;
        while wanted < self.running.len() {
            let mut worker = self.running.remove(0);
            worker.signal(Signal::SIGTERM);
            let ended = crate::support::within(crate::support::PATIENCE, "a worker's end", || {
                worker.child.try_wait().unwrap()
            });
            // It may have been fenced at this moment.
            if !ended.success() {
                self.count_end(&worker);
            }
        }
        self.tend();
    }

    /// Starts again those that have ended. An end without an error is a failure.
    pub(crate) fn tend(&mut self) {
        let mut ended = Vec::new();
        for worker in &self.running {
            self.memory_max = self.memory_max.max(worker.memory_max());
        }
        for at in (0..self.running.len()).rev() {
            if let Some(status) = self.running[at].child.try_wait().unwrap() {
                let worker = self.running.remove(at);
                assert!(!status.success(), "a worker ended without an error: {:?}", worker.said);
                ended.push(worker);
            }
        }
        for worker in &ended {
            self.count_end(worker);
        }
        while self.running.len() < self.wanted {
            let worker = self.start();
            self.running.push(worker);
        }
    }

    fn count_end(&mut self, worker: &Worker) {
        let said = std::fs::read_to_string(&worker.said).unwrap_or_default();
        assert!(!said.contains("panicked at"), "a worker panicked: {:?}", worker.said);
        match said.contains("has another owner") {
            true => self.fenced += 1,
            false => {
                self.gave_up += 1;
                println!("    a worker ended: {}", said.lines().last().unwrap_or_default());
            }
        }
    }

    fn start(&mut self) -> Worker {
        self.started += 1;
        let said = self.dir.join(format!("worker-{}.log", self.started));
        let child = Command::new(ANIMOV)
            .args(["pipeline", "--bind", &format!("127.0.0.1:{}", free_port()), "--config"])
            .arg(&self.config)
            .arg("--state")
            .arg(self.dir.join("state"))
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        Worker { child, said }
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// SIGKILL for the `at`-th; it is started again.
    pub(crate) fn kill(&mut self, at: usize) {
        let mut worker = self.running.remove(at);
        worker.child.kill().unwrap();
        worker.child.wait().unwrap();
        self.tend();
    }

    /// Stops the `at`-th in its tracks, or has it go on.
    pub(crate) fn signal(&self, at: usize, signal: Signal) {
        self.running[at].signal(signal);
    }
}

impl Worker {
    /// The most memory that it has had, KiB; 0 if it is gone.
    fn memory_max(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak.map_or(0, |peak| peak.trim().trim_end_matches(" kB").parse().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }
}

/// Prints the last lines of a log, for whoever asks why a run failed.
pub(crate) fn show_end_of(log: &Path) {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    println!("\n{}, its last lines:", log.display());
    lines[lines.len().saturating_sub(25)..].iter().for_each(|line| println!("  {line}"));
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.running {
            if std::thread::panicking() {
                show_end_of(&worker.said);
            }
            _ = worker.child.kill();
            _ = worker.child.wait();
        }
    }
}
