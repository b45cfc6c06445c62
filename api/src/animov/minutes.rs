//! Rows of minutes and hours.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use schemas::commit::WindowState;
use schemas::metric::Postures;
use schemas::window::{Calendar, WindowSize};
use serde::Serialize;
use utoipa::ToSchema;

use super::criteria::{Criteria, Described, DescribedLimit, ROWS_MAX};
use super::measured::{
    deviation, histogram, minute_id, modes, quotient, rounded, statistics, window_id,
};
use super::scan::{self, Page};
use crate::auth::Viewer;
use crate::error::ApiError;
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;

/// One minute of one camera: a row of `table_chevres_minute_serveur_v2`.
#[derive(Debug, Serialize, ToSchema)]
#[expect(non_snake_case, reason = "the original's columns")]
pub(super) struct MinuteRow {
    /// Names the row; null for a source above 64, for which the column is too narrow.
    #[schema(example = 207_446_400)]
    id: Option<i32>,
    /// The beginning of the minute, Unix seconds.
    #[schema(example = 1_772_366_400)]
    timestamp: i64,
    source: i32,
    /// Animals, added up over the frames: the mean is `total / nb_frames`.
    total: u64,
    /// Those that lie.
    couche: u64,
    /// Those that stand.
    debout: u64,
    /// Most in one frame.
    max_total: u32,
    max_couche: u32,
    max_debout: u32,
    /// Fewest in one frame.
    min_total: u32,
    min_couche: u32,
    min_debout: u32,
    /// Sample standard deviation over the frames; null for one frame.
    std_total: Option<f64>,
    std_couche: Option<f64>,
    std_debout: Option<f64>,
    /// Quartiles over the frames, by linear interpolation.
    Q1_total: f64,
    Q1_couche: f64,
    Q1_debout: f64,
    Q2_total: f64,
    Q2_couche: f64,
    Q2_debout: f64,
    Q3_total: f64,
    Q3_couche: f64,
    Q3_debout: f64,
    /// Every most frequent count, ascending, with commas between.
    mode_total: String,
    mode_couche: String,
    mode_debout: String,
    /// Frames in the minute.
    nb_frames: u64,
}

impl MinuteRow {
    pub(super) fn of(state: &WindowState, postures: &Postures) -> Option<MinuteRow> {
        let each = statistics(state, postures)?;
        let (max, min) = (each.map(|of| of.max), each.map(|of| of.min));
        let std = each.map(deviation);
        let q1 = each.map(|of| rounded(of.q1.value(), 3));
        let q2 = each.map(|of| rounded(of.median.value(), 3));
        let q3 = each.map(|of| rounded(of.q3.value(), 3));
        let mode = each.map(modes);
        Some(MinuteRow {
            id: minute_id(state),
            timestamp: seconds(state),
            source: state.source.get(),
            total: each.total.sum,
            couche: each.couche.sum,
            debout: each.debout.sum,
            max_total: max.total,
            max_couche: max.couche,
            max_debout: max.debout,
            min_total: min.total,
            min_couche: min.couche,
            min_debout: min.debout,
            std_total: std.total,
            std_couche: std.couche,
            std_debout: std.debout,
            Q1_total: q1.total,
            Q1_couche: q1.couche,
            Q1_debout: q1.debout,
            Q2_total: q2.total,
            Q2_couche: q2.couche,
            Q2_debout: q2.debout,
            Q3_total: q3.total,
            Q3_couche: q3.couche,
            Q3_debout: q3.debout,
            mode_total: mode.total,
            mode_couche: mode.couche,
            mode_debout: mode.debout,
            nb_frames: state.frames,
        })
    }
}

/// The beginning of a window, Unix seconds.
pub(super) fn seconds(state: &WindowState) -> i64 {
    state.window.start.get().div_euclid(1000)
}

