//! What several sources saw together, window by window.
//!
//! # Invariants
//!
//! - It is computed from the sources' rows when it is asked for, and kept nowhere: a
//!   late frame that corrects a row corrects this, too.
//! - A source weighs by the animals it saw and not by its frames: a camera that is twice
//!   as fast does not have twice the animals.
//! - A source without a frame in a window is named as missing, and not taken as one that
//!   saw nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemas::commit::{StateStore, Status, StoreError, WindowState};
use schemas::metric::Postures;
use schemas::source::SourceId;
use schemas::window::Window;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::error::{ApiError, Problem};
use crate::page::{Cursor, Order};
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;
use crate::windows::{self, Part, SizeName};

/// Most rows of sources that one answer is made from: of many sources it has fewer windows.
const ROWS_MAX: u32 = 20_000;

/// A part of the herd's series.
#[derive(Serialize, ToSchema)]
pub(crate) struct HerdWindows {
    /// A window in which no source has a frame is not among them.
    items: Vec<HerdWindow>,
    /// Asks for the windows that follow; null if there are none.
    next_cursor: Option<String>,
}

/// What some sources saw together in one window.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct HerdWindow {
    #[schema(example = "1h")]
    size: &'static str,
    /// The first moment in it.
    #[schema(example = "2026-03-01T12:00:00Z")]
    start: String,
    /// The first moment behind it.
    #[schema(example = "2026-03-01T13:00:00Z")]
    end: String,
    /// The sources that have frames in it: all numbers are theirs.
    #[schema(example = json!([1, 2]))]
    sources: Vec<i32>,
    /// The sources that have none. While there are any, the herd is larger than it says.
    #[schema(example = json!([3]))]
    missing: Vec<i32>,
    /// Frames seen, of all of `sources`.
    #[schema(example = 7180)]
    frames: u64,
    /// How much of the window `sources` saw; null if no frames were expected. What those that
    /// are missing did not see is not in it.
    #[schema(example = 0.9972)]
    coverage: Option<f64>,
    /// `open` if one of the rows is open, else `corrected` if one is, else `final`.
    #[schema(example = "final")]
    status: &'static str,
    /// Animals by the metric's name: the sum of the sources' means.
    #[schema(value_type = BTreeMap<String, f64>, example = json!({"lying": 14.2, "standing": 9.8, "total": 24.0}))]
    metrics: BTreeMap<Arc<str>, f64>,
    /// The animals among them that lay, whatever the site calls the metric.
    #[schema(example = 14.2)]
    lying: f64,
    /// Those that stood.
    #[schema(example = 9.8)]
    standing: f64,
    /// `lying / (lying + standing)`; null if nobody was seen.
    #[schema(example = 0.5917)]
    lying_share: Option<f64>,
    /// The larger of `lying_share` and what is missing from it to 1: 1 where all do the same,
    /// 0.5 where they are divided; null if nobody was seen. It is of the window's means, so
    /// it tells of animals that do the same at the same time only in windows in which few
    /// change what they do: minutes rather than days.
    #[schema(example = 0.5917)]
    synchrony: Option<f64>,
}

/// Lists what several sources saw together, window by window.
///
/// Animals are added up over the sources, so name those whose pictures do not overlap.
/// Each source's part is as it was at one moment; two sources' need not be of the same.
/// An answer is made from at most 20,000 rows of sources: of more than 13 sources it may
/// have fewer windows than `limit`, and the cursor leads on.
#[utoipa::path(
    get,
    path = "/v1/herd/{size}",
    params(
        ("size" = inline(SizeName), Path,
         description = "The windows' length; `1d` is a civil day of the site."),
        ("sources" = Option<String>, Query, example = "1,2",
         description = "Only these cameras; without it, all of which the client may be told."),
        Part,
    ),
    responses(
        (status = 200, description = "The windows, under an ETag.", body = HerdWindows),
        Unchanged,
        Refusals,
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "One of the sources has never sent a frame."),
    ),
    tag = "windows",
)]
pub(crate) async fn list_herd(
    viewer: Viewer,
    State(api): State<Api>,
    Path(size): Path<String>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let size = params::size(&size)?;
    let asked = params.take("sources", listed)?;
    let (part, limit) = windows::asked(None, size, params, &api.site().calendar)?;
    let known = api.read(|store| store.sources()).await?;
    let known: BTreeSet<_> = known.into_iter().map(|known| known.state.source).collect();
    let sources = match asked {
        Some(asked) => {
            for source in &asked {
                viewer.check(*source)?;
            }
            if let Some(unknown) = asked.difference(&known).next() {
                return Err(ApiError::NoSuchSource(*unknown));
            }
            asked
        }
        None => {
            let scope = viewer.scope(None)?;
            known.into_iter().filter(|source| scope.admits(*source)).collect()
        }
    };
    let limit = limit.min(windows_max(sources.len()));
    let postures = api.site().postures.clone();
    let list = move |store: &dyn StateStore| read(store, &sources, part, limit, &postures);
    let (items, next_cursor) = api.read(list).await?;
    Ok(tagged::json(&headers, &HerdWindows { items, next_cursor }))
}

