//! How a source's days usually go, hour by hour, and one day beside that.
//!
//! # Invariants
//!
//! - It is computed from the hours' rows when it is asked for, and kept nowhere: a late
//!   frame that corrects an hour corrects this, too.
//! - Each day counts once in an hour of the clock, however many frames it had; an hour of
//!   which too little was seen does not count.
//! - The day that is compared is not among those that it is compared with.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::commit::{SeriesQuery, Status, WindowState};
use schemas::metric::Postures;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, OutsideCalendar, Window, WindowSize};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::error::{ApiError, Problem};
use crate::lying_share::seen;
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::stale::Address;
use crate::state::Api;
use crate::tagged::{self, Answered};
use crate::{together, windows};

/// Most days that a baseline is made of.
const DAYS_MAX: u32 = 90;

/// Days of a baseline if the client does not say.
const DAYS_DEFAULT: u32 = 28;

/// How much of an hour must have been seen if the client does not say.
const COVERAGE_DEFAULT: f64 = 0.5;

/// Rows of a day: one of 25 hours in a zone half an hour away from the others touches 26.
const ROWS_A_DAY: u32 = 26;

/// How a source's days usually go, and one day beside that.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rhythm {
    #[schema(example = 1)]
    source: i32,
    /// The clock that the hours are of.
    #[schema(example = "Europe/Paris")]
    zone: String,
    /// The first day of the baseline.
    #[schema(example = "2026-02-01")]
    from: String,
    /// The day that is compared, the first behind the baseline.
    #[schema(example = "2026-03-01")]
    day: String,
    /// How much of an hour was seen at least, of all that counts here.
    #[schema(example = 0.5)]
    coverage_min: f64,
    /// The hours of the clock, 0 to 23; one that neither the baseline nor the day has is
    /// not among them.
    hours: Vec<RhythmHour>,
}

/// One hour of the clock.
#[derive(Serialize, ToSchema)]
pub(crate) struct RhythmHour {
    /// Of the site's clocks, 0 to 23.
    #[schema(example = 13)]
    hour: i8,
    /// Days of the baseline that have it.
    #[schema(example = 27)]
    days: u32,
    /// Which share of the animals lay, over those of these days on which any was seen; null
    /// without such a day.
    lying_share: Option<Spread>,
    /// How many animals were seen at once in the mean, over these days; null without days.
    animals: Option<Spread>,
    /// The same hour of the day that is compared; null if too little of it was seen.
    that_day: Option<ThatHour>,
}

/// Of days' values, each counting once.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Spread {
    /// So many of them.
    #[schema(example = 27)]
    days: u32,
    #[schema(example = 0.58)]
    mean: f64,
    /// Sample standard deviation; null for one day.
    #[schema(example = 0.07)]
    std: Option<f64>,
    #[schema(example = 0.41)]
    min: f64,
    #[schema(example = 0.71)]
    max: f64,
}

/// An hour of one day, beside the baseline.
#[derive(Serialize, ToSchema)]
pub(crate) struct ThatHour {
    /// `open`: frames still come. `final`: none are expected. `corrected`: one
    /// came all the same.
    #[schema(example = "final")]
    status: &'static str,
    /// Which share of the animals lay; null if nobody was seen.
    #[schema(example = 0.42)]
    lying_share: Option<f64>,
    /// How many were seen at once in the mean.
    #[schema(example = 11.8)]
    animals: f64,
    /// `(lying_share - mean) / std` of the baseline; null where one of them is, or nothing
    /// varies.
    #[schema(example = -2.3)]
    lying_share_deviation: Option<f64>,
}

