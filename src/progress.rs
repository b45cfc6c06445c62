//! How far long work is: a bar on a terminal, a plain line every few seconds
//! elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{grouped, tell};

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What the numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Records,
    Bytes,
}

/// Shows how far a piece of work is.
pub(crate) struct Meter {
    what: &'static str,
    unit: Unit,
    total: u64,
    begun: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Meter {
    /// For `what`, of which there are `total`; 0 if nobody knows.
    pub(crate) fn new(what: &'static str, unit: Unit, total: u64) -> Meter {
        let bar = std::io::stderr().is_terminal().then(|| bar(what, unit, total));
        let begun = Instant::now();
        Meter { what, unit, total, begun, told: begun, bar }
    }

    /// Since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Tells that so much is done, if it is time to. Work that grew meanwhile
    /// raises the total.
    pub(crate) fn at(&mut self, done: u64) {
        self.total = if self.total == 0 { 0 } else { self.total.max(done) };
        match &self.bar {
            Some(bar) => {
                if 0 < self.total {
                    bar.set_length(self.total);
                }
                bar.set_position(done);
            }
            None if LINE_EVERY <= self.told.elapsed() => {
                self.told = Instant::now();
                tell(&line(self.what, self.unit, done, self.total, self.begun.elapsed()));
            }
            None => {}
        }
    }

    /// Takes the bar away, so that a summary can be written.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str, unit: Unit, total: u64) -> ProgressBar {
    let known = 0 < total;
    let template = match (known, unit) {
        (true, Unit::Records) => {
            "{msg} {wide_bar} {human_pos} of {human_len} ({percent} %), {per_sec}, {eta} left"
        }
        (true, Unit::Bytes) => {
            "{msg} {wide_bar} {bytes} of {total_bytes} ({percent} %), {bytes_per_sec}, {eta} left"
        }
        (false, Unit::Records) => "{msg} {spinner} {human_pos}, {per_sec}, {elapsed}",
        (false, Unit::Bytes) => "{msg} {spinner} {bytes}, {bytes_per_sec}, {elapsed}",
    };
    let bar = if known { ProgressBar::new(total) } else { ProgressBar::no_length() };
    // The templates above are valid; a plain bar would do as well.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(what)
}

fn line(what: &str, unit: Unit, done: u64, total: u64, elapsed: Duration) -> String {
    let amount = |number: u64| match unit {
        Unit::Records => grouped(number),
        Unit::Bytes => format!("{} MB", grouped(number / 1_000_000)),
    };
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.saturating_mul(1000) / millis;
    let mut text = format!("{what}: {}", amount(done));
    if let Some(percent) = done.saturating_mul(100).checked_div(total) {
        text += &format!(" of {} ({percent} %)", amount(total));
    }
    text += &format!(", {}/s", amount(rate));
    if let Some(seconds) = total.saturating_sub(done).checked_div(rate)
        && 0 < total
    {
        text += &format!(", {} left", humantime::format_duration(Duration::from_secs(seconds)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let after = Duration::from_secs(10);
        insta::assert_snapshot!(
            line("replay", Unit::Records, 2_500_000, 10_000_000, after),
            @"replay: 2,500,000 of 10,000,000 (25 %), 250,000/s, 30s left"
        );
        insta::assert_snapshot!(line("replay", Unit::Records, 0, 0, after), @"replay: 0, 0/s");
        insta::assert_snapshot!(
            line("import", Unit::Bytes, 5_000_000, 20_000_000, Duration::from_millis(500)),
            @"import: 5 MB of 20 MB (25 %), 10 MB/s, 1s left"
        );
    }
}
