//! A log that is another than before, or lost its end: nothing of it is counted
//! before a person has decided, and everything once after.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::oracle;
use crate::servers::{SESSION, Servers};
use crate::support::{Counted, PATIENCE, Random, Running, Site, free_port, succeeded, within};

const ZONE: &str = "Europe/Paris";

/// Frames of four sources, numbered in this range, a second apart.
fn frames(numbers: std::ops::Range<u64>) -> Vec<Counted> {
    let frame = |seq: u64| {
        let mut random = Random(seq);
        Counted {
            source: 1 + i64::try_from(seq % 4).unwrap(),
            session: "8c5e6d0a-2f6b-4b0e-9d7f-1f6f5b7c9a11".to_owned(),
            seq,
            captured_at: 1_774_699_200_000 + i64::try_from(seq).unwrap() * 1000,
            lying: u32::try_from(random.below(9)).unwrap(),
            standing: u32::try_from(random.below(5)).unwrap(),
        }
    };
    numbers.map(frame).collect()
}

/// Posts until the frames are acknowledged, as a producer does.
fn post(site: &Site, frames: &[Counted]) {
    within(PATIENCE, "the frames to be taken", || site.post(frames).then_some(()));
}

/// What `path` answers at `port`, whether it is well or not.
fn answer(port: u16, path: &str) -> Option<(u16, String)> {
    let asked = ureq::get(format!("http://127.0.0.1:{port}{path}"));
    let mut answer = asked.config().http_status_as_error(false).build().call().ok()?;
    Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
}

/// Waits until so many partitions wait for a decision by `command`, by what
/// /readyz and the metrics say.
fn wait_for_incidents(port: u16, kind: &str, command: &str, partitions: usize) {
    let labels = format!("kind=\"{kind}\"");
    within(PATIENCE, "the incident", || {
        let (status, ready) = answer(port, "/readyz")?;
        let (_, metrics) = answer(port, "/metrics")?;
        let told = metrics.lines().filter(|line| line.starts_with("animov_incidents{"));
        let told = told.filter(|line| line.contains(&labels) && line.ends_with(" 1"));
        let all = told.count() == partitions && ready.matches(command).count() == partitions;
        (status == 503 && all).then_some(())
    });
}

fn wait_until_ready(port: u16) {
    within(PATIENCE, "readiness", || answer(port, "/readyz").filter(|(status, _)| *status == 200));
    let (_, metrics) = answer(port, "/metrics").unwrap();
    assert!(!metrics.contains("animov_incidents{"), "{metrics}");
}

/// So many frames are counted, now.
#[track_caller]
fn check_accepted(site: &Site, frames: u64) {
    let audit = site.get("/v1/audit");
    let sources = audit["sources"].as_array().unwrap().iter();
    assert_eq!(sources.map(|of| of["accepted"].as_u64().unwrap()).sum::<u64>(), frames);
}

/// The decision about another log, first shown, then taken.
fn accept(site: &Site, name: &str, counted: u64) {
    let shown = succeeded(site.animov(&["log", "accept"]));
    assert!(shown.contains("--yes"), "{shown}");
    check_accepted(site, counted);
    let told = succeeded(site.animov(&["log", "accept", "--yes"]));
    println!("{told}");
    let again = succeeded(site.animov(&["log", "accept", "--yes"]));
    assert!(again.contains(&format!("{name} is the log that is counted")), "{again}");
}

fn check_history(site: &Site, frames: &[Counted]) {
    println!("{}", succeeded(site.animov(&["audit"])));
    oracle::check(site, frames, ZONE);
}

