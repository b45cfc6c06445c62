use super::*;

fn read(toml: &str) -> Result<ProducersConfig, String> {
    toml::from_str(toml).map_err(|error| error.to_string())
}

fn faults(toml: &str) -> String {
    let faults = read(toml).unwrap().faults(|name| (name == "SET").then(|| "x".to_owned()));
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_said_is_a_config() {
    let config = read("").unwrap();
    assert_eq!(config, ProducersConfig::default());
    assert_eq!(faults(""), "");
    assert_eq!(PublishOptions::from(&config.publish), PublishOptions::default());
}

#[test]
fn what_is_said_is_meant() {
    let config = read(
        r#"
        [detector]
        model = "goats.onnx"
        confidence = 0.4
        [[camera]]
        source = 3
        url = "rtsp://goat:${SET}@10.0.0.7/main"
        every = "500ms"
        [[camera]]
        source = 4
        url = "night.mp4"
        model = "night.onnx"
        every = "frame"
        snapshot_every = "0s"
        started_at = "2026-03-01T20:00:00+01:00"
        repeat = true
        [[herd]]
        sources = [7, 8]
        speed = 60.0
        started_ago = "6h"
        "#,
    )
    .unwrap();
    assert_eq!(config.faults(|_| Some("secret".to_owned())), []);
    let [barn, night] = config.camera.as_slice() else { panic!("two cameras") };
    assert_eq!((barn.display_name(), barn.every.to_string()), ("camera 3".into(), "500 ms".into()));
    let camera = barn.camera(|_| Some("secret".to_owned())).unwrap();
    assert_eq!(camera.input.reveal(), "rtsp://goat:secret@10.0.0.7/main");
    assert!(!format!("{camera:?} {config:?}").contains("goat:"));
    assert_eq!(
        (barn.snapshot_every, camera.snapshot_every),
        (Duration::from_mins(15), Duration::from_mins(15))
    );
    assert_eq!(night.snapshot_every, Duration::ZERO);
    assert_eq!(night.started_at.unwrap().to_string(), "2026-03-01T19:00:00Z");
    let options = config.detector.options(night.model.as_ref());
    assert_eq!((options.model, options.confidence), ("night.onnx".into(), Some(0.4)));
    let run = config.herd[0].run(UnixMillis::new(6 * 3_600_000));
    assert_eq!((run.started_at, run.spec.animals), (UnixMillis::new(0), 12));
}

#[test]
fn a_spool_goes_by_what_is_said_of_it_and_of_publishing() {
    let config = read(
        r#"
        [publish]
        backoff_max = "1s"
        [publish.spool]
        dir = "/disk/spool"
        bytes_max = 33554432
        age_max = "1day"
        when_full = "wait"
        log_timeout = "500ms"
        "#,
    )
    .unwrap();
    let options = SpoolOptions::from(&config.publish);
    assert_eq!(options.segment_bytes().get(), 2 << 20);
    assert_eq!(
        options,
        SpoolOptions {
            dir: "/disk/spool".into(),
            bytes_max: 32 << 20,
            age_max: Duration::from_hours(24),
            when_full: WhenFull::Wait,
            log_timeout: Duration::from_millis(500),
            backoff_first: PublishOptions::default().backoff_first,
            backoff_max: Duration::from_secs(1),
        }
    );
    let usual = SpoolOptions::from(&PublishConfig::default());
    assert_eq!((usual.bytes_max, usual.segment_bytes().get()), (4 << 30, 16 << 20));
}

#[test]
fn a_wrong_value_is_named_with_its_line() {
    let camera = "[[camera]]\nsource = 1\nurl = \"a.mp4\"\n";
    for (toml, expected) in [
        ("[detector]\nconfidence = 1.5".to_owned(), "1.5 is not a number from 0 to 1"),
        ("[detector]\nconfidense = 0.5".to_owned(), "unknown field `confidense`"),
        (format!("{camera}every = \"often\""), "is no cadence"),
        (format!("{camera}started_at = \"tomorrow\""), "neither RFC 3339"),
        ("[[camera]]\nsource = 0\nurl = \"a\"".to_owned(), "source 0 is not a whole number"),
        ("[[camera]]\nsource = 1".to_owned(), "missing field `url`"),
        ("[publish]\nqueue_frames_max = 0".to_owned(), "nonzero"),
        ("[publish.spool]\nwhen_full = \"panic\"".to_owned(), "unknown variant `panic`"),
        ("[publish.spool]\nage_max = 7".to_owned(), "expected"),
    ] {
        let error = read(&toml).unwrap_err();
        assert!(error.contains(expected) && error.contains("line "), "{error}");
    }
}

#[test]
fn rules_between_fields_are_all_reported_at_once() {
    insta::assert_snapshot!(faults(
        r#"
        [publish]
        backoff_first = "1m"
        [publish.spool]
        bytes_max = 1000000
        age_max = "0s"
        log_timeout = "0s"
        [[camera]]
        source = 1
        url = "rtsp://${UNSET}@h/"
        repeat = true
        silence_max = "0s"
        snapshot_every = "9s"
        [[herd]]
        sources = [1, 2, 2]
        animals = 2000
        every = "0s"
        speed = -1.0
        started_ago = "1h"
        started_at = "2026-03-01"
        [[herd]]
        sources = []
        "#
    ), @r"
    source 1 is named more than once in [[camera]] and [[herd]]: its frames could not be told apart
    source 2 is named more than once in [[camera]] and [[herd]]: its frames could not be told apart
    camera 1: rtsp://***@h/ names the environment variable UNSET, which is not set
    camera 1 is read over a network and cannot repeat: repeat is for files
    camera 1 has silence_max = 0: it would be lost at once
    camera 1 has snapshot_every = 9s: pictures would fill memory and disks; at least 10s, or 0s for none
    herd 1: 2000 animals; a frame shows at most 1024
    herd 1: every is less than 1 ms
    herd 1: speed = -1 is not a number from 0.001 to 1000000
    herd 1: started_ago and started_at are both set; keep one
    herd 2: sources is empty; name at least one
    publish.backoff_first is 60s but publish.backoff_max is 5s: the longest wait must not be the shorter one
    publish.spool.bytes_max is 1000000; a spool needs 16777216 bytes (16 MiB)
    publish.spool.age_max is zero: a frame that has to wait would be dropped at once
    publish.spool.log_timeout is zero: every frame would be spooled
    ");
}
