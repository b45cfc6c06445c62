//! Any sequence of steps, against the model.

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use schemas::commit::{Commit, SeriesQuery, SourceChange, StateStore, Status, WindowState};
use schemas::log::{Offset, Partition};
use schemas::source::SessionId;
use schemas::stats::Histogram;
use schemas::window::WindowSize;

use crate::conformance::log::source;
use crate::conformance::model::{Model, Refusal};
use crate::conformance::state::TestState;
use crate::conformance::state::samples::{
    advance, at, change, log, name, parked, whole_series, window,
};

/// One thing that may happen to tables.
#[derive(Clone, Debug)]
enum Step {
    Claim { partition: u32, first: u64 },
    Commit(Commit),
    LostEnd { partition: u32, end: u64 },
    Rewind { partition: u32 },
    Reopen,
}

fn histogram(frames: u64) -> impl Strategy<Value = Histogram> {
    prop::collection::vec(0_u32..6, usize::try_from(frames).unwrap()).prop_map(|counts| {
        Histogram::of(&counts.into_iter().map(|animals| (animals, 1)).collect::<Vec<_>>())
    })
}

fn any_window(id: i64) -> impl Strategy<Value = WindowState> {
    let statuses = vec![Status::Open, Status::Final, Status::Corrected];
    (prop::sample::select(WindowSize::ALL.to_vec()), 0_i64..4, 1_u64..9, 1_u64..5)
        .prop_flat_map(move |(size, minute, frames, rev)| {
            // Every window has all three: a row's metrics only ever grow.
            let histograms = (histogram(frames), histogram(frames), histogram(frames + rev % 2));
            (Just((size, minute, frames, rev)), histograms)
        })
        .prop_flat_map(move |(key, histograms)| {
            (Just(key), Just(histograms), prop::sample::select(statuses.clone()))
        })
        .prop_map(move |((size, minute, frames, rev), (a, b, c), status)| WindowState {
            status,
            metrics: vec![(name("a"), a), (name("b"), b), (name("ç"), c)],
            ..window(id, size, at(minute), frames, rev)
        })
}

fn any_change() -> impl Strategy<Value = SourceChange> {
    (1_i64..4, 1_u64..4, 0_u64..9).prop_flat_map(|(id, rev, frames)| {
        prop::collection::vec(any_window(id), 0..5)
            .prop_map(move |windows| SourceChange { windows, ..change(id, rev, frames.max(1)) })
    })
}

fn any_commit() -> impl Strategy<Value = Commit> {
    let advances = prop::collection::vec((0_u32..3, 1_u64..3, 0_u64..3, 0_u64..3), 0..3)
        .prop_map(|all| all.into_iter().map(|(p, epoch, from, n)| advance(p, epoch, from, n)));
    let parks = prop::collection::vec((0_u32..3, 0_u64..1_000_000), 0..2)
        .prop_map(|all| all.into_iter().map(|(p, offset)| parked(p, offset)));
    (advances, prop::collection::vec(any_change(), 0..3), parks).prop_map(
        |(partitions, sources, parked)| Commit {
            partitions: partitions.collect(),
            sources,
            parked: parked.collect(),
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u32..3, 0_u64..3).prop_map(|(partition, first)| Step::Claim { partition, first }),
        9 => any_commit().prop_map(Step::Commit),
        1 => (0_u32..3, 0_u64..3).prop_map(|(partition, end)| Step::LostEnd { partition, end }),
        1 => (0_u32..3).prop_map(|partition| Step::Rewind { partition }),
        1 => Just(Step::Reopen),
    ]
}

/// Compares every answer of `state` with the model's.
fn agree(state: &dyn StateStore, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(state.audit().unwrap(), model.audit());
    prop_assert_eq!(state.sources().unwrap(), model.sources());
    prop_assert_eq!(state.parked(3).unwrap(), model.parked(3));
    prop_assert_eq!(state.open_sources().unwrap(), model.open_sources());
    for partition in (0..4).map(Partition) {
        let standing = state.standing(&log(), partition).unwrap();
        prop_assert_eq!(standing, model.standing(&log(), partition));
    }
    for id in 1..5 {
        let id = source(id);
        prop_assert_eq!(state.source(id).unwrap(), model.source(id));
        let open = state.open_windows(id).unwrap();
        prop_assert_eq!(open, model.open_windows(id));
        let session = SessionId::derived_from(&i64::from(id).to_be_bytes());
        prop_assert_eq!(state.seqs(id, session, 0).unwrap(), model.seqs(id, session, 0));
        for size in WindowSize::ALL {
            for (newest_first, metric) in [(false, None), (true, Some(name("b")))] {
                let limit = 3;
                let query = SeriesQuery { newest_first, metric, limit, ..whole_series(id, size) };
                prop_assert_eq!(state.series(&query).unwrap(), model.series(&query));
            }
            let one = state.window(id, size, at(1)).unwrap();
            prop_assert_eq!(one, model.window(id, size, at(1)));
        }
    }
    Ok(())
}

pub(crate) fn random_commits_read_back_like_the_model(test: &impl TestState) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec(any_step(), 1..25);
    let outcome = runner.run(&steps, |steps| {
        test.clear();
        let mut state = test.open();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Reopen => state = test.open(),
                Step::Claim { partition, first } => {
                    let (partition, first) = (Partition(partition), Offset(first));
                    let ours = state.claim(&log(), partition, first).unwrap();
                    prop_assert_eq!(ours, model.claim(&log(), partition, first));
                }
                Step::LostEnd { partition, end } => {
                    let (partition, end) = (Partition(partition), Offset(end));
                    state.lost_end(&log(), partition, end).unwrap();
                    model.lost_end(&log(), partition, end);
                }
                Step::Rewind { partition } => {
                    let rewound = state.rewind(&log(), Partition(partition)).unwrap();
                    prop_assert_eq!(rewound, model.rewind(&log(), Partition(partition)));
                }
                Step::Commit(commit) => {
                    if commit.parked.iter().any(|new| {
                        model.parked(u32::MAX).iter().any(|old| {
                            (&old.log, old.partition, old.offset)
                                == (&new.log, new.partition, new.offset)
                        })
                    }) {
                        continue;
                    }
                    let expected = model.commit(&commit);
                    let done = state.commit(&commit);
                    let done = done.map_err(|error| Refusal::of(&error).expect("a refusal"));
                    prop_assert_eq!(done, expected);
                }
            }
        }
        agree(&*state, &model)
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}
