//! Which detection found which animal.
//!
//! A detection and a labelled animal may be a pair if their boxes overlap by a minimum
//! (intersection over union; 0.5 unless said otherwise), whatever their classes: an animal
//! that lies and was found as a standing one is a mistake of posture, and not one animal
//! missed and another invented. Of all ways to pair them off the one with the most pairs
//! is taken, and of these the one with the greatest sum of overlaps; of equal ones, the
//! surer detection has it. So the order of boxes in a file means nothing, and no animal is
//! missed because its detection was given to a neighbour first.
//!
//! A detection that stays alone is false, unless it lies on an animal that is hardly to be
//! seen, or in a region that was not labelled one by one ([`Role`]): then it is left out.

mod assignment;

use schemas::frame::Detection;

use crate::area::Area;
use crate::labels::{Role, TrueBox};

/// What became of the boxes of one picture, as places in the two lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matched {
    /// Labelled animal, detection, and how much they overlap.
    pub pairs: Vec<(usize, usize, f64)>,
    /// Labelled animals that nothing found.
    pub missed: Vec<usize>,
    /// Detections where nothing is.
    pub false_ones: Vec<usize>,
    /// Detections that count for nothing, as the labels ask.
    pub left_out: Vec<usize>,
}

/// Tells surer detections from others of equal overlap, and nothing else.
const CONFIDENCE_WEIGHT: f64 = 1e-6;

