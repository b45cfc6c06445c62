//! Cameras over RTSP, from a server that streams H.264: GStreamer's.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use producers::camera::{Camera, Ended};
use producers::input::Input;
use schemas::frame::Frame;
use schemas::time::{Clock, SystemClock};

use crate::barn::{Barn, camera, event_times};
use crate::support::{Clips, Running, free_port, until};

/// Set to make a missing server a failure instead of a skipped test.
const REQUIRE: &str = "ANIMOV_REQUIRE_RTSP";

const PACKAGES: &str = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good \
    gstreamer1.0-plugins-bad";

/// The system's own: other Pythons do not see the packages of the system.
const PYTHON: &str = "/usr/bin/python3";

const SILENCE_MAX: Duration = Duration::from_millis(2500);

/// An RTSP camera's program, address and film.
struct Server {
    port: u16,
    film: PathBuf,
}

impl Server {
    /// A server of `seconds` of film; nothing, and a line that says so, where it
    /// cannot run.
    fn find(clips: &Clips, seconds: u32) -> Option<Server> {
        let check = Command::new(PYTHON).arg(script()).output();
        let lacks = match check {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(lacks) = lacks {
            let why =
                format!("{PYTHON} cannot run GStreamer's RTSP server; install {PACKAGES}\n{lacks}");
            assert!(std::env::var_os(REQUIRE).is_none(), "{REQUIRE} is set, and {why}");
            #[expect(
                clippy::explicit_write,
                reason = "the harness keeps to itself what a passing test prints"
            )]
            writeln!(std::io::stderr(), "SKIPPED: {why}").unwrap();
            return None;
        }
        // A key frame a second, as surveillance cameras are set.
        let film = format!(
            "-f lavfi -i testsrc2=s=128x96:r=10:d={seconds} \
            -c:v libx264 -pix_fmt yuv420p -g 10 -sc_threshold 0"
        );
        Some(Server { port: free_port(), film: clips.make("cam.mp4", &film) })
    }

    fn start(&self) -> Running {
        let mut command = Command::new(PYTHON);
        command.arg(script()).arg(self.port.to_string()).arg(&self.film);
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn camera(&self) -> Camera {
        let input = Input::new(format!("rtsp://127.0.0.1:{}/cam", self.port));
        Camera { silence_max: SILENCE_MAX, ..camera(input) }
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rtsp_server.py")
}

/// Waits until `more` frames than now are in the log.
fn until_frames(barn: &Barn, more: usize, when: &str) {
    let wanted = barn.log.frames().len() + more;
    until(&format!("{more} frames came {when}"), || wanted <= barn.log.frames().len());
}

/// Waits until the connection of now is lost, and tells how long that took.
fn until_lost(barn: &Barn, what: &str) -> Duration {
    let began = Instant::now();
    let reconnects = barn.count("animov_camera_reconnects_total");
    until(what, || reconnects < barn.count("animov_camera_reconnects_total"));
    assert_ne!(barn.count("animov_camera_state"), 2, "lost, and yet it says live");
    began.elapsed()
}

/// The frames were sampled once a second of event time, soon after they were captured.
fn sampled_each_second(frames: &[Frame]) {
    let times = event_times(frames, frames[0].captured_at);
    let seconds: Vec<i64> = times.iter().map(|time| time.div_euclid(1000)).collect();
    assert!(seconds.is_sorted_by(|one, next| one < next), "twice in a second: {times:?}");
    for frame in frames {
        let lag = frame.produced_at.since(frame.captured_at);
        assert!(lag < Duration::from_secs(7), "{lag:?} behind");
    }
}

#[test]
fn an_rtsp_camera_outlives_a_stall_and_a_crash_of_its_server() {
    let (clips, barn) = (Clips::new(), Barn::new());
    let Some(server) = Server::find(&clips, 120) else { return };
    let began_at = SystemClock.now();
    let mut serving = server.start();
    let running = barn.spawn(server.camera(), Duration::ZERO);

    until_frames(&barn, 4, "from a server that streams");
    assert_eq!(barn.count("animov_camera_state"), 2);
    let undisturbed = barn.log.frames();
    assert!(began_at <= undisturbed[0].captured_at);
    for pair in undisturbed.windows(2) {
        let apart = pair[1].captured_at.since(pair[0].captured_at);
        assert!(apart < Duration::from_secs(2), "a second was left out: {undisturbed:?}");
    }

    // The machine of the camera hangs: its connections stay open, and nothing comes.
    serving.signal("STOP");
    let noticed = until_lost(&barn, "the silence was noticed");
    assert!(noticed < SILENCE_MAX * 2, "{noticed:?}");
    let silent_from = SystemClock.now();
    until_lost(&barn, "connecting to it was given up");
    let silent_until = SystemClock.now();
    serving.signal("CONT");
    until_frames(&barn, 3, "after the stall");

    // It loses its power, and comes back.
    serving.0.kill().unwrap();
    until_lost(&barn, "the loss was noticed");
    let gone_from = SystemClock.now();
    until_lost(&barn, "nobody was there to connect to");
    let gone_until = SystemClock.now();
    serving = server.start();
    until_frames(&barn, 3, "from the server that was started again");

    let told = Instant::now();
    barn.stop.stop();
    assert_eq!(running.join().unwrap().unwrap(), Ended::Stopped);
    assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
    drop(serving);
    let frames = barn.frames();
    sampled_each_second(&frames);
    for (from, to) in [(silent_from, silent_until), (gone_from, gone_until)] {
        let made_up =
            frames.iter().find(|frame| from < frame.captured_at && frame.captured_at < to);
        assert_eq!(made_up, None, "captured while nothing came, {from} to {to}");
    }
}

#[test]
fn an_rtsp_stream_that_ends_is_a_camera_that_hung_up() {
    let (clips, barn) = (Clips::new(), Barn::new());
    // Its server says how long the film is; a camera does not end for that.
    let Some(server) = Server::find(&clips, 3) else { return };
    let serving = server.start();
    let running = barn.spawn(server.camera(), Duration::ZERO);
    until_frames(&barn, 2, "from a short film");
    until_lost(&barn, "the film ended");
    until_frames(&barn, 2, "from its second showing");

    // In the middle of a silence, too, it ends when it is told to.
    serving.signal("STOP");
    let told = Instant::now();
    barn.stop.stop();
    assert_eq!(running.join().unwrap().unwrap(), Ended::Stopped);
    assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
    sampled_each_second(&barn.frames());
}
