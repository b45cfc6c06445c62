//! What several tests use.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use producers::detect::onnx::{OnnxDetector, OnnxOptions};
use producers::detect::{DetectError, Detector};
use producers::input::Input;
use producers::pixels::Pixels;
use schemas::avro::{self, Schemas};
use schemas::frame::{Detection, Frame, Model};
use schemas::log::{Bounds, FrameLog, LogError, LogId, LogReader, Offset, Partition};
use schemas::source::SourceId;

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A development asset, or nothing and a line that says so.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let asset = workspace().join("../shared").join(path);
    if asset.exists() {
        return Some(asset);
    }
    println!("SKIPPED: there is no {}", asset.display());
    None
}

/// One of the tiny models that `tests/data/models/make.py` made.
pub(crate) fn tiny_model(name: &str) -> PathBuf {
    workspace().join("tests/data/models").join(name)
}

pub(crate) fn load(model: &Path, confidence: f32) -> OnnxDetector {
    let options = OnnxOptions { confidence: Some(confidence), ..OnnxOptions::new(model) };
    // Without ONNX Runtime, the error says how to get it.
    OnnxDetector::load(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// A folder, and clips made into it.
pub(crate) struct Clips(tempfile::TempDir);

impl Clips {
    pub(crate) fn new() -> Clips {
        Clips(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes the clip `name` with these arguments of ffmpeg, and tells its path.
    pub(crate) fn make(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.path(name);
        let output = ffmpeg(arguments).arg(&path).output();
        let output = output.expect("the ffmpeg command is needed: install the package ffmpeg");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    }
}

pub(crate) fn ffmpeg(arguments: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).args(arguments.split_whitespace());
    command
}

pub(crate) fn input(path: &Path) -> Input {
    Input::from(path)
}

/// A process that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Sends it a signal: `STOP`, `CONT` …
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.0.id().to_string()]).status();
        assert!(sent.expect("the kill command is needed: install the package procps").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A camera: serves a moving test picture over HTTP to one client at a time, at its
/// own pace.
pub(crate) fn serve(port: u16) -> Running {
    let picture = "-re -f lavfi -i testsrc2=size=128x96:rate=10 -c:v mpeg2video -g 5 -f mpegts";
    let child = ffmpeg(picture)
        .args(["-flush_packets", "1", "-listen", "1"])
        .arg(format!("http://127.0.0.1:{port}/"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.expect("the ffmpeg command is needed: install the package ffmpeg"))
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `done`, half a minute at most.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A log in memory.
#[derive(Default)]
pub(crate) struct MemoryLog(Mutex<Vec<Frame>>);

impl MemoryLog {
    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn shared() -> (Arc<MemoryLog>, Arc<dyn FrameLog>) {
        let log = Arc::new(MemoryLog::default());
        (Arc::clone(&log), log)
    }
}

impl FrameLog for MemoryLog {
    fn identity(&self) -> LogId {
        LogId("memory".into())
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn append(&self, records: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        let frames =
            records.iter().map(|(_, bytes)| avro::decode(bytes, &Schemas::builtin()).unwrap());
        self.0.lock().unwrap().extend(frames);
        Ok(())
    }

    fn bounds(&self, _: Partition) -> Result<Bounds, LogError> {
        Err(LogError::ReadOnly)
    }

    fn reader(&self, _: Partition, _: Offset) -> Result<Box<dyn LogReader>, LogError> {
        Err(LogError::ReadOnly)
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }
}

/// Sees one goat in every picture, and takes its time for it.
pub(crate) struct OneGoat {
    model: Model,
    slowness: Duration,
}

impl OneGoat {
    pub(crate) fn taking(slowness: Duration) -> OneGoat {
        OneGoat { model: Model { name: "goat".into(), hash: "0".into() }, slowness }
    }
}

impl Detector for OneGoat {
    fn model(&self) -> &Model {
        &self.model
    }

    fn detect(&mut self, _: &Pixels<'_>, found: &mut Vec<Detection>) -> Result<(), DetectError> {
        std::thread::sleep(self.slowness);
        found.clear();
        let class = "standing".into();
        found.push(Detection { class, confidence: 0.9, x: 0.1, y: 0.1, w: 0.2, h: 0.2 });
        Ok(())
    }
}
