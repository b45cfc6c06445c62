//! How many animals there were, and how many were detected, moment by moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::bootstrap::Block;
use crate::comparison::Comparison;
use crate::number::{count, quotient};

/// What all classes together are called.
pub const TOTAL: &str = "total";

/// Two observers' counts of one class, picture by picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub class: Arc<str>,
    pub truth: Vec<u32>,
    pub detected: Vec<u32>,
}

/// What a figure is about at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// One picture.
    Frame,
    /// The mean over the labelled frames of a minute.
    Minute,
    /// The mean over the labelled frames of an hour.
    Hour,
}

impl Level {
    pub const ALL: [Level; 3] = [Level::Frame, Level::Minute, Level::Hour];

    pub fn name(self) -> &'static str {
        match self {
            Level::Frame => "frame",
            Level::Minute => Block::Minute.name(),
            Level::Hour => Block::Hour.name(),
        }
    }

    fn millis(self) -> Option<i64> {
        match self {
            Level::Frame => None,
            Level::Minute => Some(Block::Minute.millis()),
            Level::Hour => Some(Block::Hour.millis()),
        }
    }
}

/// The counts of each class that occurs, and of all together.
pub fn all(comparison: &Comparison) -> Vec<Series> {
    let of = |class: Arc<str>, sum: &dyn Fn(&[u32]) -> u32| Series {
        class,
        truth: comparison.pictures.iter().map(|picture| sum(&picture.truth)).collect(),
        detected: comparison.pictures.iter().map(|picture| sum(&picture.detected)).collect(),
    };
    let mut series: Vec<Series> = (comparison.classes.iter().enumerate())
        .map(|(at, class)| of(Arc::clone(class), &|counts: &[u32]| counts[at]))
        .filter(|series| series.truth.iter().chain(&series.detected).any(|animals| 0 < *animals))
        .collect();
    // Of one class it would say everything twice.
    if series.len() != 1 {
        series.push(of(TOTAL.into(), &|counts: &[u32]| counts.iter().sum()));
    }
    series
}

/// The pictures of each span of time of this length, as places; `None` if one has no time.
///
/// Spans begin at whole multiples of their length since 1970 UTC, or since the first
/// picture where no event time is known.
pub(crate) fn spans(comparison: &Comparison, millis: i64) -> Option<Vec<Vec<usize>>> {
    let mut spans = BTreeMap::<i64, Vec<usize>>::new();
    for (at, picture) in comparison.pictures.iter().enumerate() {
        spans.entry(picture.picture.clock_ms()?.div_euclid(millis)).or_default().push(at);
    }
    Some(spans.into_values().collect())
}

/// Means of both observers over the frames of each moment, and the same as whole animals.
pub(crate) struct Means {
    pub(crate) truth: Vec<f64>,
    pub(crate) detected: Vec<f64>,
    /// To the nearest, halves upwards: categories for kappa.
    pub(crate) whole: Vec<(u32, u32)>,
}

impl Means {
    /// Of `series` at `level`; none where pictures have no time.
    pub(crate) fn at(level: Level, series: &Series, comparison: &Comparison) -> Option<Means> {
        let moments = match level.millis() {
            Some(millis) => spans(comparison, millis)?,
            None => (0..comparison.pictures.len()).map(|at| vec![at]).collect(),
        };
        let mut means = Means { truth: Vec::new(), detected: Vec::new(), whole: Vec::new() };
        for moment in moments {
            let sum = |of: &[u32]| moment.iter().map(|at| u64::from(of[*at])).sum::<u64>();
            let (truth, detected) = (sum(&series.truth), sum(&series.detected));
            let frames = u64::try_from(moment.len()).unwrap_or(u64::MAX);
            let whole =
                |sum: u64| u32::try_from((2 * sum + frames) / (2 * frames)).unwrap_or(u32::MAX);
            means.whole.push((whole(truth), whole(detected)));
            let mean = |sum: u64| quotient(schemas::stats::to_f64(sum), count(&moment));
            means.truth.extend(mean(truth));
            means.detected.extend(mean(detected));
        }
        Some(means)
    }
}
