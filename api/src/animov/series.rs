//! The last hour and the last day, from now or from what was recorded last.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::commit::{SeriesQuery, SourceState, StateStore, StoreError, WindowState};
use schemas::metric::Postures;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::users::Scope;
use schemas::window::{Calendar, MINUTE_MS, WindowSize};
use serde::Serialize;
use utoipa::ToSchema;

use super::criteria::{self, DescribedSource};
use super::measured::{Each, quotient, statistics};
use super::minutes::{MinuteRow, seconds};
use crate::auth::Viewer;
use crate::error::ApiError;
use crate::params::Params;
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;

pub(super) const HOUR_S: i64 = 3600;

const DAY_S: i64 = 24 * HOUR_S;

const FIVE_MINUTES_S: i64 = 300;

/// Where a series ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With this moment.
    Now(UnixMillis),
    /// With each source's own newest minute.
    Recorded,
}

/// The minutes of each source that begin later than `length_s` seconds before the
/// end.
pub(super) fn minutes(
    store: &dyn StateStore,
    scope: &Scope,
    end: End,
    length_s: i64,
) -> Result<Vec<Vec<WindowState>>, StoreError> {
    let known = store.sources()?.into_iter().map(|known| known.state);
    let known = known.filter(|known| scope.admits(known.source));
    let of_source = |known: SourceState| {
        let end_s = match end {
            End::Now(now) => now.get().div_euclid(1000),
            End::Recorded => {
                known.last_captured_at.get().div_euclid(MINUTE_MS) * (MINUTE_MS / 1000)
            }
        };
        let from_s = end_s.saturating_sub(length_s).saturating_add(1);
        store.series(&SeriesQuery {
            source: known.source,
            size: WindowSize::Minute,
            from: UnixMillis::new(from_s.saturating_mul(1000)),
            to: UnixMillis::MAX,
            metric: None,
            // More than a day has, with what a camera's fast clock is ahead.
            limit: 2000,
            newest_first: false,
        })
    };
    known.map(of_source).collect()
}

