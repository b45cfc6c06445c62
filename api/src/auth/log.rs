//! Who logged in, and who changed what.

use axum::Json;
use axum::extract::State;
use schemas::users::Entry;
use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;
use crate::error::{ApiError, Problem};
use crate::params::{self, Params};
use crate::refusals::Refusals;
use crate::state::Api;

/// Most lines in one answer.
const LIMIT_MAX: u32 = 1000;

/// Lines in one answer if the client does not say.
const LIMIT_DEFAULT: u32 = 100;

/// A part of the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entries {
    items: Vec<EntryItem>,
    /// The `before` of those that follow; null if there are none.
    next_before: Option<u64>,
}

/// One line.
#[derive(Serialize, ToSchema)]
struct EntryItem {
    /// Grows from line to line.
    id: u64,
    #[schema(example = "2026-03-01T12:00:00Z")]
    at: String,
    /// Who did it, or said to be.
    #[schema(example = "anne")]
    who: String,
    /// From which address, or `command line`.
    #[schema(example = "192.0.2.7")]
    from: String,
    #[schema(example = "login")]
    what: String,
    /// On which user or token; empty where that is `who`.
    whom: String,
    /// `ok`, or why not.
    #[schema(example = "ok")]
    result: String,
}

/// Lists logins and changes of users, the newest first.
#[utoipa::path(
    get,
    path = "/v1/auth/log",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000,
         description = "Lines in one answer; 100 if not given."),
        ("before" = Option<u64>, Query, description = "The next_before of an earlier answer."),
    ),
    responses(
        (status = 200, description = "Lines of the log.", body = Entries),
        Refusals,
        (status = 403, body = Problem, content_type = "application/problem+json",
         description = "Only an admin may read it."),
    ),
    tag = "auth",
)]
pub(super) async fn list_entries(
    _admin: Admin,
    State(api): State<Api>,
    mut params: Params,
) -> Result<Json<Entries>, ApiError> {
    let limit = params.take("limit", params::count(LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
    let before = params.take("before", |text| {
        text.parse::<u64>().map_err(|_| "it is the next_before of an earlier answer".to_owned())
    })?;
    params.end()?;
    let found = api.users(move |users| users.entries(before, limit)).await?;
    let full = u32::try_from(found.len()).is_ok_and(|len| len == limit);
    let next_before = found.last().map(|(id, _)| *id).filter(|_| full);
    Ok(Json(Entries { items: found.into_iter().map(item).collect(), next_before }))
}

fn item((id, entry): (u64, Entry)) -> EntryItem {
    let Entry { at, who, from, what, whom, result } = entry;
    EntryItem { id, at: at.to_string(), who, from, what, whom, result }
}