#[test]
fn a_topic_made_again_while_nobody_counts_waits_until_it_is_accepted() {
    let Some(servers) = Servers::new() else { return };
    let site = servers.site(4);
    println!("{}", succeeded(site.animov(&["migrate"])));
    let port = free_port();
    let (api, pipeline) = (site.start_role("api", site.port), site.start_role("pipeline", port));
    post(&site, &frames(0..100));
    site.wait_accepted(100);
    pipeline.terminate();
    servers.make_topic_again(&site);
    // More of each partition than there was, the last ones for the second time.
    post(&site, &frames(80..400));

    let pipeline = site.start_role("pipeline", port);
    wait_for_incidents(port, "replaced", "animov log accept", 4);
    check_accepted(&site, 100);
    accept(&site, &format!("kafka:{}", servers.topic()), 100);
    site.wait_accepted(400);
    wait_until_ready(port);
    pipeline.terminate();
    api.terminate();
    check_history(&site, &frames(0..400));
}

#[test]
fn a_topic_made_again_while_it_is_counted_waits_until_it_is_accepted() {
    let Some(servers) = Servers::new() else { return };
    let site = servers.site(4);
    println!("{}", succeeded(site.animov(&["migrate"])));
    let port = free_port();
    let (api, pipeline) = (site.start_role("api", site.port), site.start_role("pipeline", port));
    post(&site, &frames(0..100));
    site.wait_accepted(100);
    servers.make_topic_again(&site);
    post(&site, &frames(80..400));
    wait_for_incidents(port, "replaced", "animov log accept", 4);
    check_accepted(&site, 100);
    accept(&site, &format!("kafka:{}", servers.topic()), 100);
    site.wait_accepted(400);
    wait_until_ready(port);
    post(&site, &frames(400..440));
    site.wait_accepted(440);
    // The same process all the time.
    pipeline.terminate();
    api.terminate();
    check_history(&site, &frames(0..440));
}

/// A broker of a test's own, whose disk may lose something; stopped when dropped.
struct Broker {
    dir: tempfile::TempDir,
    port: u16,
}

impl Broker {
    /// `None` where brokers are not wanted, or cannot be started.
    fn start() -> Option<Broker> {
        let wanted = std::env::var_os("ANIMOV_TEST_KAFKA").is_some();
        if !wanted || !Broker::script().arg("install").status().unwrap().success() {
            println!("SKIPPED: no brokers, or this machine cannot run one");
            return None;
        }
        let broker = Broker { dir: tempfile::tempdir().unwrap(), port: free_port_pair() };
        broker.up();
        Some(broker)
    }

    fn script() -> Command {
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services/kafka"))
    }

    fn up(&self) {
        let mut start = Broker::script();
        start.arg("start").arg(self.dir.path()).arg(self.port.to_string());
        assert!(start.env("ANIMOV_KAFKA_HEAP", "256m").status().unwrap().success());
    }

    fn down(&self) {
        let stopped = Broker::script().arg("stop").arg(self.dir.path()).status();
        assert!(stopped.unwrap().success());
    }

    /// The broker's disk loses all of a partition; the topic is the same.
    fn lose(&self, topic: &str, partition: u32) {
        let folder = self.dir.path().join("data").join(format!("{topic}-{partition}"));
        self.down();
        std::fs::remove_dir_all(folder).unwrap();
        self.up();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        _ = Broker::script().arg("stop").arg(self.dir.path()).status();
    }
}

/// A site of one partition whose pipeline stays in its group while the broker is
/// away.
fn patient_site(servers: &Servers) -> Site {
    let settings = servers.settings(1);
    let session = format!("session_timeout = \"{}s\"", SESSION.as_secs());
    assert!(settings.contains(&session), "{settings}");
    Site::new(&settings.replace(&session, "session_timeout = \"40s\""))
}

