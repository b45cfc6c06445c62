//! `animov.toml`: one section a crate, every field with a default.
//!
//! # Invariants
//!
//! - A value that cannot be is refused where it stands, with line and column;
//!   rules between fields are all told at once.
//! - No secret is in the file: the API's token, the secrets that sign tokens and the
//!   passwords of cameras and servers come from the environment.
//! - `animov.example.toml` shows every option with its default; a test keeps it
//!   so.

mod error;

use std::path::{Path, PathBuf};

use clap::Args;
use pipeline::config::PipelineConfig;
use prices::config::PricesConfig;
use producers::config::{CameraConfig, DetectorConfig, HerdConfig, ProducersConfig, PublishConfig};
use schemas::commit::Shape;
use schemas::metric::{MetricRules, Postures};
use schemas::source::SourceId;
use schemas::window::Calendar;
use serde::{Deserialize, Deserializer};
use sinks::config::{
    DatabaseConfig, KafkaSecrets, LogConfig, LogKind, SnapshotsConfig, SnapshotsKind, StateConfig,
    StateKind,
};

pub(crate) use error::ConfigError;

/// The file that is read if none is named and it is there.
const USUAL_FILE: &str = "animov.toml";

/// Everything that `animov.toml` can say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) site: SiteConfig,
    pub(crate) metrics: MetricRules,
    pub(crate) animov: Postures,
    pub(crate) pipeline: PipelineConfig,
    pub(crate) log: LogConfig,
    pub(crate) state: StateConfig,
    pub(crate) snapshots: SnapshotsConfig,
    pub(crate) prices: PricesConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) api: api::ApiConfig,
    pub(crate) detector: DetectorConfig,
    pub(crate) publish: PublishConfig,
    pub(crate) camera: Vec<CameraConfig>,
    pub(crate) herd: Vec<HerdConfig>,
}

/// `[site]`: the farm.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SiteConfig {
    /// IANA zone of the civil days. The tables keep it: to change it, new ones are
    /// made of what the log still holds.
    #[serde(deserialize_with = "zone")]
    pub(crate) zone: String,

    /// What people call the farm.
    pub(crate) name: String,

    /// Folder of the log, the spool, the tables and the snapshots, unless `log.dir`,
    /// `publish.spool.dir`, `state.path` and `snapshots.path` say otherwise.
    pub(crate) state_dir: PathBuf,
}

impl Default for SiteConfig {
    fn default() -> SiteConfig {
        SiteConfig { zone: "UTC".into(), name: "animov".into(), state_dir: "animov-data".into() }
    }
}

/// Where a command finds its configuration and its data.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Place {
    /// Configuration file [default: ./animov.toml if there is one, else the
    /// defaults of every option]
    #[arg(long, value_name = "FILE", env = "ANIMOV_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,

    /// Folder of the log and the tables, instead of the configuration's
    /// [default: ./animov-data]
    #[arg(long, value_name = "DIR", env = "ANIMOV_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
}

impl Place {
    /// The configuration in force here.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or what it says cannot be.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let (config, from) = self.read()?;
        config.checked(&from)
    }

    /// The configuration in force here, also if rules between its fields are
    /// broken, and the file it is from.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a value in it cannot be.
    pub(crate) fn read(&self) -> Result<(Config, PathBuf), ConfigError> {
        let usual = Path::new(USUAL_FILE);
        let file = match &self.config {
            Some(file) => Some(file.as_path()),
            None => usual.exists().then_some(usual),
        };
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
            None => String::new(),
        };
        let from = file.unwrap_or(usual);
        let mut config = Config::read(&text, from)?;
        if let Some(dir) = &self.state {
            config.move_to(dir);
        }
        Ok((config, from.to_owned()))
    }
}