/// Rows of the minutes of every camera, with all statistics.
///
/// Without `from`, the newest; the header `Link` leads to those before or after.
#[utoipa::path(
    get,
    path = "/stats_minute",
    params(Described, DescribedLimit),
    responses(
        (status = 200, description = "Minutes, by time and source.", body = Vec<MinuteRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn stats_minute(
    viewer: Viewer,
    State(api): State<Api>,
    uri: Uri,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let criteria = criteria(&api, &viewer, params)?;
    let page = read(&api, WindowSize::Minute, criteria).await?;
    let postures = &api.site().postures;
    let rows: Vec<_> =
        page.windows.iter().filter_map(|state| MinuteRow::of(state, postures)).collect();
    Ok(page.answer(&headers, &uri, &rows))
}

/// One class in one minute of one camera.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClassMinuteRow {
    /// The beginning of the minute, Unix seconds.
    #[schema(example = 1_772_366_400)]
    timestamp: i64,
    source: i32,
    /// `total`, `couche`, `debout`, or the name of a further class.
    #[schema(value_type = String, example = "couche")]
    class: Arc<str>,
    /// Animals, added up over the frames.
    effectif: u64,
    /// Animals per frame.
    moyenne: f64,
    /// Sample standard deviation over the frames; null for one frame.
    ecart_type: Option<f64>,
    min: u32,
    max: u32,
    /// Median over the frames.
    mediane: f64,
    /// Frames in the minute.
    nb_frames: u64,
}

impl ClassMinuteRow {
    fn of(state: &WindowState, metric: &Arc<str>, class: &Arc<str>) -> Option<ClassMinuteRow> {
        let statistics = histogram(state, metric).statistics()?;
        Some(ClassMinuteRow {
            timestamp: seconds(state),
            source: state.source.get(),
            class: Arc::clone(class),
            effectif: statistics.sum,
            moyenne: quotient(statistics.sum, statistics.frames, 6),
            ecart_type: statistics.std().map(|std| rounded(std, 6)),
            min: statistics.min,
            max: statistics.max,
            mediane: statistics.median.value(),
            nb_frames: state.frames,
        })
    }
}

/// Records aggregated per minute, a row a class.
///
/// `limit` counts minutes of a camera; each gives a row for every class that it
/// has, or one for the `class` that is asked for.
#[utoipa::path(
    get,
    path = "/get_data_animov_ch_minutes",
    params(
        Described,
        DescribedLimit,
        ("class" = Option<String>, Query, example = "couche",
         description = "Only this class: `total`, `couche`, `debout`, or a further one by its name."),
    ),
    responses(
        (status = 200, description = "Classes of minutes, by time and source.",
         body = Vec<ClassMinuteRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn get_data_animov_ch_minutes(
    viewer: Viewer,
    State(api): State<Api>,
    uri: Uri,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let class = params.take("class", params::parsed::<String>)?;
    let criteria = criteria(&api, &viewer, params)?;
    let page = read(&api, WindowSize::Minute, criteria).await?;
    let names = FrenchNames(&api.site().postures);
    let asked = class.map(|class| (names.metric(&class), Arc::from(class)));
    let mut rows = Vec::new();
    for state in &page.windows {
        match &asked {
            Some((metric, class)) => rows.extend(ClassMinuteRow::of(state, metric, class)),
            None => {
                rows.extend(state.metrics.iter().filter_map(|(metric, _)| {
                    ClassMinuteRow::of(state, metric, &names.class(metric))
                }))
            }
        }
    }
    Ok(page.answer(&headers, &uri, &rows))
}

/// What the original calls the metrics.
pub(super) struct FrenchNames<'a>(pub(super) &'a Postures);

impl FrenchNames<'_> {
    fn pairs(&self) -> [(&'static str, &Arc<str>); 3] {
        [("total", &self.0.total), ("couche", &self.0.lying), ("debout", &self.0.standing)]
    }

    /// The metric that the original calls `class`.
    pub(super) fn metric(&self, class: &str) -> Arc<str> {
        let named = self.pairs().into_iter().find(|(french, _)| *french == class);
        named.map_or_else(|| class.into(), |(_, metric)| Arc::clone(metric))
    }

    /// What the original calls `metric`.
    pub(super) fn class(&self, metric: &Arc<str>) -> Arc<str> {
        let named = self.pairs().into_iter().find(|(_, known)| *known == metric);
        named.map_or_else(|| Arc::clone(metric), |(french, _)| french.into())
    }
}

/// Mean headcounts of the behaviours in one minute of one camera: a row of
/// `table_chevres_minute`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BehaviourMinuteRow {
    /// Names the row.
    id: i64,
    /// The day on the site's clocks.
    #[schema(example = "2026-03-01 00:00:00")]
    jour: String,
    source: i32,
    /// Minute of the hour.
    minutes: i8,
    /// Hour of the day.
    heure: i8,
    #[serde(flatten)]
    behaviours: Behaviours,
}

/// The same of one hour: a row of `table_chevres_heures`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BehaviourHourRow {
    /// Names the row.
    id: i64,
    /// The day on the site's clocks.
    #[schema(example = "2026-03-01 00:00:00")]
    jour: String,
    source: i32,
    /// Hour of the day.
    heure: i8,
    #[serde(flatten)]
    behaviours: Behaviours,
}

