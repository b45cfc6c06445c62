//! Everything that is called a video, and some things that are not.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use producers::decode::{DecodeError, DecodeOptions, Decoder};
use producers::detect::letterbox::{Channels, InputFormat, Placement, Range, Size};
use producers::input::Input;
use producers::inspect::decode_and_scale;
use proptest::prelude::*;

use schemas::stop::Stop;

use crate::support::{Clips, free_port, input, shared};

/// All pictures of a file: their times in milliseconds.
fn times(path: &Path) -> Result<Vec<u64>, DecodeError> {
    let mut decoder = Decoder::open(&input(path), &DecodeOptions::default())?;
    let mut times = Vec::new();
    while let Some(at) = decoder.advance()? {
        times.push(u64::try_from(at.as_millis()).unwrap());
        decoder.pixels()?;
    }
    assert!(times.is_sorted() && times.first() == Some(&0), "{times:?}");
    Ok(times)
}

/// The colour in the middle of a file's first picture.
fn colour(path: &Path) -> [u8; 3] {
    let mut decoder = Decoder::open(&input(path), &DecodeOptions::default()).unwrap();
    decoder.advance().unwrap().unwrap();
    let picture = decoder.pixels().unwrap();
    let row = picture.row(usize::try_from(picture.height() / 2).unwrap());
    let middle = usize::try_from(picture.width() / 2).unwrap() * 3;
    [row[middle], row[middle + 1], row[middle + 2]]
}

/// Has the only track of an MP4 turned by these four numbers, as a phone does it.
fn turned(path: &Path, [a, b, c, d]: [i32; 4]) {
    let mut film = fs::read(path).unwrap();
    let header = film.windows(4).position(|four| four == b"tkhd").unwrap();
    let matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30];
    let bytes: Vec<u8> = matrix.iter().flat_map(|number| number.to_be_bytes()).collect();
    film[header + 44..header + 80].copy_from_slice(&bytes);
    fs::write(path, film).unwrap();
}

/// Red on the left, blue on the right.
const RED_AND_BLUE: &str = "-f lavfi -i color=c=red:s=32x48:r=5:d=1 \
     -f lavfi -i color=c=blue:s=32x48:r=5:d=1 -filter_complex hstack";

/// Whether the first picture of `path` has this size, and is red at this place.
fn is_red_at(path: &Path, size: (u32, u32), (x, y): (usize, usize)) -> bool {
    let mut decoder = Decoder::open(&input(path), &DecodeOptions::default()).unwrap();
    decoder.advance().unwrap().unwrap();
    assert_eq!(decoder.size(), size);
    let pixels = decoder.pixels().unwrap();
    assert_eq!((pixels.width(), pixels.height()), size);
    let pixel = &pixels.row(y)[3 * x..3 * x + 3];
    200 < pixel[0] && pixel[2] < 60
}

#[test]
fn a_photo_is_seen_upright() {
    let clips = Clips::new();
    let photo = clips.make("held.jpg", &format!("{RED_AND_BLUE} -frames:v 1"));
    assert!(is_red_at(&photo, (64, 48), (8, 24)));
    let plain = fs::read(&photo).unwrap();
    // Exif with one entry, the orientation: turned clockwise by a quarter.
    let exif =
        b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    fs::write(&photo, [&plain[..2], exif, &plain[2..]].concat()).unwrap();
    assert!(is_red_at(&photo, (48, 64), (24, 8)));
}

#[test]
fn a_film_is_seen_upright() {
    let clips = Clips::new();
    let film = clips.make("held.mp4", &format!("{RED_AND_BLUE} -c:v libx264 -pix_fmt yuv420p"));
    for (matrix, size, red_at) in [
        ([1, 0, 0, 1], (64, 48), (8, 24)),
        ([0, 1, -1, 0], (48, 64), (24, 8)),
        ([-1, 0, 0, -1], (64, 48), (56, 24)),
        ([0, -1, 1, 0], (48, 64), (24, 56)),
    ] {
        turned(&film, matrix);
        assert!(is_red_at(&film, size, red_at), "{matrix:?}");
    }
}

#[test]
fn codecs_containers_and_formats_all_give_their_pictures() {
    let clips = Clips::new();
    for (name, codec) in [
        ("h264.mp4", "-c:v libx264 -bf 2 -pix_fmt yuv420p"),
        ("full_range.mp4", "-c:v libx264 -pix_fmt yuvj420p"),
        ("mpeg4.avi", "-c:v mpeg4 -bf 2"),
        ("msmpeg4.avi", "-c:v msmpeg4v2"),
        ("mjpeg.avi", "-c:v mjpeg -pix_fmt yuvj422p"),
        ("raw.avi", "-c:v rawvideo -pix_fmt bgr24"),
        ("raw.nut", "-c:v rawvideo -pix_fmt yuv444p"),
        ("lossless.mkv", "-c:v ffv1 -pix_fmt yuv422p10le"),
        ("mpeg2.ts", "-c:v mpeg2video"),
        ("vp8.webm", "-c:v libvpx -deadline realtime"),
        ("palette.gif", ""),
    ] {
        for size in ["64x48", "66x50"] {
            let path =
                clips.make(name, &format!("-f lavfi -i color=c=red:s={size}:r=10:d=2 {codec}"));
            let times = times(&path).unwrap();
            assert_eq!(times.len(), 20, "{name}");
            assert_eq!(times.last(), Some(&1900), "{name}");
            let [r, g, b] = colour(&path);
            assert!(240 < r && g < 16 && b < 16, "{name}, {size}: {r} {g} {b}");
        }
    }
}

