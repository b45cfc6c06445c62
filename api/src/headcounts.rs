//! How many animals lay and stood, by quarters of an hour: as somebody wrote it
//! down in files, or as the cameras saw it.
//!
//! The rule is the original's: of each quarter of an hour the median of both
//! headcounts, and how many of a hundred animals stand. Of a camera it is computed
//! from the histogram of the quarter's frames, so it is exact there too.

mod part;
mod upload;

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::commit::{SeriesQuery, WindowState};
use schemas::imported::headcount::ratio_standing;
use schemas::imported::{FilesQuery, Quarter, QuartersQuery, StoredFile, Table, Wall};
use schemas::metric::Postures;
use schemas::source::SourceId;
use schemas::stats::Histogram;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, WindowSize};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Viewer;
use crate::error::{ApiError, Problem};
use crate::page::Order;
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;
use part::{Origin, Part};

/// Most items in one answer.
const LIMIT_MAX: u32 = 1000;

/// Items in one answer if the client does not say.
const LIMIT_DEFAULT: u32 = 100;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_quarters, upload::import_headcounts))
        .routes(routes!(list_files))
}

/// A part of a series of headcounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct Quarters {
    #[schema(example = 3)]
    source: i32,
    /// `final` or `final_2`, which are files, or `camera`.
    #[schema(example = "final")]
    origin: &'static str,
    /// A quarter of an hour of which nothing is known is not among them.
    items: Vec<QuarterItem>,
    /// Rows of the files that could not be read, most often because their date
    /// could not; null of a camera.
    rows_refused: Option<u64>,
    /// Asks for the quarters that follow; null if there are none.
    next_cursor: Option<String>,
}

/// The headcounts of a quarter of an hour.
#[derive(Serialize, ToSchema)]
pub(crate) struct QuarterItem {
    /// Its first moment on the site's clocks: the day and the quarter.
    #[schema(example = "2026-03-01T12:15:00")]
    datetime: String,
    /// The same moment in UTC; null of files, which name no zone.
    #[schema(example = "2026-03-01T11:15:00Z")]
    start: Option<String>,
    /// Rows of the files, or frames of the camera; at least one.
    rows: u64,
    /// Median of the animals that lie; null if no row says.
    #[schema(example = 3.0)]
    lying: Option<f64>,
    /// Median of the animals that stand; null if no row says.
    #[schema(example = 4.5)]
    standing: Option<f64>,
    /// `standing / (standing + lying) * 100`, the original's `ratio_debout`; null
    /// if there is no animal.
    #[schema(example = 60.0)]
    ratio_standing: Option<f64>,
}

/// Lists headcounts by quarters of an hour.
///
/// Of each quarter of an hour the median of the animals that lie and that stand,
/// from imported files or, with `origin=camera`, from what the source's camera saw.
#[utoipa::path(
    get,
    path = "/v1/headcounts",
    params(
        ("source" = i32, Query, minimum = 1, description = "The camera's number."),
        ("origin" = inline(Option<Origin>), Query,
         description = "Which headcounts: of the files that end in `-1.csv` (`final`, if not \
                        given) or in `-2.csv` (`final_2`), or of the camera."),
        ("from" = Option<String>, Query, example = "2026-03-01T12:00:00Z",
         description = "Quarters that start at this moment or later: RFC 3339, milliseconds since \
                        1970, or a date, which is the beginning of that day on the site's clocks."),
        ("to" = Option<String>, Query, example = "2026-03-02",
         description = "Quarters that start before this moment, in the same forms."),
        ("order" = inline(Option<Order>), Query,
         description = "Which quarter comes first; newest if not given."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000,
         description = "Quarters in one answer; 100 if not given."),
        ("cursor" = Option<String>, Query,
         description = "The next_cursor of an earlier answer. It stands for from, to and order."),
    ),
    responses(
        (status = 200, description = "The headcounts, under an ETag.", body = Quarters),
        Unchanged,
        Refusals,
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "The camera has never sent a frame."),
    ),
    tag = "headcounts",
)]
pub(crate) async fn list_quarters(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (part, limit) = asked(params, &api.site().calendar)?;
    let source = part.source;
    viewer.check(source)?;
    let (mut items, rows_refused) = match part.origin.table() {
        Some(table) => of_files(&api, part, table, limit).await?,
        None => (of_camera(&api, part, limit).await?, None),
    };
    // One more than asked for tells whether there is a next page.
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = limit < items.len();
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more);
    let next_cursor = next_cursor.map(|(place, _)| part.behind(*place).to_string());
    let items = items.into_iter().map(|(_, item)| item).collect();
    let (source, origin) = (source.get(), part.origin.name());
    let answer = Quarters { source, origin, items, rows_refused, next_cursor };
    Ok(tagged::json(&headers, &answer))
}

