//! Labels and detections side by side, picture by picture: what every figure is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::frame::Detection;

use crate::labels::{Label, Labels, Role, TrueBox, Truth};
use crate::matching::matched;
use crate::picture::PictureId;

/// What a detector said of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub picture: PictureId,
    pub found: Found,
}

/// Boxes, or only how many of each class.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Boxes(Vec<Detection>),
    Counts(BTreeMap<Arc<str>, u32>),
}

/// All pictures that have labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What is compared; counts below are in this order.
    pub classes: Vec<Arc<str>>,
    /// By time, or by name where there is none.
    pub pictures: Vec<Compared>,
    /// Detections of classes that nobody labelled: how many of each were left out.
    pub unlabelled: BTreeMap<Arc<str>, u64>,
    /// Why there are no boxes to compare, if there are none.
    pub no_boxes: Option<&'static str>,
}

/// One picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    pub picture: PictureId,
    /// Animals of each class.
    pub truth: Vec<u32>,
    pub detected: Vec<u32>,
    /// What became of each box; empty without boxes.
    pub outcomes: Vec<Outcome>,
    /// Detections of animals that are hardly to be seen.
    pub left_out: u32,
    /// Animals in the picture, those that are hardly to be seen too.
    pub animals: u32,
    pub night: Option<bool>,
    pub occluded: Option<f64>,
}

/// An animal and its detection, as places in the list of classes; one of the two where the
/// other is missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub truth: Option<usize>,
    pub detected: Option<usize>,
    /// How much the two boxes overlap.
    pub iou: Option<f64>,
}

impl Comparison {
    /// Compares what `pairs` brings together, as far as it is of `classes`.
    pub fn new(
        labels: &Labels,
        seen: &[Seen],
        pairs: &[(usize, usize)],
        classes: Vec<Arc<str>>,
        iou_min: f64,
    ) -> Comparison {
        let mut comparison = Comparison {
            classes,
            pictures: Vec::with_capacity(pairs.len()),
            unlabelled: BTreeMap::new(),
            no_boxes: None,
        };
        for (label, picture) in pairs {
            comparison.add(&labels.pictures[*label], &seen[*picture], iou_min);
        }
        let order = |a: &Compared, b: &Compared| {
            let key = |p: &Compared| (p.picture.clock_ms(), p.picture.name.clone());
            key(a).cmp(&key(b))
        };
        comparison.pictures.sort_by(order);
        comparison
    }

    fn add(&mut self, label: &Label, seen: &Seen, iou_min: f64) {
        let mut picture = label.picture.clone();
        picture.t_ms = picture.t_ms.or(seen.picture.t_ms);
        picture.captured_at = picture.captured_at.or(seen.picture.captured_at);
        picture.video = picture.video.or_else(|| seen.picture.video.clone());
        picture.name = picture.name.or_else(|| seen.picture.name.clone());
        let mut compared = Compared {
            picture,
            truth: vec![0; self.classes.len()],
            detected: vec![0; self.classes.len()],
            outcomes: Vec::new(),
            left_out: 0,
            animals: 0,
            night: label.night,
            occluded: label.occluded,
        };
        match (&label.truth, &seen.found) {
            (Truth::Boxes(boxes), Found::Boxes(found)) => {
                self.add_boxes(boxes, found, iou_min, &mut compared);
            }
            (truth, found) => {
                self.no_boxes = Some(match truth {
                    Truth::Counts(_) => "the labels are headcounts, without boxes",
                    Truth::Boxes(_) => "the frames were recorded as counts, without boxes",
                });
                self.add_counts(truth, found, &mut compared);
            }
        }
        self.pictures.push(compared);
    }

    fn class(&self, class: &str) -> Option<usize> {
        self.classes.iter().position(|known| **known == *class)
    }

    fn leave_out(&mut self, class: &Arc<str>, animals: u32) {
        if 0 < animals {
            *self.unlabelled.entry(Arc::clone(class)).or_default() += u64::from(animals);
        }
    }

    fn add_boxes(
        &mut self,
        boxes: &[TrueBox],
        found: &[Detection],
        iou_min: f64,
        into: &mut Compared,
    ) {
        // Who is not to be found excuses a detection, whatever the class.
        let asked = |b: &&TrueBox| b.role != Role::Expected || self.class(&b.class).is_some();
        let boxes: Vec<TrueBox> = boxes.iter().filter(asked).cloned().collect();
        let (found, others): (Vec<Detection>, Vec<Detection>) =
            found.iter().cloned().partition(|found| self.class(&found.class).is_some());
        others.iter().for_each(|other| self.leave_out(&other.class, 1));
        into.animals = amount(boxes.iter().filter(|b| b.role != Role::Crowd).count());
        let matched = matched(&boxes, &found, iou_min);
        let true_class = |at: &usize| self.class(&boxes[*at].class);
        let found_class = |at: &usize| self.class(&found[*at].class);
        let pairs = matched.pairs.iter().map(|(label, detection, iou)| Outcome {
            truth: true_class(label),
            detected: found_class(detection),
            iou: Some(*iou),
        });
        let alone = |truth, detected| Outcome { truth, detected, iou: None };
        let missed = matched.missed.iter().map(|at| alone(true_class(at), None));
        let false_ones = matched.false_ones.iter().map(|at| alone(None, found_class(at)));
        into.outcomes = pairs.chain(missed).chain(false_ones).collect();
        into.left_out = amount(matched.left_out.len());
        for outcome in &into.outcomes {
            outcome.truth.into_iter().for_each(|class| into.truth[class] += 1);
            outcome.detected.into_iter().for_each(|class| into.detected[class] += 1);
        }
    }

    fn add_counts(&mut self, truth: &Truth, found: &Found, into: &mut Compared) {
        let add = |counts: &mut Vec<u32>, class: usize, animals: u32| {
            counts[class] = counts[class].saturating_add(animals);
        };
        let truth: Vec<(Arc<str>, u32)> = match truth {
            Truth::Counts(counts) => counts.iter().map(|(c, n)| (Arc::clone(c), *n)).collect(),
            Truth::Boxes(boxes) => boxes
                .iter()
                .filter(|b| b.role == Role::Expected)
                .map(|b| (Arc::clone(&b.class), 1))
                .collect(),
        };
        for (class, animals) in truth {
            if let Some(class) = self.class(&class) {
                add(&mut into.truth, class, animals);
            }
        }
        into.animals = into.truth.iter().fold(0, |sum, animals| sum.saturating_add(*animals));
        let found: Vec<(Arc<str>, u32)> = match found {
            Found::Counts(counts) => counts.iter().map(|(c, n)| (Arc::clone(c), *n)).collect(),
            Found::Boxes(boxes) => boxes.iter().map(|b| (Arc::clone(&b.class), 1)).collect(),
        };
        for (class, animals) in found {
            match self.class(&class) {
                Some(class) => add(&mut into.detected, class, animals),
                None => self.leave_out(&class, animals),
            }
        }
    }
}

fn amount(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