/// Tells how a source's days usually go, hour by hour, and one day beside that.
///
/// The baseline is of the `days` civil days before `day`. An hour counts if at least
/// `coverage_min` of it was seen; open ones count for the day alone. Where clocks go back an
/// hour, both of that name are one, and `coverage_min` is of those that have frames; in a zone
/// that is half an hour away from others an hour begins at half past.
#[utoipa::path(
    get,
    path = "/v1/sources/{source}/rhythm",
    params(
        ("source" = i32, Path, description = "The camera's number, from 1.", minimum = 1),
        ("day" = Option<String>, Query, example = "2026-03-01",
         description = "The day that is compared, in any form that a moment has; without it, that \
                        of the source's newest frame."),
        ("days" = Option<u32>, Query, minimum = 1, maximum = 90,
         description = "Days of the baseline; 28 if not given."),
        ("coverage_min" = Option<f64>, Query, minimum = 0, maximum = 1,
         description = "How much of an hour must have been seen; 0.5 if not given."),
    ),
    responses(
        (status = 200, description = "The rhythm, under an ETag.", body = Rhythm),
        Unchanged,
        Refusals,
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "The source has never sent a frame."),
    ),
    tag = "windows",
)]
pub(crate) async fn read_rhythm(
    viewer: Viewer,
    State(api): State<Api>,
    Path(source): Path<String>,
    address: Option<Extension<Address>>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = params::source(&source)?;
    viewer.check(source)?;
    let calendar = api.site().calendar.clone();
    let moment =
        |text: &str| params::moment(&calendar, text).map(|moment| (moment, text.to_owned()));
    let day = params.take("day", moment)?;
    let days = params.take("days", params::count(DAYS_MAX))?.unwrap_or(DAYS_DEFAULT);
    let coverage_min = params.take("coverage_min", fraction)?.unwrap_or(COVERAGE_DEFAULT);
    params.end()?;
    let Some(known) = together::source(&api, source).await? else {
        return Err(ApiError::NoSuchSource(source));
    };
    let unchanged = address.and_then(|Extension(at)| api.answers().unchanged(&at, &known));
    if let Some(answered) = unchanged {
        return Ok(answered.respond(&headers));
    }
    let (moment, given) =
        day.unwrap_or_else(|| (known.last_captured_at, known.last_captured_at.to_string()));
    let (first, day) = span(&calendar, moment, days)
        .map_err(|outside| params::bad("day", &given, outside.to_string()))?;
    let query = SeriesQuery {
        source,
        size: WindowSize::Hour,
        from: first.start,
        to: day.end,
        metric: None,
        limit: (days + 1) * ROWS_A_DAY,
        newest_first: false,
    };
    let postures = api.site().postures.clone();
    let told = {
        let calendar = calendar.clone();
        move |rows: &[WindowState]| hours(rows, &calendar, &postures, day, coverage_min)
    };
    let hours = api.read(move |store| Ok(told(&store.series(&query)?))).await?;
    let date =
        |moment| calendar.local(moment).map(|local| local.date().to_string()).unwrap_or_default();
    let rhythm = Rhythm {
        source: source.get(),
        zone: calendar.zone_name().to_owned(),
        from: date(first.start),
        day: date(day.start),
        coverage_min,
        hours,
    };
    Ok(match Answered::json(&rhythm) {
        Ok(answered) => answered.made_from(known).respond(&headers),
        Err(error) => tagged::unwritable(&error),
    })
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err("it is a number from 0 to 1".to_owned()),
    }
}

/// The civil day of `moment`, behind the first of the `days` before it.
fn span(
    calendar: &Calendar,
    moment: UnixMillis,
    days: u32,
) -> Result<(Window, Window), OutsideCalendar> {
    let day = calendar.window(WindowSize::Day, moment)?;
    let mut first = day;
    for _ in 0..days {
        let before = UnixMillis::new(first.start.get().saturating_sub(1));
        first = calendar.window(WindowSize::Day, before)?;
    }
    Ok((first, day))
}

/// What was seen in an hour of the clock, on one day.
#[derive(Default)]
struct Seen {
    frames: u64,
    frames_expected: u64,
    lying: u64,
    standing: u64,
    total: u64,
    status: Option<Status>,
}

