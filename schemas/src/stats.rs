//! Histograms, and the statistics that are functions of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use smallvec::SmallVec;

/// How many frames of one window show how many animals.
///
/// The only state that a window keeps: every statistic is a function of it, so
/// windows of every size agree, and two runs over the same frames agree to the
/// bit. Dense, because counts are small (at most
/// [`ANIMALS_MAX`](crate::frame::ANIMALS_MAX)).
///
/// Serialized, it is a map from animals to frames: `{"3":40,"4":20}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<u32, u64>")]
pub struct Histogram {
    /// Animals of the first bar; 0 if there is none.
    first: u32,
    /// `bars[n]` is the number of frames that show `first + n` animals. Invariant:
    /// neither the first nor the last is empty, so equal histograms are equal
    /// values. A minute's few are kept in place: there are many of these.
    bars: SmallVec<[u64; 4]>,
}

impl Histogram {
    /// A histogram from `(animals, frames)`, in any order.
    pub fn of(bars: &[(u32, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for &(animals, frames) in bars {
            histogram.add(animals, frames);
        }
        histogram
    }

    /// Counts `frames` more frames that show `animals`.
    #[inline]
    pub fn add(&mut self, animals: u32, frames: u64) {
        if frames == 0 {
            return;
        }
        // What is below the first wraps around to beyond the last.
        match self.bars.get_mut(index(animals.wrapping_sub(self.first))) {
            Some(bar) => *bar += frames,
            None => self.widen(animals, frames),
        }
    }

    /// Adds a bar outside the present ones.
    #[cold]
    fn widen(&mut self, animals: u32, frames: u64) {
        if self.bars.is_empty() {
            self.first = animals;
        }
        if animals < self.first {
            let missing = index(self.first - animals);
            self.bars.insert_many(0, std::iter::repeat_n(0, missing));
            self.first = animals;
        }
        let at = index(animals - self.first);
        if self.bars.len() <= at {
            self.bars.resize(at + 1, 0);
        }
        self.bars[at] = frames;
    }

    /// Counts the frames of `other` too.
    pub fn merge(&mut self, other: &Histogram) {
        for (animals, frames) in other.bars() {
            self.add(animals, frames);
        }
    }

    /// Fills the bar of no animals, so that there are `frames` frames in all:
    /// a frame that shows none of a class need not have said so.
    ///
    /// # Panics
    ///
    /// If there already are more frames: a frame was counted twice.
    pub fn pad_to(&mut self, frames: u64) {
        let counted = self.frames();
        assert!(counted <= frames, "{counted} frames in a window of {frames}");
        self.add(0, frames - counted);
    }

    /// All frames.
    pub fn frames(&self) -> u64 {
        self.bars.iter().sum()
    }

    /// `(animals, frames)`, ascending, without empty bars.
    pub fn bars(&self) -> impl DoubleEndedIterator<Item = (u32, u64)> + Clone + '_ {
        let all = self.bars.iter().enumerate().filter(|&(_, &frames)| 0 < frames);
        all.map(|(n, &frames)| (self.first + u32::try_from(n).unwrap_or(u32::MAX), frames))
    }

    /// The statistics, unless there are no frames.
    pub fn statistics(&self) -> Option<Statistics> {
        Statistics::of(self)
    }

    /// Writes the bars as LEB128 numbers, from no animals upwards.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.resize(out.len() + index(self.first), 0);
        for &frames in &self.bars {
            crate::intervals::write_varint(frames, out);
        }
    }

    /// Reads what [`encode`](Histogram::encode) wrote.
    ///
    /// # Errors
    ///
    /// The bytes are cut off inside a number, end in an empty bar, or are too
    /// many.
    pub fn decode(mut bytes: &[u8]) -> Result<Histogram, InvalidHistogram> {
        let mut histogram = Histogram::default();
        let (mut animals, mut last) = (0_u32, 1);
        while !bytes.is_empty() {
            last = crate::intervals::read_varint(&mut bytes).ok_or(InvalidHistogram)?;
            histogram.add(animals, last);
            animals += 1;
        }
        if last == 0 || longest() < index(animals) {
            return Err(InvalidHistogram);
        }
        Ok(histogram)
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.bars())
    }
}

impl TryFrom<BTreeMap<u32, u64>> for Histogram {
    type Error = InvalidHistogram;

