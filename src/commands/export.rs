//! `animov export windows`: the tables as CSV or NDJSON.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use schemas::commit::{SeriesQuery, StateStore, WindowState};
use schemas::source::SourceId;
use schemas::stats::Statistics;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;
use serde::Serialize;

use crate::config::Place;
use crate::exit::Exit;
use crate::output::{self, Output, Reader};
use crate::parts;

/// Windows of one page: what is held in memory at a time.
const PAGE_WINDOWS: u32 = 1000;

/// Writes what was counted, for other programs.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Windows(Windows),
}

/// One line a window and metric, by source, size and start.
///
/// Columns: source, size, start and end (RFC 3339, UTC; a window holds start
/// and does not hold end), metric, frames, sum, min, max, mean, std (sample
/// standard deviation, empty for one frame), q1, median, q3, modes (all most
/// frequent counts, ascending), coverage (frames seen of those expected),
/// status (open, final, corrected) and rev (grows with each change).
///
/// Works beside a running `animov run`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov export windows --size 1h --metric lying > lying.csv
  animov export windows --size 1d --source 3 --from 2026-03-01 --format ndjson
  animov export windows --output all.csv")]
pub(crate) struct Windows {
    #[command(flatten)]
    place: Place,

    /// Only windows of this size: 1m, 5m, 15m, 1h or 1d [default: every size]
    #[arg(long)]
    size: Option<WindowSize>,

    /// Only this metric [default: all that a window has]
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,

    /// Only this source [default: all]
    #[arg(long, value_name = "NUMBER")]
    source: Option<SourceId>,

    /// Only windows that start at or after this moment: RFC 3339, a date (its
    /// midnight, UTC) or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    from: Option<UnixMillis>,

    /// Only windows that start before this moment
    #[arg(long, value_name = "TIME")]
    to: Option<UnixMillis>,

    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,

    /// Write to this file, which is made new [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Comma-separated, with a header; modes separated by spaces.
    Csv,
    /// One JSON object a line; modes as a list.
    Ndjson,
}

/// Writes the windows.
///
/// # Errors
///
/// The tables cannot be read, or the output not written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let What::Windows(windows) = &args.what;
    let config = windows.place.load()?;
    let store = parts::tables_to_read(&config)?.state;
    let mut writer = Writer::new(windows.format, output::open(windows.output.as_deref())?);
    write(&*store, windows, &mut writer)?;
    Ok(Exit::Ok)
}

fn write(store: &dyn StateStore, args: &Windows, writer: &mut Writer) -> anyhow::Result<()> {
    if output::unless_closed(writer.header())? == Reader::Left {
        return Ok(());
    }
    let known = store.sources()?.into_iter().map(|summary| summary.state.source);
    let sources: Vec<SourceId> =
        known.filter(|id| args.source.is_none_or(|one| one == *id)).collect();
    let sizes = WindowSize::ALL.into_iter().filter(|size| args.size.is_none_or(|one| one == *size));
    for (source, size) in
        sources.into_iter().flat_map(|source| sizes.clone().map(move |size| (source, size)))
    {
        let mut query = SeriesQuery {
            source,
            size,
            from: args.from.unwrap_or(UnixMillis::MIN),
            to: args.to.unwrap_or(UnixMillis::MAX),
            metric: args.metric.as_deref().map(Arc::from),
            limit: PAGE_WINDOWS,
            newest_first: false,
        };
        loop {
            let page = store.series(&query)?;
            let Some(last) = page.last() else { break };
            query.from = UnixMillis::new(last.window.start.get().saturating_add(1));
            if output::unless_closed(page.iter().try_for_each(|window| writer.window(window)))?
                == Reader::Left
            {
                return Ok(());
            }
        }
    }
    output::unless_closed(writer.out.flush())?;
    Ok(())
}

/// One line, in the order of the columns.
#[derive(Serialize)]
struct Row<'a> {
    source: i32,
    size: &'a str,
    start: String,
    end: String,
    metric: &'a str,
    frames: u64,
    sum: u64,
    min: u32,
    max: u32,
    mean: f64,
    std: Option<f64>,
    q1: f64,
    median: f64,
    q3: f64,
    modes: &'a [u32],
    coverage: Option<f64>,
    status: &'a str,
    rev: u64,
}

const CSV_HEADER: &str = "source,size,start,end,metric,frames,sum,min,max,mean,std,q1,median,q3,\
                          modes,coverage,status,rev";

struct Writer<W: Write = Output> {
    format: Format,
    out: W,
}

impl<W: Write> Writer<W> {
    fn new(format: Format, out: W) -> Writer<W> {
        Writer { format, out }
    }

    fn header(&mut self) -> io::Result<()> {
        match self.format {
            Format::Csv => writeln!(self.out, "{CSV_HEADER}"),
            Format::Ndjson => Ok(()),
        }
    }