impl Seen {
    fn add(&mut self, row: &WindowState, postures: &Postures) {
        self.frames += row.frames;
        self.frames_expected += row.frames_expected;
        self.lying += seen(row, &postures.lying);
        self.standing += seen(row, &postures.standing);
        self.total += seen(row, &postures.total);
        self.status = Some(windows::joint_status(self.status.into_iter().chain([row.status])));
    }

    fn suffices(&self, coverage_min: f64) -> bool {
        windows::ratio(self.frames, self.frames_expected).is_none_or(|seen| coverage_min <= seen)
    }

    fn lying_share(&self) -> Option<f64> {
        windows::ratio(self.lying, self.lying + self.standing)
    }

    fn animals(&self) -> f64 {
        windows::ratio(self.total, self.frames).unwrap_or(0.0)
    }

    fn status(&self) -> Status {
        windows::joint_status(self.status)
    }
}

/// Each hour of the clock that `rows` have, where those from `day` on are that day's.
fn hours(
    rows: &[WindowState],
    calendar: &Calendar,
    postures: &Postures,
    day: Window,
    coverage_min: f64,
) -> Vec<RhythmHour> {
    // By the beginnings of their days.
    let mut by_hour: BTreeMap<i8, BTreeMap<UnixMillis, Seen>> = BTreeMap::new();
    let mut that_day: BTreeMap<i8, Seen> = BTreeMap::new();
    for row in rows {
        let start = row.window.start;
        // Every row's start is a moment of the calendar, as its window was made by one.
        let (Some(local), Ok(its_day)) =
            (calendar.local(start), calendar.window(WindowSize::Day, start))
        else {
            continue;
        };
        let of = match its_day == day {
            true => that_day.entry(local.hour()).or_default(),
            false => by_hour.entry(local.hour()).or_default().entry(its_day.start).or_default(),
        };
        of.add(row, postures);
    }
    let hour = |hour: i8| {
        let before = by_hour.get(&hour).into_iter().flat_map(BTreeMap::values);
        let counts = |seen: &&Seen| seen.status() != Status::Open && seen.suffices(coverage_min);
        let days: Vec<&Seen> = before.filter(counts).collect();
        let shares: Vec<f64> = days.iter().filter_map(|seen| seen.lying_share()).collect();
        let animals: Vec<f64> = days.iter().map(|seen| seen.animals()).collect();
        let (lying_share, animals) = (Spread::of(&shares), Spread::of(&animals));
        let that = that_day.get(&hour).filter(|seen| seen.suffices(coverage_min));
        let that_day = that.map(|seen| ThatHour::of(seen, lying_share.as_ref()));
        let days = u32::try_from(days.len()).unwrap_or(u32::MAX);
        (0 < days || that_day.is_some()).then_some(RhythmHour {
            hour,
            days,
            lying_share,
            animals,
            that_day,
        })
    };
    (0..24).filter_map(hour).collect()
}

impl ThatHour {
    fn of(seen: &Seen, usual: Option<&Spread>) -> ThatHour {
        let lying_share = seen.lying_share();
        let deviation = |share: f64| {
            let usual = usual?;
            let std = usual.std.filter(|std| 0.0 < *std)?;
            Some((share - usual.mean) / std)
        };
        ThatHour {
            status: seen.status().name(),
            lying_share,
            animals: seen.animals(),
            lying_share_deviation: lying_share.and_then(deviation),
        }
    }
}

impl Spread {
    /// Of no values there is none.
    fn of(values: &[f64]) -> Option<Spread> {
        let min = values.iter().copied().reduce(f64::min)?;
        let max = values.iter().copied().reduce(f64::max)?;
        let days = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let count = f64::from(days);
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        // Of equal values exactly 0, so that nothing is divided by what rounding left.
        let std = if min < max { (squares / (count - 1.0)).sqrt() } else { 0.0 };
        Some(Spread { days, mean, std: (1 < days).then_some(std), min, max })
    }
}
