//! Trying again, with growing waits, what may succeed later.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use schemas::commit::StoreError;
use schemas::log::LogError;
use schemas::stop::Stop;

use crate::progress::Progress;

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
    /// What did not answer, in a word for people.
    const PART: &'static str;

    fn may_pass(&self) -> bool;
}

impl MayPass for LogError {
    const PART: &'static str = "log";

    fn may_pass(&self) -> bool {
        self.may_succeed_later()
    }
}

impl MayPass for StoreError {
    const PART: &'static str = "tables";

    fn may_pass(&self) -> bool {
        self.may_succeed_later()
    }
}

/// How long to try, and who is told meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    pub(crate) stop: &'a Stop,
    pub(crate) progress: &'a Progress,
}

impl Patience<'_> {
    /// Tries until it succeeds, cannot, is told to stop, or `given_up`.
    ///
    /// # Errors
    ///
    /// The last try's.
    pub(crate) fn again<T, E: MayPass>(
        self,
        given_up: impl Fn() -> bool,
        mut one_try: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut backoff = Backoff::default();
        loop {
            match one_try() {
                Err(error) if error.may_pass() && !given_up() => {
                    if self.failed(&error, &mut backoff) {
                        return Err(error);
                    }
                }
                outcome => {
                    self.over::<E>(&backoff);
                    return outcome;
                }
            }
        }
    }

    /// Takes note of a failed try and waits before the next; whether it was told
    /// to stop instead.
    pub(crate) fn failed<E: MayPass>(self, error: &E, backoff: &mut Backoff) -> bool {
        let text = Chain(error).to_string();
        tracing::warn!(part = E::PART, error = text, "no answer, trying again");
        self.progress.failed_try(E::PART, text);
        self.stop.wait(backoff.next())
    }

    /// Takes note that the tries are over.
    pub(crate) fn over<E: MayPass>(self, backoff: &Backoff) {
        if 0 < backoff.tries {
            self.progress.answered(E::PART);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> LogError {
        LogError::Overloaded
    }

    #[test]
    fn an_outage_is_told_until_the_part_answers() {
        let (stop, progress) = (Stop::default(), Progress::default());
        let mut answers = [Err(away()), Err(away()), Ok(())].into_iter();
        let mut told = Vec::new();
        let patience = Patience { stop: &stop, progress: &progress };
        let outcome = patience.again(
            || false,
            || {
                told.push(progress.outages().contains_key("log"));
                answers.next().unwrap()
            },
        );
        outcome.unwrap();
        assert_eq!(told, [false, true, true]);
        assert!(progress.outages().is_empty());
    }
}
