//! A herd that lies and stands through the day, seen by cameras with their
//! troubles: one that was away for a while, one that has gone silent.

use std::sync::Arc;

use schemas::commit::{Place, SourceState, Status, WindowState};
use schemas::log::{LogId, Partition};
use schemas::source::SourceId;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, WindowSize};

use super::memory::{MemoryStore, Tables};

/// One frame in so many milliseconds.
pub const CADENCE_MS: i64 = 5_000;

/// How long after its end a window turns final.
const GRACE_MS: i64 = 15_000;

const MINUTE_MS: i64 = 60_000;

/// A source by its number.
pub fn source(number: i64) -> SourceId {
    SourceId::try_from(number).unwrap()
}

/// Counts one frame in the windows of every size.
pub fn count(
    tables: &mut Tables,
    calendar: &Calendar,
    source: SourceId,
    captured_at: UnixMillis,
    seen: &[(&str, u32)],
) {
    let state = tables.sources.entry(source).or_insert_with(|| SourceState {
        source,
        rev: 0,
        watermark: captured_at,
        last_appended_at: captured_at,
        last_captured_at: captured_at,
        accepted: 0,
        home: Place { log: LogId("memory".into()), partition: Partition(0) },
    });
    state.rev += 1;
    state.accepted += 1;
    state.last_captured_at = state.last_captured_at.max(captured_at);
    state.last_appended_at = state.last_appended_at.max(captured_at);
    state.watermark = state.watermark.max(UnixMillis::new(captured_at.get() - 10_000));
    for size in WindowSize::ALL {
        let window = calendar.window(size, captured_at).unwrap();
        let row = tables.windows.entry((source, size, window.start)).or_insert_with(|| {
            let empty = |(name, _): &(&str, u32)| (Arc::from(*name), Histogram::default());
            WindowState {
                source,
                window,
                frames: 0,
                frames_expected: window.frames_expected(CADENCE_MS),
                status: Status::Open,
                rev: 0,
                metrics: seen.iter().map(empty).collect(),
            }
        });
        row.frames += 1;
        row.rev += 1;
        if row.status == Status::Final {
            row.status = Status::Corrected;
        }
        for ((_, histogram), (_, animals)) in row.metrics.iter_mut().zip(seen) {
            histogram.add(*animals, 1);
        }
    }
}

/// Turns final what the watermarks have passed.
pub fn settle(tables: &mut Tables) {
    for window in tables.windows.values_mut() {
        let passed = tables.sources.get(&window.source).map(|source| source.watermark);
        let passed = passed.is_some_and(|mark| window.window.end.get() + GRACE_MS <= mark.get());
        if window.status == Status::Open && passed {
            window.status = Status::Final;
        }
    }
}

/// What a pen of `animals` shows at `moment`: they ruminate lying at night and
/// around noon, and no two pictures are quite the same.
pub fn posture(number: i64, animals: u32, moment: UnixMillis) -> [(&'static str, u32); 3] {
    let minutes = moment.get().div_euclid(MINUTE_MS);
    let turn = |period: i64, shift: i64| {
        let into: f64 = to_f64((minutes + shift * number).rem_euclid(period));
        (into / to_f64(period) * std::f64::consts::TAU).sin()
    };
    let share = 0.55 + 0.22 * turn(720, 40) + 0.13 * turn(97, 13) + 0.07 * turn(31, 7);
    let noise = mix(moment.get() ^ (number << 48));
    let hidden = u32::from(noise.is_multiple_of(11));
    let jitter = to_f64(i64::from(noise >> 8 & 0xff)) / 255.0 - 0.5;
    let seen = animals - hidden;
    let lying = (f64::from(seen) * share.clamp(0.0, 1.0) + 1.6 * jitter).round();
    let lying = (0..=seen).min_by(|a, b| gap(*a, lying).total_cmp(&gap(*b, lying))).unwrap_or(0);
    [("lying", lying), ("standing", seen - lying), ("total", seen)]
}

fn gap(whole: u32, wanted: f64) -> f64 {
    (f64::from(whole) - wanted).abs()
}

fn to_f64(small: i64) -> f64 {
    f64::from(i32::try_from(small).unwrap_or(i32::MAX))
}

/// Well-mixed bits of a number (the finaliser of `SplitMix64`).
fn mix(number: i64) -> u32 {
    let mut bits = u64::from_ne_bytes(number.to_ne_bytes());
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap_or(0)
}

/// Three pens over the `days` before `now`.
pub fn fill(store: &MemoryStore, calendar: &Calendar, now: UnixMillis, days: i64) {
    let mut tables = store.tables();
    let begin = now.get() - days * 1440 * MINUTE_MS;
    let first = begin - begin.rem_euclid(CADENCE_MS);
    let frames = (now.get() - first) / CADENCE_MS;
    for at in 0..=frames {
        let moment = UnixMillis::new(first + at * CADENCE_MS);
        frame(&mut tables, calendar, moment, now);
    }
    settle(&mut tables);
    // A frame that came after its minute was final.
    let late = UnixMillis::new(now.get() - 22 * MINUTE_MS);
    count(&mut tables, calendar, source(1), late, &posture(1, 12, late));
}

/// What the three cameras see at `moment`, as told at `now`.
pub fn frame(tables: &mut Tables, calendar: &Calendar, moment: UnixMillis, now: UnixMillis) {
    let ago = (now.get() - moment.get()) / MINUTE_MS;
    let night = calendar.local(moment).is_some_and(|local| local.hour() < 5);
    count(tables, calendar, source(1), moment, &posture(1, 12, moment));
    // Its network was away, and it misses pictures now and then.
    let away = (38..57).contains(&ago) || (ago < 20 && mix(moment.get()).is_multiple_of(3));
    if !away {
        count(tables, calendar, source(2), moment, &posture(2, 7, moment));
    }
    if 11 <= ago {
        let inside = if night { 20 } else { 0 };
        count(tables, calendar, source(7), moment, &posture(7, inside + 4, moment));
    }
}
