//! What one source saw, window by window.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::commit::{SeriesQuery, Status, WindowState};
use schemas::source::SourceId;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, WindowSize};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Viewer;
use crate::error::{ApiError, Problem};
use crate::page::{Cursor, Order};
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::sources;
use crate::stale::Address;
use crate::state::Api;
use crate::tagged::{self, Answered};
use crate::together;

/// Most windows in one answer: the minutes of a civil day, also where it has 25
/// hours.
pub(crate) const LIMIT_MAX: u32 = 1500;

/// Windows in one answer if the client does not say.
pub(crate) const LIMIT_DEFAULT: u32 = 100;

/// A part of a series.
#[derive(Serialize, ToSchema)]
pub(crate) struct Windows {
    /// A window without frames is not among them.
    items: Vec<WindowItem>,
    /// Asks for the windows that follow; null if there are none.
    next_cursor: Option<String>,
}

/// What one source saw in one window.
#[derive(Serialize, ToSchema)]
pub(crate) struct WindowItem {
    #[schema(example = 1)]
    source: i32,
    #[schema(example = "1m")]
    size: &'static str,
    /// The first moment in it.
    #[schema(example = "2026-03-01T12:00:00Z")]
    start: String,
    /// The first moment behind it.
    #[schema(example = "2026-03-01T12:01:00Z")]
    end: String,
    /// Frames seen; at least one.
    #[schema(example = 59)]
    frames: u64,
    /// Frames that the source's cadence gives in such a window.
    #[schema(example = 60)]
    frames_expected: u64,
    /// `frames / frames_expected`: how much of the window was seen. Over 1 if the
    /// camera is faster than it was said to be; null if none were expected.
    #[schema(example = 0.9833)]
    coverage: Option<f64>,
    /// `open`: frames still come. `final`: none are expected. `corrected`: one
    /// came all the same.
    #[schema(example = "final")]
    status: &'static str,
    /// Grows with each change of this window.
    #[schema(example = 60)]
    rev: u64,
    /// By the metric's name.
    #[schema(value_type = BTreeMap<String, MetricStatistics>)]
    metrics: BTreeMap<Arc<str>, MetricStatistics>,
}

/// Animals per frame, over a window's frames.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct MetricStatistics {
    /// Animals, added up over the frames.
    sum: u64,
    /// Fewest in one frame.
    min: u32,
    /// Most in one frame.
    max: u32,
    mean: f64,
    /// Sample standard deviation; null for one frame.
    std: Option<f64>,
    /// First quartile, by linear interpolation, as NumPy and pandas compute it.
    q1: f64,
    median: f64,
    /// Third quartile.
    q3: f64,
    /// Every most frequent count, ascending.
    modes: Vec<u32>,
}

/// Lists what one source saw, window by window.
///
/// Without `from` and `to`: the newest windows, and with `next_cursor` all of
/// them. While a cursor is followed, every window that is there all the time
/// comes exactly once, also when frames are counted meanwhile.
#[utoipa::path(
    get,
    path = "/v1/sources/{source}/windows/{size}",
    params(
        ("source" = i32, Path, description = "The camera's number, from 1.", minimum = 1),
        ("size" = inline(SizeName), Path,
         description = "The windows' length; `1d` is a civil day of the site."),
        ("metric" = Option<String>, Query, example = "lying",
         description = "Only this metric; without it, all that the window has rows of."),
        Part,
    ),
    responses(
        (status = 200, description = "The windows, under an ETag.", body = Windows),
        Unchanged,
        Refusals,
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "The source has never sent a frame."),
    ),
    tag = "windows",
)]
pub(crate) async fn list_windows(
    viewer: Viewer,
    State(api): State<Api>,
    Path((source, size)): Path<(String, String)>,
    address: Option<Extension<Address>>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (source, size) = (params::source(&source)?, params::size(&size)?);
    viewer.check(source)?;
    let metric = params.take("metric", params::parsed::<String>)?.map(Arc::from);
    let (part, limit) = asked(Some(source), size, params, &api.site().calendar)?;
    let Some(known) = together::source(&api, source).await? else {
        return Err(ApiError::NoSuchSource(source));
    };
    let unchanged = address.and_then(|Extension(at)| api.answers().unchanged(&at, &known));
    if let Some(answered) = unchanged {
        return Ok(answered.respond(&headers));
    }
    if let Some(metric) = &metric {
        sources::check_metric(&api, source, metric).await?;
    }
    let query = query(source, part, metric, limit);
    let answer = move |windows| {
        let (windows, next_cursor) = page(windows, part, limit);
        Answered::json(&Windows { items: windows.iter().map(item).collect(), next_cursor })
    };
    let answered = api.read(move |store| Ok(answer(store.series(&query)?))).await?;
    Ok(match answered {
        Ok(answered) => answered.made_from(known).respond(&headers),
        Err(error) => tagged::unwritable(&error),
    })
}

/// The sizes by name, for the document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(crate) enum SizeName {
    #[schema(rename = "1m")]
    Minute,
    #[schema(rename = "5m")]
    FiveMinutes,
    #[schema(rename = "15m")]
    QuarterHour,
    #[schema(rename = "1h")]
    Hour,
    #[schema(rename = "1d")]
    Day,
}

