//! A pipeline that runs to the end of its inputs, and somebody who watches it.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use pipeline::{Job, PipelineError};

/// How often `watch` looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs `job` on another thread and calls `watch` meanwhile.
///
/// # Errors
///
/// As [`pipeline::run`].
pub(crate) fn run_watched(job: &Job, mut watch: impl FnMut()) -> Result<(), PipelineError> {
    // Nothing is sent: the end of the thread closes it.
    let (alive, ended) = sync_channel::<()>(0);
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let _alive = alive;
            pipeline::run(job)
        });
        while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            watch();
        }
        let panicked = |_| PipelineError::Thread("the pipeline panicked".to_owned());
        thread.join().map_err(panicked)?
    })
}
