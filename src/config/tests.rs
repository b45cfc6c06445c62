use super::*;

const EXAMPLE: &str = include_str!("../../animov.example.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("animov.toml")).map_err(|error| error.to_string())
}

fn refused(text: &str) -> String {
    parse(text).unwrap_err()
}

#[test]
fn the_example_is_the_defaults() {
    assert_eq!(parse(EXAMPLE).unwrap(), parse("").unwrap());
}

/// The example with the options that have no default, and the cameras and herds
/// that nobody has by default, taken out of their comments.
fn example_with_everything() -> String {
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with("[[") || rest.split_once(" = ").is_some_and(is_key) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

fn is_key((key, _): (&str, &str)) -> bool {
    key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn the_examples_comments_are_a_configuration_too() {
    let config: Config = toml::from_str(&example_with_everything()).unwrap();
    assert_eq!((config.camera.len(), config.herd.len(), config.prices.page.len()), (1, 1, 1));
    assert!(config.database.host.is_some());
    assert!(config.detector.model.is_some());
}

#[test]
fn the_example_shows_every_option() {
    let text = example_with_everything();
    for (section, opening) in [
        ("site", "[site]"),
        ("animov", "[animov]"),
        ("pipeline", "[pipeline]"),
        ("log", "[log]"),
        ("log.segments", "[log.segments]"),
        ("log.kafka", "[log.kafka]"),
        ("state", "[state]"),
        ("state.mysql", "[state.mysql]"),
        ("snapshots", "[snapshots]"),
        ("snapshots.mongo", "[snapshots.mongo]"),
        ("prices", "[prices]"),
        ("prices.page", "[[prices.page]]"),
        ("database", "[database]"),
        ("api", "[api]"),
        ("api.tls", "[api.tls]"),
        ("api.auth", "[api.auth]"),
        ("api.auth.key", "[[api.auth.key]]"),
        ("detector", "[detector]"),
        ("publish", "[publish]"),
        ("publish.spool", "[publish.spool]"),
        ("camera", "[[camera]]"),
        ("herd", "[[herd]]"),
    ] {
        let options = options_of(opening);
        assert!(!options.is_empty(), "{section}");
        let (_, behind) = text.split_once(&format!("\n{opening}\n")).expect(opening);
        let shown = behind.split("\n[").next().unwrap_or(behind);
        for option in options {
            let heading = format!("[{section}.{option}]");
            let is_shown = shown.lines().any(|line| line.starts_with(&format!("{option} = ")));
            assert!(is_shown || text.contains(&heading), "{opening} does not show {option}");
        }
    }
    for section in options_of("") {
        let shown = ["[", "[["].iter().any(|open| text.contains(&format!("\n{open}{section}]")));
        assert!(shown, "no section {section}");
    }
}

/// The options that a section has, as its own error lists them.
fn options_of(opening: &str) -> Vec<String> {
    let error = toml::from_str::<Config>(&format!("{opening}\nno_such_option = 1")).unwrap_err();
    let (_, expected) = error.message().split_once("expected ").expect("a list of options");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn what_is_kept_is_in_the_state_folder_unless_it_is_named() {
    let config = parse("site.state_dir = \"/farm\"\nstate.path = \"/other/rows.sqlite\"").unwrap();
    assert_eq!(config.log.dir, Path::new("/farm/log"));
    assert_eq!(config.publish.spool.dir, Path::new("/farm/spool"));
    assert_eq!(config.snapshots.path, Path::new("/farm/snapshots.sqlite"));
    assert_eq!(config.state.path, Path::new("/other/rows.sqlite"));
    let mut config = parse(
        "log.dir = \"animov-data/log\"\nsite.state_dir = \"/farm\"\n\
         publish.spool.dir = \"/disk/spool\"",
    )
    .unwrap();
    assert_eq!(config.log.dir, Path::new("animov-data/log"));
    assert_eq!(config.publish.spool.dir, Path::new("/disk/spool"));
    config.move_to(Path::new("here"));
    assert_eq!(config.log.dir, Path::new("here/log"));
    assert_eq!(config.publish.spool.dir, Path::new("here/spool"));
    assert_eq!(config.snapshots.path, Path::new("here/snapshots.sqlite"));
}

#[test]
fn coverage_is_measured_against_what_cameras_and_herds_give() {
    let config = parse(
        "pipeline.cadences = { 3 = \"9s\" }\n\
         detector.model = \"goats.onnx\"\n\
         [[camera]]\nsource = 1\nurl = \"a.mp4\"\nevery = \"500ms\"\n\
         [[camera]]\nsource = 2\nurl = \"b.mp4\"\nevery = \"frame\"\n\
         [[herd]]\nsources = [3, 4]\nevery = \"2s\"\n",
    )
    .unwrap();
    let pipeline = config.pipeline();
    let cadence = |source: i64| pipeline.cadence_ms(SourceId::try_from(source).unwrap());
    assert_eq!([1, 2, 3, 4].map(cadence), [500, 1000, 9000, 2000]);
    let names: Vec<String> = config.names().map(|(_, name)| name).collect();
    assert_eq!(names, ["camera 1", "camera 2"]);
}

#[test]
fn an_unknown_key_is_refused_where_it_stands() {
    insta::assert_snapshot!(refused(
        "[site]\nname = \"Les Sabots\"\ntimezone = \"Europe/Paris\"\n"
    ));
}

#[test]
fn a_wrong_value_is_refused_where_it_stands() {
    let told = [
        refused("[pipeline]\n\nepoch_frames_max = 0"),
        refused("[site]\nzone = \"Europe/Goatville\""),
        refused("[pipeline]\ngrace = \"soon\""),
        refused("[pipeline]\ncadences = { pen = \"1s\" }"),
        refused("[api]\nbind = \"localhost\""),
        refused("[detector]\nconfidence = 1.5"),
        refused("[[camera]]\nsource = 0\nurl = \"rtsp://10.0.0.7/main\""),
        refused("[[camera]]\nsource = 1"),
        refused("[site\nzone = \"UTC\""),
        refused("[log]\ndir = 3"),
        refused("[snapshots]\nkind = \"files\""),
        refused("[snapshots.mongo]\nurl = \"mongodb://goat:secret@10.0.0.5\""),
        refused("[state]\nkind = \"postgres\""),
        refused("[[prices.page]]\nurl = \"file:///etc/passwd\""),
        refused("[[prices.page]]\nurl = \"https://a.example\"\nrow = \"..\""),
        refused("[database]\npassword = \"hunter2\""),
        refused("[database]\ntype = \"postgresql\""),
        refused("[state.mysql]\nurl = \"mysql://animov:hunter2@db/animov\""),
        refused("[state.mysql]\nanswer_timeout = \"10ms\""),
    ];
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn faults_between_fields_are_all_told_at_once() {
    insta::assert_snapshot!(refused(
        "[metrics]\nlying = []\ntotal = [\"lying\", \"lying\"]\n\
         [pipeline]\nidle_timeout = \"1s\"\ncadence = \"0s\"\n\
         [api]\nbind = \"0.0.0.0:8420\"\n\
         [[camera]]\nsource = 1\nurl = \"rtsp://${ANIMOV_TEST_UNSET}@10.0.0.7/main\"\n\
         [[herd]]\nsources = [1]\n\
         [log]\nkind = \"kafka\"\n\
         [log.kafka]\nbrokers = [\"barn\"]\nextra = { acks = \"1\" }\n"
    ));
}

#[test]
fn the_rules_of_a_log_that_is_not_used_are_not_asked_for() {
    assert!(parse("log.kafka.brokers = []").is_ok());
    assert!(refused("log.kind = \"kafka\"\nlog.kafka.brokers = []").contains("names no broker"));
}

#[test]
fn postures_that_somebody_chose_are_metrics_of_the_site() {
    assert!(parse("[metrics]\ngoats = [\"goat\"]").is_ok());
    let fault = refused("[animov]\nlying = \"couche\"");
    assert!(fault.contains("animov.lying is \"couche\""), "{fault}");
    assert!(fault.contains("[metrics] has lying, standing, total"), "{fault}");
}