impl Config {
    /// Reads `text`, the content of `path`.
    ///
    /// # Errors
    ///
    /// Something in it cannot be.
    #[cfg(test)]
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        Config::read(text, path)?.checked(path)
    }

    /// Reads `text`, the content of `path`, but not the rules between fields.
    ///
    /// # Errors
    ///
    /// A value in it cannot be.
    fn read(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let wrong = |error: toml::de::Error| ConfigError::wrong(path, text, &error);
        let mut config: Config = toml::from_str(text).map_err(wrong)?;
        // The crates know nothing of the state folder: what the file does not
        // name itself is there.
        let said = toml::Value::Table(toml::from_str(text).map_err(wrong)?);
        let says = |place: &str| place.split('.').try_fold(&said, |at, key| at.get(key)).is_some();
        let dir = config.site.state_dir.clone();
        if !says("log.dir") {
            config.log.dir = dir.join("log");
        }
        if !says("publish.spool.dir") {
            config.publish.spool.dir = dir.join("spool");
        }
        if !says("state.path") {
            config.state.path = dir.join("state.sqlite");
        }
        if !says("snapshots.path") {
            config.snapshots.path = dir.join("snapshots.sqlite");
        }
        Ok(config)
    }

    /// The same, if no rule between fields is broken; `from` is where it is
    /// from, for a person.
    ///
    /// # Errors
    ///
    /// All rules that are.
    pub(crate) fn checked(self, from: &Path) -> Result<Config, ConfigError> {
        let faults = self.faults();
        match faults.is_empty() {
            true => Ok(self),
            false => Err(ConfigError::Faults { path: from.to_owned(), faults }),
        }
    }

    /// Has the log, the spool, the tables and the snapshots in `dir`.
    pub(crate) fn move_to(&mut self, dir: &Path) {
        self.site.state_dir = dir.to_owned();
        self.log.dir = dir.join("log");
        self.publish.spool.dir = dir.join("spool");
        self.state.path = dir.join("state.sqlite");
        self.snapshots.path = dir.join("snapshots.sqlite");
    }

    /// Has them in `dir`, and on no server.
    pub(crate) fn embed_in(&mut self, dir: &Path) {
        self.move_to(dir);
        self.log.kind = LogKind::Segments;
        self.state.kind = StateKind::Sqlite;
        self.snapshots.kind = SnapshotsKind::Sqlite;
    }

    /// What produces frames.
    pub(crate) fn producers(&self) -> ProducersConfig {
        ProducersConfig {
            camera: self.camera.clone(),
            detector: self.detector.clone(),
            herd: self.herd.clone(),
            publish: self.publish.clone(),
        }
    }

    /// `[pipeline]`, where each source's cadence is what its camera or herd
    /// says, unless `pipeline.cadences` says otherwise.
    pub(crate) fn pipeline(&self) -> PipelineConfig {
        let mut pipeline = self.pipeline.clone();
        let cameras = self.camera.iter();
        let cameras = cameras.filter_map(|camera| Some((camera.source, camera.every.interval()?)));
        let herds = self.herd.iter();
        let herds = herds.flat_map(|herd| herd.sources.iter().map(|source| (*source, herd.every)));
        for (source, every) in cameras.chain(herds) {
            pipeline.cadences.entry(source).or_insert(every);
        }
        pipeline
    }

    /// What the rows are made by.
    pub(crate) fn shape(&self) -> Shape {
        Shape { zone: self.site.zone.clone(), metrics: self.metrics.clone() }
    }

    /// What people call the sources.
    pub(crate) fn names(&self) -> impl Iterator<Item = (SourceId, String)> {
        self.camera.iter().map(|camera| (camera.source, camera.display_name()))
    }

    /// Every rule between fields that is broken.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = metric_faults(&self.metrics);
        faults.extend(posture_faults(&self.animov, &self.metrics));
        faults.extend(self.pipeline.faults().iter().map(ToString::to_string));
        faults.extend(self.producers().faults(variable).iter().map(ToString::to_string));
        if self.log.kind == LogKind::Kafka {
            let secrets = KafkaSecrets::from_env(variable);
            faults.extend(self.log.kafka.faults(&secrets).iter().map(ToString::to_string));
        }
        faults.extend(page_faults(&self.prices));
        faults.extend(self.access_faults());
        faults
    }

    fn access_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let token = api::ApiToken::from_env().unwrap_or_else(|error| {
            faults.push(error.to_string());
            None
        });
        let keys = api::Keys::load(&self.api.auth, variable).unwrap_or_else(|wrong| {
            faults.extend(wrong.iter().map(ToString::to_string));
            None
        });
        // Whoever meant to guard the site is told of that first.
        if faults.is_empty() {
            let rules = self.api.faults(token.as_ref(), keys.as_ref());
            faults.extend(rules.iter().map(ToString::to_string));
        }
        faults
    }

    /// What signs the tokens of users, if the file or the environment names it.
    ///
    /// # Errors
    ///
    /// What is wrong with the keys.
    pub(crate) fn keys(&self) -> anyhow::Result<Option<api::Keys>> {
        api::Keys::load(&self.api.auth, variable).map_err(|faults| {
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!(told.join("\n"))
        })
    }
}

/// What an environment variable holds.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn metric_faults(rules: &MetricRules) -> Vec<String> {
    let mut faults = Vec::new();
    for (metric, classes) in rules.declared_classes() {
        if let Err(fault) = schemas::avro::name(metric.as_bytes()) {
            faults.push(format!("metrics.{metric:?}: {fault}"));
        }
        if classes.is_empty() {
            faults.push(format!("metrics.{metric} names no class: it would always be zero"));
        }
        for (at, class) in classes.iter().enumerate() {
            if let Err(fault) = schemas::avro::name(class.as_bytes()) {
                faults.push(format!("metrics.{metric} has the class {class:?}: {fault}"));
            }
            if classes[..at].contains(class) {
                faults.push(format!("metrics.{metric} names the class {class:?} twice"));
            }
        }
    }
    faults
}

/// A page has one rhythm and one set of selectors.
fn page_faults(prices: &PricesConfig) -> Vec<String> {
    let pages = prices.page.iter().enumerate();
    let twice = pages.filter(|(at, page)| prices.page[..*at].iter().any(|p| p.url == page.url));
    twice.map(|(_, page)| format!("prices.page names {} twice", page.url)).collect()
}

/// Where somebody has chosen them, they must be there.
fn posture_faults(postures: &Postures, rules: &MetricRules) -> Vec<String> {
    if *postures == Postures::default() {
        return Vec::new();
    }
    let declared: Vec<&str> = rules.declared().collect();
    let unknown =
        postures.named().into_iter().filter(|(_, metric)| !declared.contains(&&***metric));
    let told = unknown.map(|(posture, metric)| {
        format!(
            "animov.{posture} is {metric:?}, which no metric is called; [metrics] has {}",
            declared.join(", ")
        )
    });
    told.collect()
}

fn zone<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let calendar = Calendar::in_zone(&name).map_err(serde::de::Error::custom)?;
    Ok(calendar.zone_name().to_owned())
}

#[cfg(test)]
mod tests;
