//! A site on servers, under every fault that can be thought of, for minutes or
//! for hours: what was acknowledged is counted once, and nothing else is.
//!
//! `ANIMOV_CHAOS_SEED` and `ANIMOV_CHAOS_MINUTES` choose another run,
//! `ANIMOV_CHAOS_FAULTS` some of the faults, by their names with commas between.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "seeds and figures are shown")]

mod faults;
mod load;
mod newer;
#[path = "../it/oracle.rs"]
mod oracle;
mod proxy;
mod servers;
#[expect(dead_code, reason = "the other tests need more of it")]
#[path = "../it/support.rs"]
mod support;
mod workers;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use schemas::time::SystemClock;
use serde_json::Value;
use sinks::config::{KafkaConfig, KafkaSecrets};
use sinks::log::kafka::KafkaLog;

use faults::{Torment, round};
use load::{Load, Told};
use servers::Servers;
use support::{Counted, Random, Site, succeeded};
use workers::Workers;

/// How long nothing may be counted, at the end, of what was sent.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// The most memory that a worker may use, MiB.
const MEMORY_MAX: u64 = 256;

/// Of the topic.
const PARTITIONS: u32 = 4;

/// A number that the environment may say.
fn chosen(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn whatever_fails_every_acknowledged_frame_is_counted_once() {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let seed = chosen("ANIMOV_CHAOS_SEED").unwrap_or(now.as_secs());
    let minutes = chosen("ANIMOV_CHAOS_MINUTES").unwrap_or(0);
    let only = std::env::var("ANIMOV_CHAOS_FAULTS").unwrap_or_default();
    let only: Vec<String> = only.split_terminator(',').map(str::to_owned).collect();
    println!("seed {seed}");

    let mut folder = tempfile::tempdir().unwrap();
    // Kept if this fails.
    folder.disable_cleanup(true);
    println!("logs in {}", folder.path().display());
    let Some(servers) = Servers::start(folder.path().to_owned()) else {
        folder.disable_cleanup(false);
        return;
    };
    let site = Site::new(&config(&servers, false));
    let for_workers = folder.path().join("workers.toml");
    std::fs::write(&for_workers, config(&servers, true)).unwrap();
    println!("{}", succeeded(site.animov(&["migrate"])));

    let load = Load::new(seed, now.as_millis().try_into().unwrap());
    let (stop, told) = (AtomicBool::new(false), Mutex::new(Told::default()));
    let mut workers = Workers::new(folder.path().to_owned(), for_workers);
    let log = producer(&servers);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| load::send(load, &log, &servers.for_producer(), &stop, &told));
        let _end_with_the_test = Ends { stop: &stop, told: &told };
        workers.scale(2);
        let mut torment = Torment::new(&servers, &mut workers, Random(seed ^ 1));
        torment.await_progress("the beginning");
        let begun = Instant::now();
        loop {
            for fault in round(&mut torment.random, &only) {
                torment.inflict(fault);
                assert!(!sending.is_finished(), "the producer gave up");
            }
            if Duration::from_secs(60 * minutes) <= begun.elapsed() {
                break;
            }
        }
        stop.store(true, Ordering::SeqCst);
        sending.join().unwrap();
        let Torment { happened, mut recoveries, taken_over, .. } = torment;
        println!("\nfaults that happened, in {:?}", begun.elapsed());
        happened.iter().for_each(|(fault, times)| println!("{times:>6}  {fault:?}"));
        recoveries.sort_by_key(|(_, time)| *time);
        let (_, median) = recoveries[recoveries.len() / 2];
        let (slowest, longest) = recoveries[recoveries.len() - 1];
        let faults = recoveries.len();
        println!(
            "{faults} faults; recovery p50 {median:.1?}, max {longest:.1?} ({slowest:?})\n\
             {taken_over} of the stopped workers' partitions went to another meanwhile"
        );
        assert!(20 <= faults || !only.is_empty(), "only {faults} faults");
    });
    let told = told.into_inner().unwrap();
    let audit = caught_up(&site, &mut workers, &told);
    let (started, fenced, gave_up) = (workers.started, workers.fenced, workers.gave_up);
    let memory_max = workers.memory_max >> 10;
    println!(
        "workers: {started} started, {fenced} ended fenced, {gave_up} ended otherwise, \
         at most {memory_max} MiB of memory"
    );
    assert!(memory_max < MEMORY_MAX, "a worker has used {memory_max} MiB");
    workers.scale(0);
    check(&site, &audit, &told);
    drop(servers);
    folder.disable_cleanup(false);
}

