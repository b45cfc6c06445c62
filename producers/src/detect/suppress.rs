//! One box an object: what overlaps a surer box falls.

use crate::detect::contract::Candidate;

/// Most candidates that are compared: no model is sure of so many objects, and the
/// comparison is quadratic.
const CANDIDATES_MAX: usize = 4096;

/// When one box falls for another (non-maximum suppression).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rivalry {
    /// Two boxes that overlap more (intersection over union) are one object.
    pub iou_max: f32,
    /// Also if they are of two classes, which an object cannot have both.
    pub class_agnostic: bool,
}

/// Keeps the boxes that no surer kept rival overlaps too much; the surest first,
/// `boxes_max` at most.
///
/// Equally sure boxes are taken in the order given, so the result is one function
/// of the candidates.
pub fn suppress(candidates: &mut Vec<Candidate>, rivalry: Rivalry, boxes_max: usize) {
    let Rivalry { iou_max, class_agnostic } = rivalry;
    candidates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    candidates.truncate(CANDIDATES_MAX);
    // The kept ones move to the front, where the next are compared with them.
    let mut kept = 0;
    for at in 0..candidates.len() {
        if kept == boxes_max {
            break;
        }
        let candidate = candidates[at];
        let free = candidates[..kept].iter().all(|surer| {
            let rivals = class_agnostic || surer.class == candidate.class;
            !rivals || iou(surer.corners, candidate.corners) <= iou_max
        });
        if free {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}

/// Intersection over union of two boxes given by their corners; 0 if both are empty.
pub fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |[x0, y0, x1, y1]: [f32; 4]| (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let either = area(a) + area(b) - shared;
    if 0.0 < either { shared / either } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(class: usize, confidence: f32, corners: [f32; 4]) -> Candidate {
        Candidate { class, confidence, corners }
    }

    #[test]
    fn a_goat_in_front_of_another_class_stays() {
        let goat = candidate(0, 0.9, [0.0, 0.0, 10.0, 10.0]);
        let again = candidate(0, 0.8, [1.0, 0.0, 10.0, 10.0]);
        let other = candidate(1, 0.7, [0.0, 0.0, 10.0, 10.0]);
        let beside = candidate(0, 0.6, [8.0, 0.0, 18.0, 10.0]);
        let mut candidates = vec![beside, other, again, goat];
        let mut rivalry = Rivalry { iou_max: 0.45, class_agnostic: false };
        suppress(&mut candidates, rivalry, 100);
        assert_eq!(candidates, [goat, other, beside]);
        suppress(&mut candidates, rivalry, 2);
        assert_eq!(candidates, [goat, other]);
        rivalry.class_agnostic = true;
        suppress(&mut candidates, rivalry, 2);
        assert_eq!(candidates, [goat]);
    }

    /// By definition: a box stays if no surer box that stays overlaps it.
    fn by_definition(mut all: Vec<Candidate>, rivalry: Rivalry) -> Vec<Candidate> {
        all.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let mut stays = vec![true; all.len()];
        for at in 0..all.len() {
            stays[at] = !(0..at).any(|surer| {
                stays[surer]
                    && (rivalry.class_agnostic || all[surer].class == all[at].class)
                    && rivalry.iou_max < iou(all[surer].corners, all[at].corners)
            });
        }
        all.into_iter().zip(stays).filter_map(|(c, stays)| stays.then_some(c)).collect()
    }

    proptest! {
        #[test]
        fn what_stays_is_what_the_definition_says(
            boxes in prop::collection::vec(
                (0_usize..3, 0.0_f32..1.0, 0.0_f32..50.0, 0.0_f32..50.0, 1.0_f32..30.0, 1.0_f32..30.0), 0..60),
            iou_max in 0.0_f32..1.0,
            class_agnostic: bool,
        ) {
            let rivalry = Rivalry { iou_max, class_agnostic };
            let all: Vec<Candidate> = boxes
                .into_iter()
                .map(|(class, confidence, x, y, w, h)| candidate(class, confidence, [x, y, x + w, y + h]))
                .collect();
            let mut ours = all.clone();
            suppress(&mut ours, rivalry, usize::MAX);
            prop_assert_eq!(ours, by_definition(all, rivalry));
        }
    }
}
