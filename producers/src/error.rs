//! What can end a source.

use schemas::time::UnixMillis;

use crate::decode::DecodeError;
use crate::detect::DetectError;
use crate::input::Input;
use crate::publish::PublishError;

/// Why a source ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Decode(#[from] DecodeError),

    #[error(transparent)]
    Detect(#[from] DetectError),

    #[error(transparent)]
    Publish(#[from] PublishError),

    #[error(
        "{input} is said to start at {started_at}, which is still to come (now is {now}); correct started_at"
    )]
    StartsAhead { input: Input, started_at: UnixMillis, now: UnixMillis },
}

impl SourceError {
    /// Whether this is only how a source obeys a [`Stop`](schemas::stop::Stop).
    pub fn is_stop(&self) -> bool {
        matches!(
            self,
            SourceError::Decode(DecodeError::Stopped { .. })
                | SourceError::Publish(PublishError::Stopped)
        )
    }
}