/// Animals per frame of each behaviour that the original knew.
#[derive(Debug, Serialize, ToSchema)]
struct Behaviours {
    brush: f64,
    drink: f64,
    eat: f64,
    class_0: f64,
    class_1: f64,
}

impl Behaviours {
    fn of(state: &WindowState) -> Behaviours {
        let mean = |class: &str| {
            histogram(state, &Arc::from(class)).statistics().map_or(0.0, |of| of.mean())
        };
        Behaviours {
            brush: mean("brush"),
            drink: mean("drink"),
            eat: mean("eat"),
            class_0: mean("class_0"),
            class_1: mean("class_1"),
        }
    }
}

/// Mean headcounts of the behaviours, minute by minute.
#[utoipa::path(
    get,
    path = "/chevres_minutes",
    params(
        Described,
        DescribedLimit,
        ("class" = Option<String>, Query, example = "eat",
         description = "Only minutes in which this class was seen."),
    ),
    responses(
        (status = 200, description = "Minutes, by time and source.",
         body = Vec<BehaviourMinuteRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn chevres_minutes(
    viewer: Viewer,
    State(api): State<Api>,
    uri: Uri,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let metric = metric(&api, &mut params)?;
    let criteria = criteria(&api, &viewer, params)?;
    let page = read(&api, WindowSize::Minute, criteria).await?;
    let row = |state: &WindowState| {
        let (jour, heure, minutes) = on_the_sites_clocks(state, &api.site().calendar)?;
        let behaviours = Behaviours::of(state);
        let (id, source) = (window_id(state), state.source.get());
        Some(BehaviourMinuteRow { id, jour, source, minutes, heure, behaviours })
    };
    let windows = page.windows.iter().filter(|state| saw(state, metric.as_ref()));
    let rows: Vec<_> = windows.filter_map(row).collect();
    Ok(page.answer(&headers, &uri, &rows))
}

/// Mean headcounts of the behaviours, hour by hour.
#[utoipa::path(
    get,
    path = "/chevres_heures",
    params(
        Described,
        DescribedLimit,
        ("class" = Option<String>, Query, example = "eat",
         description = "Only hours in which this class was seen."),
    ),
    responses(
        (status = 200, description = "Hours, by time and source.", body = Vec<BehaviourHourRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn chevres_heures(
    viewer: Viewer,
    State(api): State<Api>,
    uri: Uri,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let metric = metric(&api, &mut params)?;
    let criteria = criteria(&api, &viewer, params)?;
    let page = read(&api, WindowSize::Hour, criteria).await?;
    let row = |state: &WindowState| {
        let (jour, heure, _) = on_the_sites_clocks(state, &api.site().calendar)?;
        let behaviours = Behaviours::of(state);
        let (id, source) = (window_id(state), state.source.get());
        Some(BehaviourHourRow { id, jour, source, heure, behaviours })
    };
    let windows = page.windows.iter().filter(|state| saw(state, metric.as_ref()));
    let rows: Vec<_> = windows.filter_map(row).collect();
    Ok(page.answer(&headers, &uri, &rows))
}

/// Day, hour and minute at which a window begins.
fn on_the_sites_clocks(state: &WindowState, calendar: &Calendar) -> Option<(String, i8, i8)> {
    let local = calendar.local(state.window.start)?;
    Some((format!("{} 00:00:00", local.date()), local.hour(), local.minute()))
}

/// The metric of the class that is asked for.
fn metric(api: &Api, params: &mut Params) -> Result<Option<Arc<str>>, ApiError> {
    let class = params.take("class", params::parsed::<String>)?;
    Ok(class.map(|class| FrenchNames(&api.site().postures).metric(&class)))
}

/// Whether there was an animal of `metric` in the window; without one, always.
fn saw(state: &WindowState, metric: Option<&Arc<str>>) -> bool {
    let seen = |metric| histogram(state, metric).statistics().is_some_and(|of| 0 < of.sum);
    metric.is_none_or(seen)
}

fn criteria(api: &Api, viewer: &Viewer, mut params: Params) -> Result<Criteria, ApiError> {
    let criteria = Criteria::take(&mut params, viewer, &api.site().calendar, ROWS_MAX)?;
    params.end()?;
    Ok(criteria)
}

async fn read(api: &Api, size: WindowSize, criteria: Criteria) -> Result<Page, ApiError> {
    api.read(move |store| scan::page(store, size, &criteria)).await
}
