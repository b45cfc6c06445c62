//! `animov import database`: the minutes of an existing ANIMOV database.

use std::io::Write;

use anyhow::{Context, bail};
use prometheus::Registry;
use schemas::imported::{Chunk, ImportedStore, Taken};
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock};
use sinks::state::mysql::original::{OriginalDatabase, OriginalRow};

use crate::config::Place;
use crate::exit::Exit;
use crate::output::{self, grouped, tell};
use crate::progress::{Meter, Unit};
use crate::{parts, signals};

/// Refused rows that are told; of the others, how many.
const TOLD_MAX: u64 = 20;

const ABOUT: &str = r#"Imports the minutes of an existing ANIMOV database.

The connection is the section [database] of the configuration, in the original's own words; the
password is ANIMOV_DATABASE_PASSWORD. A user who may read is enough: nothing is written there.
The table is table_chevres_minute_serveur_v2.

Its rows are statistics without the histograms that they are of. They keep their quartiles and
modes, and are kept beside what is counted, never among it: GET
/v1/sources/{source}/imported-minutes.

What was imported is not read again: an import that was interrupted goes on where it ended, and
a later one takes what came since. With --again all rows are read anew, and those that changed
are kept as they are now.

Works beside a running `animov run`. Ends with code 4 if there are rows and none could be
taken."#;

/// Imports the minutes of an existing ANIMOV database.
#[derive(clap::Args, Debug)]
#[command(
    long_about = ABOUT,
    after_help = "\
Examples:
  ANIMOV_DATABASE_PASSWORD=… animov import database
  animov import database --again --config /etc/animov.toml"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,

    /// Read rows that were imported before, too
    #[arg(long)]
    again: bool,
}

/// Imports the minutes.
///
/// # Errors
///
/// The database cannot be read, or is another; or the tables cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let database = parts::original_database(&config)?.context(
        "no database is configured: say where it is with database.host in the configuration",
    )?;
    let stop = signals::stop_on_signal()?;
    let store = parts::tables(&config, &Registry::new())?.imported;
    let name = database.name();
    let begun = match args.again {
        true => Taken::default(),
        false => store.minutes_taken(&name)?,
    };
    let total = database.rows_behind(begun.last_id)?;
    let mut meter = Meter::new("import", Unit::Records, total);
    let taken =
        import(&database, begun, config.database.chunk_rows.get(), &*store, &stop, &mut meter)
            .context("what was imported stays; run it again to go on")?;
    meter.finish();
    let refused = taken.rows_refused - begun.rows_refused;
    if TOLD_MAX < refused {
        tell(&format!("… refused in all: {} rows", grouped(refused)));
    }
    let rows = taken.rows_read - begun.rows_read;
    let seconds = meter.elapsed();
    let rate = u128::from(rows) * 1000 / seconds.as_millis().max(1);
    let mut out = output::open(None)?;
    let written = writeln!(
        out,
        "database={name} rows={rows} kept={} refused={refused} before={} seconds={:.3} \
         rows_per_second={rate}",
        rows - refused,
        begun.rows_read,
        seconds.as_secs_f64(),
    );
    output::unless_closed(written.and_then(|()| out.flush()))?;
    if stop.is_stopped() {
        bail!("stopped before the end; run it again to go on");
    }
    Ok(if 0 < rows && rows == refused { Exit::Nothing } else { Exit::Ok })
}

/// How far it has come.
fn import(
    database: &OriginalDatabase,
    begun: Taken,
    chunk_rows: u32,
    store: &dyn ImportedStore,
    stop: &Stop,
    meter: &mut Meter,
) -> anyhow::Result<Taken> {
    let mut taken = begun;
    while !stop.is_stopped() {
        let rows = database.read(taken.last_id, chunk_rows)?;
        let Some(last) = rows.last() else { break };
        taken.last_id = Some(last.id);
        taken.rows_read += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let mut minutes = Vec::with_capacity(rows.len());
        for OriginalRow { id, minute } in rows {
            match minute {
                Ok(minute) => minutes.push(minute),
                Err(what) => {
                    taken.rows_refused += 1;
                    if taken.rows_refused - begun.rows_refused <= TOLD_MAX {
                        meter.finish();
                        tell(&format!("row {id} is refused: {what}"));
                    }
                }
            }
        }
        let (database, now) = (database.name(), SystemClock.now());
        store.put_minutes(&Chunk { database, minutes, taken, now })?;
        fail::fail_point!("import-after-chunk");
        meter.at(taken.rows_read - begun.rows_read);
    }
    Ok(taken)
}
