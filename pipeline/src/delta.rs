//! What one epoch adds to the minutes of one source.

use rustc_hash::FxHashMap;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::MINUTE_MS;
use smallvec::SmallVec;

use crate::classes::{ClassId, MetricId, MetricLookup};

/// What one epoch adds to one minute. Every larger window takes the same delta.
#[derive(Debug)]
pub(crate) struct MinuteDelta {
    pub(crate) start: UnixMillis,
    pub(crate) frames: u64,
    /// The watermark as it stood when the last of the frames came.
    pub(crate) watermark: UnixMillis,
    /// Frames that show animals; the others are the rest of `frames`. The usual
    /// three metrics are kept in place.
    pub(crate) metrics: SmallVec<[(MetricId, Histogram); 3]>,
}

/// The minutes of one source that the current epoch adds to.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    minutes: Vec<MinuteDelta>,
    at: FxHashMap<UnixMillis, usize>,
    /// Where the last frame's minute is: the next one's, nearly always.
    last: usize,
    /// How many animals of each metric the current frame shows.
    shown: Vec<(MetricId, u32)>,
}

impl Deltas {
    /// Counts one frame.
    #[inline]
    pub(crate) fn add(
        &mut self,
        captured_at: UnixMillis,
        watermark: UnixMillis,
        counts: &[(ClassId, u16)],
        metrics: &mut MetricLookup,
    ) {
        self.shown.clear();
        for &(class, animals) in counts.iter().filter(|(_, animals)| 0 < *animals) {
            for &metric in metrics.counts_for(class) {
                match self.shown.iter_mut().find(|(shown, _)| *shown == metric) {
                    Some((_, sum)) => *sum += u32::from(animals),
                    None => self.shown.push((metric, u32::from(animals))),
                }
            }
        }
        let into = captured_at.get().rem_euclid(MINUTE_MS);
        let start = UnixMillis::new(captured_at.get() - into);
        let at = match self.minutes.get(self.last) {
            Some(minute) if minute.start == start => self.last,
            _ => self.find(start),
        };
        self.last = at;
        let minute = &mut self.minutes[at];
        minute.frames += 1;
        minute.watermark = watermark;
        for &(metric, animals) in &self.shown {
            match minute.metrics.iter_mut().find(|(known, _)| *known == metric) {
                Some((_, histogram)) => histogram.add(animals, 1),
                None => minute.metrics.push((metric, Histogram::of(&[(animals, 1)]))),
            }
        }
    }

    #[cold]
    fn find(&mut self, start: UnixMillis) -> usize {
        *self.at.entry(start).or_insert_with(|| {
            let watermark = UnixMillis::MIN;
            self.minutes.push(MinuteDelta {
                start,
                frames: 0,
                watermark,
                metrics: SmallVec::new(),
            });
            self.minutes.len() - 1
        })
    }

    /// The epoch's deltas, ascending; the next epoch begins with none.
    pub(crate) fn take(&mut self) -> Vec<MinuteDelta> {
        self.at.clear();
        self.last = 0;
        let mut minutes = std::mem::take(&mut self.minutes);
        minutes.sort_unstable_by_key(|minute| minute.start);
        minutes
    }
}