/// The configuration of a site on `servers`; by the links that fail, if it is the
/// workers'.
fn config(servers: &Servers, by_links: bool) -> String {
    let database = match by_links {
        true => servers.database_link.port,
        false => servers.database,
    };
    format!(
        "[site]\nzone = \"Europe/Paris\"\n\
         [log]\nkind = \"kafka\"\n\
         [log.kafka]\nbrokers = [\"{}\"]\npartitions = {PARTITIONS}\nreplication = 1\n\
         session_timeout = \"2s\"\nrelease_timeout = \"5s\"\nmetadata_refresh = \"5s\"\n\
         extra = {{ \"socket.timeout.ms\" = \"10000\", \"reconnect.backoff.max.ms\" = \"1000\" }}\n\
         [state]\nkind = \"mysql\"\n[state.mysql]\n\
         url = \"mysql://root@127.0.0.1:{database}/animov\"\ntls = \"disabled\"\n\
         connect_timeout = \"2s\"\nanswer_timeout = \"5s\"\n\
         [pipeline]\ncommit_interval = \"100ms\"\n",
        servers.for_workers()
    )
}

/// The log as the producer sees it, by its own link.
fn producer(servers: &Servers) -> KafkaLog {
    let config = KafkaConfig {
        brokers: vec![servers.for_producer()],
        append_timeout: Duration::from_secs(5),
        extra: [("socket.timeout.ms", "5000"), ("reconnect.backoff.max.ms", "1000")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..KafkaConfig::default()
    };
    KafkaLog::open(config, KafkaSecrets::default(), Arc::new(SystemClock)).unwrap()
}

/// Waits until as many frames are counted as were sent; the ledger then.
fn caught_up(site: &Site, workers: &mut Workers, told: &Told) -> Value {
    let frames = u64::try_from(distinct(&told.acknowledged)).unwrap();
    let (mut last, mut since) = (0, Instant::now());
    loop {
        workers.tend();
        let audit: Value =
            serde_json::from_slice(&site.animov(&["audit", "--json"]).stdout).unwrap();
        assert_eq!(audit["balanced"], true, "{:#}", audit["imbalances"]);
        let accepted = total(&audit, "sources", "accepted");
        assert!(accepted <= frames, "{accepted} frames accepted of {frames}: {audit:#}");
        let poison: u64 = told.poison.values().sum();
        if accepted == frames && poison <= total(&audit, "partitions", "parked") {
            return audit;
        }
        if last < accepted {
            (last, since) = (accepted, Instant::now());
        }
        let stuck = CATCH_UP_MAX < since.elapsed();
        assert!(!stuck, "no more than {accepted} frames accepted of {frames}: {audit:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn distinct(frames: &[Counted]) -> usize {
    frames.iter().map(|f| (f.source, &f.session, f.seq)).collect::<BTreeSet<_>>().len()
}

fn total(audit: &Value, of: &str, field: &str) -> u64 {
    let accounts = audit[of].as_array().unwrap().iter();
    accounts.map(|account| account[field].as_u64().unwrap()).sum()
}

/// Ledger and windows are exactly what the producer's own record says.
fn check(site: &Site, audit: &Value, told: &Told) {
    let generated: u64 = distinct(&told.acknowledged).try_into().unwrap();
    let acknowledged = u64::try_from(told.acknowledged.len()).unwrap();
    let poison: u64 = told.poison.values().sum();
    let [read, accepted, duplicate, parked] =
        ["read", "accepted", "duplicate", "parked"].map(|field| total(audit, "partitions", field));
    println!(
        "records: {} acknowledged, {} appended again unacknowledged\n\
         frames: {generated} generated, {acknowledged} acknowledged, {} of them on purpose twice\n\
         ledger: {read} read, {accepted} accepted, {duplicate} duplicates, {parked} parked\n\
         longest time without an acknowledgement: {:.1?}\n\
         frames of each kind: {:?}\n\
         poison: {:?}",
        acknowledged + poison,
        told.retried,
        told.repeated,
        told.outage_max,
        told.kinds,
        told.poison,
    );
    assert_eq!(accepted, generated);
    assert_eq!(total(audit, "partitions", "gap"), 0);
    // An append that was not acknowledged may be in the log all the same.
    let attempted = acknowledged + poison + told.retried;
    assert!((acknowledged + poison..=attempted).contains(&read), "{read} read of {attempted}");
    for (reason, records) in &told.poison {
        let parked = audit["parked"][*reason].as_u64().unwrap();
        assert!(*records <= parked, "{parked} parked as {reason} of {records}");
    }
    let wanted = acknowledged - generated;
    assert!(wanted <= duplicate, "{duplicate} duplicates of {wanted}");
    oracle::check(site, &told.acknowledged, "Europe/Paris");
    println!("every window of every size equals the oracle's");
}

/// Ends the sending also when a check fails, and tells then how it went.
struct Ends<'a> {
    stop: &'a AtomicBool,
    told: &'a Mutex<Told>,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if std::thread::panicking()
            && let Ok(told) = self.told.lock()
        {
            let (acknowledged, trouble) = (told.acknowledged.len(), &told.trouble);
            println!("{acknowledged} frames were acknowledged; last trouble: {trouble:?}");
        }
    }
}
