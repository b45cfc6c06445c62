//! The figures of a comparison. Each is defined where it is declared.

use std::sync::Arc;

use schemas::accuracy::{Confusion, CorrectedShare, Level as Confidence, corrected_share};
use schemas::stats::to_f64;
use serde::Serialize;

use crate::agreement::{BlandAltman, kappa, kappa_quadratic, pearson};
use crate::bootstrap::{Interval, Plan, intervals};
use crate::comparison::{Compared, Comparison};
use crate::number::{count, mean, quotient};
use crate::posture::{self, Posture, Postures};
use crate::series::{self, Level, Means, Series};

/// How wrong the number of animals of a class is, over all labelled frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountError {
    pub class: Arc<str>,
    pub truth_mean: f64,
    pub detected_mean: f64,
    /// Mean absolute error: the mean of `|detected − true|` over frames, in animals.
    pub mae: f64,
    /// The mean of `detected − true`, in animals: below zero, too few are seen.
    pub bias: f64,
    /// `mae / truth_mean`; none where no animal is.
    pub mae_share: Option<f64>,
    /// `bias / truth_mean`.
    pub bias_share: Option<f64>,
    /// 95 % of [`mae`](CountError::mae), by the bootstrap.
    pub mae_interval: Option<Interval>,
    /// 95 % of [`bias`](CountError::bias).
    pub bias_interval: Option<Interval>,
}

/// The share of lying animals among those that lie or stand, summed over frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LyingShare {
    /// By the labels.
    pub truth: Option<f64>,
    /// Raw, as detected.
    pub detected: Option<f64>,
    /// `detected − truth`.
    pub error: Option<f64>,
    /// 95 % of [`error`](LyingShare::error), by the bootstrap.
    pub error_interval: Option<Interval>,
    /// The mean over frames of the absolute difference of a frame's two shares; frames
    /// where either side sees nobody lie or stand are left out.
    pub frame_mae: Option<f64>,
    /// Not what was detected: what was probably true, by the confusion measured here.
    pub corrected: Option<Corrected>,
    /// Why there is no corrected share.
    pub not_corrected: Option<String>,
}

/// A share that was corrected for confused postures; see
/// [`corrected_share`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Corrected {
    pub method: &'static str,
    #[serde(flatten)]
    pub share: CorrectedShare,
}

/// How well detections and labels agree about a class, at one level of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    pub class: Arc<str>,
    pub level: Level,
    /// Frames, minutes or hours.
    pub n: u64,
    /// Cohen's kappa of the two counts, to the nearest whole animal.
    pub kappa: Option<f64>,
    /// The same with quadratic weights.
    pub kappa_quadratic: Option<f64>,
    /// Pearson's r of the two means.
    pub pearson_r: Option<f64>,
    pub bland_altman: Option<BlandAltman>,
    /// Mean absolute error of the two means.
    pub mae: f64,
}

/// What became of boxes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Boxes {
    /// Animals that were found.
    pub matched: u64,
    /// Animals that nothing found.
    pub missed: u64,
    /// Detections where no animal is.
    #[serde(rename = "false")]
    pub false_ones: u64,
    /// Detections of animals that are hardly to be seen.
    pub left_out: u64,
    /// `matched / (matched + false)`, whatever the class.
    pub precision: Option<f64>,
    /// `matched / (matched + missed)`, whatever the class.
    pub recall: Option<f64>,
    /// The mean overlap of pairs.
    pub iou_mean: Option<f64>,
    pub classes: Vec<OfClass>,
    pub confusion: Matrix,
    pub postures: OfPostures,
}

/// Finding animals of one class, and as that class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfClass {
    pub class: Arc<str>,
    pub labelled: u64,
    pub detected: u64,
    /// Found, and as this class.
    pub right: u64,
    /// `right / detected`.
    pub precision: Option<f64>,
    /// `right / labelled`.
    pub recall: Option<f64>,
    /// The harmonic mean of the two: `2 right / (labelled + detected)`.
    pub f1: Option<f64>,
}

/// The confusion matrix: a row is what an animal is, a column what it was detected as. The
/// last row is of detections where no animal is, the last column of animals that nothing
/// found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matrix {
    pub classes: Vec<Arc<str>>,
    pub rows: Vec<Vec<u64>>,
}

/// Telling lying from standing, of animals that were found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfPostures {
    #[serde(flatten)]
    pub confusion: Confusion,
    /// The share of right postures.
    pub right: Option<f64>,
    /// Cohen's kappa of the two postures.
    pub kappa: Option<f64>,
}

