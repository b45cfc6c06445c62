//! `[pipeline]` in `animov.toml`.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use schemas::source::SourceId;
use serde::{Deserialize, Serialize};

/// How late, how long, how often. Every field has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// How much out of order the frames of one source may come before one is
    /// called late: the watermark stays this far behind the newest event time.
    #[serde(with = "humantime_serde")]
    pub disorder_bound: Duration,

    /// How long after the watermark passed its end a window turns final. Later
    /// frames still correct it.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,

    /// A source that sent nothing for so long no longer holds its windows open:
    /// its watermark then follows the log's clock at this distance.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,

    /// How far ahead of the log's clock a frame may be stamped. Beyond it the
    /// frame is parked and never moves the watermark.
    #[serde(with = "humantime_serde")]
    pub skew_bound: Duration,

    /// How often a source gives a frame: what coverage is measured against.
    #[serde(with = "humantime_serde")]
    pub cadence: Duration,

    /// The same for single sources, by number, where it differs.
    #[serde(with = "cadences")]
    pub cadences: BTreeMap<SourceId, Duration>,

    /// How often what has been read is committed, while something is read.
    #[serde(with = "humantime_serde")]
    pub commit_interval: Duration,

    /// Frames in one commit, at most about so many.
    pub epoch_frames_max: NonZeroU32,

    /// Threads that keep windows.
    pub workers: NonZeroUsize,
}

impl Default for PipelineConfig {
    fn default() -> PipelineConfig {
        PipelineConfig {
            disorder_bound: Duration::from_secs(10),
            grace: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(300),
            skew_bound: Duration::from_secs(120),
            cadence: Duration::from_secs(1),
            cadences: BTreeMap::new(),
            commit_interval: Duration::from_millis(250),
            epoch_frames_max: const { NonZeroU32::new(500_000).expect("positive") },
            workers: const { NonZeroUsize::new(1).expect("positive") },
        }
    }
}

/// What cannot be right although each value is one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    #[error("pipeline.{0} is zero; a source gives a frame every so often, for example \"1s\"")]
    NoCadence(String),
    #[error("pipeline.commit_interval is {0:?}; from 10ms to 1m keeps commits frequent and cheap")]
    CommitInterval(Duration),
    #[error(
        "pipeline.idle_timeout is {idle:?}, shorter than disorder_bound + grace ({wait:?}): a \
         source would be called silent before its windows could turn final"
    )]
    IdleBeforeFinal { idle: Duration, wait: Duration },
}

impl PipelineConfig {
    /// How often `source` gives a frame, in milliseconds, at least 1.
    pub fn cadence_ms(&self, source: SourceId) -> i64 {
        let cadence = self.cadences.get(&source).copied().unwrap_or(self.cadence);
        schemas::time::millis(cadence).max(1)
    }

    /// Every rule between fields that is broken.
    pub fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        if self.cadence.is_zero() {
            faults.push(ConfigFault::NoCadence("cadence".into()));
        }
        for (source, _) in self.cadences.iter().filter(|(_, cadence)| cadence.is_zero()) {
            faults.push(ConfigFault::NoCadence(format!("cadences.{source}")));
        }
        let usual = Duration::from_millis(10)..=Duration::from_secs(60);
        if !usual.contains(&self.commit_interval) {
            faults.push(ConfigFault::CommitInterval(self.commit_interval));
        }
        let wait = self.disorder_bound + self.grace;
        if self.idle_timeout < wait {
            faults.push(ConfigFault::IdleBeforeFinal { idle: self.idle_timeout, wait });
        }
        faults
    }
}

/// A table from source numbers, which are texts in a file, to durations.
mod cadences {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use schemas::source::SourceId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Text(#[serde(with = "humantime_serde")] Duration);

    pub(super) fn serialize<S: Serializer>(
        cadences: &BTreeMap<SourceId, Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(cadences.iter().map(|(source, every)| (source.to_string(), Text(*every))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<SourceId, Duration>, D::Error> {
        BTreeMap::<String, Text>::deserialize(from)?
            .into_iter()
            .map(|(source, Text(every))| {
                Ok((source.parse().map_err(serde::de::Error::custom)?, every))
            })
            .collect()
    }
}
