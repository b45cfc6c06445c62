//! Whatever comes in: a clear error or a parked record, nothing lost, nothing
//! stopped.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use schemas::avro;
use schemas::frame::{Detection, Frame, FrameId, Model, Picture, Seen};
use schemas::log::FrameLog;
use schemas::source::{SessionId, SourceId};
use schemas::time::{SystemClock, UnixMillis};
use sinks::log::segments::{Segments, SegmentsConfig};

use crate::oracle;
use crate::support::{Counted, Random, Site, animov, failed, succeeded};

const SESSION: &str = "8c5e6d0a-2f6b-4b0e-9d7f-1f6f5b7c9a11";

fn frame(seq: u64, captured_at: i64, boxes: Vec<[f32; 5]>) -> Vec<u8> {
    let detection = |[confidence, x, y, w, h]: [f32; 5]| Detection {
        class: "lying".into(),
        confidence,
        x,
        y,
        w,
        h,
    };
    let picture = Picture {
        width: 640,
        height: 480,
        model: Model { name: "goats.onnx".into(), hash: "0123456789abcdef".into() },
        detections: boxes.into_iter().map(detection).collect(),
        image: None,
    };
    let frame = Frame {
        id: FrameId {
            source: SourceId::try_from(1).unwrap(),
            session: SESSION.parse::<SessionId>().unwrap(),
            seq,
        },
        captured_at: UnixMillis::new(captured_at),
        produced_at: UnixMillis::new(captured_at),
        seen: Seen::Detections(picture),
    };
    let mut bytes = Vec::new();
    avro::encode(&frame, &mut bytes);
    bytes
}

const NOON: i64 = 1_772_366_400_000;
const GOOD: [f32; 5] = [0.9, 0.1, 0.1, 0.2, 0.2];

#[test]
fn poison_in_the_log_is_parked_and_the_rest_is_counted() {
    let site = Site::new("");
    let good = frame(0, NOON, vec![GOOD, GOOD]);
    let mut random = Random(5);
    let noise: Vec<u8> = (0..500).map(|_| random.below(256).to_le_bytes()[0]).collect();
    let year_2100 = 4_102_444_800_000;
    let records: Vec<(&str, Vec<u8>)> = vec![
        ("good", good.clone()),
        ("not_a_frame", noise),
        ("not_a_frame", Vec::new()),
        ("damaged", good[..good.len() / 2].to_vec()),
        ("unknown_schema", [&[0xC3, 0x01, 1, 2, 3, 4, 5, 6, 7, 8], &good[10..]].concat()),
        ("invalid", frame(1, NOON, vec![[f32::NAN, 0.1, 0.1, 0.2, 0.2]])),
        ("invalid", frame(2, NOON, vec![[0.9, -0.5, 0.1, 0.2, 0.2]])),
        ("invalid", frame(3, NOON, vec![GOOD; 10_000])),
        ("clock_unset", frame(4, 86_400_000, vec![GOOD])),
        ("clock_ahead", frame(5, year_2100, vec![GOOD])),
        ("good", frame(6, NOON + 1000, vec![GOOD; 3])),
    ];
    let log = site.state().join("log");
    std::fs::create_dir_all(site.state()).unwrap();
    let segments = Segments::open(&log, SegmentsConfig::default(), Arc::new(SystemClock)).unwrap();
    let source = SourceId::try_from(1).unwrap();
    for (_, bytes) in &records {
        segments.append(&[(source, bytes)]).unwrap();
    }
    drop(segments);

    let running = site.start_ready();
    site.wait_accepted(2);
    let parked = &site.get("/v1/audit")["parked"];
    for reason in
        ["not_a_frame", "damaged", "unknown_schema", "invalid", "clock_unset", "clock_ahead"]
    {
        let wanted = records.iter().filter(|(what, _)| *what == reason).count();
        assert_eq!(parked[reason].as_u64(), Some(wanted.try_into().unwrap()), "{reason}: {parked}");
    }
    running.terminate();
    succeeded(site.animov(&["audit"]));
    let counted = |seq, captured_at, lying| Counted {
        source: 1,
        session: SESSION.to_owned(),
        seq,
        captured_at,
        lying,
        standing: 0,
    };
    oracle::check(&site, &[counted(0, NOON, 2), counted(6, NOON + 1000, 3)], "UTC");
}

