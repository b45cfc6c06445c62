//! Files of headcounts, as clients send them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use schemas::imported::file::{Content, Refusal};
use schemas::imported::{HeadcountFile, Table};
use schemas::source::SourceId;
use serde::Serialize;
use utoipa::ToSchema;

use super::required_source;
use crate::auth::Producer;
use crate::body::read_body;
use crate::error::{ApiError, Problem};
use crate::params::{self, Params};
use crate::state::Api;

/// Longest name of a file, in characters: as the tables take it.
const NAME_CHARS_MAX: usize = 255;

/// What became of a file.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct ImportReport {
    /// `final` or `final_2`; null if the name ends in neither `-1.csv` nor `-2.csv`:
    /// then nothing was done.
    #[schema(example = "final")]
    table: Option<&'static str>,
    /// Whether the same content was imported before; then nothing was done.
    known: bool,
    /// Rows in the file.
    rows: u64,
    /// Rows that no file had brought before.
    new: u64,
    /// Rows that could not be read.
    refused: u64,
    /// The first 20 of those.
    refusals: Vec<RefusedRow>,
}

/// A row that could not be read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedRow {
    /// Its first line in the file, from 1.
    line: u64,
    #[schema(example = "no date")]
    reason: &'static str,
    /// What was found.
    #[schema(example = "yesterday")]
    found: String,
}

impl From<Refusal> for RefusedRow {
    fn from(Refusal { line, reason, found }: Refusal) -> RefusedRow {
        RefusedRow { line, reason, found }
    }
}

/// Imports a file of headcounts.
///
/// CSV with the columns `date`, `Effectif couche` and `Effectif debout`, UTF-8 or
/// Latin-1, separated by commas or semicolons. Nothing is kept twice: a file is
/// known by its content, and a row by all that it says. After any error, send the
/// same request again.
#[utoipa::path(
    post,
    path = "/v1/headcounts",
    params(
        ("source" = i32, Query, minimum = 1, description = "The source of all rows."),
        ("name" = String, Query, example = "pen-1.csv",
         description = "The file's name: rows of one that ends in `-1.csv` go to `final`, in \
                        `-2.csv` to `final_2`, and of any other nowhere."),
    ),
    request_body(content = Vec<u8>, content_type = "text/csv"),
    responses(
        (status = 200, body = ImportReport, description = "What became of the rows; those that are \
            kept are durable."),
        (status = 400, body = Problem, content_type = "application/problem+json",
         description = "A parameter is wrong, or the body broke off."),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 403, body = Problem, content_type = "application/problem+json",
         description = "A web page of another origin sent it, or the source is none of the caller's."),
        (status = 408, body = Problem, content_type = "application/problem+json",
         description = "The body did not arrive in time."),
        (status = 413, body = Problem, content_type = "application/problem+json",
         description = "Too many bytes."),
        (status = 415, body = Problem, content_type = "application/problem+json",
         description = "Not CSV."),
        (status = 422, body = Problem, content_type = "application/problem+json",
         description = "A file without those columns."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The tables are away; Retry-After says when to send again."),
    ),
    tag = "headcounts",
)]
pub(crate) async fn import_headcounts(
    producer: Producer,
    State(api): State<Api>,
    mut params: Params,
    request: Request,
) -> Result<Json<ImportReport>, ApiError> {
    let source = required_source(&mut params)?;
    let name = params.take("name", name)?;
    params.end()?;
    producer.check([source].into_iter())?;
    let name = name.ok_or_else(|| params::bad("name", "", NAME.to_owned()))?;
    is_csv(request.headers())?;
    let body = read_body(&api, request, api.config().body_bytes_max.get()).await?;
    let Some(table) = Table::of_file(&name) else { return Ok(Json(ImportReport::default())) };
    let Content { file, rows, refused } = content(&api, name, body, source, table).await?;
    let (read, total) = (file.rows_read, file.rows_refused);
    let kept = api.imported(move |store| store.put_headcounts(&file, &rows)).await?;
    Ok(Json(ImportReport {
        table: Some(table.name()),
        known: kept.known,
        rows: read,
        new: if kept.known { 0 } else { kept.new },
        refused: total,
        refusals: refused.told.into_iter().map(RefusedRow::from).collect(),
    }))
}

async fn content(
    api: &Api,
    name: String,
    body: Bytes,
    source: SourceId,
    table: Table,
) -> Result<Content, ApiError> {
    let (calendar, now) = (api.site().calendar.clone(), api.clock().now());
    let read = move || HeadcountFile::read(&name, &body, source, table, &calendar, now);
    api.off_the_loop(read).await?.map_err(ApiError::UnreadableFile)
}

const NAME: &str = "it is a file's name without its folder, of 255 characters at most";

fn name(text: &str) -> Result<String, String> {
    let length = text.chars().take(NAME_CHARS_MAX + 1).count();
    let fits = 0 < length && length <= NAME_CHARS_MAX;
    match fits && !text.contains(['/', '\\']) && !text.contains(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(NAME.to_owned()),
    }
}

fn is_csv(headers: &HeaderMap) -> Result<(), ApiError> {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let given = headers.get(CONTENT_TYPE).map(|given| String::from_utf8_lossy(given.as_bytes()));
    let essence = given.as_deref().and_then(|given| given.split(';').next());
    if !encoded && essence.is_some_and(|given| given.trim().eq_ignore_ascii_case("text/csv")) {
        return Ok(());
    }
    let given = match (encoded, given) {
        (true, _) => "encoded".to_owned(),
        (false, Some(given)) => given.chars().take(100).collect(),
        (false, None) => "of no named type".to_owned(),
    };
    Err(ApiError::NotCsv { given })
}
