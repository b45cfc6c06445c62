//! Cameras from their input to the log.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use producers::annotate;
use producers::camera::{self, Camera, Ended, Surroundings, Watcher};
use producers::config::HerdConfig;
use producers::input::Input;
use producers::pixels::Pixels;
use producers::sample::Cadence;
use producers::simulate;
use schemas::frame::{Frame, Seen};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use crate::barn::{Barn, camera, event_times};
use crate::support::{Clips, free_port, input, load, serve, tiny_model, until};

fn clip(clips: &Clips, seconds: u32) -> Input {
    let source = format!("-f lavfi -i testsrc2=s=64x48:r=10:d={seconds} -c:v mpeg4 -bf 2");
    input(&clips.make("clip.avi", &source))
}

const LONG_AGO: UnixMillis = UnixMillis::new(1_772_323_200_000);

#[test]
fn a_recording_of_long_ago_is_worked_off_at_once() {
    let (clips, barn) = (Clips::new(), Barn::new());
    let recording = Camera { started_at: Some(LONG_AGO), ..camera(clip(&clips, 20)) };
    let began = Instant::now();
    assert_eq!(barn.run(&recording).unwrap(), Ended::File);
    assert!(began.elapsed() < Duration::from_secs(15), "faster than it was filmed");
    assert_eq!(barn.count("animov_pictures_decoded_total"), 200);
    assert_eq!(barn.count("animov_camera_state"), 0);
    let frames = barn.frames();
    let seconds: Vec<i64> = (0..20).map(|second| second * 1000).collect();
    assert_eq!(event_times(&frames, LONG_AGO), seconds);
}

#[test]
fn a_recording_of_now_keeps_the_pace_of_the_clock() {
    let (clips, barn) = (Clips::new(), Barn::new());
    let began = Instant::now();
    assert_eq!(barn.run(&camera(clip(&clips, 3))).unwrap(), Ended::File);
    assert!(Duration::from_secs(2) <= began.elapsed(), "not before it could have been filmed");
    let frames = barn.frames();
    assert_eq!(event_times(&frames, frames[0].captured_at), [0, 1000, 2000]);
}

#[test]
fn a_repeated_recording_goes_on_in_event_time() {
    let (clips, barn) = (Clips::new(), Barn::new());
    let repeated = Camera { started_at: Some(LONG_AGO), repeat: true, ..camera(clip(&clips, 2)) };
    let running = barn.spawn(repeated, Duration::ZERO);
    until("it was repeated", || 10 < barn.log.frames().len());
    barn.stop.stop();
    assert_eq!(running.join().unwrap().unwrap(), Ended::Stopped);
    let times = event_times(&barn.frames(), LONG_AGO);
    let seconds: Vec<i64> = (0..).map(|second| second * 1000).take(times.len()).collect();
    assert_eq!(times, seconds);
}

#[test]
fn the_first_frame_carries_its_picture_and_then_one_every_so_often() {
    let (clips, barn) = (Clips::new(), Barn::new());
    let pictured = Camera {
        started_at: Some(LONG_AGO),
        snapshot_every: Duration::from_millis(2500),
        repeat: true,
        ..camera(clip(&clips, 3))
    };
    let running = barn.spawn(pictured, Duration::ZERO);
    until("it was repeated", || 10 < barn.log.frames().len());
    barn.stop.stop();
    assert_eq!(running.join().unwrap().unwrap(), Ended::Stopped);
    let mut at = Vec::new();
    for frame in barn.frames() {
        let Seen::Detections(picture) = &frame.seen else { panic!("{frame:?}") };
        let Some(image) = &picture.image else { continue };
        at.push(frame.captured_at.since(LONG_AGO).as_secs());
        let shown = image::load_from_memory(image.bytes()).unwrap();
        assert_eq!((shown.width(), shown.height()), (64, 48));
    }
    // The first frame of every 2.5 s, also where the recording begins again.
    assert_eq!(at[..4], [0, 3, 5, 8]);
    let (clips, barn) = (Clips::new(), Barn::new());
    barn.run(&Camera { started_at: Some(LONG_AGO), ..camera(clip(&clips, 2)) }).unwrap();
    let bare =
        |frame: &Frame| matches!(&frame.seen, Seen::Detections(seen) if seen.image.is_none());
    assert!(barn.frames().iter().all(bare), "zero is never");
}

