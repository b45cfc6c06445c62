//! A site on servers, counted by several processes that come, die, hang and go:
//! what was acknowledged is counted once.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::crash::{Ends, feed};
use crate::oracle;
use crate::support::{Counted, PATIENCE, Random, Running, Site, free_port, succeeded, within};

/// How long a member of the group may be silent.
const SESSION: Duration = Duration::from_secs(3);

/// A topic and a database of their own on the servers that the environment names.
struct Servers {
    kafka: String,
    mysql: String,
    name: String,
}

impl Servers {
    /// `None`, with a word, where a server is not there.
    fn new() -> Option<Servers> {
        let named = |variable: &str| {
            let value = std::env::var(variable).ok();
            if value.is_none() {
                println!("SKIPPED: {variable} names no server");
            }
            value
        };
        let (kafka, mysql) = (named("ANIMOV_TEST_KAFKA")?, named("ANIMOV_TEST_MYSQL")?);
        let name = format!("animov_scale_{}_{}", std::process::id(), free_port());
        let servers = Servers { kafka, mysql, name };
        servers.sql(&format!("CREATE DATABASE {}", servers.name));
        Some(servers)
    }

    fn sql(&self, statement: &str) {
        let (user, at) = self.mysql.trim_start_matches("mysql://").split_once('@').unwrap();
        let (host, port) = at.trim_end_matches('/').rsplit_once(':').unwrap();
        let ran = Command::new("mariadb")
            .args(["--no-defaults", "-h", host, "-P", port, "-u", user, "-e", statement])
            .output()
            .unwrap();
        succeeded(ran);
    }

    fn site(&self) -> Site {
        let Servers { kafka, mysql, name } = self;
        let mysql = mysql.trim_end_matches('/');
        Site::new(&format!(
            "[site]\nzone = \"Europe/Paris\"\n\
             [log]\nkind = \"kafka\"\n\
             [log.kafka]\nbrokers = [\"{kafka}\"]\ntopic = \"{name}\"\ngroup = \"{name}\"\n\
             partitions = 4\nreplication = 1\nsession_timeout = \"{}s\"\n\
             [state]\nkind = \"mysql\"\n[state.mysql]\nurl = \"{mysql}/{name}\"\n\
             [pipeline]\ncommit_interval = \"50ms\"\n",
            SESSION.as_secs(),
        ))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.sql(&format!("DROP DATABASE IF EXISTS {}", self.name));
    }
}

#[test]
fn processes_that_come_die_hang_and_go_count_everything_once() {
    let Some(servers) = Servers::new() else { return };
    let site = servers.site();
    println!("{}", succeeded(site.animov(&["migrate"])));
    let (stop, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let (mut died, mut refused) = (0, 0);
    let api = site.start_role("api", site.port);
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&site, 11, &stop, &acknowledged));
        let _end_with_the_test = Ends(&stop);
        let member = || site.start_role("pipeline", free_port());
        let mut members: Vec<Running> = (0..2).map(|_| member()).collect();
        let mut random = Random(11);
        for round in 0..6 {
            let before = acknowledged.lock().unwrap().len();
            within(PATIENCE, "some more frames", || {
                (before + 400 < acknowledged.lock().unwrap().len()).then_some(())
            });
            match round % 3 {
                0 => {
                    members.remove(0).kill();
                    died += 1;
                }
                1 => members[0].signal(Signal::SIGSTOP),
                _ => members[0].signal(Signal::SIGCONT),
            }
            members.push(member());
            // Longer than a session: others take over.
            std::thread::sleep(SESSION + Duration::from_millis(500 + random.below(1500)));
            // Who was refused ends with an error, and is started again.
            members.retain_mut(|member| match member.child.try_wait().unwrap() {
                None => true,
                Some(ended) => {
                    assert!(!ended.success(), "{ended}");
                    refused += 1;
                    false
                }
            });
        }
        stop.store(true, Ordering::SeqCst);
        feeder.join().unwrap();
        let frames = acknowledged.lock().unwrap().len();
        site.wait_accepted(frames.try_into().unwrap());
        members.into_iter().for_each(Running::terminate);
    });
    api.terminate();
    let frames: Vec<Counted> = acknowledged.into_inner().unwrap();
    println!("{} frames, {died} killed, {refused} refused", frames.len());
    println!("{}", succeeded(site.animov(&["audit"])));
    oracle::check(&site, &frames, "Europe/Paris");
}