/// The parameters that [`asked`] takes, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(crate) struct Part {
    /// Windows that start at this moment or later: RFC 3339, milliseconds since 1970, or a
    /// date, which is the beginning of that day on the site's clocks.
    #[param(example = "2026-03-01T12:00:00Z")]
    from: Option<String>,
    /// Windows that start before this moment, in the same forms.
    #[param(example = "2026-03-02")]
    to: Option<String>,
    /// Which window comes first; newest if not given.
    #[param(inline)]
    order: Option<Order>,
    /// Windows in one answer; 100 if not given.
    #[param(minimum = 1, maximum = 1500)]
    limit: Option<u32>,
    /// The `next_cursor` of an earlier answer. It stands for from, to and order.
    cursor: Option<String>,
}

/// Which part of a source's series, or with no source the herd's, a request asks for, and
/// how much of it at once. Ends the parameters.
pub(crate) fn asked(
    source: Option<SourceId>,
    size: WindowSize,
    mut params: Params,
    calendar: &Calendar,
) -> Result<(Cursor, u32), ApiError> {
    let moment =
        |text: &str| params::moment(calendar, text).map(|moment| (moment, text.to_owned()));
    let from = params.take("from", moment)?;
    let to = params.take("to", moment)?;
    let cursor = params.take("cursor", |text| {
        let cursor: Cursor = params::parsed(text)?;
        match cursor.source == source && cursor.size == size {
            true => Ok(cursor),
            false => Err("it belongs to another source or size".to_owned()),
        }
    })?;
    let limit = params.take("limit", params::count(LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
    let order = params.take("order", params::parsed)?.unwrap_or(Order::Newest);
    params.end()?;

    if let (Some((from, _)), Some((to, given))) = (&from, &to)
        && to <= from
    {
        return Err(params::bad(
            "to",
            given,
            format!("it must be later than from, which is {from}"),
        ));
    }
    let first = Cursor {
        source,
        size,
        order,
        from: from.map_or(UnixMillis::MIN, |(from, _)| from),
        to: to.map_or(UnixMillis::MAX, |(to, _)| to),
    };
    Ok((cursor.unwrap_or(first), limit))
}

/// What the tables are asked for: one window more than `limit` tells whether there is a
/// next page.
pub(crate) fn query(
    source: SourceId,
    part: Cursor,
    metric: Option<Arc<str>>,
    limit: u32,
) -> SeriesQuery {
    let Cursor { source: _, size, order, from, to } = part;
    let newest_first = order == Order::Newest;
    SeriesQuery { source, size, from, to, metric, limit: limit + 1, newest_first }
}

/// At most `limit` of `windows`, and the cursor of the rest, if there is any.
pub(crate) fn page(
    mut windows: Vec<WindowState>,
    part: Cursor,
    limit: u32,
) -> (Vec<WindowState>, Option<String>) {
    let next_cursor = cut(&mut windows, part, limit, |last| last.window.start);
    (windows, next_cursor)
}

/// Cuts `listed` to at most `limit`; the cursor of the rest, if there is any.
pub(crate) fn cut<T>(
    listed: &mut Vec<T>,
    part: Cursor,
    limit: u32,
    start: impl Fn(&T) -> UnixMillis,
) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = limit < listed.len();
    listed.truncate(limit);
    let last = listed.last().filter(|_| more);
    last.map(|last| part.behind(start(last)).to_string())
}

/// The status of several rows as one: open if one is open, else corrected if one is, else
/// final.
pub(crate) fn joint_status(rows: impl IntoIterator<Item = Status>) -> Status {
    let certainty = |status: &Status| match status {
        Status::Open => 0,
        Status::Corrected => 1,
        Status::Final => 2,
    };
    rows.into_iter().min_by_key(certainty).unwrap_or(Status::Final)
}

fn item(state: &WindowState) -> WindowItem {
    let WindowState { source, window, frames, frames_expected, status, rev, metrics } = state;
    let statistics = |(name, histogram): &(Arc<str>, Histogram)| {
        Some((Arc::clone(name), MetricStatistics::of(histogram)?))
    };
    WindowItem {
        source: source.get(),
        size: window.size.name(),
        start: window.start.to_string(),
        end: window.end.to_string(),
        frames: *frames,
        frames_expected: *frames_expected,
        coverage: ratio(*frames, *frames_expected),
        status: status.name(),
        rev: *rev,
        metrics: metrics.iter().filter_map(statistics).collect(),
    }
}

impl MetricStatistics {
    /// None for a histogram without frames, which no window has.
    fn of(histogram: &Histogram) -> Option<MetricStatistics> {
        let statistics = histogram.statistics()?;
        Some(MetricStatistics {
            sum: statistics.sum,
            min: statistics.min,
            max: statistics.max,
            mean: statistics.mean(),
            std: statistics.std(),
            q1: statistics.q1.value(),
            median: statistics.median.value(),
            q3: statistics.q3.value(),
            modes: statistics.modes,
        })
    }
}

#[expect(clippy::as_conversions, reason = "the nearest double is what a quotient needs")]
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (0 < whole).then(|| part as f64 / whole as f64)
}
