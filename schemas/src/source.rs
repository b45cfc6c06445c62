//! What names a camera and one run of its producer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names a source in the log, the tables and the API alike.
///
/// Invariant: 1 to `i32::MAX`, so it fits the original's `int(11)` columns, a
/// Kafka key, a metric label and a URL path without escaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct SourceId(i32);

/// A number, or a text, that does not name a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("source {0} is not a whole number from 1 to {max}", max = i32::MAX)]
pub struct InvalidSourceId(String);

impl SourceId {
    /// The number, as columns and labels carry it.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i64> for SourceId {
    type Error = InvalidSourceId;

    #[inline]
    fn try_from(id: i64) -> Result<SourceId, InvalidSourceId> {
        match i32::try_from(id) {
            Ok(small) if 0 < small => Ok(SourceId(small)),
            _ => Err(InvalidSourceId(id.to_string())),
        }
    }
}

impl From<SourceId> for i64 {
    fn from(source: SourceId) -> i64 {
        i64::from(source.0)
    }
}

impl FromStr for SourceId {
    type Err = InvalidSourceId;

    fn from_str(text: &str) -> Result<SourceId, InvalidSourceId> {
        let id: i64 = text.parse().map_err(|_| InvalidSourceId(format!("{text:?}")))?;
        SourceId::try_from(id)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of a producer: the UUID under which its frames are numbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new run's name; no two runs share one.
    pub fn random() -> SessionId {
        SessionId(Uuid::new_v4())
    }

    /// The same name for the same `content`, in every process: what a file is
    /// called that may be read more than once.
    pub fn derived_from(content: &[u8]) -> SessionId {
        // A namespace of our own, so that nobody else's version-5 UUIDs collide.
        const NAMESPACE: Uuid = Uuid::from_u128(0x8a6f_3d0e_51c2_4d3b_9e77_0b1d_5a90_c4e2);
        SessionId(Uuid::new_v5(&NAMESPACE, content))
    }

    /// The sixteen bytes, as the frame record carries them.
    pub const fn bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<[u8; 16]> for SessionId {
    fn from(bytes: [u8; 16]) -> SessionId {
        SessionId(Uuid::from_bytes(bytes))
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<SessionId, uuid::Error> {
        Uuid::parse_str(text).map(SessionId)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_positive_int() {
        for id in [0, -1, i64::from(i32::MAX) + 1, i64::MIN] {
            assert!(SourceId::try_from(id).is_err(), "{id}");
        }
        assert_eq!("7".parse::<SourceId>().unwrap().get(), 7);
        insta::assert_snapshot!("pen".parse::<SourceId>().unwrap_err(), @r#"source "pen" is not a whole number from 1 to 2147483647"#);
    }

    #[test]
    fn a_derived_session_is_the_same_in_every_process() {
        insta::assert_snapshot!(SessionId::derived_from(b"first line"), @"e7ec2b1c-fd6f-589f-97a7-0b0d9ee6e3e3");
    }
}