    fn try_from(bars: BTreeMap<u32, u64>) -> Result<Histogram, InvalidHistogram> {
        let mut histogram = Histogram::default();
        let mut all = 0_u64;
        for (animals, frames) in bars {
            all = all.checked_add(frames).ok_or(InvalidHistogram)?;
            if frames == 0 || longest() <= index(animals) {
                return Err(InvalidHistogram);
            }
            histogram.add(animals, frames);
        }
        Ok(histogram)
    }
}

/// What is no histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored histogram is damaged")]
pub struct InvalidHistogram;

/// More bars than any frame's animals make: what is longer is damaged.
fn longest() -> usize {
    index(crate::frame::ANIMALS_MAX).saturating_mul(2 * crate::frame::CLASSES_MAX)
}

fn index(animals: u32) -> usize {
    usize::try_from(animals).unwrap_or(usize::MAX)
}

/// Statistics of the animals per frame in one window, as exact integers.
///
/// Quotients (mean, deviation) are taken where they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Invariant: positive. A window without frames has no statistics.
    pub frames: u64,
    /// Over the frames.
    pub sum: u64,
    /// Of the squares, over the frames.
    pub sum_squares: u64,
    pub min: u32,
    pub max: u32,
    pub q1: Quarters,
    pub median: Quarters,
    pub q3: Quarters,
    /// Every most frequent count, ascending.
    pub modes: Vec<u32>,
}

/// An exact number of quarters: linear interpolation between two whole counts
/// at a quarter, a half or three quarters gives nothing finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Quarters(pub u64);

impl Quarters {
    /// The number itself; exact in a double.
    pub fn value(self) -> f64 {
        to_f64(self.0) / 4.0
    }
}

impl Statistics {
    fn of(histogram: &Histogram) -> Option<Statistics> {
        let frames = histogram.frames();
        let (min, _) = histogram.bars().next()?;
        let (max, _) = histogram.bars().next_back()?;
        let most = histogram.bars().map(|(_, frames)| frames).max()?;
        let (mut sum, mut sum_squares) = (0, 0);
        for (animals, frames) in histogram.bars() {
            let animals = u64::from(animals);
            sum += animals * frames;
            sum_squares += animals * animals * frames;
        }
        Some(Statistics {
            frames,
            sum,
            sum_squares,
            min,
            max,
            q1: quantile(histogram, frames, 1),
            median: quantile(histogram, frames, 2),
            q3: quantile(histogram, frames, 3),
            modes: histogram.bars().filter(|bar| bar.1 == most).map(|bar| bar.0).collect(),
        })
    }

    /// Animals per frame.
    pub fn mean(&self) -> f64 {
        to_f64(self.sum) / to_f64(self.frames)
    }

    /// Sample standard deviation over the frames; one frame has none.
    ///
    /// `sqrt((n * sum(x^2) - sum(x)^2) / (n * (n - 1)))`; the difference is taken
    /// in integers, so nothing cancels.
    pub fn std(&self) -> Option<f64> {
        if self.frames < 2 {
            return None;
        }
        let (n, sum) = (u128::from(self.frames), u128::from(self.sum));
        let spread = n * u128::from(self.sum_squares) - sum * sum;
        Some((wide_to_f64(spread) / wide_to_f64(n * (n - 1))).sqrt())
    }
}

/// The `quarter`-th quartile by linear interpolation between the closest ranks
/// (Hyndman and Fan's type 7, the default of NumPy, pandas and R): the value at
/// rank `(n - 1) * quarter / 4`, ranks from 0.
fn quantile(histogram: &Histogram, frames: u64, quarter: u64) -> Quarters {
    let rank = (frames - 1) * quarter;
    let (below, into) = (rank / 4, rank % 4);
    let mut at_or_below = 0;
    let mut bars = histogram.bars();
    while let Some((animals, frames)) = bars.next() {
        at_or_below += frames;
        if below < at_or_below {
            let low = u64::from(animals);
            // The next rank is in the same bar, or is the next bar's first.
            let high = match bars.next() {
                Some((next, _)) if below + 1 == at_or_below => u64::from(next),
                _ => low,
            };
            return Quarters(4 * low + (high - low) * into);
        }
    }
    unreachable!("rank {below} of {frames} frames")
}

#[expect(clippy::as_conversions, reason = "the nearest double is what a quotient needs")]
pub fn to_f64(integer: u64) -> f64 {
    integer as f64
}

