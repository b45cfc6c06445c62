//! Single cases, told in the domain's words.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pipeline::config::PipelineConfig;
use pipeline::{End, Input, Job, PipelineError, Progress, run};
use schemas::commit::{Shape, StateStore, Status};
use schemas::log::{FrameLog, LogError, Partition};
use schemas::source::SourceId;
use schemas::stop::Stop;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;

use crate::oracle::{naive, table};
use crate::support::{MARCH, MemoryLog, MemoryStore, Seen3, Setup, lying};

/// The minutes of source 1: their start in March, frames and status.
fn minutes(store: &MemoryStore) -> String {
    let rows = store.rows().into_iter().filter(|row| row.window.size == WindowSize::Minute);
    rows.map(|row| {
        let minute = (row.window.start.get() - MARCH) / 60_000;
        let stats = row.metrics[0].1.statistics().unwrap();
        format!(
            "minute {minute}: {} lying in {} of {} frames, {}, rev {}\n",
            stats.sum,
            row.frames,
            row.frames_expected,
            row.status.name(),
            row.rev
        )
    })
    .collect()
}

fn one_read_each(frames: &[Seen3]) -> MemoryLog {
    let log = MemoryLog::new(1, 1);
    frames.iter().for_each(|frame| log.frame(0, frame));
    log
}