/// The figures of some of the frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// `light`, `animals` or `occlusion`.
    pub condition: &'static str,
    pub value: &'static str,
    pub frames: u64,
    pub truth_mean: f64,
    pub mae: f64,
    pub bias: f64,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub postures_right: Option<f64>,
    pub lying_share_truth: Option<f64>,
    pub lying_share_detected: Option<f64>,
}

/// All figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    pub counts: Vec<CountError>,
    pub lying_share: LyingShare,
    pub agreement: Vec<Agreement>,
    /// None if labels or frames have no boxes; `no_boxes` says which.
    pub boxes: Option<Boxes>,
    pub no_boxes: Option<&'static str>,
    pub conditions: Vec<Condition>,
    /// What the bootstrap drew from; `frame` where pictures have no time.
    pub block: &'static str,
    pub blocks: u64,
}

impl Figures {
    /// Computes them.
    pub fn of(comparison: &Comparison, postures: &Postures, plan: &Plan) -> Figures {
        let postures = postures.of(comparison);
        let series = series::all(comparison);
        let spans = series::spans(comparison, plan.block.millis());
        let block = spans.as_ref().map_or("frame", |_| plan.block.name());
        let spans =
            spans.unwrap_or_else(|| (0..comparison.pictures.len()).map(|at| vec![at]).collect());
        let sure = sure(comparison, &postures, &series, &spans, plan);
        let errors = sure.counts.chunks_exact(2);
        let counts = series.iter().zip(errors).map(|(series, sure)| {
            let figures = Sums::of(series, 0..comparison.pictures.len());
            let (truth_mean, mae, bias) = figures.means();
            CountError {
                class: Arc::clone(&series.class),
                truth_mean,
                detected_mean: truth_mean + bias,
                mae,
                bias,
                mae_share: quotient(mae, truth_mean),
                bias_share: quotient(bias, truth_mean),
                mae_interval: sure[0],
                bias_interval: sure[1],
            }
        });
        let boxes = comparison.no_boxes.is_none().then(|| boxes(comparison, &postures));
        Figures {
            counts: counts.collect(),
            lying_share: lying_share(comparison, &postures, sure.share_error),
            agreement: agreement(comparison, &series),
            boxes,
            no_boxes: comparison.no_boxes,
            conditions: conditions(comparison, &postures),
            block,
            blocks: whole(spans.len()),
        }
    }
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What means over frames are made of; it can be added.
struct Sums {
    frames: f64,
    truth: f64,
    difference: f64,
    absolute: f64,
}

impl Sums {
    fn of(series: &Series, frames: impl IntoIterator<Item = usize>) -> Sums {
        let mut sums = Sums { frames: 0.0, truth: 0.0, difference: 0.0, absolute: 0.0 };
        for at in frames {
            let (truth, detected) = (f64::from(series.truth[at]), f64::from(series.detected[at]));
            sums.frames += 1.0;
            sums.truth += truth;
            sums.difference += detected - truth;
            sums.absolute += (detected - truth).abs();
        }
        sums
    }