    fn window(&mut self, state: &WindowState) -> io::Result<()> {
        let (start, end) = (state.window.start.to_string(), state.window.end.to_string());
        let ratio = |part: u64, whole: u64| {
            // Even a day of a frame each millisecond has far fewer than 2^32.
            let [part, whole] =
                [part, whole].map(|n| f64::from(u32::try_from(n).unwrap_or(u32::MAX)));
            (0.0 < whole).then(|| part / whole)
        };
        for (metric, histogram) in &state.metrics {
            // A window without frames has no row.
            let Some(statistics) = histogram.statistics() else { continue };
            let (mean, std) = (statistics.mean(), statistics.std());
            let Statistics { frames, sum, sum_squares: _, min, max, q1, median, q3, modes } =
                statistics;
            let row = Row {
                source: state.source.get(),
                size: state.window.size.name(),
                start: start.clone(),
                end: end.clone(),
                metric,
                frames,
                sum,
                min,
                max,
                mean,
                std,
                q1: q1.value(),
                median: median.value(),
                q3: q3.value(),
                modes: &modes,
                coverage: ratio(state.frames, state.frames_expected),
                status: state.status.name(),
                rev: state.rev,
            };
            match self.format {
                Format::Csv => self.csv(&row)?,
                Format::Ndjson => {
                    serde_json::to_writer(&mut self.out, &row)?;
                    writeln!(self.out)?;
                }
            }
        }
        Ok(())
    }

    fn csv(&mut self, row: &Row<'_>) -> io::Result<()> {
        let Row { source, size, start, end, metric, frames, sum, min, max, .. } = row;
        let Row { mean, std, q1, median, q3, modes, coverage, status, rev, .. } = row;
        write!(self.out, "{source},{size},{start},{end},")?;
        // The only column that may hold anything: a class names itself.
        match metric.contains(['"', ',']) {
            true => write!(self.out, "\"{}\"", metric.replace('"', "\"\""))?,
            false => self.out.write_all(metric.as_bytes())?,
        }
        write!(self.out, ",{frames},{sum},{min},{max},{mean},")?;
        std.map_or(Ok(()), |std| write!(self.out, "{std}"))?;
        write!(self.out, ",{q1},{median},{q3},")?;
        for (at, mode) in modes.iter().enumerate() {
            let separator = if at == 0 { "" } else { " " };
            write!(self.out, "{separator}{mode}")?;
        }
        write!(self.out, ",")?;
        coverage.map_or(Ok(()), |coverage| write!(self.out, "{coverage}"))?;
        writeln!(self.out, ",{status},{rev}")
    }
}

#[cfg(test)]
mod tests {
    use schemas::commit::Status;
    use schemas::stats::Histogram;
    use schemas::window::Calendar;

    use super::*;

    fn windows() -> Vec<WindowState> {
        let calendar = Calendar::in_zone("Europe/Paris").unwrap();
        let window = |size, at: &str| calendar.window(size, at.parse().unwrap()).unwrap();
        vec![
            WindowState {
                source: 3.try_into().unwrap(),
                window: window(WindowSize::Minute, "2026-03-01T12:00:30Z"),
                frames: 6,
                frames_expected: 60,
                status: Status::Corrected,
                rev: 4,
                metrics: vec![
                    ("goat, \"kid\"".into(), Histogram::of(&[(0, 6)])),
                    ("lying".into(), Histogram::of(&[(1, 2), (3, 2), (4, 1), (7, 1)])),
                ],
            },
            WindowState {
                source: 3.try_into().unwrap(),
                window: window(WindowSize::Day, "2026-03-29T12:00:30Z"),
                frames: 1,
                frames_expected: 82_800,
                status: Status::Open,
                rev: 1,
                metrics: vec![("lying".into(), Histogram::of(&[(5, 1)]))],
            },
        ]
    }

    fn exported(format: Format) -> String {
        let mut writer = Writer::new(format, Vec::new());
        writer.header().unwrap();
        windows().iter().for_each(|window| writer.window(window).unwrap());
        String::from_utf8(writer.out).unwrap()
    }

    #[test]
    fn csv_is_one_line_a_window_and_metric() {
        insta::assert_snapshot!(exported(Format::Csv));
    }

    #[test]
    fn ndjson_is_one_object_a_window_and_metric() {
        insta::assert_snapshot!(exported(Format::Ndjson));
    }

    #[test]
    fn csv_is_what_a_csv_reader_expects() {
        let csv = exported(Format::Csv);
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let metrics: Vec<String> =
            reader.records().map(|record| record.unwrap()[4].to_owned()).collect();
        assert_eq!(metrics, ["goat, \"kid\"", "lying", "lying"]);
    }
}
