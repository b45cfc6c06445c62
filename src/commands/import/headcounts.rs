//! `animov import csv`: the headcount files of a folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use prometheus::Registry;
use schemas::imported::file::Refused;
use schemas::imported::{HeadcountFile, ImportedStore, Table};
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::{Clock, SystemClock};
use schemas::window::Calendar;

use crate::config::Place;
use crate::exit::Exit;
use crate::output::{self, tell};
use crate::progress::{Meter, Unit};
use crate::{parts, signals};

/// Longest file that is read, in bytes: it is held in memory.
const FILE_BYTES_MAX: u64 = 256 << 20;

const ABOUT: &str = r#"Imports the headcount files of a folder, as the original system did.

Every file whose name ends in -1.csv goes to the table "final", every one that ends in -2.csv
to "final_2", each row with the source that you name; other files and folders are passed over.
The columns are "date", "Effectif couche" and "Effectif debout", others are ignored. A file is
UTF-8 or Latin-1, separated by commas or semicolons, with points or commas in its numbers,
quoted as pandas quotes. A date is ISO 8601 or day first (31/12/2026 23:59), on the site's
clocks.

A row whose date or headcounts cannot be read is refused, told with its line, and counted; the
others are kept. Nothing is kept twice: a file that was imported is known by its content,
whatever its name, and a row by all that it says, so a file that has grown brings only its new
rows.

Works beside a running `animov run`, which serves the result at GET /v1/headcounts. Ends with
code 0, also if the folder holds no such file, and with code 4 if none of its files could be
read."#;

/// Imports the headcount files of a folder, as the original system did.
#[derive(clap::Args, Debug)]
#[command(
    long_about = ABOUT,
    after_help = "\
Examples:
  animov import csv exports/ --source 3
  animov import csv exports/ --source 3 --state /var/lib/animov"
)]
pub(super) struct Args {
    /// The folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// The source of all rows
    #[arg(long, value_name = "NUMBER")]
    source: SourceId,

    #[command(flatten)]
    place: Place,
}

/// What became of all files.
#[derive(Debug, Default)]
struct Summary {
    files: u64,
    files_refused: u64,
    files_known: u64,
    rows_read: u64,
    rows_new: u64,
    rows_refused: u64,
}

/// Imports the files.
///
/// # Errors
///
/// The folder cannot be read, or the tables not be opened or written.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let files = files_in(&args.folder)?;
    let stop = signals::stop_on_signal()?;
    let calendar = Calendar::in_zone(&config.site.zone)?;
    let store = parts::tables(&config, &Registry::new())?.imported;
    let mut out = output::open(None)?;
    let summary = import(&files, args.source, &*store, &calendar, &stop, &mut out)?;
    let Summary { files, files_refused, files_known, rows_read, rows_new, rows_refused } = summary;
    let written = writeln!(
        out,
        "files={files} known={files_known} files_refused={files_refused} rows={rows_read} \
         new={rows_new} refused={rows_refused}"
    );
    output::unless_closed(written.and_then(|()| out.flush()))?;
    if stop.is_stopped() {
        bail!("stopped before the end; import the same folder again to go on");
    }
    Ok(if 0 < files && files == files_refused { Exit::Nothing } else { Exit::Ok })
}

/// The headcount files of `folder` with their tables, by name.
fn files_in(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Table)>> {
    let list = || format!("could not list the folder {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(list)? {
        let path = entry.with_context(list)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some(table) = name.and_then(|name| Table::of_file(&name))
            && path.is_file()
        {
            files.push((path, table));
        }
    }
    files.sort();
    Ok(files)
}

fn import(
    files: &[(PathBuf, Table)],
    source: SourceId,
    store: &dyn ImportedStore,
    calendar: &Calendar,
    stop: &Stop,
    out: &mut impl Write,
) -> anyhow::Result<Summary> {
    let length = |(path, _): &(PathBuf, Table)| path.metadata().map_or(0, |data| data.len());
    let mut meter = Meter::new("import", Unit::Bytes, files.iter().map(length).sum());
    let mut summary = Summary::default();
    let mut done = 0;
    for file in files {
        if stop.is_stopped() {
            break;
        }
        let (path, table) = file;
        summary.files += 1;
        match read(path, *table, source, calendar) {
            Ok((file, rows, refused)) => {
                let kept = store.put_headcounts(&file, &rows).with_context(|| {
                    format!("could not keep {}; import it again to go on", path.display())
                })?;
                let kept_new = if kept.known { 0 } else { kept.new };
                let line = format!(
                    "{}: table={} rows={} new={kept_new} refused={}{}",
                    path.display(),
                    table.name(),
                    file.rows_read,
                    file.rows_refused,
                    if kept.known { " (imported before)" } else { "" },
                );
                meter.finish();
                output::unless_closed(writeln!(out, "{line}"))?;
                tell_refusals(path, &refused);
                summary.files_known += u64::from(kept.known);
                summary.rows_read += file.rows_read;
                summary.rows_new += kept_new;
                summary.rows_refused += file.rows_refused;
            }
            Err(error) => {
                summary.files_refused += 1;
                meter.finish();
                tell(&format!("{}: {error:#}", path.display()));
            }
        }
        done += length(file);
        meter.at(done);
    }
    meter.finish();
    Ok(summary)
}

type Read = (HeadcountFile, Vec<schemas::imported::Headcount>, Refused);

fn read(path: &Path, table: Table, source: SourceId, calendar: &Calendar) -> anyhow::Result<Read> {
    let length = path.metadata()?.len();
    if FILE_BYTES_MAX < length {
        bail!("it has {length} bytes; split it into files of {FILE_BYTES_MAX} bytes at most");
    }
    let bytes = std::fs::read(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let now = SystemClock.now();
    let content = HeadcountFile::read(&name, &bytes, source, table, calendar, now)?;
    Ok((content.file, content.rows, content.refused))
}

fn tell_refusals(path: &Path, refused: &Refused) {
    for refusal in &refused.told {
        let (line, reason, found) = (refusal.line, refusal.reason, &refusal.found);
        tell(&format!("{}, line {line}: {reason}: {found:?}", path.display()));
    }
    let told = u64::try_from(refused.told.len()).unwrap_or(u64::MAX);
    if told < refused.total() {
        let reasons = refused.reasons.iter();
        let reasons: Vec<String> =
            reasons.map(|(reason, rows)| format!("{} {reason}", output::grouped(*rows))).collect();
        tell(&format!("{}: refused in all: {}", path.display(), reasons.join(", ")));
    }
}
