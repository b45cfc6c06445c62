//! `animov check`: whether everything fits together, before it runs.

mod model;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use prices::config::PageConfig;
use prices::visit::Visitor;
use producers::decode::{DecodeOptions, Decoder};
use producers::detect::model::ModelFile;
use producers::detect::onnx::{OnnxDetector, OnnxOptions};
use sinks::config::{LogKind, SnapshotsKind, StateKind};
use sinks::log::segments::Segments;
use sinks::state::sqlite::SqliteState;

use crate::config::{Config, Place, variable};
use crate::exit::Exit;
use crate::{output, parts};

/// How long a camera may take to show its first picture.
const PROBE: Duration = Duration::from_secs(8);

/// Tells whether this site can run, and what to do where it cannot.
///
/// Reads the configuration, tries the folder of the log and the tables, reaches the
/// database of [database], reads each page of prices, loads the models, takes one
/// picture of each camera, and tries the API's address.
/// Changes nothing. Ends with code 3 if something is wrong.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  animov check
  animov check --config /etc/animov.toml --state /var/lib/animov
  animov check model best.onnx"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    place: Place,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    Model(model::CheckModelArgs),
}

/// What is told of one thing.
struct Finding {
    about: String,
    /// What is there, or what is wrong.
    found: anyhow::Result<String>,
}

impl Finding {
    fn new(about: impl Into<String>, found: anyhow::Result<String>) -> Finding {
        Finding { about: about.into(), found }
    }
}

/// Checks everything.
///
/// # Errors
///
/// The findings cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    if let Some(What::Model(args)) = &args.what {
        return model::run(args);
    }
    let mut out = output::open(None)?;
    let config = args.place.read();
    let mut wrong = 0;
    let mut tell = |finding: &Finding| -> io::Result<()> {
        wrong += usize::from(finding.found.is_err());
        write_finding(finding, &mut out)?;
        out.flush()
    };
    let told = match config {
        Ok((config, from)) => every_finding(&config, &from, &mut tell),
        Err(error) => tell(&Finding::new("configuration", Err(error.into()))),
    };
    output::unless_closed(told)?;
    let summary = match wrong {
        0 => "all is well".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        wrong => format!("{wrong} things are wrong"),
    };
    output::unless_closed(writeln!(out, "{summary}").and_then(|()| out.flush()))?;
    Ok(if wrong == 0 { Exit::Ok } else { Exit::Wrong })
}

fn write_finding(finding: &Finding, out: &mut impl Write) -> io::Result<()> {
    let Finding { about, found } = finding;
    match found {
        Ok(what) => writeln!(out, "ok     {about}: {what}"),
        Err(error) => {
            let text = format!("{error:#}").replace('\n', "\n         ");
            writeln!(out, "WRONG  {about}: {text}")
        }
    }
}

/// Each thing is told as soon as it is known: a camera may take a while.
fn every_finding(
    config: &Config,
    from: &Path,
    tell: &mut impl FnMut(&Finding) -> io::Result<()>,
) -> io::Result<()> {
    let faults = config.faults();
    for fault in &faults {
        let fault = anyhow::anyhow!("{}: {fault}", from.display());
        tell(&Finding::new("configuration", Err(fault)))?;
    }
    if faults.is_empty() {
        let zone = format!("site {:?} in the zone {}", config.site.name, config.site.zone);
        tell(&Finding::new("configuration", Ok(zone)))?;
    }
    tell(&Finding::new("log", log(config)))?;
    tell(&Finding::new("tables", state(config)))?;
    tell(&Finding::new("snapshots", snapshots(config)))?;
    if let Some(connection) = config.database.connection() {
        let about = format!("database {}", connection.url.place());
        tell(&Finding::new(about, database(config)))?;
    }
    for page in &config.prices.page {
        tell(&Finding::new(format!("prices of {}", page.url), prices(config, page)))?;
    }
    let mut models = BTreeSet::new();
    for camera in &config.camera {
        let options = config.detector.options(camera.model.as_ref());
        if models.insert(options.model.clone()) {
            let about = format!("model {}", options.model);
            tell(&Finding::new(about, model(&options)))?;
        }
    }
    for camera in &config.camera {
        let about = format!("source {} ({})", camera.source, camera.display_name());
        tell(&Finding::new(about, first_picture(camera)))?;
    }
    for herd in &config.herd {
        let numbers: Vec<String> = herd.sources.iter().map(ToString::to_string).collect();
        let about = format!("source {}", numbers.join(", "));
        tell(&Finding::new(about, Ok(format!("simulated, {} animals each", herd.animals))))?;
    }
    tell(&Finding::new("api", api(config)))
}

fn log(config: &Config) -> anyhow::Result<String> {
    if config.log.kind == LogKind::Kafka {
        let log = parts::log_to_read(config)?;
        return Ok(format!("{} answers, with {} partitions", config.log, log.partitions()));
    }
    let dir = &config.log.dir;
    writable(dir)?;
    let at = dir.display();
    let has_files = dir.is_dir() && dir.read_dir()?.next().is_some();
    if !has_files {
        return Ok(format!("{at} can be written, a new log will begin there"));
    }
    Segments::open_read_only(dir)?;
    Ok(format!("{at} can be written, there is a log"))
}

fn state(config: &Config) -> anyhow::Result<String> {
    if config.state.kind == StateKind::MySql {
        parts::tables_to_read(config)?;
        return Ok(format!("{} answers, with this version's tables", config.state));
    }
    let path = &config.state.path;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    writable(dir.unwrap_or(Path::new(".")))?;
    if !path.exists() {
        return Ok(format!("{} can be made", path.display()));
    }
    SqliteState::open_read_only(path)?;
    Ok(format!("{} is there, with this version's tables", path.display()))
}