fn asked(mut params: Params, calendar: &Calendar) -> Result<(Part, u32), ApiError> {
    let source = required_source(&mut params)?;
    let origin = params.take("origin", params::parsed)?.unwrap_or(Origin::Final);
    let moment =
        |text: &str| params::moment(calendar, text).map(|moment| (moment, text.to_owned()));
    let from = params.take("from", moment)?;
    let to = params.take("to", moment)?;
    let order = params.take("order", params::parsed)?.unwrap_or(Order::Newest);
    let cursor = params.take("cursor", |text| {
        let cursor: Part = params::parsed(text)?;
        match cursor.source == source && cursor.origin == origin {
            true => Ok(cursor),
            false => Err("it belongs to another source or origin".to_owned()),
        }
    })?;
    let limit = params.take("limit", params::count(LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
    params.end()?;
    if let (Some((from, _)), Some((to, given))) = (&from, &to)
        && to <= from
    {
        let expected = format!("it must be later than from, which is {from}");
        return Err(params::bad("to", given, expected));
    }
    let place = |moment: UnixMillis| origin.place(moment, calendar);
    let first = Part {
        source,
        origin,
        order,
        from: from.map_or(i64::MIN, |(from, _)| place(from)),
        to: to.map_or(i64::MAX, |(to, _)| place(to)),
    };
    Ok((cursor.unwrap_or(first), limit))
}

fn required_source(params: &mut Params) -> Result<SourceId, ApiError> {
    let source = params.take("source", params::parsed::<SourceId>)?;
    source.ok_or_else(|| params::bad("source", "", "it must be given: a camera's number".into()))
}

/// An item, and its place in the series.
type Placed = (i64, QuarterItem);

async fn of_files(
    api: &Api,
    part: Part,
    table: Table,
    limit: u32,
) -> Result<(Vec<Placed>, Option<u64>), ApiError> {
    let Part { source, origin: _, order, from, to } = part;
    let newest_first = order == Order::Newest;
    let query = QuartersQuery { source, table, from, to, newest_first, limit: limit + 1 };
    let (quarters, refused) = api
        .imported(move |store| {
            Ok((store.quarters(&query)?, store.refused_headcounts(source, table)?))
        })
        .await?;
    Ok((quarters.iter().filter_map(of_rows).collect(), Some(refused)))
}

fn of_rows(quarter: &Quarter) -> Option<Placed> {
    let Quarter { quarter: place, rows, lying, standing } = *quarter;
    let datetime = Wall::beginning(place)?.civil().to_string();
    let ratio_standing = quarter.ratio_standing();
    Some((place, QuarterItem { datetime, start: None, rows, lying, standing, ratio_standing }))
}

async fn of_camera(api: &Api, part: Part, limit: u32) -> Result<Vec<Placed>, ApiError> {
    let source = part.source;
    if api.read(move |store| store.source(source)).await?.is_none() {
        return Err(ApiError::NoSuchSource(source));
    }
    let query = SeriesQuery {
        source,
        size: WindowSize::QuarterHour,
        from: UnixMillis::new(part.from),
        to: UnixMillis::new(part.to),
        metric: None,
        limit: limit + 1,
        newest_first: part.order == Order::Newest,
    };
    let windows = api.read(move |store| store.series(&query)).await?;
    let (calendar, postures) = (&api.site().calendar, &api.site().postures);
    Ok(windows.iter().filter_map(|window| of_frames(window, calendar, postures)).collect())
}

fn of_frames(window: &WindowState, calendar: &Calendar, postures: &Postures) -> Option<Placed> {
    let start = window.window.start;
    let median = |wanted: &Arc<str>| {
        let found = window.metrics.iter().find(|(name, _)| name == wanted);
        // A metric without a row was seen in no frame.
        let median = |(_, seen): &(Arc<str>, Histogram)| Some(seen.statistics()?.median.value());
        found.map_or(Some(0.0), median)
    };
    let (lying, standing) = (median(&postures.lying)?, median(&postures.standing)?);
    let item = QuarterItem {
        datetime: calendar.local(start)?.datetime().to_string(),
        start: Some(start.to_string()),
        rows: window.frames,
        lying: Some(lying),
        standing: Some(standing),
        ratio_standing: ratio_standing(lying, standing),
    };
    Some((start.get(), item))
}

/// A part of the files.
#[derive(Serialize, ToSchema)]
pub(crate) struct Files {
    /// The newest first.
    items: Vec<FileItem>,
    /// Asks for the files that follow; null if there are none.
    next_cursor: Option<String>,
}

/// A file of headcounts that was imported.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileItem {
    source: i32,
    /// `final` or `final_2`.
    #[schema(example = "final")]
    table: &'static str,
    #[schema(example = "pen-1.csv")]
    name: String,
    /// Of the content, in hexadecimal digits.
    sha256: String,
    bytes: u64,
    imported_at: String,
    /// Rows in the file.
    rows: u64,
    /// Rows that no file had brought before.
    new: u64,
    /// Rows that could not be read.
    refused: u64,
    /// False if the import was interrupted: import the file again.
    whole: bool,
}

impl FileItem {
    fn of(file: StoredFile) -> FileItem {
        FileItem {
            source: file.source.get(),
            table: file.table.name(),
            name: file.name,
            sha256: file.sha256,
            bytes: file.bytes,
            imported_at: file.imported_at.to_string(),
            rows: file.rows_read,
            new: file.rows_new,
            refused: file.rows_refused,
            whole: file.whole,
        }
    }
}

/// Lists the imported files of headcounts.
#[utoipa::path(
    get,
    path = "/v1/headcounts/files",
    params(
        ("source" = Option<i32>, Query, minimum = 1, description = "Only files of this source."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000,
         description = "Files in one answer; 100 if not given."),
        ("cursor" = Option<String>, Query, description = "The next_cursor of an earlier answer."),
    ),
    responses(
        (status = 200, description = "The files, under an ETag.", body = Files),
        Unchanged,
        Refusals,
    ),
    tag = "headcounts",
)]
pub(crate) async fn list_files(
    viewer: Viewer,
    State(api): State<Api>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = params.take("source", params::parsed::<SourceId>)?;
    let limit = params.take("limit", params::count(LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
    let before = params.take("cursor", |text| {
        text.parse().map_err(|_| "it must be the next_cursor of an earlier answer".to_owned())
    })?;
    params.end()?;
    let query = FilesQuery { scope: viewer.scope(source)?, before, limit };
    let files = api.imported(move |store| store.headcount_files(&query)).await?;
    let full = u32::try_from(files.len()).is_ok_and(|files| limit <= files);
    let next_cursor = files.last().filter(|_| full).map(|file| file.number.to_string());
    let items = files.into_iter().map(FileItem::of).collect();
    Ok(tagged::json(&headers, &Files { items, next_cursor }))
}
