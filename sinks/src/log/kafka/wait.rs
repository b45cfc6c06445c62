//! Waits for a future in a thread that has nothing else to do. The futures of
//! librdkafka's administration end by themselves, in their own time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What `future` comes to.
pub(super) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(came) => return came,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_future_that_another_thread_ends_is_waited_for() {
        let (waker_out, waker_in) = mpsc::sync_channel::<Waker>(1);
        let mut polls = 0;
        let ending = thread::spawn(move || {
            waker_in.recv_timeout(Duration::from_secs(60)).unwrap().wake();
        });
        let future = std::future::poll_fn(|context| {
            polls += 1;
            if polls == 1 {
                waker_out.send(context.waker().clone()).unwrap();
                return Poll::Pending;
            }
            // A thread may be woken for no reason.
            if ending.is_finished() {
                Poll::Ready(7)
            } else {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        });
        assert_eq!(wait_for(future), 7);
    }
}
