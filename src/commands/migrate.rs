//! `animov migrate`: tables of an older version become this version's.

use std::io::Write;

use sinks::state::sqlite::SqliteState;

use crate::config::Place;
use crate::exit::Exit;
use crate::{output, parts};

/// Brings the tables up to date.
///
/// Run it once after an update of animov, while no other animov process uses
/// the tables. If it fails they are as they were.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
}

/// Migrates the tables.
///
/// # Errors
///
/// They are newer than this program, or cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let path = &config.state.path;
    parts::make_parent(path)?;
    let (was, is) = SqliteState::migrate(path)?;
    let mut out = output::open(None)?;
    let told = match was == is {
        true => writeln!(out, "{} is up to date, at version {is}", path.display()),
        false => writeln!(out, "{}: from version {was} to {is}", path.display()),
    };
    output::unless_closed(told.and_then(|()| out.flush()))?;
    Ok(Exit::Ok)
}
