//! Any order of appends, outages, lost answers, power cuts and restarts, against what
//! must hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use producers::spool::SpoolOptions;
use proptest::prelude::*;

use super::double::{Fault, Mood};
use super::farm::{Farm, options, try_append};

/// Longer than a log may take, and shorter.
const LATE: Duration = Duration::from_millis(25);
const LOG_TIMEOUT: Duration = Duration::from_millis(15);

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A source's next frames, in one call, as often as it takes.
    Append {
        source: i64,
        frames: u64,
        one_is_too_long: bool,
    },
    /// The same, and meanwhile the power goes; then the source begins again with what
    /// was not acknowledged.
    CutPowerWhileAppending {
        source: i64,
        frames: u64,
    },
    Restart {
        grace: Duration,
    },
    Mood(Mood),
    RemoteFails(Fault),
    DiskFails(Fault),
    /// Time for what goes on by itself.
    Breathe,
}

fn fault() -> impl Strategy<Value = Fault> {
    let all = [Fault::Before, Fault::After, Fault::Half, Fault::Late(LATE)];
    prop::sample::select(all.to_vec())
}

/// Steps after which nobody can say whether a frame that was dropped had arrived.
fn doubtful() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => fault().prop_map(Step::RemoteFails),
        1 => fault().prop_map(Step::DiskFails),
        2 => (1_i64..=3, 1_u64..=6)
            .prop_map(|(source, frames)| Step::CutPowerWhileAppending { source, frames }),
    ]
}

fn plain() -> impl Strategy<Value = Step> {
    let mood = prop::sample::select(vec![Mood::Well, Mood::Well, Mood::Away, Mood::Refuses]);
    let grace = prop::sample::select(vec![Duration::ZERO, Duration::from_millis(5)]);
    let append = (1_i64..=3, 1_u64..=6, prop::bool::weighted(0.1));
    prop_oneof![
        10 => append.prop_map(|(source, frames, one_is_too_long)| Step::Append {
            source,
            frames,
            one_is_too_long
        }),
        2 => mood.prop_map(Step::Mood),
        1 => grace.prop_map(|grace| Step::Restart { grace }),
        1 => Just(Step::RemoteFails(Fault::Before)),
        1 => Just(Step::DiskFails(Fault::Before)),
        3 => Just(Step::Breathe),
    ]
}

fn steps(doubtful_ones: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = match doubtful_ones {
        0 => plain().boxed(),
        weight => prop_oneof![10 => plain(), weight => doubtful()].boxed(),
    };
    prop::collection::vec(step, 1..60)
}

/// Spools that lose patience with a log that is late.
fn impatient() -> SpoolOptions {
    SpoolOptions { log_timeout: LOG_TIMEOUT, ..options() }
}

/// Bytes of about thirty frames.
const NARROW: u64 = 2000;

/// A farm that lives through steps.
struct Lived {
    farm: Farm,
    /// Frames of each source that were acknowledged.
    acknowledged: BTreeMap<i64, BTreeSet<u64>>,
    too_long: BTreeMap<i64, BTreeSet<u64>>,
    next: BTreeMap<i64, u64>,
}