#[test]
fn an_image_is_one_picture() {
    let clips = Clips::new();
    for name in ["goat.jpg", "goat.png", "goat.bmp"] {
        let path = clips.make(name, "-f lavfi -i color=c=blue:s=33x17 -frames:v 1");
        assert_eq!(times(&path).unwrap(), [0], "{name}");
        let [r, g, b] = colour(&path);
        assert!(r < 16 && g < 16 && 240 < b, "{name}: {r} {g} {b}");
    }
    let grey =
        clips.make("grey.png", "-f lavfi -i color=c=white:s=20x20 -frames:v 1 -pix_fmt gray");
    assert_eq!(colour(&grey), [255, 255, 255]);
    let one = clips.make("one.mp4", "-f lavfi -i testsrc2=s=64x48 -frames:v 1");
    assert_eq!(times(&one).unwrap(), [0]);
}

#[test]
fn odd_timestamps_still_begin_at_the_start_and_go_forward() {
    let clips = Clips::new();
    let source = "-f lavfi -i testsrc2=s=64x48:r=10:d=3";
    let negative = clips.make(
        "negative.mkv",
        &format!("{source} -c:v mpeg4 -output_ts_offset -1 -avoid_negative_ts disabled"),
    );
    assert_eq!(times(&negative).unwrap().len(), 30);
    let late = clips.make("late.ts", &format!("{source} -c:v mpeg2video -output_ts_offset 90000"));
    assert_eq!(times(&late).unwrap().last(), Some(&2900));
    let gaps = "-vf select='not(between(n,5,14))' -vsync vfr -c:v libx264 -bf 2";
    let gaps = times(&clips.make("gaps.mp4", &format!("{source} {gaps}"))).unwrap();
    assert_eq!((gaps.len(), gaps[4], gaps[5], gaps.last()), (20, 400, 1500, Some(&2900)));
    // No timestamps at all: an elementary stream.
    let bare = times(&clips.make("bare.h264", &format!("{source} -c:v libx264 -bf 2"))).unwrap();
    assert_eq!(bare.len(), 30);
}

#[test]
fn keyframes_alone_are_a_choice() {
    let clips = Clips::new();
    let path = clips.make(
        "keys.mp4",
        "-f lavfi -i testsrc2=s=64x48:r=10:d=4 -c:v libx264 -g 10 -sc_threshold 0",
    );
    let options = DecodeOptions { keyframes_only: true, ..DecodeOptions::default() };
    let mut decoder = Decoder::open(&input(&path), &options).unwrap();
    let mut keys = Vec::new();
    while let Some(at) = decoder.advance().unwrap() {
        keys.push(at.as_millis());
    }
    assert_eq!(keys, [0, 1000, 2000, 3000]);
    let threads = DecodeOptions { threads: 3, ..DecodeOptions::default() };
    let mut decoder = Decoder::open(&input(&path), &threads).unwrap();
    while decoder.advance().unwrap().is_some() {}
    assert_eq!(decoder.decoded(), 40);
}

#[test]
fn what_is_no_video_is_said_to_be_none() {
    let clips = Clips::new();
    let written = |name: &str, bytes: &[u8]| {
        let path = clips.path(name);
        fs::write(&path, bytes).unwrap();
        times(&path).unwrap_err().to_string()
    };
    for (name, bytes) in [
        ("text.mp4", &b"Dear diary, today the goats lay in the sun.\n".repeat(50)[..]),
        ("empty.mp4", b""),
        ("zeros.mp4", &[0; 10_000]),
    ] {
        let error = written(name, bytes);
        let says = error.contains("it is no video or image that this FFmpeg reads")
            || error.contains("holds no video");
        assert!(says && error.contains(name), "{error}");
    }
    let sound = clips.make("sound.wav", "-f lavfi -i sine=d=0.2");
    assert!(matches!(times(&sound), Err(DecodeError::NoVideo { .. })));
    let missing = times(Path::new("/nowhere/goats.mp4")).unwrap_err().to_string();
    assert!(missing.contains("check that it exists"), "{missing}");
    assert!(matches!(times(Path::new("a\0b")), Err(DecodeError::Open { .. })));
    let folder = times(Path::new("/tmp")).unwrap_err();
    assert!(matches!(folder, DecodeError::Open { .. }), "{folder}");
}

