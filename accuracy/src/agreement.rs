//! How well two observers agree: a person and a detector, about the same moments.

use serde::{Deserialize, Serialize};

use crate::number::{count, mean, quotient};

/// How far from the mean difference the limits of agreement lie, in standard deviations:
/// 95 of 100 differences of a normal distribution lie between them.
pub const LIMITS_SD: f64 = 1.96;

/// Cohen's kappa of two lists of categories: `(p_o − p_e) / (1 − p_e)`, where `p_o` is the
/// share of pairs that are equal and `p_e` the one that chance would make equal (Cohen J.
/// (1960), A coefficient of agreement for nominal scales). 1 is perfect agreement, 0 that
/// of chance. None for no pair, and where chance alone agrees always: then both observers
/// only ever said one and the same.
pub fn kappa(pairs: &[(u32, u32)]) -> Option<f64> {
    let n = count(pairs);
    let equal = count(&pairs.iter().filter(|(a, b)| a == b).collect::<Vec<_>>());
    let by_chance: f64 = categories(pairs).iter().map(|(_, a, b)| a * b).sum();
    // In whole numbers, so that "always" is exact.
    let whole = n * n;
    quotient(n * equal - by_chance, whole - by_chance)
}

/// Cohen's kappa with quadratic weights: a difference of two counts as four of one, as
/// suits numbers of animals (Cohen J. (1968), Weighted kappa). It is
/// `1 − Σ(a−b)² / Σ_e(a−b)²`, the sum below over all pairs of a first with a second.
pub fn kappa_quadratic(pairs: &[(u32, u32)]) -> Option<f64> {
    let n = count(pairs);
    let square = |a: u32, b: u32| f64::from(a.abs_diff(b)).powi(2);
    let seen: f64 = pairs.iter().map(|(a, b)| square(*a, *b)).sum();
    let categories = categories(pairs);
    let mut by_chance = 0.0;
    for (a, times_a, _) in &categories {
        for (b, _, times_b) in &categories {
            by_chance += times_a * times_b * square(*a, *b);
        }
    }
    quotient(n * seen, by_chance).map(|disagreement| 1.0 - disagreement)
}

/// Each category, and how often the first and the second observer said it.
fn categories(pairs: &[(u32, u32)]) -> Vec<(u32, f64, f64)> {
    let mut times = std::collections::BTreeMap::<u32, (f64, f64)>::new();
    for (a, b) in pairs {
        times.entry(*a).or_default().0 += 1.0;
        times.entry(*b).or_default().1 += 1.0;
    }
    times.into_iter().map(|(category, (a, b))| (category, a, b)).collect()
}

/// Pearson's correlation of two lists of equal length, −1 to 1: the covariance over the
/// product of the standard deviations. None for fewer than two pairs, and where one list
/// does not vary.
///
/// A detector that always sees half of the animals has a correlation of 1: it says how
/// well changes are followed, and nothing about bias.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, mean_b) = (mean(a)?, mean(b)?);
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| of(a - mean_a, b - mean_b)).sum()
    };
    let (aa, bb, ab) = (sum(&|a, _| a * a), sum(&|_, b| b * b), sum(&|a, b| a * b));
    // Rounding leaves a trace of variance in equal values.
    let varies = |values: &[f64]| values.iter().any(|v| 0.0 < (v - values[0]).abs());
    if !varies(a) || !varies(b) {
        return None;
    }
    quotient(ab, aa.sqrt() * bb.sqrt()).map(|r| r.clamp(-1.0, 1.0))
}

/// The limits of agreement (Bland J. M. and Altman D. G. (1986), Statistical methods for
/// assessing agreement between two methods of clinical measurement): between which 95 of
/// 100 differences, detected less true, are expected to lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlandAltman {
    /// The mean difference: the bias.
    pub bias: f64,
    /// The sample standard deviation of the differences (`n − 1`).
    pub sd: f64,
    /// `bias − 1.96 sd`.
    pub low: f64,
    /// `bias + 1.96 sd`.
    pub high: f64,
}