impl Lived {
    fn through(steps: &[Step], options: SpoolOptions) -> Lived {
        let mut lived = Lived {
            farm: Farm::new(options),
            acknowledged: BTreeMap::new(),
            too_long: BTreeMap::new(),
            next: BTreeMap::new(),
        };
        for step in steps {
            lived.step(step);
        }
        lived.farm.remote.recover();
        lived.farm.disk.recover();
        lived.farm.until_empty();
        lived
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { source, frames, one_is_too_long } => {
                let (seqs, mut values) = self.next_frames(*source, *frames);
                if *one_is_too_long {
                    values.push(self.farm.long_frame(*source));
                    let next = self.next.entry(*source).or_default();
                    self.too_long.entry(*source).or_default().insert(*next);
                    *next += 1;
                }
                self.farm.append(*source, &values);
                self.acknowledged.entry(*source).or_default().extend(seqs);
            }
            Step::CutPowerWhileAppending { source, frames } => {
                let (seqs, values) = self.next_frames(*source, *frames);
                let spool = Arc::clone(&self.farm.spool);
                let appended = thread::scope(|threads| {
                    let appending = threads.spawn(|| try_append(&spool, *source, &values));
                    self.farm.cut_power();
                    appending.join().unwrap()
                });
                if appended.is_err() {
                    self.farm.append(*source, &values);
                }
                self.acknowledged.entry(*source).or_default().extend(seqs);
            }
            Step::Restart { grace } => self.farm.restart(*grace),
            Step::Mood(mood) => self.farm.remote.be(*mood),
            Step::RemoteFails(fault) => self.farm.remote.fail(*fault),
            Step::DiskFails(fault) => self.farm.disk.fail(*fault),
            Step::Breathe => thread::sleep(Duration::from_millis(2)),
        }
    }

    fn next_frames(&mut self, source: i64, frames: u64) -> (std::ops::Range<u64>, Vec<Vec<u8>>) {
        let next = self.next.entry(source).or_default();
        let seqs = *next..*next + frames;
        *next += frames;
        (seqs, self.farm.frames(source, frames))
    }

    /// Frames of a source that were acknowledged, and did not arrive.
    fn missing(&self, source: i64) -> u64 {
        let arrived: BTreeSet<u64> = self.farm.first_arrivals(source).into_iter().collect();
        let acknowledged = self.acknowledged.get(&source).into_iter().flatten();
        u64::try_from(acknowledged.filter(|seq| !arrived.contains(seq)).count()).unwrap()
    }

    fn dropped(&self, source: i64) -> u64 {
        let label = source.to_string();
        self.farm.count("animov_spool_dropped_frames_total", &[&label, "size"])
    }

    fn arrives_in_order(&self) -> Result<(), TestCaseError> {
        for source in 1..=3 {
            let arrivals = self.farm.first_arrivals(source);
            prop_assert!(arrivals.is_sorted(), "source {source} arrived as {arrivals:?}");
            let too_long = self.too_long.get(&source).into_iter().flatten();
            prop_assert!(!too_long.into_iter().any(|seq| arrivals.contains(seq)));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_arrives_in_order_whatever_happens(steps in steps(4)) {
        let lived = Lived::through(&steps, impatient());
        lived.arrives_in_order()?;
        for source in 1..=3 {
            prop_assert_eq!((lived.missing(source), lived.dropped(source)), (0, 0));
        }
    }

    #[test]
    fn what_does_not_arrive_was_dropped_by_a_bound_and_counted(steps in steps(0)) {
        let lived = Lived::through(&steps, SpoolOptions { bytes_max: NARROW, ..options() });
        lived.arrives_in_order()?;
        prop_assert!(lived.farm.disk.bytes_peak() <= NARROW, "{}", lived.farm.disk.bytes_peak());
        let mut uncounted = 0;
        for source in 1..=3 {
            let [missing, dropped] = [lived.missing(source), lived.dropped(source)];
            let too_long = lived.too_long.get(&source).map_or(0, BTreeSet::len);
            let too_long = u64::try_from(too_long).unwrap();
            // One that is too long may be dropped before anybody knows that it is.
            prop_assert!(missing <= dropped && dropped <= missing + too_long);
            uncounted += missing + too_long - dropped;
        }
        prop_assert_eq!(lived.farm.count("animov_spool_set_aside_frames_total", &[]), uncounted);
    }

    #[test]
    fn nothing_goes_missing_uncounted_whatever_happens(steps in steps(4)) {
        let lived = Lived::through(&steps, SpoolOptions { bytes_max: NARROW, ..impatient() });
        lived.arrives_in_order()?;
        prop_assert!(lived.farm.disk.bytes_peak() <= NARROW, "{}", lived.farm.disk.bytes_peak());
        for source in 1..=3 {
            prop_assert!(lived.missing(source) <= lived.dropped(source));
        }
    }
}