fn snapshots(config: &Config) -> anyhow::Result<String> {
    match config.snapshots.kind {
        SnapshotsKind::Sqlite => {
            let path = &config.snapshots.path;
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
            writable(dir.unwrap_or(Path::new(".")))?;
            if !path.exists() {
                return Ok(format!("{} can be made", path.display()));
            }
            sinks::snapshots::open_read_only(&config.snapshots, None)?;
            Ok(format!("{} is there, with this version's tables", path.display()))
        }
        SnapshotsKind::Mongo => {
            let at = parts::reach_snapshots(config)?;
            Ok(format!("{at} answers and can be written"))
        }
    }
}

fn database(config: &Config) -> anyhow::Result<String> {
    let database = parts::original_database(config)?.context("no host is configured")?;
    let rows = output::grouped(database.rows_behind(None)?);
    let of_source = |(source, rows)| format!(", {} of source {source}", output::grouped(rows));
    let sources: String = database.sources()?.into_iter().map(of_source).collect();
    Ok(format!("an ANIMOV database, with {rows} minutes to import{sources}"))
}

fn prices(config: &Config, page: &PageConfig) -> anyhow::Result<String> {
    let prices = Visitor::new(&config.prices).visit(page)?.prices;
    let without = prices.iter().filter(|price| price.price.is_none()).count();
    Ok(format!("{} rows, {without} of them without a price", prices.len()))
}

/// Whether files can be made in `dir`, or in what is there of it.
fn writable(dir: &Path) -> anyhow::Result<()> {
    let there = dir.ancestors().find(|dir| dir.is_dir());
    let there = match there {
        Some(there) => there,
        // A relative path of which nothing is there yet.
        None => Path::new("."),
    };
    let probe = there.join(format!(".animov-check-{}", uuid::Uuid::new_v4()));
    let made = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    made.map_err(|error| {
        anyhow::Error::new(error).context(format!(
            "no file can be made in {}; give the user who runs animov the right to, or name \
             another folder",
            there.display()
        ))
    })
}

fn first_picture(camera: &producers::config::CameraConfig) -> anyhow::Result<String> {
    let input = camera.url.expanded(variable)?;
    let options = DecodeOptions { silence_max: PROBE, ..DecodeOptions::default() };
    let mut decoder = Decoder::open(&input, &options)?;
    anyhow::ensure!(decoder.advance()?.is_some(), "{input} has no picture");
    let (width, height) = decoder.size();
    Ok(format!("{input} shows {width} x {height} pixels"))
}

fn model(options: &OnnxOptions) -> anyhow::Result<String> {
    let classes = OnnxDetector::load(options)?.classes().join(", ");
    Ok(match options.model {
        ModelFile::BuiltIn => format!("classes {classes}; trained on drawn goats only"),
        ModelFile::File(_) => format!("classes {classes}"),
    })
}

fn api(config: &Config) -> anyhow::Result<String> {
    let bind = config.api.bind;
    TcpListener::bind(bind).map_err(|error| {
        anyhow::Error::new(error).context(format!(
            "could not listen on {bind}; stop the program that does (is animov running?), or set \
             api.bind"
        ))
    })?;
    let who = match (api::ApiToken::from_env()?, config.keys()?) {
        (Some(_), Some(_)) => "clients need the token, or users log in",
        (Some(_), None) => "clients need the token",
        (None, Some(_)) => "users log in",
        (None, None) => "open to this machine only, without a token",
    };
    let over = if config.api.tls.check()? { " for HTTPS" } else { "" };
    Ok(format!("{bind} is free{over}; {who}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &Config) -> Vec<String> {
        let mut told = Vec::new();
        every_finding(config, Path::new("animov.toml"), &mut |finding| {
            let mut line = Vec::new();
            write_finding(finding, &mut line)?;
            told.push(String::from_utf8(line).unwrap());
            Ok(())
        })
        .unwrap();
        told
    }

    #[test]
    fn what_is_wrong_is_told_and_the_rest_is_checked_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "[detector]\nmodel = \"none.onnx\"\n[pipeline]\nidle_timeout = \"1s\"\n\
             [[camera]]\nsource = 1\nurl = \"none.mp4\"\n[api]\nbind = \"{}\"\n",
            taken.local_addr().unwrap()
        );
        let mut config: Config = toml::from_str(&text).unwrap();
        config.move_to(&dir.path().join("not/yet"));
        let told = told(&config);
        let marks: Vec<&str> = told.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(marks, ["WRONG", "ok", "ok", "ok", "WRONG", "WRONG", "WRONG"], "{told:?}");
        assert!(!dir.path().join("not").exists(), "checking changes nothing");
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn files_that_give_no_tls_are_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let mut config =
            Config::parse("api.bind = '127.0.0.1:0'", Path::new("animov.toml")).unwrap();
        assert_eq!(
            api(&config).unwrap(),
            "127.0.0.1:0 is free; open to this machine only, without a token"
        );
        config.api.tls.certificate = Some(dir.path().join("missing.pem"));
        config.api.tls.key = Some(dir.path().join("missing.pem"));
        let wrong = api(&config).unwrap_err().to_string();
        assert!(wrong.contains("missing.pem (api.tls.certificate) cannot be read"), "{wrong}");
    }

    #[test]
    fn the_tables_of_another_program_are_wrong() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("state.sqlite"), "these are no tables").unwrap();
        let mut config = Config::parse("", Path::new("animov.toml")).unwrap();
        config.move_to(dir.path());
        assert!(state(&config).is_err());
    }
}
