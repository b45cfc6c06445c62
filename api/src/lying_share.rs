//! The share of lying animals by windows: as it was counted, and beside it as it
//! probably was, by what is known of how right detections are.
//!
//! # Invariants
//!
//! - The raw share is always told, and never replaced by the corrected one.
//! - A share that is corrected names the measurement that it is corrected by; one that
//!   is not says why.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::accuracy::{
    AccuracyStore, CorrectedShare, Level, Observed, StoredMeasurement, corrected_share,
};
use schemas::commit::{StoreError, WindowState};
use schemas::metric::Postures;
use schemas::source::SourceId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::error::{ApiError, Problem};
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::windows::{self, Part, SizeName};
use crate::{tagged, together};

/// Of the limits.
const LEVEL: Level = Level::P95;

const NEVER_MEASURED: &str = "the source's detections were never compared with labels: label \
                              some frames, and run `animov accuracy`";

/// A part of a series.
#[derive(Serialize, ToSchema)]
pub(crate) struct LyingShares {
    /// A window without frames is not among them.
    items: Vec<LyingShare>,
    /// Asks for the windows that follow; null if there are none.
    next_cursor: Option<String>,
}

/// Which share of one source's animals lay in one window.
#[derive(Serialize, ToSchema)]
pub(crate) struct LyingShare {
    #[schema(example = 1)]
    source: i32,
    #[schema(example = "1h")]
    size: &'static str,
    /// The first moment in it.
    #[schema(example = "2026-03-01T12:00:00Z")]
    start: String,
    /// The first moment behind it.
    #[schema(example = "2026-03-01T13:00:00Z")]
    end: String,
    /// Frames seen; at least one.
    #[schema(example = 3590)]
    frames: u64,
    /// How much of the window was seen; null if no frames were expected.
    #[schema(example = 0.9972)]
    coverage: Option<f64>,
    /// `open`: frames still come. `final`: none are expected. `corrected`: one
    /// came all the same.
    #[schema(example = "final")]
    status: &'static str,
    /// Lying animals, added up over the frames.
    #[schema(example = 21540)]
    lying: u64,
    /// Standing animals, added up over the frames.
    #[schema(example = 14360)]
    standing: u64,
    /// `lying / (lying + standing)`, as it was detected; null if nobody was.
    #[schema(example = 0.6)]
    raw: Option<f64>,
    /// An estimate beside it; null where none can be made.
    corrected: Option<Corrected>,
    /// Why there is no estimate; null if there is one.
    why_not: Option<String>,
}

/// The share as it probably was: postures that are detected wrongly are allowed for, as
/// often as they were when detections were compared with labels.
#[derive(Serialize, ToSchema)]
pub(crate) struct Corrected {
    #[schema(example = 0.5882)]
    share: f64,
    /// Lower limit. The limits allow for how few animals were labelled, and not for
    /// frames of one moment being alike.
    #[schema(example = 0.5271)]
    low: f64,
    /// Upper limit.
    #[schema(example = 0.6513)]
    high: f64,
    /// How often limits that are made in this way hold the true value.
    #[schema(example = 0.95)]
    level: f64,
    /// Rogan and Gladen (1978), with limits by Lang and Reiczigel (2014).
    #[schema(example = "rogan_gladen")]
    method: &'static str,
    /// The `id` of the measurement by which it is corrected: the newest of the source in
    /// which animals of both postures were found, whichever model it is of.
    #[schema(example = "2b6d6d2b1f3d6f1c6f7e8c0c0d3f4a5b6c7d8e9fa0b1c2d3e4f5061728394a5b")]
    accuracy: String,
}

/// Lists which share of one source's animals lay, window by window.
///
/// `raw` is what was counted. `corrected` is an estimate: it takes for granted that
/// postures are mistaken as often as in the labelled frames of the newest measurement of
/// postures, and that lying and standing animals are missed equally often.
#[utoipa::path(
    get,
    path = "/v1/sources/{source}/lying-share/{size}",
    params(
        ("source" = i32, Path, description = "The camera's number, from 1.", minimum = 1),
        ("size" = inline(SizeName), Path,
         description = "The windows' length; `1d` is a civil day of the site."),
        Part,
    ),
    responses(
        (status = 200, description = "The shares, under an ETag.", body = LyingShares),
        Unchanged,
        Refusals,
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "The source has never sent a frame."),
    ),
    tag = "accuracy",
)]
pub(crate) async fn list_lying_shares(
    viewer: Viewer,
    State(api): State<Api>,
    Path((source, size)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (source, size) = (params::source(&source)?, params::size(&size)?);
    viewer.check(source)?;
    let (part, limit) = windows::asked(Some(source), size, params, &api.site().calendar)?;
    if together::source(&api, source).await?.is_none() {
        return Err(ApiError::NoSuchSource(source));
    }
    let newest = api.accuracy(move |store| newest(store, source)).await?;
    let query = windows::query(source, part, None, limit);
    let counted = api.read(move |store| store.series(&query)).await?;
    let (counted, next_cursor) = windows::page(counted, part, limit);
    let postures = &api.site().postures;
    let of = |window| LyingShare::of(window, postures, newest.as_ref());
    let items = counted.iter().map(of).collect();
    Ok(tagged::json(&headers, &LyingShares { items, next_cursor }))
}

/// By what shares are corrected: the newest measurement of postures; where there is none,
/// the newest at all, which says why.
fn newest(
    store: &dyn AccuracyStore,
    source: SourceId,
) -> Result<Option<StoredMeasurement>, StoreError> {
    match store.newest_of_postures(source)? {
        Some(found) => Ok(Some(found)),
        None => Ok(store.of_source(source, 1)?.pop()),
    }
}

impl LyingShare {
    fn of(
        state: &WindowState,
        postures: &Postures,
        newest: Option<&StoredMeasurement>,
    ) -> LyingShare {
        let observed = Observed {
            lying: seen(state, &postures.lying),
            standing: seen(state, &postures.standing),
        };
        let corrected = corrected(observed, newest);
        let (corrected, why_not) = match corrected {
            Ok(corrected) => (Some(corrected), None),
            Err(why_not) => (None, Some(why_not)),
        };
        LyingShare {
            source: state.source.get(),
            size: state.window.size.name(),
            start: state.window.start.to_string(),
            end: state.window.end.to_string(),
            frames: state.frames,
            coverage: windows::ratio(state.frames, state.frames_expected),
            status: state.status.name(),
            lying: observed.lying,
            standing: observed.standing,
            raw: observed.share(),
            corrected,
            why_not,
        }
    }
}

/// Animals of the metric, added up over the frames. A metric without a row was seen in
/// none of them.
pub(crate) fn seen(state: &WindowState, metric: &Arc<str>) -> u64 {
    let found = state.metrics.iter().find(|(name, _)| name == metric);
    let sum = found.and_then(|(_, histogram)| Some(histogram.statistics()?.sum));
    sum.unwrap_or(0)
}

fn corrected(observed: Observed, newest: Option<&StoredMeasurement>) -> Result<Corrected, String> {
    let StoredMeasurement { id, measurement } = newest.ok_or(NEVER_MEASURED)?;
    let found = corrected_share(observed, &measurement.confusion, LEVEL);
    let CorrectedShare { share, low, high } = found.map_err(|why_not| why_not.to_string())?;
    Ok(Corrected {
        share,
        low,
        high,
        level: LEVEL.share(),
        method: "rogan_gladen",
        accuracy: id.to_string(),
    })
}
