//! A herd published as if it were filmed.

use std::sync::Arc;
use std::time::Duration;

use schemas::stop::Stop;
use schemas::time::{Clock, UnixMillis};

use crate::pace::{Pace, wait_until};
use crate::publish::{PublishError, SourcePublisher};
use crate::simulate::{Herd, HerdSpec};

/// How a herd is published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HerdRun {
    pub spec: HerdSpec,
    /// Event time from one frame to the next.
    pub every: Duration,
    /// Event time of the first frame.
    pub started_at: UnixMillis,
    /// Simulated seconds per second, until event time has caught up with now.
    pub speed: f64,
    /// Whether frames have boxes, or only counts.
    pub boxes: bool,
}

/// Publishes a herd in front of each publisher's source, until stopped.
///
/// # Errors
///
/// The log takes no more frames.
pub fn run(
    herd: &HerdRun,
    publishers: &mut [SourcePublisher],
    clock: &Arc<dyn Clock>,
    stop: &Stop,
) -> Result<(), PublishError> {
    let pace = Pace { started_at: herd.started_at, began: clock.now(), speed: herd.speed };
    let mut herds: Vec<Herd> =
        publishers.iter().map(|publisher| Herd::new(herd.spec, publisher.source())).collect();
    let mut captured_at = herd.started_at;
    while !wait_until(pace.due(captured_at), clock.as_ref(), stop) {
        for (herd_of_source, publisher) in herds.iter_mut().zip(publishers.iter_mut()) {
            let seen = match herd.boxes {
                true => herd_of_source.seen_boxes(captured_at),
                false => herd_of_source.seen_counts(captured_at),
            };
            match publisher.publish(captured_at, seen) {
                Ok(_) => {}
                Err(PublishError::Stopped) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        captured_at = captured_at.plus(herd.every);
    }
    Ok(())
}
