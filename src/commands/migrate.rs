//! `animov migrate`: the tables and the log become what this version needs.

use std::io::Write;
use std::sync::Arc;

use schemas::time::SystemClock;
use sinks::config::{LogKind, SnapshotsKind};
use sinks::log::kafka::KafkaLog;

use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::{output, parts};

/// Brings the tables up to date, and makes topics and indexes where there are none.
///
/// Run it before the first start on servers, and once after an update of animov
/// while no other animov process uses the tables. If it fails they are as they
/// were; what it had begun on a server is ended by the next try. Partitions are
/// added to a topic that has fewer than configured, and never taken away.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
}

/// Migrates tables and log.
///
/// # Errors
///
/// They are newer than this program, or cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let mut out = output::open(None)?;
    let (was, is) = parts::migrate_tables(&config)?;
    let tables = match was == is {
        true => format!("{} is up to date, at version {is}", config.state),
        false => format!("{}: from version {was} to {is}", config.state),
    };
    output::unless_closed(writeln!(out, "{tables}").and_then(|()| out.flush()))?;
    for line in log(&config)? {
        output::unless_closed(writeln!(out, "{line}"))?;
    }
    if config.snapshots.kind == SnapshotsKind::Mongo {
        let at = parts::reach_snapshots(&config)?;
        output::unless_closed(writeln!(out, "{at} is up to date"))?;
    }
    output::unless_closed(out.flush())?;
    Ok(Exit::Ok)
}

/// Makes the log what it must be; what there is to tell. A log of segments needs
/// nothing.
fn log(config: &Config) -> anyhow::Result<Vec<String>> {
    if config.log.kind == LogKind::Segments {
        return Ok(Vec::new());
    }
    let kafka = config.log.kafka.clone();
    let migration = KafkaLog::migrate(kafka, parts::kafka_secrets(), Arc::new(SystemClock))?;
    let mut told = migration.did;
    if told.is_empty() {
        told.push(format!("{} is up to date", config.log));
    }
    told.extend(migration.differs.into_iter().map(|what| format!("differs: {what}")));
    Ok(told)
}
