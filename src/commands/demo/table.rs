//! The newest final minutes, for the terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use schemas::commit::{SeriesQuery, StateStore, Status, WindowState};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

use super::herds::{TrueMinute, Truths};
use crate::output::{self, Output};

/// Windows looked at for each source: more than turn final between two looks.
const LOOK_WINDOWS: u32 = 200;

/// Shows minutes as they turn final: on a terminal each source has a line that
/// is written over, elsewhere each window has one.
pub(super) struct Table {
    out: Output,
    over: bool,
    truths: Truths,
    sum: Sum,
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
    /// Animals a frame, as counted and as drawn.
    lying: Pair,
    standing: Pair,
}

/// A mean of what was counted, and the true one; none where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pair {
    counted: Option<f64>,
    drawn: Option<f64>,
}

/// Over all minutes that were shown, in animals a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    minutes: u32,
    counted: f64,
    drawn: f64,
    lying_counted: f64,
    lying_drawn: f64,
    /// Of the number of animals, minute by minute.
    off: f64,
}

const HEADER: &str = "minute                source  frames   lying    true   standing    true";

impl Table {
    pub(super) fn new(out: Output, truths: Truths) -> Table {
        let over = io::stdout().is_terminal();
        Table { out, over, truths, sum: Sum::default(), newest: BTreeMap::new(), lines: 0 }
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
            new.extend(
                windows
                    .iter()
                    .filter(|w| w.status != Status::Open)
                    .map(|window| Line::of(window, self.truths.take(source, window.window.start))),
            );
        }
        if new.is_empty() {
            return Ok(());
        }
        new.sort_by_key(|line| (line.start, line.source));
        for line in &new {
            self.sum.add(line);
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

impl Table {
    /// Writes how near the counts were to what was drawn.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written to.
    pub(super) fn sum_up(&mut self) -> anyhow::Result<()> {
        if let Some(text) = self.sum.text() {
            let written = writeln!(self.out, "\n{text}").and_then(|()| self.out.flush());
            output::unless_closed(written)?;
        }
        Ok(())
    }
}

impl Sum {
    fn add(&mut self, line: &Line) {
        let Line { lying, standing, .. } = line;
        // A minute of which part was not drawn here, or nothing was counted, says nothing.
        let (Some(lying_drawn), Some(standing_drawn)) = (lying.drawn, standing.drawn) else {
            return;
        };
        if line.frames == 0 {
            return;
        }
        let of = |pair: &Pair| pair.counted.unwrap_or(0.0);
        let (counted, drawn) = (of(lying) + of(standing), lying_drawn + standing_drawn);
        self.minutes += 1;
        self.counted += counted;
        self.drawn += drawn;
        self.lying_counted += of(lying);
        self.lying_drawn += lying_drawn;
        self.off += (counted - drawn).abs();
    }

    fn text(&self) -> Option<String> {
        let Sum { minutes, counted, drawn, lying_counted, lying_drawn, off } = *self;
        if minutes == 0 || drawn == 0.0 || counted == 0.0 {
            return None;
        }
        let each = f64::from(minutes);
        Some(format!(
            "{minutes} minutes: {:.2} animals a frame counted, {:.2} drawn, {:.1} % off a minute; \
             {:.1} % of them lay as counted, {:.1} % as drawn",
            counted / each,
            drawn / each,
            100.0 * off / drawn,
            100.0 * lying_counted / counted,
            100.0 * lying_drawn / drawn,
        ))
    }
}

impl Line {
    fn of(window: &WindowState, truth: Option<TrueMinute>) -> Line {
        let counted = |name: &str| {
            let (_, histogram) = window.metrics.iter().find(|(metric, _)| **metric == *name)?;
            Some(histogram.statistics()?.mean())
        };
        let truth = truth.filter(|truth| 0 < truth.pictures);
        let drawn = |of: fn(&TrueMinute) -> u32| {
            truth.map(|truth| f64::from(of(&truth)) / f64::from(truth.pictures))
        };
        Line {
            source: window.source,
            start: window.window.start,
            frames: window.frames,
            lying: Pair { counted: counted("lying"), drawn: drawn(|truth| truth.lying) },
            standing: Pair { counted: counted("standing"), drawn: drawn(|truth| truth.standing) },
        }
    }

    fn text(&self) -> String {
        let Line { source, start, frames, lying, standing } = self;
        let number = |mean: Option<f64>| mean.map_or("-".to_owned(), |mean| format!("{mean:.2}"));
        format!(
            "{:<20}  {:>6}  {frames:>6}  {:>6}  {:>6}  {:>9}  {:>6}",
            start.to_string(),
            source.get(),
            number(lying.counted),
            number(lying.drawn),
            number(standing.counted),
            number(standing.drawn),
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
        let truth = TrueMinute { pictures: 6, lying: 19, standing: 6 };
        let line = Line::of(&window, Some(truth));
        let unknown = Line::of(&window, None);
        let text = format!("{HEADER}\n{}\n{}", line.text(), unknown.text());
        insta::assert_snapshot!(text, @"
        minute                source  frames   lying    true   standing    true
        2026-03-01T12:00:00Z       3      60    3.33    3.17          -    1.00
        2026-03-01T12:00:00Z       3      60    3.33       -          -       -
        ");
        let mut sum = Sum::default();
        sum.add(&line);
        sum.add(&unknown);
        insta::assert_snapshot!(sum.text().unwrap(), @"1 minutes: 3.33 animals a frame counted, 4.17 drawn, 20.0 % off a minute; 100.0 % of them lay as counted, 76.0 % as drawn");
    }
}