#[test]
fn a_file_that_is_cut_off_gives_what_it_has() {
    let clips = Clips::new();
    let source = "-f lavfi -i testsrc2=s=128x96:r=25:d=4 -c:v libx264 -g 25";
    let index_last = fs::read(clips.make("last.mp4", source)).unwrap();
    let index_first =
        fs::read(clips.make("first.mp4", &format!("{source} -movflags +faststart"))).unwrap();
    let cut = clips.path("cut.mp4");
    fs::write(&cut, &index_last[..index_last.len() / 2]).unwrap();
    assert!(
        matches!(times(&cut), Err(DecodeError::Open { .. })),
        "without its index it is no video"
    );
    fs::write(&cut, &index_first[..index_first.len() * 6 / 10]).unwrap();
    let pictures = times(&cut).unwrap().len();
    assert!((20..100).contains(&pictures), "{pictures}");
}

#[test]
fn a_source_that_changes_its_size_goes_on() {
    let clips = Clips::new();
    let [small, large] = ["64x48", "128x64"].map(|size| {
        clips.make(
            &format!("{size}.ts"),
            &format!("-f lavfi -i testsrc2=s={size}:r=10:d=1 -c:v mpeg2video"),
        )
    });
    let both = clips.path("both.ts");
    fs::write(&both, [fs::read(small).unwrap(), fs::read(large).unwrap()].concat()).unwrap();
    let mut decoder = Decoder::open(&input(&both), &DecodeOptions::default()).unwrap();
    let mut sizes = Vec::new();
    while decoder.advance().unwrap().is_some() {
        let picture = decoder.pixels().unwrap();
        sizes.push((picture.width(), picture.height()));
    }
    sizes.dedup();
    assert_eq!(sizes, [(64, 48), (128, 64)]);
    let size = Size { width: 64, height: 64 };
    let format = InputFormat {
        size,
        placement: Placement::Centre,
        channels: Channels::Rgb,
        range: Range::Unit,
    };
    let scaled = decode_and_scale(&input(&both), format, &DecodeOptions::default()).unwrap();
    assert_eq!(scaled, decoder.decoded());
}

#[test]
fn a_recording_says_when_it_was_made() {
    let clips = Clips::new();
    let source = "-f lavfi -i testsrc2=s=64x48:r=10:d=1 -c:v mpeg4";
    let dated =
        clips.make("dated.mp4", &format!("{source} -metadata creation_time=2026-03-01T10:00:00Z"));
    let created =
        |path| Decoder::open(&input(path), &DecodeOptions::default()).unwrap().created_at();
    assert_eq!(created(&dated).unwrap().to_string(), "2026-03-01T10:00:00Z");
    assert_eq!(created(&clips.make("undated.avi", source)), None);
}

#[test]
fn a_camera_that_never_answers_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for scheme in ["http", "rtsp"] {
        let silent = Input::new(format!("{scheme}://u:secret@127.0.0.1:{port}/cam"));
        let options =
            DecodeOptions { silence_max: Duration::from_millis(700), ..DecodeOptions::default() };
        let began = Instant::now();
        let error = Decoder::open(&silent, &options).map(|_| ()).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(10), "{scheme}");
        assert!(matches!(error, DecodeError::Silent { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");

        // Told to stop, it does not wait for the silence to be long enough.
        let stop = Stop::default();
        let options = DecodeOptions {
            silence_max: Duration::from_secs(120),
            stop: stop.clone(),
            ..DecodeOptions::default()
        };
        std::thread::scope(|threads| {
            let opening = threads.spawn(|| Decoder::open(&silent, &options).map(|_| ()));
            assert!(!stop.wait(Duration::from_millis(300)));
            assert!(!opening.is_finished());
            let told = Instant::now();
            stop.stop();
            let error = opening.join().unwrap().unwrap_err();
            assert!(told.elapsed() < Duration::from_secs(1), "{scheme}");
            assert!(matches!(error, DecodeError::Stopped { .. }), "{error}");
        });
    }
    let nobody = Input::new(format!("rtsp://127.0.0.1:{}/", free_port()));
    let error = Decoder::open(&nobody, &DecodeOptions::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("check address, path and password"), "{error}");
}

#[test]
fn every_picture_of_a_real_recording_is_decoded() {
    let Some(video) = shared("videos/street_60s.mp4") else { return };
    let times = times(&video).unwrap();
    assert_eq!((times.len(), times.last()), (1500, Some(&59_960)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn damage_costs_pictures_and_nothing_else(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
    ) {
        static CLIP: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let clips = Clips::new();
        let clip = CLIP.get_or_init(|| {
            let source = "-f lavfi -i testsrc2=s=128x96:r=25:d=2 -c:v libx264 -g 10 -f mpegts";
            fs::read(clips.make("clip.ts", source)).unwrap()
        });
        let mut damaged = clip.clone();
        for (place, byte) in places {
            damaged[place.index(clip.len())] = byte;
        }
        let path = clips.path("damaged.ts");
        fs::write(&path, damaged).unwrap();
        // Whether much is left or nothing: it ends, and says so.
        match times(&path) {
            Ok(times) => prop_assert!(!times.is_empty()),
            Err(error) => prop_assert!(error.to_string().contains("damaged.ts")),
        }
    }
}