/// Minute by minute of the last hour, which ends now.
#[utoipa::path(
    get,
    path = "/get_serie_heure",
    params(DescribedSource),
    responses(
        (status = 200, description = "Minutes, by time and source.", body = Vec<MinuteRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn get_serie_heure(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let now = End::Now(api.clock().now());
    hour(&api, &viewer, params, &headers, now).await
}

/// Minute by minute of the last recorded hour of each camera.
#[utoipa::path(
    get,
    path = "/get_serie_last_heure",
    params(DescribedSource),
    responses(
        (status = 200, description = "Minutes, by time and source.", body = Vec<MinuteRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn get_serie_last_heure(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    hour(&api, &viewer, params, &headers, End::Recorded).await
}

async fn hour(
    api: &Api,
    viewer: &Viewer,
    params: Params,
    headers: &HeaderMap,
    end: End,
) -> Result<Response, ApiError> {
    let scope = scope(viewer, params)?;
    let postures = api.site().postures.clone();
    let rows = api
        .read(move |store| {
            let mut minutes: Vec<WindowState> =
                minutes(store, &scope, end, HOUR_S)?.into_iter().flatten().collect();
            minutes.sort_by_key(|state| (state.window.start, state.source));
            Ok(minutes
                .iter()
                .filter_map(|state| MinuteRow::of(state, &postures))
                .collect::<Vec<_>>())
        })
        .await?;
    Ok(tagged::json(headers, &rows))
}

fn scope(viewer: &Viewer, mut params: Params) -> Result<Scope, ApiError> {
    let scope = criteria::scope(&mut params, viewer)?;
    params.end()?;
    Ok(scope)
}

/// Five minutes of one camera.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FiveMinutesRow {
    /// Where they begin, on the site's clocks.
    #[schema(example = "2026-03-01 12:05")]
    timestamp: String,
    source: i32,
    /// Of the minutes' sums: their average, or their sum in the recorded series.
    total: f64,
    couche: f64,
    debout: f64,
    /// Most in one frame.
    max_total: u32,
    max_couche: u32,
    max_debout: u32,
    /// Fewest in one frame.
    min_total: u32,
    min_couche: u32,
    min_debout: u32,
    /// Frames of a minute, on average; of all minutes in the recorded series.
    nb_frames: f64,
}

/// Five minutes by five minutes of the last day, which ends now; averages of the
/// minutes.
#[utoipa::path(
    get,
    path = "/get_serie_jour",
    params(DescribedSource),
    responses(
        (status = 200, description = "Five minutes each, by time and source.",
         body = Vec<FiveMinutesRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn get_serie_jour(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let now = End::Now(api.clock().now());
    day(&api, &viewer, params, &headers, now).await
}

/// Five minutes by five minutes of the last recorded day of each camera; sums of
/// the minutes.
#[utoipa::path(
    get,
    path = "/get_serie_last_jour",
    params(DescribedSource),
    responses(
        (status = 200, description = "Five minutes each, by time and source.",
         body = Vec<FiveMinutesRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn get_serie_last_jour(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    day(&api, &viewer, params, &headers, End::Recorded).await
}

async fn day(
    api: &Api,
    viewer: &Viewer,
    params: Params,
    headers: &HeaderMap,
    end: End,
) -> Result<Response, ApiError> {
    let scope = scope(viewer, params)?;
    let (postures, calendar) = (api.site().postures.clone(), api.site().calendar.clone());
    let rows = api
        .read(move |store| {
            let minutes = minutes(store, &scope, end, DAY_S)?;
            let mut groups: Vec<Group> =
                minutes.iter().flat_map(|of_source| groups(of_source, &postures)).collect();
            groups.sort_by_key(|group| (group.begin_s, group.source));
            let averaged = matches!(end, End::Now(_));
            let row = |group: &Group| group.row(averaged, &calendar);
            Ok(groups.iter().filter_map(row).collect::<Vec<_>>())
        })
        .await?;
    Ok(tagged::json(headers, &rows))
}

/// The minutes of one source that lie in the same five.
struct Group {
    begin_s: i64,
    source: SourceId,
    minutes: u64,
    frames: u64,
    /// Of each posture: the sum over the frames, the most and the fewest in one.
    seen: Each<(u64, u32, u32)>,
}

fn groups(minutes: &[WindowState], postures: &Postures) -> Vec<Group> {
    let begin = |state: &WindowState| seconds(state).div_euclid(FIVE_MINUTES_S) * FIVE_MINUTES_S;
    let group = |minutes: &[WindowState]| {
        let first = minutes.first()?;
        let of_minutes: Vec<_> =
            minutes.iter().filter_map(|state| statistics(state, postures)).collect();
        let over = |of: fn(&Each<_>) -> &schemas::stats::Statistics| {
            let all = of_minutes.iter().map(of);
            all.fold((0, 0, u32::MAX), |(sum, max, min), one| {
                (sum + one.sum, one.max.max(max), one.min.min(min))
            })
        };
        Some(Group {
            begin_s: begin(first),
            source: first.source,
            minutes: u64::try_from(minutes.len()).unwrap_or(u64::MAX),
            frames: minutes.iter().map(|state| state.frames).sum(),
            seen: Each {
                total: over(|each| &each.total),
                couche: over(|each| &each.couche),
                debout: over(|each| &each.debout),
            },
        })
    };
    minutes.chunk_by(|a, b| begin(a) == begin(b)).filter_map(group).collect()
}

impl Group {
    /// None outside the calendar, where no window is.
    fn row(&self, averaged: bool, calendar: &Calendar) -> Option<FiveMinutesRow> {
        let local = calendar.local(UnixMillis::new(self.begin_s.checked_mul(1000)?))?;
        let by = if averaged { self.minutes } else { 1 };
        let decimals = if averaged { 4 } else { 3 };
        let sum = self.seen.map(|(sum, ..)| quotient(*sum, by, decimals));
        let (max, min) = (self.seen.map(|(_, max, _)| *max), self.seen.map(|(.., min)| *min));
        Some(FiveMinutesRow {
            timestamp: local.strftime("%Y-%m-%d %H:%M").to_string(),
            source: self.source.get(),
            total: sum.total,
            couche: sum.couche,
            debout: sum.debout,
            max_total: max.total,
            max_couche: max.couche,
            max_debout: max.debout,
            min_total: min.total,
            min_couche: min.couche,
            min_debout: min.debout,
            nb_frames: quotient(self.frames, by, decimals),
        })
    }
}
