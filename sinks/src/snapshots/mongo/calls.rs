//! Blocking calls of an asynchronous driver.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use mongodb::error::Error;
use tokio::runtime::{Builder, Runtime};

/// A thread on which the driver runs, and how long to wait for it.
pub(super) struct Calls {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    Driver(Error),
    TimedOut(Duration),
    Panicked,
}

impl Calls {
    /// # Errors
    ///
    /// The system has no thread left.
    pub(super) fn new(timeout: Duration) -> io::Result<Calls> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("mongo").enable_all().build();
        Ok(Calls { runtime: Some(runtime?), timeout })
    }

    /// Runs `call` to its end, or for so long. The caller's thread waits, also
    /// inside another runtime; the call itself is not on it.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Failed> {
        let (answer, answered) = mpsc::sync_channel(1);
        let timeout = self.timeout;
        let runtime = self.runtime.as_ref().expect("it is there until it is dropped");
        runtime.spawn(async move {
            let outcome = tokio::time::timeout(timeout, call).await;
            // There is room for the one answer, and somebody who waits for it.
            answer.send(outcome).expect("the caller waits");
        });
        match answered.recv() {
            Ok(Ok(outcome)) => outcome.map_err(Failed::Driver),
            Ok(Err(_)) => Err(Failed::TimedOut(timeout)),
            Err(_) => Err(Failed::Panicked),
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // Without waiting, which is forbidden where somebody else's task may drop us.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_in_time_whatever_becomes_of_it() {
        let calls = Calls::new(Duration::from_millis(50)).unwrap();
        assert_eq!(calls.wait(async { Ok(7) }).unwrap(), 7);
        let never = calls.wait(std::future::pending::<Result<(), Error>>());
        assert!(matches!(never, Err(Failed::TimedOut(_))), "{never:?}");
        let panics = calls.wait::<()>(async { panic!("as the test wants") });
        assert!(matches!(panics, Err(Failed::Panicked)), "{panics:?}");
        assert_eq!(calls.wait(async { Ok(8) }).unwrap(), 8, "and the next one is served");
    }

    #[test]
    fn calls_may_be_made_and_let_go_of_inside_another_runtime() {
        let outside = Builder::new_current_thread().build().unwrap();
        outside.block_on(async {
            let calls = Calls::new(Duration::from_secs(10)).unwrap();
            assert_eq!(calls.wait(async { Ok(7) }).unwrap(), 7);
            drop(calls);
        });
    }
}
