//! What the cameras of a site recorded, out of its log.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use accuracy::comparison::{Found, Seen};
use accuracy::labels::Labels;
use accuracy::picture::PictureId;
use anyhow::{Context, bail};
use schemas::avro::{self, Schemas};
use schemas::frame::{Frame, FrameId, Model, Seen as Shown};
use schemas::log::{Batch, FrameLog, Partition, ReadEnd};
use schemas::source::SourceId;
use schemas::stop::Stop;

use super::Args;
use super::seen::Looked;
use crate::config::Config;
use crate::parts;
use crate::progress::{Meter, Unit};

/// Records of one read.
const READ_RECORDS: usize = 4096;

/// Longest wait for records that are there.
const READ_WAIT: Duration = Duration::from_secs(10);

/// Reads the frames that `labels` are about.
///
/// # Errors
///
/// It is not said whose frames, labels have no event time, or the log cannot be read.
pub(super) fn read(
    args: &Args,
    config: &Config,
    labels: &Labels,
    stop: &Stop,
) -> anyhow::Result<Looked> {
    let Some(source) = args.source else {
        bail!("whose frames? Name the camera with --source NUMBER");
    };
    let mut times = Vec::new();
    for label in &labels.pictures {
        let Some(at) = label.picture.captured_at else {
            bail!(
                "{}: when was {} captured? Say when the video began with --start TIME",
                label.origin,
                label.picture,
            );
        };
        times.push(at.get());
    }
    times.sort_unstable();
    let log = parts::log_to_read(config)?;
    let mut schemas = Schemas::builtin();
    for json in log.schemas()? {
        schemas.register(&json).with_context(|| "the log declares a schema that cannot be read")?;
    }
    let mut wanted = Wanted {
        source,
        times,
        tolerance_ms: args.tolerance_ms(),
        schemas,
        known: HashSet::new(),
        frames: Vec::new(),
    };
    read_all(&*log, &mut wanted, stop)?;
    wanted.frames.sort_by_key(|frame| (frame.captured_at, frame.id));
    let model = model(&wanted.frames);
    let from = format!("frames of source {source} in the log");
    let seen = wanted.frames.into_iter().map(seen).collect();
    Ok(Looked { seen, from, model, confidence: None })
}

/// Which frames are near a label; those that were found.
struct Wanted {
    source: SourceId,
    /// Of the labels, ascending.
    times: Vec<i64>,
    tolerance_ms: i64,
    schemas: Schemas,
    /// A frame may be in the log several times; it is one.
    known: HashSet<FrameId>,
    frames: Vec<Frame>,
}

impl Wanted {
    fn take(&mut self, value: &[u8]) {
        // What cannot be decoded was parked when it was counted: it shows nothing.
        let Ok(header) = avro::header(value, &self.schemas) else { return };
        let at = header.captured_at.get();
        let next = self.times.partition_point(|time| *time < at.saturating_sub(self.tolerance_ms));
        let near =
            self.times.get(next).is_some_and(|time| time.saturating_sub(self.tolerance_ms) <= at);
        if header.id.source != self.source || !near || self.known.contains(&header.id) {
            return;
        }
        if let Ok(frame) = avro::decode(value, &self.schemas) {
            self.known.insert(header.id);
            self.frames.push(frame);
        }
    }
}

/// Reads all that the log holds now.
fn read_all(log: &dyn FrameLog, wanted: &mut Wanted, stop: &Stop) -> anyhow::Result<()> {
    let partitions = (0..log.partitions()).map(Partition);
    let bounds: Vec<_> = partitions
        .map(|partition| Ok((partition, log.bounds(partition)?)))
        .collect::<anyhow::Result<_>>()?;
    let total = bounds.iter().map(|(_, bounds)| bounds.high.0 - bounds.low.0).sum();
    let mut meter = Meter::new("accuracy", Unit::Records, total);
    let (mut batch, mut done) = (Batch::default(), 0);
    for (partition, bounds) in bounds {
        let mut reader = log.reader(partition, bounds.low)?;
        let mut next = bounds.low;
        while next < bounds.high && !stop.is_stopped() {
            batch.clear();
            let end = reader.read(&mut batch, READ_RECORDS, READ_WAIT)?;
            for record in batch.records() {
                wanted.take(record.value);
                next = record.offset.next();
                done += 1;
            }
            meter.at(done);
            if batch.is_empty() && matches!(end, ReadEnd::CaughtUp(_)) {
                break;
            }
        }
    }
    meter.finish();
    Ok(())
}

/// The model that looked, if it was one.
fn model(frames: &[Frame]) -> Option<Model> {
    let of = |frame: &Frame| match &frame.seen {
        Shown::Detections(picture) => Some(picture.model.clone()),
        Shown::Counts(_) => None,
    };
    let first = of(frames.first()?)?;
    frames.iter().all(|frame| of(frame).as_ref() == Some(&first)).then_some(first)
}

fn seen(frame: Frame) -> Seen {
    let found = match frame.seen {
        Shown::Detections(picture) => Found::Boxes(picture.detections),
        Shown::Counts(counts) => {
            Found::Counts(counts.into_iter().collect::<BTreeMap<Arc<str>, u32>>())
        }
    };
    Seen { picture: PictureId::captured(frame.captured_at), found }
}
