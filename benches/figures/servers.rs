//! A site on real servers, `ANIMOV_TEST_KAFKA` and `ANIMOV_TEST_MYSQL`: how much it
//! counts, how soon, and how soon again after a process was killed.

mod latency;
mod takeover;
mod throughput;

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use schemas::avro::{self, Header};
use schemas::frame::{Detection, Frame, FrameId, Model, Picture, Seen};
use schemas::log::FrameLog;
use schemas::source::{SessionId, SourceId};
use schemas::time::{Clock, SystemClock, UnixMillis};
use sinks::config::{KafkaConfig, KafkaSecrets, MySqlConfig};
use sinks::log::kafka::KafkaLog;
use sinks::state::mysql::MySqlState;

use crate::{ANIMOV, Figure, say};

/// Of each topic.
const PARTITIONS: u32 = 4;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

pub(crate) fn figures() -> io::Result<Vec<Figure>> {
    let server = |name: &str| std::env::var(name).ok();
    let (Some(kafka), Some(mysql)) = (server("ANIMOV_TEST_KAFKA"), server("ANIMOV_TEST_MYSQL"))
    else {
        say("SKIPPED: the figures on servers need ANIMOV_TEST_KAFKA and ANIMOV_TEST_MYSQL")?;
        return Ok(Vec::new());
    };
    let servers = Servers { kafka, mysql };
    let measured = || {
        let mut figures = throughput::figures(&servers)?;
        figures.push(latency::figure(&servers)?);
        figures.extend(takeover::figures(&servers)?);
        Outcome::Ok(figures)
    };
    measured().map_err(io::Error::other)
}

struct Servers {
    kafka: String,
    mysql: String,
}

/// A topic and a database of their own.
struct Site<'a> {
    servers: &'a Servers,
    name: String,
    folder: tempfile::TempDir,
    log: KafkaLog,
}

impl Site<'_> {
    fn new(servers: &Servers) -> Outcome<Site<'_>> {
        static SITES: AtomicU32 = AtomicU32::new(0);
        let number = SITES.fetch_add(1, Ordering::SeqCst);
        let name = format!("animov_figures_{}_{number}", std::process::id());
        let config = kafka(servers, &name);
        KafkaLog::migrate(config.clone(), KafkaSecrets::default(), Arc::new(SystemClock))?;
        let log = open(config)?;
        let site = Site { servers, name, folder: crate::folder()?, log };
        site.renew_tables()?;
        Ok(site)
    }

    /// The log once more, with nothing fetched ahead.
    fn reopened(&self) -> Outcome<KafkaLog> {
        open(kafka(self.servers, &self.name))
    }

    /// Empty tables.
    fn renew_tables(&self) -> Outcome<()> {
        let name = &self.name;
        sql(self.servers, &format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}"))
    }

    fn tables(&self) -> Outcome<MySqlState> {
        let url = format!("{}/{}", self.servers.mysql.trim_end_matches('/'), self.name);
        let config = MySqlConfig { url: url.parse()?, ..MySqlConfig::default() };
        Ok(MySqlState::open(&config, None)?)
    }

    /// A process that counts, with the settings it has by itself save for
    /// `pipeline`; its words go to the file that is returned.
    fn worker(&self, number: u32, pipeline: &str) -> Outcome<(Worker, PathBuf)> {
        let Site { servers, name, folder, .. } = self;
        let config = folder.path().join("animov.toml");
        let mysql = servers.mysql.trim_end_matches('/');
        std::fs::write(
            &config,
            format!(
                "[log]\nkind = \"kafka\"\n[log.kafka]\nbrokers = [\"{}\"]\ntopic = \"{name}\"\n\
                 group = \"{name}\"\npartitions = {PARTITIONS}\n\
                 [state]\nkind = \"mysql\"\n[state.mysql]\nurl = \"{mysql}/{name}\"\n\
                 [pipeline]\n{pipeline}\n",
                servers.kafka
            ),
        )?;
        let said = folder.path().join(format!("worker-{number}.log"));
        let child = Command::new(ANIMOV)
            .args(["pipeline", "--bind", "127.0.0.1:0", "--config"])
            .arg(config)
            .arg("--state")
            .arg(folder.path().join("state"))
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(File::create(&said)?)
            .spawn()?;
        Ok((Worker(child), said))
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        // Who lends the servers has them for this run only.
        _ = sql(self.servers, &format!("DROP DATABASE IF EXISTS {}", self.name));
    }
}