/// A port that is free, as is the next, which will be the controller's: below
/// those that the system hands out by itself, so that both are still free when the
/// broker comes back.
fn free_port_pair() -> u16 {
    loop {
        let chance = uuid::Uuid::new_v4().as_u128() % 6000;
        let port = 20_000 + 2 * u16::try_from(chance).unwrap();
        if [port, port + 1].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
}

/// Counts a hundred frames; `lose` loses them all and sends others until the
/// pipeline, whose port is given, has to notice. Then nothing is counted before it
/// is rewound, and everything once after.
fn check_lost_end(lose: impl FnOnce(&Broker, &Servers, &Site, &Running, u16)) {
    let Some(broker) = Broker::start() else { return };
    let Some(servers) = Servers::with_broker(&format!("127.0.0.1:{}", broker.port)) else { return };
    let site = patient_site(&servers);
    println!("{}", succeeded(site.animov(&["migrate"])));
    let port = free_port();
    let (api, pipeline) = (site.start_role("api", site.port), site.start_role("pipeline", port));
    post(&site, &frames(0..100));
    site.wait_accepted(100);
    lose(&broker, &servers, &site, &pipeline, port);
    wait_for_incidents(port, "lost_end", "animov log rewind", 1);
    check_accepted(&site, 100);
    println!("{}", succeeded(site.animov(&["log", "rewind", "--partition", "0"])));
    site.wait_accepted(300);
    wait_until_ready(port);
    pipeline.terminate();
    api.terminate();
    check_history(&site, &frames(0..300));
}

#[test]
fn a_partition_that_lost_its_end_is_counted_on_from_there_when_it_is_rewound() {
    check_lost_end(|broker, servers, site, _, port| {
        broker.lose(servers.topic(), 0);
        wait_for_incidents(port, "lost_end", "animov log rewind", 1);
        // It grows past what was counted; some is sent again.
        post(site, &frames(60..300));
    });
}

#[test]
fn a_partition_that_lost_its_end_and_grew_past_it_unseen_is_noticed_by_its_reader() {
    check_lost_end(|broker, servers, site, pipeline, _| {
        // The pipeline sees nothing of what happens now, and stays in its group.
        pipeline.signal(Signal::SIGSTOP);
        broker.lose(servers.topic(), 0);
        post(site, &frames(60..300));
        pipeline.signal(Signal::SIGCONT);
    });
}

/// Copies a folder of files and folders.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = std::fs::copy(entry.path(), to).unwrap(),
        }
    }
}

/// A site of one process that has counted some frames, and has ended.
fn counted(frames: &[Counted]) -> Site {
    let site = Site::new(&format!("[site]\nzone = \"{ZONE}\"\n"));
    count_more(&site, frames, frames.len());
    site
}

fn count_more(site: &Site, frames: &[Counted], in_all: usize) {
    let running = site.start_ready();
    post(site, frames);
    site.wait_accepted(in_all.try_into().unwrap());
    running.terminate();
}

#[test]
fn a_log_restored_from_an_old_copy_is_counted_on_when_it_is_rewound() {
    let site = counted(&frames(0..60));
    let (log, copied) = (site.state().join("log"), site.dir.path().join("copy"));
    copy(&log, &copied);
    count_more(&site, &frames(60..100), 100);
    std::fs::remove_dir_all(&log).unwrap();
    copy(&copied, &log);

    let running = site.start(None);
    wait_for_incidents(site.port, "lost_end", "animov log rewind", 1);
    post(&site, &frames(90..200));
    wait_for_incidents(site.port, "lost_end", "animov log rewind", 1);
    check_accepted(&site, 100);
    running.terminate();
    // By now the log has grown past what was counted, and that is no decision.
    let running = site.start(None);
    wait_for_incidents(site.port, "lost_end", "animov log rewind", 1);
    check_accepted(&site, 100);
    println!("{}", succeeded(site.animov(&["log", "rewind", "--partition", "0"])));
    site.wait_accepted(200);
    wait_until_ready(site.port);
    running.terminate();
    check_history(&site, &frames(0..200));
}

#[test]
fn a_log_folder_made_anew_waits_until_it_is_accepted() {
    let site = counted(&frames(0..60));
    std::fs::remove_dir_all(site.state().join("log")).unwrap();
    let running: Running = site.start(None);
    wait_for_incidents(site.port, "replaced", "animov log accept", 1);
    post(&site, &frames(50..90));
    check_accepted(&site, 60);
    accept(&site, "segments", 60);
    site.wait_accepted(90);
    wait_until_ready(site.port);
    running.terminate();
    check_history(&site, &frames(0..90));
}