    /// Of the truth, of absolute differences and of differences.
    fn means(&self) -> (f64, f64, f64) {
        let mean = |sum: f64| quotient(sum, self.frames).unwrap_or(0.0);
        (mean(self.truth), mean(self.absolute), mean(self.difference))
    }
}

/// How sure figures are.
struct Sure {
    /// Of the mean absolute error and the bias of each series.
    counts: Vec<Option<Interval>>,
    share_error: Option<Interval>,
}

fn sure(
    comparison: &Comparison,
    postures: &[Option<Posture>],
    series: &[Series],
    spans: &[Vec<usize>],
    plan: &Plan,
) -> Sure {
    // Of each block: frames, four sums of postures, two sums of each series.
    let sums = |span: &Vec<usize>| {
        let mut sums = vec![count(span)];
        let of = |side: fn(&Compared) -> &[u32]| {
            let mut both = [0.0; 2];
            for at in span {
                let seen = posture::observed(side(&comparison.pictures[*at]), postures);
                both[0] += to_f64(seen.lying);
                both[1] += to_f64(seen.lying) + to_f64(seen.standing);
            }
            both
        };
        sums.extend(of(|picture| &picture.truth));
        sums.extend(of(|picture| &picture.detected));
        for series in series {
            let of_series = Sums::of(series, span.iter().copied());
            sums.extend([of_series.absolute, of_series.difference]);
        }
        sums
    };
    let blocks: Vec<Vec<f64>> = spans.iter().map(sums).collect();
    let figures = |sums: &[f64]| {
        let [frames, lying, all, seen_lying, seen_all, errors @ ..] = sums else {
            return Vec::new();
        };
        let share = |part: &f64, of: &f64| quotient(*part, *of);
        let error = share(seen_lying, seen_all).zip(share(lying, all)).map(|(seen, is)| seen - is);
        let of_counts = errors.iter().map(|sum| quotient(*sum, *frames));
        std::iter::once(error).chain(of_counts).collect()
    };
    let mut found = intervals(&blocks, plan, figures).into_iter();
    Sure { share_error: found.next().flatten(), counts: found.collect() }
}

fn lying_share(
    comparison: &Comparison,
    postures: &[Option<Posture>],
    error_interval: Option<Interval>,
) -> LyingShare {
    let sum = |side: fn(&Compared) -> &[u32]| {
        let mut sum = schemas::accuracy::Observed { lying: 0, standing: 0 };
        for picture in &comparison.pictures {
            let seen = posture::observed(side(picture), postures);
            sum.lying += seen.lying;
            sum.standing += seen.standing;
        }
        sum
    };
    let (is, seen) = (sum(|picture| &picture.truth), sum(|picture| &picture.detected));
    let (truth, detected) = (is.share(), seen.share());
    let frame_errors: Vec<f64> = (comparison.pictures.iter())
        .filter_map(|picture| {
            let share = |counts: &[u32]| posture::observed(counts, postures).share();
            Some((share(&picture.detected)? - share(&picture.truth)?).abs())
        })
        .collect();
    let confusion = posture::confusion(&comparison.pictures, postures);
    let corrected = match comparison.no_boxes {
        Some(why) => Err(format!("how often postures are confused is not known: {why}")),
        None => corrected_share(seen, &confusion, Confidence::P95).map_err(|why| why.to_string()),
    };
    let (corrected, not_corrected) = match corrected {
        Ok(share) => (Some(Corrected { method: "Rogan-Gladen, Lang-Reiczigel", share }), None),
        Err(why) => (None, Some(why)),
    };
    LyingShare {
        truth,
        detected,
        error: detected.zip(truth).map(|(detected, truth)| detected - truth),
        error_interval,
        frame_mae: mean(&frame_errors),
        corrected,
        not_corrected,
    }
}

fn agreement(comparison: &Comparison, series: &[Series]) -> Vec<Agreement> {
    let mut rows = Vec::new();
    for series in series {
        for level in Level::ALL {
            let Some(means) = Means::at(level, series, comparison) else { continue };
            let differences: Vec<f64> =
                means.truth.iter().zip(&means.detected).map(|(t, d)| (d - t).abs()).collect();
            rows.push(Agreement {
                class: Arc::clone(&series.class),
                level,
                n: whole(means.truth.len()),
                kappa: kappa(&means.whole),
                kappa_quadratic: kappa_quadratic(&means.whole),
                pearson_r: pearson(&means.truth, &means.detected),
                bland_altman: BlandAltman::of(&means.truth, &means.detected),
                mae: mean(&differences).unwrap_or(0.0),
            });
        }
    }
    rows
}

/// Animals found, missed and invented in some pictures.
#[derive(Default)]
struct Tally {
    matched: u64,
    missed: u64,
    false_ones: u64,
}

impl Tally {
    fn of<'a>(pictures: impl IntoIterator<Item = &'a Compared>) -> Tally {
        let mut tally = Tally::default();
        for outcome in pictures.into_iter().flat_map(|picture| &picture.outcomes) {
            match (outcome.truth, outcome.detected) {
                (Some(_), Some(_)) => tally.matched += 1,
                (Some(_), None) => tally.missed += 1,
                _ => tally.false_ones += 1,
            }
        }
        tally
    }

    fn precision(&self) -> Option<f64> {
        quotient(to_f64(self.matched), to_f64(self.matched + self.false_ones))
    }

    fn recall(&self) -> Option<f64> {
        quotient(to_f64(self.matched), to_f64(self.matched + self.missed))
    }
}