/// A process that ends with this value, without a farewell.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn open(config: KafkaConfig) -> Outcome<KafkaLog> {
    Ok(KafkaLog::open(config, KafkaSecrets::default(), Arc::new(SystemClock))?)
}

fn kafka(servers: &Servers, name: &str) -> KafkaConfig {
    KafkaConfig {
        brokers: vec![servers.kafka.clone()],
        topic: name.to_owned(),
        group: name.to_owned(),
        partitions: PARTITIONS.try_into().unwrap_or(KafkaConfig::default().partitions),
        ..KafkaConfig::default()
    }
}

fn sql(servers: &Servers, statement: &str) -> Outcome<()> {
    let (user, at) =
        servers.mysql.trim_start_matches("mysql://").split_once('@').ok_or("no user")?;
    let (host, port) = at.trim_end_matches('/').rsplit_once(':').ok_or("no port")?;
    let status = Command::new("mariadb")
        .args(["--no-defaults", "-h", host, "-P", port, "-u", user, "-e", statement])
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("{statement} fails").into()) }
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    CountsOnly,
    /// Twenty boxes.
    Boxes,
}

/// The `seq`-th frame of `source`, captured at `at`.
fn frame(source: u32, seq: u64, at: UnixMillis, load: Load) -> Outcome<(SourceId, Vec<u8>)> {
    const ANIMALS: u32 = 20;
    let source = SourceId::try_from(i64::from(source))?;
    let session = SessionId::derived_from(b"figures");
    let id = FrameId { source, session, seq };
    // Some lie and some stand, and that changes.
    let lying = u32::try_from(seq / 7 % u64::from(ANIMALS))?;
    let mut bytes = Vec::new();
    match load {
        Load::CountsOnly => {
            let header = Header { id, captured_at: at, produced_at: at };
            let counts = [("lying", lying), ("standing", ANIMALS - lying)];
            avro::encode_counts(&header, counts.into_iter(), &mut bytes);
        }
        Load::Boxes => {
            let one = |class: &str| Detection {
                class: class.into(),
                confidence: 0.9,
                x: 0.1,
                y: 0.2,
                w: 0.3,
                h: 0.4,
            };
            let boxes =
                (0..ANIMALS).map(|at| one(if at < lying { "lying" } else { "standing" })).collect();
            let picture = Picture {
                width: 1280,
                height: 720,
                model: Model { name: "goats.onnx".into(), hash: "0123456789abcdef".into() },
                detections: boxes,
                image: None,
            };
            let seen = Seen::Detections(picture);
            avro::encode(&Frame { id, captured_at: at, produced_at: at, seen }, &mut bytes);
        }
    }
    Ok((source, bytes))
}

fn append(log: &KafkaLog, frames: &[(SourceId, Vec<u8>)]) -> Outcome<()> {
    let records: Vec<(SourceId, &[u8])> =
        frames.iter().map(|(source, bytes)| (*source, bytes.as_slice())).collect();
    Ok(log.append(&records)?)
}

/// Appends a frame of each source up to `sources`, captured now.
fn append_one_each(log: &KafkaLog, sources: u32, seq: u64) -> Outcome<()> {
    let now = SystemClock.now();
    let frames: Outcome<Vec<_>> =
        (1..=sources).map(|source| frame(source, seq, now, Load::CountsOnly)).collect();
    append(log, &frames?)
}

/// The value below which `part` of `sorted` lies.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index far below 2^53"
    )]
    let at = (part * last as f64).ceil() as usize;
    sorted[at.min(last)]
}

/// Whether `file` says `word` by now, so often at least.
fn says(file: &Path, word: &str, times: usize) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    times <= text.matches(word).count()
}
