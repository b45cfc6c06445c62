//! Starts, feeds, kills and asks the real program.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The program under test.
pub(crate) const ANIMOV: &str = env!("CARGO_BIN_EXE_animov");

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One frame that only knows counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) source: i64,
    pub(crate) session: String,
    pub(crate) seq: u64,
    pub(crate) captured_at: i64,
    pub(crate) lying: u32,
    pub(crate) standing: u32,
}

impl Counted {
    pub(crate) fn json(&self) -> Value {
        let Counted { source, session, seq, captured_at, lying, standing } = self;
        json!({
            "source": source, "session": session, "seq": seq, "captured_at": captured_at,
            "counts": {"lying": lying, "standing": standing},
        })
    }
}

/// A small generator of numbers that are the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number below `bound` (splitmix64).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A state folder, a configuration and a port of their own.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) config: PathBuf,
}

impl Site {
    /// A site whose configuration begins with `more`.
    pub(crate) fn new(more: &str) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = dir.path().join("animov.toml");
        let site = Site { dir, port, config };
        site.configure(more);
        site
    }

    /// Has the configuration begin with `more`, for what is started from now on.
    pub(crate) fn configure(&self, more: &str) {
        let text = format!("{more}\n[api]\nbind = \"127.0.0.1:{}\"\n", self.port);
        std::fs::write(&self.config, text).unwrap();
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Starts `animov run`; with `crash_at`, it aborts at that point of its code.
    pub(crate) fn start(&self, crash_at: Option<&str>) -> Running {
        let mut command = Command::new(ANIMOV);
        command.arg("run").arg("--config").arg(&self.config).arg("--state").arg(self.state());
        command.env("RUST_LOG", "info").env_remove("ANIMOV_CRASH_AT");
        if let Some(point) = crash_at {
            command.env("ANIMOV_CRASH_AT", point);
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("run.log"))
            .unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Running { child }
    }

    /// Starts one of several processes of the site, which answers at `port`.
    pub(crate) fn start_role(&self, role: &str, port: u16) -> Running {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("run.log"))
            .unwrap();
        let child = Command::new(ANIMOV)
            .args([role, "--bind", &format!("127.0.0.1:{port}"), "--config"])
            .arg(&self.config)
            .args(["--state", self.state().to_str().unwrap()])
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Running { child }
    }

    /// Starts `animov run` and waits until it is ready.
    pub(crate) fn start_ready(&self) -> Running {
        let mut running = self.start(None);
        self.wait_ready(&mut running);
        running
    }

    /// Waits until the program is ready or gone; whether it is ready.
    pub(crate) fn wait_ready(&self, running: &mut Running) -> bool {
        within(PATIENCE, "readiness", || {
            if running.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            ureq::get(self.url("/readyz")).call().is_ok().then_some(true)
        })
    }

    /// What the program has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("run.log")).unwrap_or_default()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(self.url(path)).call().unwrap();
        answer.body_mut().read_json().unwrap()
    }

    /// Posts frames; whether the program has acknowledged them.
    pub(crate) fn post(&self, frames: &[Counted]) -> bool {
        let body: Vec<Value> = frames.iter().map(Counted::json).collect();
        ureq::post(self.url("/v1/frames"))
            .config()
            .timeout_global(Some(Duration::from_secs(10)))
            .build()
            .send_json(&body)
            .is_ok()
    }

    /// Waits until so many frames are counted.
    pub(crate) fn wait_accepted(&self, frames: u64) {
        within(PATIENCE, "all frames to be counted", || {
            let audit = self.get("/v1/audit");
            let accepted = audit["sources"].as_array().unwrap().iter();
            let accepted: u64 = accepted.map(|source| source["accepted"].as_u64().unwrap()).sum();
            assert!(accepted <= frames, "{accepted} counted of {frames}");
            (accepted == frames).then_some(())
        });
    }

    /// Runs `animov` on this site, with its configuration and its state folder.
    pub(crate) fn animov(&self, arguments: &[&str]) -> Output {
        let (config, state) = (&self.config, self.state());
        let place = ["--config", config.to_str().unwrap(), "--state", state.to_str().unwrap()];
        animov(&[arguments, &place].concat())
    }

    /// Every window and metric of one size, as exported.
    pub(crate) fn exported(&self, size: &str) -> Vec<Value> {
        let told = self.animov(&["export", "windows", "--size", size, "--format", "ndjson"]);
        lines(&succeeded(told))
    }
}

/// A port that is free now; nobody else on the machine takes it within a test.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs `animov` to its end.
pub(crate) fn animov(arguments: &[&str]) -> Output {
    Command::new(ANIMOV).args(arguments).env("RUST_LOG", "warn").output().unwrap()
}

/// What a command that must succeed has printed.
pub(crate) fn succeeded(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{} {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that must fail has said.
pub(crate) fn failed(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "succeeded: {error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

/// JSON, one value a line.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `../shared`, where there is one.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: {} is not here", path.display());
    None
}

/// Asks `question` until it has an answer.
pub(crate) fn within<T>(
    patience: Duration,
    what: &str,
    mut question: impl FnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(begun.elapsed() < patience, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running `animov`, killed with the test.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    /// Sends `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// SIGKILL, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; it must end by itself, and well.
    pub(crate) fn terminate(mut self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let ended = within(PATIENCE, "a graceful end", || self.child.try_wait().unwrap());
        assert!(ended.success(), "{ended}");
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> std::process::ExitStatus {
        within(PATIENCE, "its end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Reads lines of `from` until one holds `word`.
pub(crate) fn line_with(from: impl Read, word: &str) -> Option<String> {
    let mut lines = BufReader::new(from).lines().map_while(Result::ok);
    lines.find(|line| line.contains(word))
}
