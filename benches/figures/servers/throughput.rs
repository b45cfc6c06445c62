//! From a topic to committed rows, against a consumer that only drains it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::config::PipelineConfig;
use pipeline::{End, Input, Job, Progress, run};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use schemas::commit::Shape;
use schemas::log::FrameLog;
use schemas::metric::MetricRules;
use schemas::stop::Stop;
use schemas::time::UnixMillis;

use super::{Load, Outcome, PARTITIONS, Servers, Site, append, frame};
use crate::measure::median;
use crate::replay::as_float;
use crate::{Figure, say};

const SOURCES: u32 = 64;

/// Frames of each topic.
const FRAMES: u64 = 1_500_000;

const RUNS: usize = 3;

/// 2026-03-01.
const BEGIN: i64 = 1_772_323_200_000;

pub(super) fn figures(servers: &Servers) -> Outcome<Vec<Figure>> {
    let figure = |load, cadence_ms, goal| figure(servers, load, cadence_ms, goal);
    Ok(vec![
        figure(Load::CountsOnly, 40, "at least 0.8")?,
        figure(Load::CountsOnly, 1000, "none: a row for every eleventh frame")?,
        figure(Load::Boxes, 40, "none")?,
    ])
}

fn figure(servers: &Servers, load: Load, cadence_ms: i64, goal: &'static str) -> Outcome<Figure> {
    let frames = crate::frames().min(FRAMES);
    let site = Site::new(servers)?;
    let what = format!("{load:?}, {SOURCES} sources, a frame each {cadence_ms} ms");
    say(&format!("appending {frames} frames: {what}"))?;
    fill(&site, frames, load, cadence_ms)?;
    drain(&site, frames)?;
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let counted = count(&site, frames)?.as_secs_f64();
        let drained = drain(&site, frames)?.as_secs_f64();
        ours.push(as_float(frames) / counted);
        bare.push(as_float(frames) / drained);
        ratios.push(drained / counted);
    }
    Ok(Figure {
        what: format!("Kafka to committed MariaDB rows, {what}: frames a second"),
        ours: format!("{:.0}, {PARTITIONS} partitions in one process", median(ours)),
        reference: format!("{:.0} (one bare rdkafka consumer that decodes nothing)", median(bare)),
        ratio: median(ratios),
        goal,
    })
}

fn fill(site: &Site<'_>, frames: u64, load: Load, cadence_ms: i64) -> Outcome<()> {
    const CALL: u64 = 8192;
    let mut call = Vec::new();
    for n in 0..frames {
        let (source, seq) = (u32::try_from(n % u64::from(SOURCES))? + 1, n / u64::from(SOURCES));
        let at = UnixMillis::new(BEGIN + i64::try_from(seq)? * cadence_ms);
        call.push(frame(source, seq, at, load)?);
        if n % CALL == CALL - 1 || n == frames - 1 {
            append(&site.log, &call)?;
            call.clear();
        }
    }
    Ok(())
}

/// How long the pipeline takes into empty tables, from the first question to the
/// last commit.
fn count(site: &Site<'_>, frames: u64) -> Outcome<Duration> {
    site.renew_tables()?;
    let store = Arc::new(site.tables()?);
    let log: Arc<dyn FrameLog> = Arc::new(site.reopened()?);
    let progress = Arc::new(Progress::default());
    let job = Job {
        inputs: Input::all_of(&log),
        store,
        snapshots: None,
        shape: Shape { zone: "Europe/Paris".to_owned(), metrics: MetricRules::default() },
        config: PipelineConfig::default(),
        end: End::CaughtUp,
        strays: false,
        stop: Stop::default(),
        progress: Arc::clone(&progress),
    };
    let begun = Instant::now();
    run(&job)?;
    let took = begun.elapsed();
    if progress.accepted_total() == frames {
        Ok(took)
    } else {
        Err(format!("{} frames counted of {frames}", progress.accepted_total()).into())
    }
}

/// How long a consumer takes that looks at each record's length alone.
fn drain(site: &Site<'_>, frames: u64) -> Outcome<Duration> {
    let begun = Instant::now();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &site.servers.kafka)
        .set("group.id", &site.name)
        .set("enable.auto.commit", "false")
        // By default it rests for a second whenever its queue is full.
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&site.name, i32::try_from(partition)?, Place::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut read, mut bytes) = (0, 0);
    while read < frames {
        let Some(message) = consumer.poll(Duration::from_secs(10)) else {
            return Err(format!("the log gave {read} records of {frames}").into());
        };
        bytes += message?.payload().map_or(0, <[u8]>::len);
        read += 1;
    }
    if bytes == 0 { Err("nothing was drained".into()) } else { Ok(begun.elapsed()) }
}
