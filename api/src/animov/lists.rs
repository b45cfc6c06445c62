//! Which cameras and which days there are.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::commit::{SeriesQuery, StateStore, StoreError};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::users::Scope;
use schemas::window::WindowSize;
use serde::Serialize;
use utoipa::ToSchema;

use super::criteria::{self, DescribedSource};
use crate::auth::Viewer;
use crate::error::ApiError;
use crate::params::Params;
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;

/// One camera that has data.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SourceRow {
    source: i32,
    /// What people call it; null if nobody gave it a name.
    name: Option<String>,
}

/// The sources that have data.
#[utoipa::path(
    get,
    path = "/sources",
    responses(
        (status = 200, description = "Cameras, by number.", body = Vec<SourceRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn sources(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    params.end()?;
    let known = api.read(|store| store.sources()).await?;
    let row = |source: SourceId| SourceRow {
        source: source.get(),
        name: api.site().names.get(&source).cloned(),
    };
    let scope = viewer.scope(None)?;
    let known = known.into_iter().map(|known| known.state.source);
    let rows: Vec<_> = known.filter(|source| scope.admits(*source)).map(row).collect();
    Ok(tagged::json(&headers, &rows))
}

/// One day that has data.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DateRow {
    /// On the site's clocks.
    #[schema(example = "2026-03-01")]
    date: String,
}

/// The dates that have data, on the site's clocks.
#[utoipa::path(
    get,
    path = "/dates",
    params(DescribedSource),
    responses(
        (status = 200, description = "Days, ascending.", body = Vec<DateRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn dates(
    viewer: Viewer,
    State(api): State<Api>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let scope = criteria::scope(&mut params, &viewer)?;
    params.end()?;
    let days = api.read(move |store| days(store, &scope)).await?;
    let calendar = &api.site().calendar;
    let local = days.into_iter().filter_map(|day| calendar.local(day));
    let rows: Vec<_> = local.map(|day| DateRow { date: day.date().to_string() }).collect();
    Ok(tagged::json(&headers, &rows))
}

/// The beginnings of all days on which a frame was counted.
fn days(store: &dyn StateStore, scope: &Scope) -> Result<BTreeSet<UnixMillis>, StoreError> {
    /// Rows read together: of a year.
    const RUN: u32 = 366;
    let mut days = BTreeSet::new();
    let known = store.sources()?.into_iter().map(|known| known.state.source);
    for source in known.filter(|known| scope.admits(*known)) {
        let mut query = SeriesQuery {
            source,
            size: WindowSize::Day,
            from: UnixMillis::MIN,
            to: UnixMillis::MAX,
            metric: None,
            limit: RUN,
            newest_first: false,
        };
        loop {
            let found = store.series(&query)?;
            days.extend(found.iter().map(|state| state.window.start));
            match found.last() {
                Some(last) if u32::try_from(found.len()).is_ok_and(|len| len == RUN) => {
                    query.from = last.window.end;
                }
                _ => break,
            }
        }
    }
    Ok(days)
}
