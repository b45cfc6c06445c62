//! The share of lying animals, corrected for postures that were detected wrongly.

use serde::Serialize;

use super::Confusion;
use crate::stats::to_f64;

/// Animals as they were detected, summed over frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    pub lying: u64,
    pub standing: u64,
}

impl Observed {
    /// The raw share of lying animals; none without any animal.
    pub fn share(&self) -> Option<f64> {
        let all = to_f64(self.lying) + to_f64(self.standing);
        (0.0 < all).then(|| to_f64(self.lying) / all)
    }
}

/// How often an interval made in this way holds the true value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    P90,
    P95,
    P99,
}

impl Level {
    /// As a share.
    pub const fn share(self) -> f64 {
        match self {
            Level::P90 => 0.90,
            Level::P95 => 0.95,
            Level::P99 => 0.99,
        }
    }

    /// The quantile of the standard normal distribution that cuts half of the rest
    /// off at each side.
    pub const fn z(self) -> f64 {
        match self {
            Level::P90 => 1.644_853_626_951_472_2,
            Level::P95 => 1.959_963_984_540_054,
            Level::P99 => 2.575_829_303_548_900_4,
        }
    }
}

/// A share of lying animals as it was probably true.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CorrectedShare {
    /// 0 to 1.
    pub share: f64,
    /// Lower limit. Invariant: at most `share`.
    pub low: f64,
    /// Upper limit. Invariant: at least `share`.
    pub high: f64,
}

/// Why a share cannot be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    #[error("no animal was seen to lie or to stand")]
    NobodySeen,

    #[error(
        "the measurement found no labelled animal that truly lies: label frames that show some, \
         and measure again"
    )]
    NobodyLies,

    #[error(
        "the measurement found no labelled animal that truly stands: label frames that show some, \
         and measure again"
    )]
    NobodyStands,

    #[error(
        "by the measurement the detected postures are not clearly better than chance, so they say \
         nothing about the true ones: label more frames, or use a better model"
    )]
    NoBetterThanChance,
}

/// The share of animals that truly lie, from those that were detected as lying and
/// as standing, and from how right such detections are.
///
/// With the raw share `p`, sensitivity `Se` and specificity `Sp` it is
/// `(p + Sp − 1) / (Se + Sp − 1)`, cut to 0 to 1 (Rogan W. J. and Gladen B. (1978),
/// Estimating prevalence from the results of a screening test, American Journal of
/// Epidemiology 107, 71–76).
///
/// The limits also allow for what is not known of `Se` and `Sp`, which were seen
/// on few animals (Lang Zs. and Reiczigel J. (2014), Confidence limits for prevalence
/// of disease adjusted for estimated sensitivity and specificity, Preventive
/// Veterinary Medicine 113, 13–22). With `z²/2` lying and as many standing animals
/// added to those observed, and one right and one wrong detection to the labelled
/// ones of each posture, they are `P + d ∓ z·s`, where `P` is as above and
///
/// ```text
/// s² = (p(1−p)/n + P²·Se(1−Se)/n_Se + (1−P)²·Sp(1−Sp)/n_Sp) / (Se + Sp − 1)²
/// d  = 2z²·(P·Se(1−Se)/n_Se − (1−P)·Sp(1−Sp)/n_Sp)
/// ```
///
/// cut to 0 to 1. Where very few animals were labelled the shift `d` can carry them past the
/// share itself; they are then widened to hold it.
///
/// Refused if the same added counts leave it open, at this level, whether
/// `Se + Sp − 1` is positive: the quotient would be of noise.
///
/// What it takes for granted: that postures are mistaken as often as where labels
/// were made, that lying and standing animals are missed equally often, and that
/// observations are independent. An animal that lies for an hour is observed in
/// each of its frames, so that the part of the width that comes from `n` is too
/// small; with many frames the labels decide the width, not `n`. Limits that are
/// both 0 or both 1 say that fewer, or more, animals were detected as lying than
/// the measured mistakes alone would make: then the measurement does not fit.
///
/// # Errors
///
/// The reason why nothing can be said.
pub fn corrected_share(
    observed: Observed,
    confusion: &Confusion,
    level: Level,
) -> Result<CorrectedShare, WhyNot> {
    let raw = observed.share().ok_or(WhyNot::NobodySeen)?;
    let sensitivity = confusion.sensitivity().ok_or(WhyNot::NobodyLies)?;
    let specificity = confusion.specificity().ok_or(WhyNot::NobodyStands)?;

    let z = level.z();
    let p = Proportion::of(observed.lying, observed.standing, z * z / 2.0);
    let se = Proportion::of(confusion.lying_as_lying, confusion.lying_as_standing, 1.0);
    let sp = Proportion::of(confusion.standing_as_standing, confusion.standing_as_lying, 1.0);
    let youden = se.share + sp.share - 1.0;
    if youden <= z * (se.variance + sp.variance).sqrt() {
        return Err(WhyNot::NoBetterThanChance);
    }

    let share = (raw + specificity - 1.0) / (sensitivity + specificity - 1.0);
    let share = share.clamp(0.0, 1.0);
    let shrunk = (p.share + sp.share - 1.0) / youden;
    let others = 1.0 - shrunk;
    let shift = 2.0 * z * z * (shrunk * se.variance - others * sp.variance);
    let variance = p.variance + shrunk * shrunk * se.variance + others * others * sp.variance;
    let half = z * variance.sqrt() / youden;
    Ok(CorrectedShare {
        share,
        low: (shrunk + shift - half).clamp(0.0, share),
        high: (shrunk + shift + half).clamp(share, 1.0),
    })
}

