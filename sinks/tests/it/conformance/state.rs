//! What every [`StateStore`] must do.

mod commits;
mod queries;
mod random;
mod samples;

use std::sync::Arc;

use schemas::commit::{CommitError, StateStore};
use schemas::window::WindowSize;

use crate::conformance::model::Refusal;
use crate::conformance::state::samples::whole_series;

// By these names the tests below call them, and other seams' tests build on them.
pub(crate) use commits::*;
pub(crate) use queries::*;
pub(crate) use random::*;
pub(crate) use samples::{log, parked};

/// Tables of their own for one test, which can be closed and opened again.
pub(crate) trait TestState: Sized {
    /// New, empty tables; `None`, with a line that says why, where their server
    /// is not there.
    fn new() -> Option<Self>;

    /// Opens them; what was opened before may still be in use.
    fn open(&self) -> Arc<dyn StateStore>;

    /// Empties them.
    fn clear(&self);
}

/// One test for each thing that tables must do.
macro_rules! state_conformance {
    ($state:ty) => {
        $crate::conformance::state::state_conformance!($state:
            a_partition_begins_where_it_is_first_claimed,
            a_commit_is_there_for_every_reader_and_after_reopening,
            the_same_commit_again_is_fenced_and_changes_nothing,
            an_older_owner_is_fenced_and_changes_nothing,
            a_partition_that_nobody_claimed_is_fenced,
            a_commit_refused_for_one_partition_changes_no_other,
            a_source_that_somebody_else_wrote_is_refused_whole,
            a_commit_may_change_windows_without_moving_an_offset,
            the_shape_is_remembered_and_compared,
            a_series_pages_in_both_directions,
            a_metric_without_a_row_counts_zero_animals,
            open_windows_come_by_source_size_and_start,
            parked_records_come_newest_first_and_once,
            the_audit_finds_what_does_not_add_up,
            the_largest_numbers_survive,
            of_many_committers_one_wins_each_offset,
            random_commits_read_back_like_the_model,
        );
    };
    ($state:ty: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                match <$state as $crate::conformance::state::TestState>::new() {
                    Some(state) => $crate::conformance::state::$case(&state),
                    None => println!("skipped"),
                }
            }
        )*
    };
}
pub(crate) use state_conformance;

pub(crate) fn refusal(refused: Result<(), CommitError>) -> Refusal {
    let error = refused.unwrap_err();
    Refusal::of(&error).unwrap_or_else(|| panic!("{error}"))
}

/// Everything that can be asked, as one text.
pub(crate) fn everything(state: &dyn StateStore) -> String {
    let mut told = vec![
        format!("{:?}", state.audit().unwrap()),
        format!("{:?}", state.sources().unwrap()),
        format!("{:?}", state.open_sources().unwrap()),
        format!("{:?}", state.parked(1000).unwrap()),
    ];
    for summary in state.sources().unwrap() {
        for size in WindowSize::ALL {
            let query = whole_series(summary.state.source, size);
            told.push(format!("{:?}", state.series(&query).unwrap()));
        }
    }
    told.join("\n")
}