fn boxes(comparison: &Comparison, postures: &[Option<Posture>]) -> Boxes {
    let tally = Tally::of(&comparison.pictures);
    let outcomes = || comparison.pictures.iter().flat_map(|picture| &picture.outcomes);
    let occurs: Vec<usize> = (0..comparison.classes.len())
        .filter(|at| outcomes().any(|o| o.truth == Some(*at) || o.detected == Some(*at)))
        .collect();
    let nobody = occurs.len();
    let mut rows = vec![vec![0_u64; nobody + 1]; nobody + 1];
    let place = |class: Option<usize>| {
        class.and_then(|class| occurs.iter().position(|at| *at == class)).unwrap_or(nobody)
    };
    for outcome in outcomes() {
        rows[place(outcome.truth)][place(outcome.detected)] += 1;
    }
    let names: Vec<Arc<str>> =
        occurs.iter().map(|at| Arc::clone(&comparison.classes[*at])).collect();
    let of_class = |(at, class): (usize, &Arc<str>)| {
        let labelled: u64 = rows[at].iter().sum();
        let detected: u64 = rows.iter().map(|row| row[at]).sum();
        let right = rows[at][at];
        OfClass {
            class: Arc::clone(class),
            labelled,
            detected,
            right,
            precision: quotient(to_f64(right), to_f64(detected)),
            recall: quotient(to_f64(right), to_f64(labelled)),
            f1: quotient(2.0 * to_f64(right), to_f64(labelled + detected)),
        }
    };
    let overlaps: Vec<f64> = outcomes().filter_map(|outcome| outcome.iou).collect();
    let confusion = posture::confusion(&comparison.pictures, postures);
    let pairs: Vec<(u32, u32)> = outcomes()
        .filter_map(|outcome| {
            let lies = |class: Option<usize>| {
                postures[class?].map(|posture| u32::from(posture == Posture::Lying))
            };
            Some((lies(outcome.truth)?, lies(outcome.detected)?))
        })
        .collect();
    Boxes {
        matched: tally.matched,
        missed: tally.missed,
        false_ones: tally.false_ones,
        left_out: comparison.pictures.iter().map(|picture| u64::from(picture.left_out)).sum(),
        precision: tally.precision(),
        recall: tally.recall(),
        iou_mean: mean(&overlaps),
        classes: names.iter().enumerate().map(of_class).collect(),
        postures: OfPostures { confusion, right: posture::right(&confusion), kappa: kappa(&pairs) },
        confusion: Matrix { classes: names, rows },
    }
}

/// Occlusion is `some` up to this share of a picture's animals, above it `many`.
const SOME_OCCLUDED_MAX: f64 = 1.0 / 3.0;

/// By which frames are told apart, and the values in their order.
type Split = (&'static str, &'static [&'static str], fn(&Compared) -> Option<&'static str>);

const SPLITS: [Split; 3] = [
    ("light", &["day", "night"], |picture| {
        picture.night.map(|night| if night { "night" } else { "day" })
    }),
    ("animals", &["0", "1-5", "6-12", "13-30", "31 or more"], |picture| {
        Some(match picture.animals {
            0 => "0",
            1..=5 => "1-5",
            6..=12 => "6-12",
            13..=30 => "13-30",
            _ => "31 or more",
        })
    }),
    ("occlusion", &["none", "some", "many"], |picture| {
        picture.occluded.map(|share| match share {
            _ if share <= 0.0 => "none",
            _ if share <= SOME_OCCLUDED_MAX => "some",
            _ => "many",
        })
    }),
];

fn conditions(comparison: &Comparison, postures: &[Option<Posture>]) -> Vec<Condition> {
    let mut rows = Vec::new();
    for (condition, values, value_of) in SPLITS {
        for value in values {
            let pictures: Vec<&Compared> = (comparison.pictures.iter())
                .filter(|picture| value_of(picture) == Some(*value))
                .collect();
            if !pictures.is_empty() {
                rows.push(of_condition(condition, value, &pictures, comparison, postures));
            }
        }
    }
    rows
}

fn of_condition(
    condition: &'static str,
    value: &'static str,
    pictures: &[&Compared],
    comparison: &Comparison,
    postures: &[Option<Posture>],
) -> Condition {
    let sum = |side: fn(&Compared) -> &[u32]| -> Vec<u32> {
        pictures.iter().map(|picture| side(picture).iter().sum()).collect()
    };
    let total = Series {
        class: series::TOTAL.into(),
        truth: sum(|picture| &picture.truth),
        detected: sum(|picture| &picture.detected),
    };
    let (truth_mean, mae, bias) = Sums::of(&total, 0..pictures.len()).means();
    let tally = Tally::of(pictures.iter().copied());
    let confusion = posture::confusion(pictures.iter().copied(), postures);
    let share = |side: fn(&Compared) -> &[u32]| {
        let seen = pictures.iter().map(|picture| posture::observed(side(picture), postures));
        let (lying, all) = seen.fold((0.0, 0.0), |(lying, all), seen| {
            let here = to_f64(seen.lying);
            (lying + here, all + here + to_f64(seen.standing))
        });
        quotient(lying, all)
    };
    let boxes = comparison.no_boxes.is_none();
    Condition {
        condition,
        value,
        frames: whole(pictures.len()),
        truth_mean,
        mae,
        bias,
        precision: tally.precision().filter(|_| boxes),
        recall: tally.recall().filter(|_| boxes),
        postures_right: posture::right(&confusion),
        lying_share_truth: share(|picture| &picture.truth),
        lying_share_detected: share(|picture| &picture.detected),
    }
}
