//! Minutes of an existing ANIMOV database: statistics without their histograms.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::imported::minute::{Measured, MinuteId, Thousandths};
use schemas::imported::{ImportedMinute, MinutesQuery, StoredMinute};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::error::ApiError;
use crate::page::{InvalidCursor, Order};
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;

/// Most minutes in one answer.
const LIMIT_MAX: u32 = 1000;

/// Minutes in one answer if the client does not say.
const LIMIT_DEFAULT: u32 = 100;

/// A part of the imported minutes.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedMinutes {
    items: Vec<ImportedMinuteItem>,
    /// Asks for the minutes that follow; null if there are none.
    next_cursor: Option<String>,
}

/// A minute as another database has it. What is NULL there is null here.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedMinuteItem {
    source: i32,
    /// The first moment in it.
    #[schema(example = "2026-03-01T12:00:00Z")]
    start: String,
    /// Which database it is from.
    #[schema(example = "mysql://db.farm:3306/ANIMOV")]
    database: String,
    /// Its key there.
    id: i64,
    /// Frames that were analysed.
    frames: Option<i32>,
    /// Always false: the statistics are as that system computed them, and cannot be
    /// merged into longer windows.
    has_histogram: bool,
    /// `total`, `lying` and `standing`.
    #[schema(value_type = BTreeMap<String, ImportedStatistics>)]
    metrics: BTreeMap<&'static str, ImportedStatistics>,
}

/// Animals per frame, over a minute's frames, as another system computed them.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedStatistics {
    /// Animals, added up over the frames.
    sum: Option<i32>,
    /// Fewest in one frame.
    min: Option<i32>,
    /// Most in one frame.
    max: Option<i32>,
    /// `sum / frames`.
    mean: Option<f64>,
    /// Sample standard deviation, to three decimals, as the quartiles.
    std: Option<f64>,
    q1: Option<f64>,
    median: Option<f64>,
    q3: Option<f64>,
    /// The most frequent counts, as that system wrote them.
    #[schema(example = "3, 5")]
    modes: Option<String>,
}

impl ImportedStatistics {
    fn of(measured: Measured, frames: Option<i32>) -> ImportedStatistics {
        let Measured { sum, min, max, std, q1, median, q3, modes } = measured;
        let value = |number: Option<Thousandths>| number.map(Thousandths::value);
        let frames = frames.filter(|frames| 0 < *frames);
        let mean = sum.zip(frames).map(|(sum, frames)| f64::from(sum) / f64::from(frames));
        ImportedStatistics {
            sum,
            min,
            max,
            mean,
            std: value(std),
            q1: value(q1),
            median: value(median),
            q3: value(q3),
            modes,
        }
    }
}

impl ImportedMinuteItem {
    fn of(stored: StoredMinute) -> ImportedMinuteItem {
        let StoredMinute { origin: _, database, minute } = stored;
        let ImportedMinute { id, source, start, frames, total, lying, standing } = minute;
        let metrics = [("total", total), ("lying", lying), ("standing", standing)];
        let statistics = |(name, measured)| (name, ImportedStatistics::of(measured, frames));
        ImportedMinuteItem {
            source: source.get(),
            start: start.to_string(),
            database,
            id,
            frames,
            has_histogram: false,
            metrics: metrics.into_iter().map(statistics).collect(),
        }
    }
}