#[test]
fn bad_requests_are_told_what_is_wrong_and_stop_nothing() {
    let site = Site::new("");
    let running = site.start_ready();
    let good = frame(0, NOON, vec![GOOD]);
    let avro = "application/avro";
    let json = "application/json";
    let one = |field: &str, value: &str| {
        format!(
            r#"{{"source":1,"session":"{SESSION}","seq":1,"captured_at":{NOON},"width":9,"height":9,
            "detections":[{{"class":"lying","confidence":0.9,"x":0.1,"y":0.1,"w":0.2,"h":0.2}}],"#
        )
        .replace(&format!(r#""{field}":0.1"#), &format!(r#""{field}":{value}"#))
        .trim_end_matches(',')
        .to_owned()
            + "}"
    };
    let many =
        vec![r#"{"class":"lying","confidence":0.9,"x":0,"y":0,"w":1,"h":1}"#; 10_000].join(",");
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("noise", avro, b"\x00\x01\x02 what is this".to_vec()),
        ("cut off", avro, good[..good.len() - 4].to_vec()),
        ("unknown schema", avro, [&[0xC3, 1, 1, 2, 3, 4, 5, 6, 7, 8], &good[10..]].concat()),
        ("NaN", avro, frame(1, NOON, vec![[f32::NAN, 0.1, 0.1, 0.2, 0.2]])),
        ("no JSON", json, b"{\"source\":".to_vec()),
        ("negative box", json, one("x", "-3").into_bytes()),
        ("infinite box", json, one("y", "1e999").into_bytes()),
        (
            "ten thousand boxes",
            json,
            format!(
                r#"{{"source":1,"session":"{SESSION}","seq":1,"captured_at":{NOON},"detections":[{many}]}}"#
            )
            .into_bytes(),
        ),
    ];
    for (what, content_type, body) in cases {
        let mut answer = ureq::post(site.url("/v1/frames"))
            .config()
            .http_status_as_error(false)
            .build()
            .header("content-type", content_type)
            .send(&body)
            .unwrap();
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap();
        assert!([400, 413, 422].contains(&status), "{what}: {status} {text}");
        println!("{what}: {status} {text}");
    }
    let fine = Counted {
        source: 1,
        session: SESSION.to_owned(),
        seq: 0,
        captured_at: NOON,
        lying: 1,
        standing: 0,
    };
    assert!(site.post(std::slice::from_ref(&fine)));
    site.wait_accepted(1);
    running.terminate();
    oracle::check(&site, &[fine], "UTC");
}

#[test]
fn a_full_disk_refuses_frames_and_takes_them_again_once_there_is_room() {
    let site = Site::new("");
    let state = site.state();
    std::fs::create_dir_all(&state).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(&state)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!("SKIPPED: only root can make a small file system");
        return;
    }
    let _unmount = Unmount(&state);
    let running = site.start_ready();
    std::fs::write(state.join("ballast"), vec![0_u8; 3 << 20]).unwrap();
    let mut frames = Vec::new();
    let mut refused = 0;
    for post in 0..2000 {
        let batch: Vec<Counted> = (0..500)
            .map(|n| Counted {
                source: 1,
                session: SESSION.to_owned(),
                seq: post * 500 + n,
                captured_at: NOON + i64::try_from(post * 500 + n).unwrap() * 1000,
                lying: u32::try_from(n % 7).unwrap(),
                standing: 1,
            })
            .collect();
        if site.post(&batch) {
            frames.extend(batch);
        } else {
            // Refused, so it is the producer's to send again.
            refused += 1;
            if refused == 1 {
                std::fs::remove_file(state.join("ballast")).unwrap();
            }
            crate::support::within(crate::support::PATIENCE, "room", || {
                site.post(&batch).then_some(())
            });
            frames.extend(batch);
            break;
        }
    }
    assert!(0 < refused, "the disk never filled");
    site.wait_accepted(frames.len().try_into().unwrap());
    println!("{} frames, {refused} posts refused", frames.len());
    running.terminate();
    succeeded(site.animov(&["audit"]));
    oracle::check(&site, &frames, "UTC");
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn model(name: &str) -> String {
    format!("{}/tests/data/models/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn what_is_no_video_or_no_model_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (text, empty) = (write("notes.mp4", b"Monday: three goats"), write("empty.mp4", b""));
    let noise = write("noise.onnx", &[7; 4000]);
    let detector = model("barn_v8.onnx");
    for video in [&text, &empty, "/nowhere/at-all.mp4"] {
        let said = failed(&animov(&["detect", video, "--model", &detector]));
        assert!(said.contains(video), "{said}");
    }
    for wrong in [&noise, &model("classifier.onnx"), "/nowhere/model.onnx"] {
        let said = failed(&animov(&["detect", &text, "--model", wrong]));
        assert!(said.contains(wrong), "{said}");
    }
}

#[test]
fn a_configuration_that_cannot_be_right_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("animov.toml");
    let config = config.to_str().unwrap();
    for (text, wanted) in [
        ("[pipeline]\nepoch_frames_max = 0\n", "2"),
        ("[pipeline]\n\nno_such_key = 1\n", "no_such_key"),
        ("[site]\nzone = \"Europe/Goatville\"\n", "Goatville"),
        ("[pipeline\n", "1"),
    ] {
        std::fs::write(config, text).unwrap();
        let said = failed(&animov(&["run", "--config", config]));
        assert!(said.contains(wanted) && said.contains("animov.toml"), "{text}: {said}");
    }
}
