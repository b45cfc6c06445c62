//! The same function, computed twice otherwise: by brute force from the list of
//! frames, and by differential dataflow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use differential_dataflow::input::InputSession;
use schemas::commit::WindowState;
use schemas::stats::Histogram;
use schemas::window::{Calendar, WindowSize};

use crate::support::{CLASSES, Seen3};

/// What a row says of the frames, whatever the order they came in: by source,
/// size, start and metric, how many frames show how many animals.
pub(crate) type Table = BTreeMap<(i64, WindowSize, i64, String), Vec<(u32, u64)>>;

/// The pipeline's rows in the same form.
pub(crate) fn table(rows: &[WindowState]) -> Table {
    let mut table = Table::new();
    for row in rows {
        for (metric, histogram) in &row.metrics {
            let (source, start) = (i64::from(row.source), row.window.start.get());
            let key = (source, row.window.size, start, metric.to_string());
            table.insert(key, histogram.bars().collect());
        }
    }
    table
}

/// What each metric counts in a frame: the declared ones always, another class
/// where it is seen.
fn metrics(frame: &Seen3) -> Vec<(String, u32)> {
    let [lying, standing, other] = frame.counts;
    let mut metrics = vec![
        ("lying".to_owned(), lying),
        ("standing".to_owned(), standing),
        ("total".to_owned(), lying + standing),
    ];
    if 0 < other {
        metrics.push((CLASSES[2].to_owned(), other));
    }
    metrics
}

/// By brute force: each frame once, into every window that holds its moment.
pub(crate) fn naive(frames: &[Seen3], zone: &str) -> Table {
    let calendar = Calendar::in_zone(zone).unwrap();
    let mut counted = BTreeSet::new();
    let mut lists = BTreeMap::<(i64, WindowSize, i64), Vec<Vec<(String, u32)>>>::new();
    for frame in frames {
        if counted.insert((frame.source, frame.session, frame.seq)) {
            for size in WindowSize::ALL {
                let start = calendar.window(size, frame.captured_at()).unwrap().start.get();
                lists.entry((frame.source, size, start)).or_default().push(metrics(frame));
            }
        }
    }
    let mut table = Table::new();
    for ((source, size, start), frames) in lists {
        let names: BTreeSet<&String> = frames.iter().flatten().map(|(name, _)| name).collect();
        for name in names {
            let mut histogram = Histogram::default();
            for frame in &frames {
                let shown = frame.iter().find(|(metric, _)| metric == name);
                histogram.add(shown.map_or(0, |(_, animals)| *animals), 1);
            }
            table.insert((source, size, start, name.clone()), histogram.bars().collect());
        }
    }
    table
}

/// By differential dataflow: frames distinct by their identity, spread over the
/// sizes, counted. `epochs` are the frames in the pieces they arrive in.
pub(crate) fn differential(epochs: &[Vec<Seen3>], zone: &str) -> Table {
    type Cell = (i64, usize, i64, String, u32);
    let cells: Arc<Mutex<Vec<(Cell, isize)>>> = Arc::default();
    let (epochs, zone, collected) = (epochs.to_vec(), zone.to_owned(), Arc::clone(&cells));
    timely::execute_directly(move |worker| {
        let mut input = InputSession::<u64, _, isize>::new();
        worker.dataflow(|scope| {
            let calendar = Calendar::in_zone(&zone).unwrap();
            let frames = input
                .to_collection(scope)
                .map(|frame: (i64, u8, u64, i64, [u32; 3])| ((frame.0, frame.1, frame.2), frame))
                // The first to come, in the order of their contents: equal
                // identities have equal contents here.
                .reduce(|_, seen, one| one.push((*seen[0].0, 1)))
                .map(|(_, frame)| frame);
            let windows = frames.flat_map(move |(source, session, seq, at, counts)| {
                let frame = Seen3 { source, session, seq, at, counts };
                let calendar = calendar.clone();
                WindowSize::ALL.into_iter().enumerate().flat_map(move |(size, of)| {
                    let start = calendar.window(of, frame.captured_at()).unwrap().start.get();
                    let cell = move |(metric, animals)| (source, size, start, metric, animals);
                    metrics(&frame).into_iter().map(cell).collect::<Vec<_>>()
                })
            });
            windows.consolidate().inspect(move |(cell, _, diff)| {
                collected.lock().unwrap().push((cell.clone(), *diff));
            });
        });
        for (epoch, frames) in (1..).zip(epochs) {
            for Seen3 { source, session, seq, at, counts } in frames {
                input.insert((source, session, seq, at, counts));
            }
            input.advance_to(epoch);
            input.flush();
            worker.step();
        }
    });
    let mut histograms = BTreeMap::<(i64, WindowSize, i64, String), BTreeMap<u32, i64>>::new();
    for ((source, size, start, metric, animals), diff) in cells.lock().unwrap().iter() {
        let key = (*source, WindowSize::ALL[*size], *start, metric.clone());
        let diff = i64::try_from(*diff).unwrap();
        *histograms.entry(key).or_default().entry(*animals).or_default() += diff;
    }
    let totals: BTreeMap<_, i64> = histograms
        .iter()
        .filter(|(key, _)| key.3 == "total")
        .map(|((source, size, start, _), bars)| ((*source, *size, *start), bars.values().sum()))
        .collect();
    histograms
        .into_iter()
        .map(|(key, mut bars)| {
            // A class of its own counts zero in the frames that do not name it.
            let counted: i64 = bars.values().sum();
            *bars.entry(0).or_default() += totals[&(key.0, key.1, key.2)] - counted;
            let bars = bars.into_iter().filter(|(_, frames)| *frames != 0);
            (key, bars.map(|(animals, n)| (animals, n.try_into().unwrap())).collect())
        })
        .collect()
}