#[test]
fn a_late_frame_corrects_its_own_minute_under_a_new_revision() {
    let frames = [lying(3, 10), lying(5, 70), lying(2, 200), lying(4, 50)];
    insta::assert_snapshot!(minutes(&Setup::new().run(one_read_each(&frames))), @r"
    minute 0: 7 lying in 2 of 60 frames, corrected, rev 3
    minute 1: 5 lying in 1 of 60 frames, final, rev 2
    minute 3: 2 lying in 1 of 60 frames, open, rev 1
    ");
}

#[test]
fn a_late_frame_finds_a_window_that_was_let_go_of() {
    // Sixty minutes, a read and so an epoch a minute: minute 0 is long gone when
    // its last frame comes.
    let mut frames: Vec<Seen3> = (0..60).map(|minute| lying(1, minute * 60)).collect();
    frames.push(lying(9, 30));
    let store = Setup::new().run(one_read_each(&frames));
    assert_eq!(table(&store.rows()), naive(&frames, "UTC"));
    let first = minutes(&store).lines().next().unwrap().to_owned();
    insta::assert_snapshot!(first, @"minute 0: 10 lying in 2 of 60 frames, corrected, rev 3");
}

#[test]
fn a_duplicate_is_counted_as_one_and_changes_nothing() {
    let frames = [lying(3, 10), lying(5, 20), lying(3, 10), lying(5, 20)];
    let store = Setup::new().run(one_read_each(&frames));
    insta::assert_snapshot!(minutes(&store), @"minute 0: 8 lying in 2 of 60 frames, open, rev 2");
    let ledger = store.audit().unwrap().partitions[0].ledger;
    assert_eq!((ledger.read, ledger.accepted, ledger.duplicate, ledger.parked), (4, 2, 2, 0));
}

#[test]
fn a_silent_source_has_its_windows_ended_by_the_clock() {
    let mut log = one_read_each(&[lying(3, 10)]);
    log.now = UnixMillis::new(MARCH + 3_600_000);
    let store = Setup::new().run(log);
    let open = store.open_windows(SourceId::try_from(1).unwrap()).unwrap();
    // An hour later only the hour's grace and the day are not over.
    assert_eq!(open.iter().map(|row| row.window.size.name()).collect::<Vec<_>>(), ["1h", "1d"]);
    insta::assert_snapshot!(minutes(&store), @"minute 0: 3 lying in 1 of 60 frames, final, rev 1");
}

#[test]
fn windows_left_open_by_the_last_run_are_ended_without_a_frame() {
    let store = Arc::new(MemoryStore::default());
    let mut log = one_read_each(&[lying(3, 10)]);
    Setup::new().run_into(&Arc::new(log), &store);
    assert_eq!(store.open_windows(SourceId::try_from(1).unwrap()).unwrap().len(), 5);
    log = one_read_each(&[lying(3, 10)]);
    log.now = UnixMillis::new(MARCH + 2 * 86_400_000);
    Setup::new().run_into(&Arc::new(log), &store);
    assert_eq!(store.open_windows(SourceId::try_from(1).unwrap()).unwrap().len(), 0);
}

#[test]
fn a_clock_that_runs_ahead_is_parked_and_does_not_move_the_watermark() {
    let log = MemoryLog::new(1, 1);
    let ahead = lying(3, 86_400);
    log.push(0, UnixMillis::new(MARCH), ahead.bytes());
    log.frame(0, &lying(4, 10));
    let unset = Seen3 { at: -MARCH, ..lying(1, 3) };
    log.push(0, UnixMillis::new(MARCH), unset.bytes());
    let store = Setup::new().run(log);
    insta::assert_snapshot!(minutes(&store), @"minute 0: 4 lying in 1 of 60 frames, open, rev 1");
    let parked = store.parked(10).unwrap();
    let told: Vec<String> =
        parked.iter().map(|p| format!("{} {}: {}", p.offset, p.reason.name(), p.detail)).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    0 clock_ahead: captured at 2026-03-02T00:00:00Z, 86400 s ahead of the log's clock
    2 clock_unset: captured at 1970-01-01T00:00:00Z, before the year 2000
    ");
    assert_eq!(parked[0].bytes, ahead.bytes());
}

#[test]
fn what_is_no_frame_is_parked_with_its_bytes_and_the_rest_goes_on() {
    let log = MemoryLog::new(1, 100);
    let whole = lying(3, 10).bytes();
    log.push(0, UnixMillis::new(MARCH), b"no frame at all".to_vec());
    log.push(0, UnixMillis::new(MARCH), Vec::new());
    log.push(0, UnixMillis::new(MARCH), whole[..whole.len() - 3].to_vec());
    log.push(0, UnixMillis::new(MARCH), [&[0xC3, 0x01][..], &[7; 40]].concat());
    log.push(0, UnixMillis::new(MARCH), [whole.clone(), vec![1, 2]].concat());
    log.frame(0, &lying(2000, 11));
    log.frame(0, &lying(5, 12));
    let store = Setup::new().run(log);
    insta::assert_snapshot!(minutes(&store), @"minute 0: 5 lying in 1 of 60 frames, open, rev 1");
    let told: Vec<String> = store
        .parked(10)
        .unwrap()
        .iter()
        .map(|p| format!("{} {}: {}", p.offset, p.reason.name(), p.detail))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    0 not_a_frame: does not begin with C3 01 and a schema fingerprint
    1 not_a_frame: does not begin with C3 01 and a schema fingerprint
    2 damaged: ends early, or is no value of its schema
    3 unknown_schema: was written with a schema of fingerprint 0707070707070707, which is not known here
    4 damaged: 2 bytes follow the value
    5 invalid: 2000 animals of one class; at most 1024
    ");
}

#[test]
fn a_class_of_its_own_counts_zero_where_it_was_not_seen() {
    let eating = Seen3 { counts: [1, 0, 2], ..lying(1, 20) };
    let store =
        Setup::new().run(one_read_each(&[lying(1, 10), eating, lying(1, 30), lying(1, 70)]));
    let rows = store.rows();
    let eat = |minute: usize| rows[minute].metrics.iter().find(|(name, _)| &**name == "eat");
    assert_eq!(eat(0).unwrap().1.bars().collect::<Vec<_>>(), [(0, 2), (2, 1)]);
    assert!(eat(1).is_none());
}

#[test]
fn a_source_that_another_process_wrote_is_computed_again_from_what_is_committed() {
    let store = Arc::new(MemoryStore::default());
    let log = Arc::new(one_read_each(&[lying(3, 10), lying(4, 20)]));
    Setup::new().run_into(&log, &store);
    log.frame(0, &lying(5, 30));
    // As if it had been written between our reading and our writing: found once
    // the commit compares, and mended by beginning again.
    store.touch(1);
    Setup::new().run_into(&log, &store);
    insta::assert_snapshot!(minutes(&store), @"minute 0: 12 lying in 3 of 60 frames, open, rev 3");
}

#[test]
fn a_minute_with_frames_of_no_animals_is_a_row_and_one_without_frames_is_none() {
    let store = Setup::new().run(one_read_each(&[lying(0, 10), lying(0, 130)]));
    insta::assert_snapshot!(minutes(&store), @r"
    minute 0: 0 lying in 1 of 60 frames, final, rev 2
    minute 2: 0 lying in 1 of 60 frames, open, rev 1
    ");
    assert!(store.rows().iter().all(|row| row.status != Status::Corrected));
}

#[test]
fn a_partition_that_cannot_be_read_ends_the_run_although_another_goes_on() {
    let mut log = MemoryLog::new(2, 1);
    log.frame(0, &lying(3, 10));
    log.damaged = Some(Partition(1));
    let log: Arc<dyn FrameLog> = Arc::new(log);
    let stop = Stop::default();
    let job = Job {
        inputs: Input::all_of(&log),
        store: Arc::new(MemoryStore::default()),
        shape: Shape { zone: "UTC".to_owned(), metrics: Default::default() },
        config: Setup::new().config,
        end: End::Never,
        snapshots: None,
        strays: true,
        stop: stop.clone(),
        progress: Arc::default(),
    };
    let (ended, outcome) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || ended.send(run(&job)));
    let outcome = outcome.recv_timeout(Duration::from_secs(30));
    stop.stop();
    let error = outcome.expect("the run ends").unwrap_err();
    assert!(matches!(error, PipelineError::Log(LogError::Damaged { .. })), "{error}");
}

#[test]
fn a_partition_that_is_given_twice_is_refused() {
    let log: Arc<dyn FrameLog> = Arc::new(one_read_each(&[lying(3, 10)]));
    let job = Job {
        inputs: [Input::all_of(&log), Input::all_of(&log)].concat(),
        store: Arc::new(MemoryStore::default()),
        shape: Shape { zone: "UTC".to_owned(), metrics: Default::default() },
        config: Setup::new().config,
        end: End::CaughtUp,
        snapshots: None,
        strays: false,
        stop: Stop::default(),
        progress: Arc::default(),
    };
    assert!(matches!(run(&job), Err(PipelineError::Twice { .. })));
}

#[test]
fn a_stop_while_the_tables_are_away_is_no_error() {
    let store = Arc::new(MemoryStore::default());
    store.away.store(true, Ordering::SeqCst);
    let log: Arc<dyn FrameLog> = Arc::new(one_read_each(&[lying(3, 10)]));
    let (stop, progress) = (Stop::default(), Arc::new(Progress::default()));
    let job = Job {
        inputs: Input::all_of(&log),
        store: Arc::<MemoryStore>::clone(&store),
        snapshots: None,
        shape: Shape { zone: "UTC".to_owned(), metrics: Default::default() },
        config: PipelineConfig::default(),
        end: End::Never,
        strays: true,
        stop: stop.clone(),
        progress: Arc::clone(&progress),
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&job));
        let begun = Instant::now();
        while !progress.outages().contains_key("tables") {
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not say that it waits");
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.stop();
        running.join().unwrap().unwrap();
    });
}
