//! How sure a figure is, without assuming a distribution.
//!
//! Frames next to each other show the same animals in the same postures: a thousand of
//! them are far from a thousand independent observations. So what is drawn again and again
//! is not the frame but the *block*, all frames of a minute or of an hour together: as many
//! blocks as there are, with replacement. The figure of each such draw is computed, and the
//! interval holds the middle 95 of 100 (percentile bootstrap: Efron B. and Tibshirani R. J.
//! (1993), An introduction to the bootstrap; blocks: Künsch H. R. (1989)).
//!
//! # Reproducible
//!
//! The draws are a function of the seed: `splitmix64` (Steele, Lea and Flood 2014), of
//! which each number `z` becomes the block `⌊z · blocks / 2⁶⁴⌋`, one number after the
//! other, draw after draw. Quantiles are interpolated linearly, as NumPy does.

use serde::{Deserialize, Serialize};

/// How draws are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub draws: u32,
    pub seed: u64,
    pub block: Block,
}

/// What is drawn as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    Minute,
    Hour,
}

impl Block {
    /// Its length.
    pub fn millis(self) -> i64 {
        match self {
            Block::Minute => 60_000,
            Block::Hour => 3_600_000,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Block::Minute => "minute",
            Block::Hour => "hour",
        }
    }
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { draws: 2000, seed: 1, block: Block::Minute }
    }
}

/// Between which limits a figure lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// A figure must be there in as many of 100 draws to have an interval.
const DEFINED_PERCENT_MIN: usize = 90;

/// From fewer blocks there is no interval. The values of `n` blocks all lie on one side of
/// the median as often as once in `2ⁿ⁻¹`, which falls below the 5 in 100 that an interval
/// may miss at six.
const BLOCKS_MIN: usize = 6;

/// The intervals of all figures that `figures` computes of the sums over blocks.
///
/// A block is a list of numbers that can be added, as long in each. None for a figure that
/// is undefined in more than a tenth of the draws, and if there are fewer than six blocks.
pub fn intervals(
    blocks: &[Vec<f64>],
    plan: &Plan,
    figures: impl Fn(&[f64]) -> Vec<Option<f64>>,
) -> Vec<Option<Interval>> {
    let width = blocks.first().map_or(0, Vec::len);
    let mut drawn: Vec<Vec<f64>> = vec![Vec::new(); figures(&vec![0.0; width]).len()];
    if blocks.len() < BLOCKS_MIN {
        return vec![None; drawn.len()];
    }
    let mut random = SplitMix(plan.seed);
    let mut sums = vec![0.0; width];
    for _ in 0..plan.draws {
        sums.fill(0.0);
        for _ in blocks {
            let block = &blocks[random.below(blocks.len())];
            sums.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
        }
        for (list, value) in drawn.iter_mut().zip(figures(&sums)) {
            list.extend(value);
        }
    }
    let draws = usize::try_from(plan.draws).unwrap_or(usize::MAX);
    let interval = |mut values: Vec<f64>| {
        if values.is_empty() || values.len() * 100 < draws.saturating_mul(DEFINED_PERCENT_MIN) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        Some(Interval { low: quantile(&values, 25)?, high: quantile(&values, 975)? })
    };
    drawn.into_iter().map(interval).collect()
}

/// The quantile of ascending values at so many thousandths, interpolated linearly.
fn quantile(ascending: &[f64], thousandths: usize) -> Option<f64> {
    let place = ascending.len().checked_sub(1)?.saturating_mul(thousandths);
    let (at, rest) = (place / 1000, place % 1000);
    let low = *ascending.get(at)?;
    let high = ascending.get(at + 1).copied().unwrap_or(low);
    Some(low + (high - low) * f64::from(u32::try_from(rest).unwrap_or(0)) / 1000.0)
}

/// `splitmix64`.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u128::try_from(bound).unwrap_or(u128::MAX >> 64);
        usize::try_from((u128::from(self.next()) * bound) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // The reference implementation's first numbers for the seed 1234567.
        let mut random = SplitMix(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| random.next()).collect();
        let published: [u64; 3] =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(numbers, published);
    }

    #[test]
    fn quantiles_are_numpys() {
        let values = [1.0, 2.0, 4.0, 8.0];
        for (share, wanted) in [(0, 1.0), (250, 1.75), (500, 3.0), (900, 6.8), (1000, 8.0)] {
            let found = quantile(&values, share).unwrap();
            assert!((found - wanted).abs() < 1e-12, "{share}: {found}");
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_as_wide_as_theory_says() {
        // 400 blocks of 0 or 1, half of each: standard error 0.5 / 20.
        let blocks: Vec<Vec<f64>> = (0..400_u32).map(|n| vec![f64::from(n % 2), 1.0]).collect();
        let of = |sums: &[f64]| vec![Some(sums[0] / sums[1])];
        let found = intervals(&blocks, &Plan::default(), of)[0].unwrap();
        let half = 1.96 * 0.5 / 20.0;
        assert!((found.low - (0.5 - half)).abs() < 0.006, "{found:?}");
        assert!((found.high - (0.5 + half)).abs() < 0.006, "{found:?}");
        let other = Plan { seed: 2, ..Plan::default() };
        assert_ne!(intervals(&blocks, &other, of)[0], Some(found));
    }

    #[test]
    fn from_few_blocks_nothing_is_learnt() {
        let of = |sums: &[f64]| vec![Some(sums[0])];
        let blocks: Vec<Vec<f64>> = (0..6_u32).map(|n| vec![f64::from(n)]).collect();
        assert_eq!(intervals(&blocks[..5], &Plan::default(), of), [None]);
        assert!(intervals(&blocks, &Plan::default(), of)[0].is_some());
        let rarely = |sums: &[f64]| vec![(0.0 < sums[0]).then_some(1.0)];
        let mut blocks = vec![vec![0.0]; 5];
        blocks.push(vec![1.0]);
        // Five of six blocks are empty: a third of the draws have nothing.
        assert_eq!(intervals(&blocks, &Plan::default(), rarely), [None]);
    }
}