#[expect(clippy::as_conversions, reason = "the nearest double is what a quotient needs")]
fn wide_to_f64(integer: u128) -> f64 {
    integer as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same statistics from the plain list of counts.
    fn naive(mut counts: Vec<u32>) -> (f64, Option<f64>, [f64; 3], Vec<u32>) {
        counts.sort_unstable();
        let n = counts.len();
        let values: Vec<f64> = counts.iter().copied().map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / to_f64(n.try_into().unwrap());
        let square_errors: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let std = (1 < n).then(|| (square_errors / to_f64((n - 1).try_into().unwrap())).sqrt());
        let quartile = |p: f64| {
            let rank = p * to_f64((n - 1).try_into().unwrap());
            #[expect(clippy::as_conversions, reason = "a rank is small and not negative")]
            let low = rank.floor() as usize;
            let high = (low + 1).min(n - 1);
            values[low] + (values[high] - values[low]) * (rank - rank.floor())
        };
        let most = counts.iter().map(|c| counts.iter().filter(|d| *d == c).count()).max().unwrap();
        let mut modes: Vec<u32> = counts
            .iter()
            .copied()
            .filter(|c| counts.iter().filter(|d| *d == c).count() == most)
            .collect();
        modes.dedup();
        (mean, std, [quartile(0.25), quartile(0.5), quartile(0.75)], modes)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs())
    }

    proptest! {
        #[test]
        fn statistics_equal_those_of_the_list(counts in prop::collection::vec(0_u32..12, 1..80)) {
            let mut histogram = Histogram::default();
            counts.iter().for_each(|&animals| histogram.add(animals, 1));
            let stats = histogram.statistics().unwrap();
            let (mean, std, quartiles, modes) = naive(counts.clone());
            prop_assert!(near(stats.mean(), mean));
            prop_assert_eq!(stats.std().is_some(), std.is_some());
            if let (Some(ours), Some(theirs)) = (stats.std(), std) {
                prop_assert!(near(ours, theirs), "{} {}", ours, theirs);
            }
            let ours = [stats.q1.value(), stats.median.value(), stats.q3.value()];
            prop_assert!(ours.iter().zip(quartiles).all(|(a, b)| near(*a, b)), "{ours:?} {quartiles:?}");
            prop_assert_eq!(stats.modes, modes);
            prop_assert_eq!(Some(&stats.min), counts.iter().min());
            prop_assert_eq!(Some(&stats.max), counts.iter().max());
        }

        #[test]
        fn merging_is_counting_all(a in prop::collection::vec(0_u32..50, 0..40), b in prop::collection::vec(0_u32..50, 0..40)) {
            let of = |counts: &[u32]| Histogram::of(&counts.iter().map(|c| (*c, 1)).collect::<Vec<_>>());
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(&merged, &of(&[a.clone(), b.clone()].concat()));
            let mut other_way = of(&b);
            other_way.merge(&of(&a));
            prop_assert_eq!(&merged, &other_way);
        }

        #[test]
        fn a_histogram_survives_its_bytes_and_its_text(bars in prop::collection::vec((0_u32..200, 1_u64..1_000_000), 0..30)) {
            let histogram = Histogram::of(&bars);
            let mut bytes = Vec::new();
            histogram.encode(&mut bytes);
            prop_assert_eq!(Histogram::decode(&bytes), Ok(histogram.clone()));
            let text = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            _ = Histogram::decode(&bytes);
        }
    }

    #[test]
    fn a_text_that_is_no_histogram_is_an_error() {
        let bars = |text| serde_json::from_str::<Histogram>(text);
        insta::assert_snapshot!(serde_json::to_string(&bars(r#"{"4":20,"3":40}"#).unwrap()).unwrap(), @r#"{"3":40,"4":20}"#);
        for damaged in [
            r#"{"3":0}"#,
            r#"{"3":-1}"#,
            r#"{"goats":1}"#,
            r#"{"4294967295":1}"#,
            r#"{"3":18446744073709551615,"4":1}"#,
            "[1,2]",
        ] {
            assert!(bars(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn one_frame_has_no_deviation_and_ties_are_all_modes() {
        let one = Histogram::of(&[(4, 1)]).statistics().unwrap();
        assert_eq!((one.std(), one.median, one.modes), (None, Quarters(16), vec![4]));
        assert_eq!(Histogram::of(&[(1, 2), (3, 2), (2, 1)]).statistics().unwrap().modes, [1, 3]);
        assert_eq!(Histogram::default().statistics(), None);
    }
}
