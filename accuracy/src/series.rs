//! How many animals there were, and how many were detected, moment by moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::bootstrap::Block;
use crate::comparison::Comparison;
use crate::number::{count, quotient};
use crate::picture::PictureId;

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

/// Whether pictures of two videos have one time, so that only the videos' names tell their
/// minutes apart.
pub fn share_times<'a>(pictures: impl IntoIterator<Item = &'a PictureId>) -> bool {
    let mut videos = BTreeMap::new();
    pictures.into_iter().any(|picture| {
        let before = picture.clock_ms().and_then(|time| videos.insert(time, &picture.video));
        before.is_some_and(|video| *video != picture.video)
    })
}

/// The pictures of each span of time of this length, as places; `None` if one has no time.
///
/// Spans begin at whole multiples of their length since 1970 UTC, or since the first
/// picture where no event time is known. Pictures of several videos are in spans of their
/// own: the same minute of two pens is two minutes.
pub(crate) fn spans(comparison: &Comparison, millis: i64) -> Option<Vec<Vec<usize>>> {
    let several = share_times(comparison.pictures.iter().map(|compared| &compared.picture));
    let mut spans = BTreeMap::<_, Vec<usize>>::new();
    for (at, compared) in comparison.pictures.iter().enumerate() {
        let video = compared.picture.video.clone().filter(|_| several);
        let span = compared.picture.clock_ms()?.div_euclid(millis);
        spans.entry((video, span)).or_default().push(at);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Compared;

    fn compared(video: &str, t_ms: i64, detected: u32) -> Compared {
        Compared {
            picture: PictureId { video: Some(video.into()), ..PictureId::of_video(t_ms) },
            truth: vec![5],
            detected: vec![detected],
            outcomes: Vec::new(),
            left_out: 0,
            animals: 5,
            night: None,
            occluded: None,
        }
    }

    fn of(pictures: Vec<Compared>) -> Comparison {
        let classes = vec!["lying".into()];
        Comparison { classes, pictures, unlabelled: BTreeMap::new(), no_boxes: None }
    }

    #[test]
    fn the_same_minute_of_two_videos_is_two_minutes() {
        // One pen has two animals too many, the other two too few: no minute is right.
        let pens = [("pen1", 7), ("pen2", 3)];
        let pictures = [0, 30_000, 60_000].map(|t| pens.map(|(pen, n)| compared(pen, t, n)));
        let comparison = of(pictures.into_iter().flatten().collect());
        assert_eq!(spans(&comparison, 60_000).unwrap(), [vec![0, 2], vec![4], vec![1, 3], vec![5]]);
        let means = Means::at(Level::Minute, &all(&comparison)[0], &comparison).unwrap();
        assert_eq!(means.detected, [7.0, 7.0, 3.0, 3.0]);
    }

    #[test]
    fn what_a_tool_puts_before_each_name_makes_no_video() {
        let pictures = [("a-pen", 0), ("b-pen", 30_000), ("c-pen", 60_000)];
        let comparison = of(pictures.map(|(video, t)| compared(video, t, 5)).into());
        assert_eq!(spans(&comparison, 60_000).unwrap(), [vec![0, 1], vec![2]]);
        let twice = [0, 0, 60_000].map(PictureId::of_video);
        assert!(!share_times(&twice), "one source's frames may have one time");
    }
}