impl BlandAltman {
    /// Of two lists of equal length; none for fewer than two pairs.
    pub fn of(truth: &[f64], detected: &[f64]) -> Option<BlandAltman> {
        let differences: Vec<f64> = truth.iter().zip(detected).map(|(t, d)| d - t).collect();
        let bias = mean(&differences)?;
        let squares: f64 = differences.iter().map(|difference| (difference - bias).powi(2)).sum();
        let sd = quotient(squares, count(&differences) - 1.0)?.sqrt();
        Some(BlandAltman { bias, sd, low: bias - LIMITS_SD * sd, high: bias + LIMITS_SD * sd })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(found: Option<f64>, wanted: f64) -> bool {
        found.is_some_and(|found| (found - wanted).abs() < 1e-12)
    }

    #[test]
    fn kappa_is_that_of_the_textbook() {
        // 20 and 15 times both said the same, 5 and 10 times not: 0.4.
        let mut pairs = vec![(1, 1); 20];
        pairs.extend(vec![(1, 0); 5]);
        pairs.extend(vec![(0, 1); 10]);
        pairs.extend(vec![(0, 0); 15]);
        assert!(near(kappa(&pairs), 0.4));
        // With two categories weights change nothing.
        assert!(near(kappa_quadratic(&pairs), 0.4));
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        assert_eq!(kappa(&[]), None);
        assert_eq!(kappa(&[(3, 3), (3, 3)]), None);
        assert_eq!(kappa_quadratic(&[(3, 3), (3, 3)]), None);
        assert_eq!(pearson(&[1.0], &[1.0]), None);
        assert_eq!(pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]), None);
        assert_eq!(BlandAltman::of(&[1.0], &[2.0]), None);
    }

    #[test]
    fn a_detector_that_sees_half_follows_perfectly_and_is_biased() {
        let truth = [2.0, 4.0, 8.0, 6.0];
        let half = truth.map(|animals| animals / 2.0);
        assert!(near(pearson(&truth, &half), 1.0));
        let found = BlandAltman::of(&truth, &half).unwrap();
        assert!(near(Some(found.bias), -2.5));
        assert!(near(Some(found.sd), (5.0_f64 / 3.0).sqrt()));
    }

    proptest! {
        #[test]
        fn agreement_has_bounds_and_two_sides(
            pairs in prop::collection::vec((0_u32..6, 0_u32..6), 0..40),
        ) {
            let turned: Vec<(u32, u32)> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
            for of in [kappa, kappa_quadratic] {
                if let Some(found) = of(&pairs) {
                    prop_assert!((-1.0 - 1e-12..=1.0).contains(&found));
                    prop_assert!(near(of(&turned), found));
                    let same: Vec<(u32, u32)> = pairs.iter().map(|(a, _)| (*a, *a)).collect();
                    prop_assert!(of(&same).is_none_or(|kappa| near(Some(kappa), 1.0)));
                }
            }
            let (a, b): (Vec<f64>, Vec<f64>) =
                pairs.iter().map(|(a, b)| (f64::from(*a), f64::from(*b))).unzip();
            if let Some(r) = pearson(&a, &b) {
                prop_assert!((-1.0..=1.0).contains(&r));
                let scaled: Vec<f64> = b.iter().map(|b| 3.0 * b + 7.0).collect();
                prop_assert!((pearson(&a, &scaled).unwrap() - r).abs() < 1e-9);
                let fallen: Vec<f64> = b.iter().map(|b| -b).collect();
                prop_assert!((pearson(&a, &fallen).unwrap() + r).abs() < 1e-9);
            }
            if let Some(found) = BlandAltman::of(&a, &b) {
                prop_assert!(found.low <= found.bias && found.bias <= found.high);
            }
        }
    }
}
