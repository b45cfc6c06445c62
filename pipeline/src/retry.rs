//! Trying again, with growing waits, what may succeed later.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use schemas::commit::StoreError;
use schemas::log::LogError;
use schemas::stop::Stop;

/// How long a single wait between two tries is at most.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Growing waits between tries.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// How long to wait before the next try: 50 ms, doubled each time, up to
    /// [`BACKOFF_MAX`].
    pub(crate) fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(50) * 2_u32.pow(self.tries.min(10));
        self.tries += 1;
        wait.min(BACKOFF_MAX)
    }
}

/// An error that knows whether trying again may help.
pub(crate) trait MayPass: Error + Sized + 'static {
    fn may_pass(&self) -> bool;
}

impl MayPass for LogError {
    fn may_pass(&self) -> bool {
        self.may_succeed_later()
    }
}

impl MayPass for StoreError {
    fn may_pass(&self) -> bool {
        self.may_succeed_later()
    }
}

/// Tries until it succeeds, cannot, is told to stop, or `given_up`.
///
/// # Errors
///
/// The last try's.
pub(crate) fn again<T, E: MayPass>(
    stop: &Stop,
    given_up: impl Fn() -> bool,
    mut one_try: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut backoff = Backoff::default();
    loop {
        match one_try() {
            Err(error) if error.may_pass() && !given_up() => {
                tracing::warn!(error = %Chain(&error), "no answer, trying again");
                if stop.wait(backoff.next()) {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
}

/// An error with its causes, on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
