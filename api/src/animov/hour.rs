//! The consolidated statistics of the last hour.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::commit::WindowState;
use schemas::metric::Postures;
use schemas::stats::{Histogram, Statistics};
use serde::Serialize;
use utoipa::ToSchema;

use super::criteria::{self, DescribedSource};
use super::measured::{Each, histogram, rounded};
use super::series::{self, End, HOUR_S};
use crate::auth::Viewer;
use crate::error::ApiError;
use crate::params::Params;
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;

/// One camera's last hour: a row of `ResultatsConsolides`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HourRow {
    source: i32,
    /// Animals per frame, over all frames of the hour.
    moyenne_total: f64,
    /// The largest mean of a minute, as a whole number.
    max_total: f64,
    /// The smallest mean of a minute, as a whole number.
    min_total: f64,
    /// Sample standard deviation over all frames of the hour; null for one frame.
    ecart_type_total: Option<f64>,
    moyenne_debout: f64,
    max_debout: f64,
    min_debout: f64,
    ecart_type_debout: Option<f64>,
    moyenne_couche: f64,
    max_couche: f64,
    min_couche: f64,
    ecart_type_couche: Option<f64>,
}

/// Consolidated statistics of the last hour, a row a camera.
///
/// The deviation is that of all frames of the hour, from the exact counts.
#[utoipa::path(
    get,
    path = "/stats_heure",
    params(DescribedSource),
    responses(
        (status = 200, description = "Cameras with frames in the last hour, by number.",
         body = Vec<HourRow>),
        Unchanged,
        Refusals,
    ),
    tag = "animov",
)]
pub(super) async fn stats_heure(
    viewer: Viewer,
    State(api): State<Api>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let scope = criteria::scope(&mut params, &viewer)?;
    params.end()?;
    let postures = api.site().postures.clone();
    let now = End::Now(api.clock().now());
    let rows = api
        .read(move |store| {
            let minutes = series::minutes(store, &scope, now, HOUR_S)?;
            Ok(minutes.iter().filter_map(|hour| row(hour, &postures)).collect::<Vec<_>>())
        })
        .await?;
    Ok(tagged::json(&headers, &rows))
}

/// The row of one source's minutes, if there are any.
fn row(minutes: &[WindowState], postures: &Postures) -> Option<HourRow> {
    let source = minutes.first()?.source.get();
    let of = |metric| Consolidated::of(minutes.iter().map(|minute| histogram(minute, metric)));
    let Each { total, couche, debout } = Each {
        total: of(&postures.total)?,
        couche: of(&postures.lying)?,
        debout: of(&postures.standing)?,
    };
    Some(HourRow {
        source,
        moyenne_total: total.moyenne,
        max_total: total.max,
        min_total: total.min,
        ecart_type_total: total.ecart_type,
        moyenne_debout: debout.moyenne,
        max_debout: debout.max,
        min_debout: debout.min,
        ecart_type_debout: debout.ecart_type,
        moyenne_couche: couche.moyenne,
        max_couche: couche.max,
        min_couche: couche.min,
        ecart_type_couche: couche.ecart_type,
    })
}

struct Consolidated {
    moyenne: f64,
    max: f64,
    min: f64,
    ecart_type: Option<f64>,
}

impl Consolidated {
    fn of(minutes: impl Iterator<Item = Histogram>) -> Option<Consolidated> {
        let mut all = Histogram::default();
        let (mut max, mut min) = (f64::NEG_INFINITY, f64::INFINITY);
        for minute in minutes {
            let mean = minute.statistics().as_ref().map(Statistics::mean)?;
            (max, min) = (max.max(mean), min.min(mean));
            all.merge(&minute);
        }
        let hour = all.statistics()?;
        Some(Consolidated {
            moyenne: rounded(hour.mean(), 6),
            max: rounded(max, 0),
            min: rounded(min, 0),
            ecart_type: hour.std().map(|std| rounded(std, 6)),
        })
    }
}