/// Sources' numbers, with commas between.
fn listed(text: &str) -> Result<BTreeSet<SourceId>, String> {
    let sources: Result<BTreeSet<_>, _> = text.split(',').map(|one| one.trim().parse()).collect();
    sources.map_err(|_| "it is cameras' numbers with commas between them, as 1,2".to_owned())
}

/// Most windows of so many sources in one answer.
fn windows_max(sources: usize) -> u32 {
    let sources = u32::try_from(sources).unwrap_or(u32::MAX).max(1);
    (ROWS_MAX / sources).max(1)
}

fn read(
    store: &dyn StateStore,
    sources: &BTreeSet<SourceId>,
    part: Cursor,
    limit: u32,
    postures: &Postures,
) -> Result<(Vec<HerdWindow>, Option<String>), StoreError> {
    let mut sums: BTreeMap<Window, Sum> = BTreeMap::new();
    for source in sources {
        // One more than the page has, of each: no source's first can be missing in
        // what all have together.
        for state in store.series(&windows::query(*source, part, None, limit))? {
            sums.entry(state.window).or_default().add(&state);
        }
    }
    let mut all: Vec<(Window, Sum)> = sums.into_iter().collect();
    if part.order == Order::Newest {
        all.reverse();
    }
    let next_cursor = windows::cut(&mut all, part, limit, |(window, _)| window.start);
    let told = all.into_iter().map(|(window, sum)| sum.told(window, sources, postures));
    Ok((told.collect(), next_cursor))
}

/// Sources' rows of one window, added up.
#[derive(Default)]
struct Sum {
    sources: BTreeSet<SourceId>,
    frames: u64,
    /// Of those sources that give frames in windows so short.
    frames_seen: u64,
    frames_expected: u64,
    status: Option<Status>,
    /// Means, added up.
    metrics: BTreeMap<Arc<str>, f64>,
}

impl Sum {
    fn add(&mut self, state: &WindowState) {
        self.sources.insert(state.source);
        self.frames += state.frames;
        if 0 < state.frames_expected {
            self.frames_seen += state.frames;
            self.frames_expected += state.frames_expected;
        }
        self.status = Some(windows::joint_status(self.status.into_iter().chain([state.status])));
        for (name, histogram) in &state.metrics {
            let mean = histogram.statistics().map_or(0.0, |statistics| statistics.mean());
            *self.metrics.entry(Arc::clone(name)).or_default() += mean;
        }
    }

    fn told(self, window: Window, asked: &BTreeSet<SourceId>, postures: &Postures) -> HerdWindow {
        let numbers = |sources: &mut dyn Iterator<Item = &SourceId>| -> Vec<i32> {
            sources.map(|source| source.get()).collect()
        };
        let animals = |metric: &Arc<str>| self.metrics.get(metric).copied().unwrap_or(0.0);
        let (lying, standing) = (animals(&postures.lying), animals(&postures.standing));
        let lying_share = share(lying, standing);
        HerdWindow {
            size: window.size.name(),
            start: window.start.to_string(),
            end: window.end.to_string(),
            sources: numbers(&mut self.sources.iter()),
            missing: numbers(&mut asked.difference(&self.sources)),
            frames: self.frames,
            coverage: windows::ratio(self.frames_seen, self.frames_expected),
            status: windows::joint_status(self.status).name(),
            lying,
            standing,
            lying_share,
            synchrony: lying_share.map(|share| share.max(1.0 - share)),
            metrics: self.metrics,
        }
    }
}

/// `lying / (lying + standing)`; none where there is nobody.
fn share(lying: f64, standing: f64) -> Option<f64> {
    let all = lying + standing;
    (0.0 < all).then(|| lying / all)
}