/// A share of a sample, drawn towards a half.
struct Proportion {
    share: f64,
    /// Of the share.
    variance: f64,
}

impl Proportion {
    /// Of `hits` among `hits + others`, with `added` to each.
    fn of(hits: u64, others: u64, added: f64) -> Proportion {
        let hits = to_f64(hits) + added;
        let all = hits + to_f64(others) + added;
        let share = hits / all;
        Proportion { share, variance: share * (1.0 - share) / all }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Right and wrong detections of truly lying, then of truly standing animals.
    fn confusion(lying: [u64; 2], standing: [u64; 2]) -> Confusion {
        Confusion {
            lying_as_lying: lying[0],
            lying_as_standing: lying[1],
            standing_as_lying: standing[1],
            standing_as_standing: standing[0],
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12
    }

    /// Values of a transcription of both formulas into Python, from the text of
    /// `prevSeSp` in R's package asht.
    #[test]
    fn the_share_and_its_limits_are_those_of_the_published_formulas() {
        let cases = [
            // 23 of 150 cows, a test of sensitivity 96 % and specificity 89 %.
            (
                23,
                127,
                [96, 4],
                [178, 22],
                Level::P95,
                [0.05098039215686287, 0.0, 0.13938709891503093],
            ),
            (
                23,
                127,
                [96, 4],
                [178, 22],
                Level::P99,
                [0.05098039215686287, 0.0, 0.17115824821883238],
            ),
            (
                130,
                70,
                [90, 10],
                [80, 20],
                Level::P90,
                [0.6428571428571429, 0.5450370811890326, 0.7438188506348715],
            ),
            (
                130,
                70,
                [90, 10],
                [80, 20],
                Level::P95,
                [0.6428571428571429, 0.5250340635086622, 0.7615413360160007],
            ),
            (
                600,
                400,
                [57, 3],
                [45, 5],
                Level::P95,
                [0.588235294117647, 0.51668980904176, 0.6607020707257885],
            ),
            (7, 3, [5, 0], [5, 0], Level::P95, [0.7, 0.3080367909386852, 1.0]),
            // Beyond what the detector's mistakes alone would make.
            (0, 500, [57, 3], [45, 5], Level::P95, [0.0, 0.0, 0.0]),
            // Limits that the shift carries past the share.
            (
                86165,
                13835,
                [1, 0],
                [4594, 8],
                Level::P95,
                [0.861409077057031, 0.861409077057031, 1.0],
            ),
        ];
        for (lying, standing, se, sp, level, [share, low, high]) in cases {
            let observed = Observed { lying, standing };
            let ours = corrected_share(observed, &confusion(se, sp), level).unwrap();
            let said = format!("{lying} of {lying} + {standing}: {ours:?}");
            assert!(near(ours.share, share), "{said}");
            assert!(near(ours.low, low) && near(ours.high, high), "{said}");
        }
    }

    #[test]
    fn what_was_never_seen_is_not_guessed() {
        let observed = Observed { lying: 6, standing: 4 };
        let why = |observed, se, sp| {
            corrected_share(observed, &confusion(se, sp), Level::P95).unwrap_err()
        };
        let nobody = Observed { lying: 0, standing: 0 };
        assert_eq!(why(nobody, [90, 10], [90, 10]), WhyNot::NobodySeen);
        assert_eq!(why(observed, [0, 0], [90, 10]), WhyNot::NobodyLies);
        assert_eq!(why(observed, [90, 10], [0, 0]), WhyNot::NobodyStands);
    }

    #[test]
    fn a_detector_must_clearly_be_better_than_chance() {
        let observed = Observed { lying: 6, standing: 4 };
        let corrected = |se, sp| corrected_share(observed, &confusion(se, sp), Level::P95);
        // A coin, worse than a coin, a little better on few animals, and on many.
        assert_eq!(corrected([50, 50], [50, 50]), Err(WhyNot::NoBetterThanChance));
        assert_eq!(corrected([10, 90], [20, 80]), Err(WhyNot::NoBetterThanChance));
        assert_eq!(corrected([55, 45], [50, 50]), Err(WhyNot::NoBetterThanChance));
        assert!(corrected([5500, 4500], [5000, 5000]).is_ok());
        // Two right ones of each can be luck; three hardly.
        assert_eq!(corrected([2, 0], [2, 0]), Err(WhyNot::NoBetterThanChance));
        assert!(corrected([3, 0], [3, 0]).is_ok());
    }

    fn any_confusion() -> impl Strategy<Value = Confusion> {
        let pair = || prop_oneof![[0_u64..12, 0_u64..12], [0_u64..5000, 0_u64..5000]];
        (pair(), pair()).prop_map(|(se, sp)| confusion(se, sp))
    }

    fn any_level() -> impl Strategy<Value = Level> {
        prop_oneof![Just(Level::P90), Just(Level::P95), Just(Level::P99)]
    }

    proptest! {
        #[test]
        fn a_detector_that_errs_never_leaves_the_share(
            lying in 0_u64..1000, standing in 1_u64..1000, labelled in 3_u64..100_000,
        ) {
            let observed = Observed { lying, standing };
            let perfect = confusion([labelled, 0], [labelled, 0]);
            let corrected = corrected_share(observed, &perfect, Level::P95).unwrap();
            prop_assert!(near(corrected.share, observed.share().unwrap()));
        }

        #[test]
        fn the_share_lies_within_its_limits_and_these_within_0_and_1(
            lying in 0_u64..100_000, standing in 0_u64..100_000,
            confusion in any_confusion(), level in any_level(),
        ) {
            if let Ok(found) = corrected_share(Observed { lying, standing }, &confusion, level) {
                prop_assert!(0.0 <= found.low && found.low <= found.share, "{found:?}");
                prop_assert!(found.share <= found.high && found.high <= 1.0, "{found:?}");
            }
        }

        #[test]
        fn one_more_lying_animal_makes_no_share_or_limit_smaller(
            lying in 0_u64..2000, standing in 1_u64..2000,
            confusion in any_confusion(), level in any_level(),
        ) {
            let fewer = corrected_share(Observed { lying, standing }, &confusion, level);
            let changed = Observed { lying: lying + 1, standing: standing - 1 };
            if let (Ok(a), Ok(b)) = (fewer, corrected_share(changed, &confusion, level)) {
                let grows = |a: f64, b: f64| a <= b + 1e-12;
                prop_assert!(grows(a.share, b.share), "{a:?} {b:?}");
                prop_assert!(grows(a.low, b.low) && grows(a.high, b.high), "{a:?} {b:?}");
            }
        }

        /// Who lies where the other stands: the corrected shares add up to 1.
        #[test]
        fn the_share_of_the_standing_is_what_is_left(
            lying in 0_u64..2000, standing in 1_u64..2000,
            confusion in any_confusion(), level in any_level(),
        ) {
            let mirrored = Confusion {
                lying_as_lying: confusion.standing_as_standing,
                lying_as_standing: confusion.standing_as_lying,
                standing_as_lying: confusion.lying_as_standing,
                standing_as_standing: confusion.lying_as_lying,
            };
            let ours = corrected_share(Observed { lying, standing }, &confusion, level);
            let observed = Observed { lying: standing, standing: lying };
            let theirs = corrected_share(observed, &mirrored, level);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            if let (Ok(a), Ok(b)) = (ours, theirs) {
                let opposite = |a: f64, b: f64| (a + b - 1.0).abs() <= 1e-9;
                prop_assert!(opposite(a.share, b.share), "{a:?} {b:?}");
                prop_assert!(opposite(a.low, b.high) && opposite(a.high, b.low), "{a:?} {b:?}");
            }
        }
    }
}