/// Matches the boxes of one picture; pairs overlap by `iou_min` at least.
pub fn matched(labelled: &[TrueBox], detections: &[Detection], iou_min: f64) -> Matched {
    let expected: Vec<usize> =
        (0..labelled.len()).filter(|at| labelled[*at].role == Role::Expected).collect();
    let areas: Vec<Area> = detections.iter().map(Area::from).collect();
    let mut edges = Vec::new();
    for (row, at) in expected.iter().enumerate() {
        for (column, area) in areas.iter().enumerate() {
            let overlap = labelled[*at].area.iou(area);
            if iou_min <= overlap && 0.0 < overlap {
                let confidence = f64::from(detections[column].confidence);
                edges.push((row, column, overlap + CONFIDENCE_WEIGHT * confidence));
            }
        }
    }
    let chosen = assignment::most_and_heaviest(expected.len(), areas.len(), &edges);
    let mut found = Matched::default();
    let mut used = vec![false; areas.len()];
    for (at, column) in expected.iter().zip(chosen) {
        match column {
            Some(column) => {
                used[column] = true;
                found.pairs.push((*at, column, labelled[*at].area.iou(&areas[column])));
            }
            None => found.missed.push(*at),
        }
    }
    for (at, area) in areas.iter().enumerate().filter(|(at, _)| !used[*at]) {
        let excused = labelled.iter().any(|label| match label.role {
            Role::Expected => false,
            Role::Hidden => iou_min <= label.area.iou(area),
            Role::Crowd => iou_min <= area.covered_by(&label.area),
        });
        match excused {
            true => found.left_out.push(at),
            false => found.false_ones.push(at),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label(x: f64, w: f64, role: Role) -> TrueBox {
        TrueBox { class: "lying".into(), area: Area { x, y: 0.0, w, h: 1.0 }, role }
    }

    fn detection(x: f32, w: f32, confidence: f32) -> Detection {
        Detection { class: "standing".into(), confidence, x, y: 0.0, w, h: 1.0 }
    }

    #[test]
    fn a_neighbour_does_not_take_what_another_needs() {
        // The first detection overlaps both animals, and the second one more.
        let labels = [label(0.0, 0.4, Role::Expected), label(0.12, 0.4, Role::Expected)];
        let found = [detection(0.1, 0.4, 0.9), detection(0.2, 0.4, 0.8)];
        let matched = matched(&labels, &found, 0.5);
        let pairs: Vec<_> = matched.pairs.iter().map(|(l, d, _)| (*l, *d)).collect();
        assert_eq!(pairs, [(0, 0), (1, 1)]);
        assert!(matched.missed.is_empty() && matched.false_ones.is_empty());
    }

    #[test]
    fn of_two_equal_detections_the_surer_one_is_right() {
        let labels = [label(0.0, 0.5, Role::Expected)];
        for (first, second, right) in [(0.3, 0.9, 1), (0.9, 0.3, 0)] {
            let found = [detection(0.0, 0.5, first), detection(0.0, 0.5, second)];
            let matched = matched(&labels, &found, 0.5);
            assert_eq!(matched.pairs[0].1, right);
            assert_eq!(matched.false_ones, [1 - right]);
        }
    }

    #[test]
    fn who_is_hidden_is_neither_missed_nor_false() {
        let labels = [label(0.0, 0.2, Role::Hidden), label(0.5, 0.5, Role::Crowd)];
        let found = [
            detection(0.0, 0.2, 0.9),
            detection(0.6, 0.1, 0.9),
            detection(0.8, 0.1, 0.9),
            detection(0.3, 0.1, 0.9),
        ];
        let matched = matched(&labels, &found, 0.5);
        assert_eq!(matched.left_out, [0, 1, 2]);
        assert_eq!(matched.false_ones, [3]);
        assert!(matched.pairs.is_empty() && matched.missed.is_empty());
    }

    #[test]
    fn boxes_that_only_touch_are_no_pair() {
        let labels = [label(0.0, 0.2, Role::Expected)];
        assert_eq!(matched(&labels, &[detection(0.2, 0.2, 0.9)], 0.0).missed, [0]);
    }

    fn boxes() -> impl Strategy<Value = (Vec<TrueBox>, Vec<Detection>)> {
        let side = || prop_oneof![Just(0.1_f32), Just(0.2), Just(0.3)];
        let place = || (0_u8..8).prop_map(|n| f32::from(n) * 0.09);
        let label = (place(), side(), 0_u8..8).prop_map(|(x, w, role)| {
            let role = if role == 0 { Role::Hidden } else { Role::Expected };
            label(f64::from(x), f64::from(w), role)
        });
        let found = (place(), side(), 0.0_f32..1.0).prop_map(|(x, w, c)| detection(x, w, c));
        (prop::collection::vec(label, 0..8), prop::collection::vec(found, 0..8))
    }

    proptest! {
        #[test]
        fn everybody_is_accounted_for_once((labels, found) in boxes(), iou_min in 0.1..0.9) {
            let matched = matched(&labels, &found, iou_min);
            let expected = labels.iter().filter(|l| l.role == Role::Expected).count();
            prop_assert_eq!(matched.pairs.len() + matched.missed.len(), expected);
            let alone = matched.false_ones.len() + matched.left_out.len();
            prop_assert_eq!(matched.pairs.len() + alone, found.len());
            for (label, detection, overlap) in &matched.pairs {
                prop_assert_eq!(labels[*label].role, Role::Expected);
                let again = labels[*label].area.iou(&Area::from(&found[*detection]));
                prop_assert!(iou_min <= *overlap && overlap.to_bits() == again.to_bits());
            }
        }

        #[test]
        fn the_order_of_the_boxes_means_nothing((mut labels, mut found) in boxes()) {
            let sums = |m: &Matched| {
                let overlaps: f64 = m.pairs.iter().map(|pair| pair.2).sum();
                (m.pairs.len(), m.missed.len(), m.false_ones.len(), (overlaps * 1e9).round())
            };
            let forwards = sums(&matched(&labels, &found, 0.5));
            labels.reverse();
            found.reverse();
            let backwards = sums(&matched(&labels, &found, 0.5));
            prop_assert_eq!((forwards.0, forwards.1), (backwards.0, backwards.1));
            prop_assert!((forwards.3 - backwards.3).abs() <= 10_000.0);
        }
    }
}
