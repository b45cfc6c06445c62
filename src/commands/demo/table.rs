//! The newest final minutes, for the terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use schemas::commit::{SeriesQuery, StateStore, Status, WindowState};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

use crate::output::{self, Output};

/// Windows looked at for each source: more than turn final between two looks.
const LOOK_WINDOWS: u32 = 200;

/// Shows minutes as they turn final: on a terminal each source has a line that
/// is written over, elsewhere each window has one.
pub(super) struct Table {
    out: Output,
    over: bool,
    /// By source: the newest final minute that was shown.
    newest: BTreeMap<SourceId, Line>,
    /// Lines to go up before writing over them.
    lines: usize,
}

/// What one window's line shows.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    source: SourceId,
    start: UnixMillis,
    frames: u64,
    lying: Option<Metric>,
    standing: Option<Metric>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Metric {
    mean: f64,
    median: f64,
}

const HEADER: &str = "minute                source  frames   lying  (median)   standing  (median)";

impl Table {
    pub(super) fn new(out: Output) -> Table {
        let over = io::stdout().is_terminal();
        Table { out, over, newest: BTreeMap::new(), lines: 0 }
    }

    /// Shows what turned final since the last call.
    ///
    /// # Errors
    ///
    /// The tables cannot be read, or the terminal not written to.
    pub(super) fn show(&mut self, store: &dyn StateStore) -> anyhow::Result<()> {
        let mut new = Vec::new();
        for source in store.sources().context("could not read the tables")? {
            let source = source.state.source;
            let seen = self.newest.get(&source).map_or(UnixMillis::MIN, |line| line.start);
            let windows = store.series(&SeriesQuery {
                source,
                size: WindowSize::Minute,
                from: UnixMillis::new(seen.get().saturating_add(1)),
                to: UnixMillis::MAX,
                metric: None,
                limit: LOOK_WINDOWS,
                newest_first: false,
            })?;
            new.extend(windows.iter().filter(|w| w.status != Status::Open).map(Line::of));
        }
        if new.is_empty() {
            return Ok(());
        }
        new.sort_by_key(|line| (line.start, line.source));
        for line in &new {
            self.newest.insert(line.source, line.clone());
        }
        let written = match self.over {
            true => self.write_over(),
            false => self.write_new(&new),
        };
        output::unless_closed(written.and_then(|()| self.out.flush()))?;
        Ok(())
    }

    fn write_over(&mut self) -> io::Result<()> {
        if 0 < self.lines {
            // Up, to the first of our own lines.
            write!(self.out, "\x1b[{}A", self.lines)?;
        }
        writeln!(self.out, "\x1b[2K{HEADER}")?;
        for line in self.newest.values() {
            writeln!(self.out, "\x1b[2K{}", line.text())?;
        }
        self.lines = self.newest.len() + 1;
        Ok(())
    }

    fn write_new(&mut self, new: &[Line]) -> io::Result<()> {
        if self.lines == 0 {
            writeln!(self.out, "{HEADER}")?;
            self.lines = 1;
        }
        new.iter().try_for_each(|line| writeln!(self.out, "{}", line.text()))
    }
}

impl Line {
    fn of(window: &WindowState) -> Line {
        let metric = |name: &str| {
            let (_, histogram) = window.metrics.iter().find(|(metric, _)| **metric == *name)?;
            let statistics = histogram.statistics()?;
            Some(Metric { mean: statistics.mean(), median: statistics.median.value() })
        };
        Line {
            source: window.source,
            start: window.window.start,
            frames: window.frames,
            lying: metric("lying"),
            standing: metric("standing"),
        }
    }

    fn text(&self) -> String {
        let Line { source, start, frames, lying, standing } = self;
        let part = |metric: &Option<Metric>, width: usize| match metric {
            Some(Metric { mean, median }) => format!("{mean:>width$.2}  {median:>8}"),
            None => format!("{:>width$}  {:>8}", "-", "-"),
        };
        format!(
            "{:<20}  {:>6}  {frames:>6}  {}  {}",
            start.to_string(),
            source.get(),
            part(lying, 6),
            part(standing, 9)
        )
    }
}

#[cfg(test)]
mod tests {
    use schemas::stats::Histogram;
    use schemas::window::Calendar;

    use super::*;

    #[test]
    fn a_minute_is_a_line_under_its_header() {
        let calendar = Calendar::in_zone("UTC").unwrap();
        let at = "2026-03-01T12:00:00Z".parse().unwrap();
        let window = WindowState {
            source: 3.try_into().unwrap(),
            window: calendar.window(WindowSize::Minute, at).unwrap(),
            frames: 60,
            frames_expected: 60,
            status: Status::Final,
            rev: 2,
            metrics: vec![("lying".into(), Histogram::of(&[(3, 40), (4, 20)]))],
        };
        let text = format!("{HEADER}\n{}", Line::of(&window).text());
        insta::assert_snapshot!(text, @"
        minute                source  frames   lying  (median)   standing  (median)
        2026-03-01T12:00:00Z       3      60    3.33         3          -         -
        ");
    }
}