/// Lists the minutes of one source that were imported from another database.
#[utoipa::path(
    get,
    path = "/v1/sources/{source}/imported-minutes",
    params(
        ("source" = i32, Path, description = "The camera's number, from 1.", minimum = 1),
        ("from" = Option<String>, Query, example = "2026-03-01T12:00:00Z",
         description = "Minutes that start at this moment or later: RFC 3339, milliseconds since \
                        1970, or a date, which is the beginning of that day on the site's clocks."),
        ("to" = Option<String>, Query, example = "2026-03-02",
         description = "Minutes that start before this moment, in the same forms."),
        ("order" = inline(Option<Order>), Query,
         description = "Which minute comes first; newest if not given."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000,
         description = "Minutes in one answer; 100 if not given."),
        ("cursor" = Option<String>, Query,
         description = "The next_cursor of an earlier answer. It stands for from, to and order."),
    ),
    responses(
        (status = 200, description = "The minutes, under an ETag.", body = ImportedMinutes),
        Unchanged,
        Refusals,
    ),
    tag = "windows",
)]
pub(crate) async fn list_imported_minutes(
    viewer: Viewer,
    State(api): State<Api>,
    Path(source): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = params::source(&source)?;
    viewer.check(source)?;
    let asked = asked(&api, source, params)?;
    // One more than asked for tells whether there is a next page.
    let query = MinutesQuery { limit: asked.limit + 1, ..asked };
    let mut minutes = api.imported(move |store| store.imported_minutes(&query)).await?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let more = limit < minutes.len();
    minutes.truncate(limit);
    let last = minutes.last().filter(|_| more);
    let next_cursor = last.map(|last| Cursor::behind(&asked, last.name()).to_string());
    let items = minutes.into_iter().map(ImportedMinuteItem::of).collect();
    Ok(tagged::json(&headers, &ImportedMinutes { items, next_cursor }))
}

fn asked(api: &Api, source: SourceId, mut params: Params) -> Result<MinutesQuery, ApiError> {
    let calendar = &api.site().calendar;
    let moment =
        |text: &str| params::moment(calendar, text).map(|moment| (moment, text.to_owned()));
    let from = params.take("from", moment)?;
    let to = params.take("to", moment)?;
    let order = params.take("order", params::parsed)?.unwrap_or(Order::Newest);
    let limit = params.take("limit", params::count(LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
    let cursor = params.take("cursor", |text| {
        let cursor: Cursor = params::parsed(text)?;
        match cursor.source == source {
            true => Ok(cursor),
            false => Err("it belongs to another source".to_owned()),
        }
    })?;
    params.end()?;
    if let (Some((from, _)), Some((to, given))) = (&from, &to)
        && to <= from
    {
        let expected = format!("it must be later than from, which is {from}");
        return Err(params::bad("to", given, expected));
    }
    Ok(match cursor {
        Some(Cursor { source, order, from, to, after }) => {
            let newest_first = order == Order::Newest;
            MinutesQuery { source, from, to, newest_first, after: Some(after), limit }
        }
        None => MinutesQuery {
            source,
            from: from.map_or(UnixMillis::MIN, |(from, _)| from),
            to: to.map_or(UnixMillis::MAX, |(to, _)| to),
            newest_first: order == Order::Newest,
            after: None,
            limit,
        },
    })
}

/// Behind which minute an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    source: SourceId,
    order: Order,
    from: UnixMillis,
    to: UnixMillis,
    after: MinuteId,
}

impl Cursor {
    fn behind(query: &MinutesQuery, after: MinuteId) -> Cursor {
        let order = if query.newest_first { Order::Newest } else { Order::Oldest };
        Cursor { source: query.source, order, from: query.from, to: query.to, after }
    }
}

/// Changed whenever an old cursor would be read as another place.
const VERSION: &str = "m1";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { source, order, from, to, after: MinuteId { start, origin, id } } = self;
        let (order, from, to, start) = (order.name(), from.get(), to.get(), start.get());
        let text = format!("{VERSION} {source} {order} {from} {to} {start} {origin} {id}");
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Cursor, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidCursor)?;
        let fields: Vec<&str> = text.split(' ').collect();
        let [VERSION, source, order, from, to, start, origin, id] = fields[..] else {
            return Err(InvalidCursor);
        };
        let millis = |text: &str| text.parse().map(UnixMillis::new).map_err(|_| InvalidCursor);
        Ok(Cursor {
            source: source.parse().map_err(|_| InvalidCursor)?,
            order: order.parse().map_err(|_| InvalidCursor)?,
            from: millis(from)?,
            to: millis(to)?,
            after: MinuteId {
                start: millis(start)?,
                origin: origin.parse().map_err(|_| InvalidCursor)?,
                id: id.parse().map_err(|_| InvalidCursor)?,
            },
        })
    }
}
