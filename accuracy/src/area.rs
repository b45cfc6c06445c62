//! Boxes, and how much two of them share.

use schemas::frame::Detection;

/// A box: top left corner and size, as fractions of the picture's sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

/// How far a label may reach over the picture's edge, as a fraction of a side: the
/// rounding of tools, no more.
const EDGE_SLACK: f64 = 0.01;

impl Area {
    /// The box with these numbers, if they are one inside the picture.
    pub fn inside([x, y, w, h]: [f64; 4]) -> Option<Area> {
        // Written so that NaN fails.
        let fits = |from: f64, length: f64| {
            -EDGE_SLACK <= from && 0.0 < length && from + length <= 1.0 + EDGE_SLACK
        };
        (fits(x, w) && fits(y, h)).then_some(Area { x, y, w, h })
    }

    /// Intersection over union, 0 to 1.
    pub fn iou(&self, other: &Area) -> f64 {
        let both = self.shared(other);
        ratio(both, self.size() + other.size() - both)
    }

    /// The share of this box that `other` covers, 0 to 1.
    pub fn covered_by(&self, other: &Area) -> f64 {
        ratio(self.shared(other), self.size())
    }

    fn size(&self) -> f64 {
        self.w * self.h
    }

    fn shared(&self, other: &Area) -> f64 {
        let side = |a: f64, length_a: f64, b: f64, length_b: f64| {
            ((a + length_a).min(b + length_b) - a.max(b)).max(0.0)
        };
        side(self.x, self.w, other.x, other.w) * side(self.y, self.h, other.y, other.h)
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if 0.0 < whole { (part / whole).clamp(0.0, 1.0) } else { 0.0 }
}

impl From<&Detection> for Area {
    fn from(found: &Detection) -> Area {
        let [x, y, w, h] = [found.x, found.y, found.w, found.h].map(f64::from);
        Area { x, y, w, h }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn area() -> impl Strategy<Value = Area> {
        (0.0..0.5, 0.0..0.5, 0.01..0.5, 0.01..0.5).prop_map(|(x, y, w, h)| Area { x, y, w, h })
    }

    #[test]
    fn half_a_box_beside_a_whole_one_shares_a_half() {
        let [whole, half] = [1.0, 0.5].map(|w| Area { x: 0.0, y: 0.0, w, h: 1.0 });
        assert_eq!(whole.iou(&half).to_bits(), 0.5_f64.to_bits());
        assert_eq!(half.covered_by(&whole).to_bits(), 1.0_f64.to_bits());
        assert_eq!(whole.covered_by(&half).to_bits(), 0.5_f64.to_bits());
    }

    #[test]
    fn a_label_lies_inside_the_picture_up_to_rounding() {
        assert!(Area::inside([-0.005, 0.0, 1.01, 1.0]).is_some());
        for wrong in [
            [-0.02, 0.0, 0.5, 0.5],
            [0.6, 0.0, 0.5, 0.5],
            [0.1, 0.1, 0.0, 0.5],
            [f64::NAN, 0.0, 0.5, 0.5],
        ] {
            assert_eq!(Area::inside(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_two_boxes_share_is_the_same_from_both_sides(a in area(), b in area()) {
            prop_assert_eq!(a.iou(&b).to_bits(), b.iou(&a).to_bits());
            prop_assert!((0.0..=1.0).contains(&a.iou(&b)));
            prop_assert!(0.999_999 < a.iou(&a));
            prop_assert!(a.iou(&b) <= a.covered_by(&b) + 1e-12);
        }
    }
}