#[test]
fn a_start_that_is_still_to_come_is_a_mistake() {
    let (clips, barn) = (Clips::new(), Barn::new());
    let started_at = Some(barn.clock.now().plus(Duration::from_secs(3600)));
    let error = barn.run(&Camera { started_at, ..camera(clip(&clips, 1)) }).unwrap_err();
    assert!(error.to_string().contains("is still to come"), "{error}");
    let missing = barn.run(&camera(Input::new("/nowhere/goats.mp4"))).unwrap_err();
    assert!(missing.to_string().contains("check that it exists"), "{missing}");
}

#[test]
fn a_camera_that_dies_is_connected_to_again() {
    let barn = Barn::new();
    let port = free_port();
    let live = Camera {
        every: "200ms".parse().unwrap(),
        silence_max: Duration::from_secs(3),
        ..camera(Input::new(format!("http://127.0.0.1:{port}/")))
    };
    // Nobody there yet: it waits.
    let running = barn.spawn(live, Duration::ZERO);
    until("an attempt failed", || 0 < barn.count("animov_camera_reconnects_total"));
    let first = serve(port);
    until("pictures come", || 5 < barn.log.frames().len());
    assert_eq!(barn.count("animov_camera_state"), 2);
    drop(first);
    let before = barn.log.frames().len();
    let _second = serve(port);
    until("pictures come again", || before + 5 < barn.log.frames().len());

    let told = Instant::now();
    barn.stop.stop();
    assert_eq!(running.join().unwrap().unwrap(), Ended::Stopped);
    assert!(told.elapsed() < Duration::from_secs(1));
    let frames = barn.frames();
    let times = event_times(&frames, frames[0].captured_at);
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_detector_that_is_too_slow_loses_pictures_and_says_how_many() {
    let barn = Barn::new();
    let port = free_port();
    let _server = serve(port);
    let every_frame = Camera {
        every: Cadence::EachFrame,
        ..camera(Input::new(format!("http://127.0.0.1:{port}/")))
    };
    let running = barn.spawn(every_frame, Duration::from_millis(400));
    until("pictures are dropped", || 0 < barn.count("animov_pictures_dropped_total"));
    barn.stop.stop();
    assert_eq!(running.join().unwrap().unwrap(), Ended::Stopped);
    let sampled = barn.count("animov_pictures_sampled_total");
    let dropped = barn.count("animov_pictures_dropped_total");
    let frames = barn.frames();
    for frame in &frames {
        let lag = frame.produced_at.since(frame.captured_at);
        assert!(lag < Duration::from_secs(7), "{lag:?} behind");
    }
    // One may have been under way when it was told to stop.
    let looked_at = i64::try_from(frames.len()).unwrap();
    assert!((0..=1).contains(&(sampled - dropped - looked_at)), "{sampled} {dropped} {looked_at}");
}

/// A camera that sends JPEGs over HTTP, five a second, to whoever asks first: a stream
/// without times. Returns its port.
fn send_jpegs(clips: &Clips) -> u16 {
    let picture = clips.make("one.jpg", "-f lavfi -i testsrc2=s=64x48:r=1 -frames:v 1");
    let picture = std::fs::read(picture).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        _ = stream.read(&mut [0; 4096])?;
        let kind = "Content-Type: multipart/x-mixed-replace;boundary=picture\r\n";
        write!(stream, "HTTP/1.0 200 OK\r\n{kind}\r\n")?;
        loop {
            let head = format!("Content-Type: image/jpeg\r\nContent-Length: {}", picture.len());
            write!(stream, "--picture\r\n{head}\r\n\r\n")?;
            stream.write_all(&picture)?;
            stream.write_all(b"\r\n")?;
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    port
}

#[test]
fn pictures_of_a_stream_without_times_were_captured_when_they_came() {
    let (clips, barn) = (Clips::new(), Barn::new());
    let address = format!("http://127.0.0.1:{}/video.mjpg", send_jpegs(&clips));
    let running = barn.spawn(camera(Input::new(address)), Duration::ZERO);
    until("ten seconds were seen", || 10 <= barn.log.frames().len());
    barn.stop.stop();
    assert_eq!(running.join().unwrap().unwrap(), Ended::Stopped);
    assert_eq!(barn.count("animov_pictures_dropped_total"), 0);
    let frames = barn.frames();
    for pair in frames.windows(2) {
        let apart = pair[1].captured_at.since(pair[0].captured_at);
        assert!(Duration::from_millis(600) < apart && apart < Duration::from_secs(3), "{apart:?}");
        let lag = pair[1].produced_at.since(pair[1].captured_at);
        assert!(lag < Duration::from_secs(2), "{lag:?} behind");
    }
}

/// Keeps the last annotated picture.
#[derive(Default)]
struct Album(Mutex<Vec<u8>>);

impl Watcher for Album {
    fn see(&self, frame: &Frame, pixels: &Pixels<'_>) {
        let Seen::Detections(picture) = &frame.seen else { panic!("{frame:?}") };
        *self.0.lock().unwrap() = annotate::annotated_jpeg(pixels, &picture.detections).unwrap();
    }
}

#[test]
fn a_watcher_sees_the_pictures_and_their_boxes() {
    let (clips, barn) = (Clips::new(), Barn::new());
    let album = Arc::new(Album::default());
    let watcher: Arc<dyn Watcher> = Arc::<Album>::clone(&album);
    let around = Surroundings { watcher: Some(watcher), ..barn.around() };
    let recording = Camera { started_at: Some(LONG_AGO), ..camera(clip(&clips, 1)) };
    let mut publisher = barn.publisher.source(recording.source);
    let mut detector = load(&tiny_model("barn_v8.onnx"), 0.5);
    camera::run(&recording, &mut detector, &mut publisher, &around).unwrap();
    drop(publisher);
    assert_eq!(barn.count("animov_detections_total"), 3);
    let frames = barn.frames();
    let [Frame { seen: Seen::Detections(picture), .. }] = frames.as_slice() else { panic!() };
    assert_eq!((picture.width, picture.height, picture.detections.len()), (64, 48, 3));
    let saved = clips.path("saved.jpg");
    std::fs::write(&saved, &*album.0.lock().unwrap()).unwrap();
    assert!(is_a_picture(&saved, (64, 48)));
}

fn is_a_picture(path: &Path, size: (u32, u32)) -> bool {
    image::image_dimensions(path).unwrap() == size
}

#[test]
fn a_herd_catches_up_with_now_and_never_runs_ahead() {
    let barn = Barn::new();
    let sources: Vec<SourceId> = (1..=4).map(|id| SourceId::try_from(id).unwrap()).collect();
    let config = HerdConfig {
        every: Duration::from_millis(100),
        started_ago: Duration::from_secs(30),
        speed: 60.0,
        ..HerdConfig::new(sources.clone())
    };
    let run = config.run(barn.clock.now());
    let mut publishers: Vec<_> = sources.iter().map(|id| barn.publisher.source(*id)).collect();
    std::thread::scope(|threads| {
        let herd = threads.spawn(|| simulate::run(&run, &mut publishers, &barn.clock, &barn.stop));
        until("event time has caught up", || 4 * 310 < barn.log.frames().len());
        barn.stop.stop();
        herd.join().unwrap().unwrap();
    });
    drop(publishers);
    let frames = barn.frames();
    for id in sources {
        let of_source: Vec<&Frame> = frames.iter().filter(|frame| frame.id.source == id).collect();
        for (n, frame) in (0..).zip(of_source) {
            assert_eq!(frame.captured_at, run.started_at.plus(Duration::from_millis(100) * n));
            assert!(frame.captured_at <= frame.produced_at);
            frame.check().unwrap();
        }
    }
}
