//! That nothing was lost and nothing counted twice, for anybody to check.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::commit::{Audit, Parked, PartitionAccount, SourceAccount};
use schemas::window::WindowSize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::error::{ApiError, Problem};
use crate::params::{self, Params};
use crate::refusals::Refusals;
use crate::state::Api;

/// The ledger as stored, read in one transaction.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditAnswer {
    /// Whether every equation holds.
    balanced: bool,
    /// The equations that do not hold, in words.
    imbalances: Vec<String>,
    partitions: Vec<PartitionItem>,
    sources: Vec<SourceItem>,
    /// Records kept aside, by reason.
    #[schema(value_type = BTreeMap<String, u64>, example = json!({"damaged": 2}))]
    parked: BTreeMap<&'static str, u64>,
}

/// One partition's account: `read = accepted + duplicate + parked` and
/// `next_offset - first_offset = read + gap`.
#[derive(Serialize, ToSchema)]
struct PartitionItem {
    /// Which log.
    log: String,
    partition: u32,
    /// Grows with each process that took the partition over.
    owner_epoch: u64,
    first_offset: u64,
    /// Up to which record everything is committed.
    next_offset: u64,
    read: u64,
    accepted: u64,
    /// Frames that had been counted before.
    duplicate: u64,
    parked: u64,
    /// Offsets that the log skipped.
    gap: u64,
    /// Rows in the table of parked records; equals `parked`.
    parked_rows: u64,
}

/// One source's account: every number but the last equals `accepted`.
#[derive(Serialize, ToSchema)]
struct SourceItem {
    source: i32,
    accepted: u64,
    /// Sequence numbers remembered.
    remembered: u64,
    /// Frames of all windows, by size.
    #[schema(value_type = BTreeMap<String, u64>)]
    frames: BTreeMap<&'static str, u64>,
    /// Windows of which a metric misses frames; 0.
    uneven_windows: u64,
}

/// Tells the ledger, and whether it balances.
#[utoipa::path(
    get,
    path = "/v1/audit",
    responses(
        (status = 200, description = "The ledger; `balanced` says whether it holds.", body = AuditAnswer),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The tables are away."),
    ),
    tag = "audit",
)]
pub(crate) async fn read_audit(
    viewer: Viewer,
    State(api): State<Api>,
    params: Params,
) -> Result<Json<AuditAnswer>, ApiError> {
    params.end()?;
    viewer.sees_all()?;
    let audit = api.read(|store| store.audit()).await?;
    let imbalances = audit.imbalances();
    let Audit { partitions, sources, parked } = audit;
    Ok(Json(AuditAnswer {
        balanced: imbalances.is_empty(),
        imbalances,
        partitions: partitions.iter().map(partition).collect(),
        sources: sources.iter().map(source).collect(),
        parked: parked.into_iter().map(|(reason, records)| (reason.name(), records)).collect(),
    }))
}

fn partition(account: &PartitionAccount) -> PartitionItem {
    let ledger = account.ledger;
    PartitionItem {
        log: account.log.to_string(),
        partition: account.partition.0,
        owner_epoch: account.owner_epoch,
        first_offset: account.first_offset.0,
        next_offset: account.next_offset.0,
        read: ledger.read,
        accepted: ledger.accepted,
        duplicate: ledger.duplicate,
        parked: ledger.parked,
        gap: ledger.gap,
        parked_rows: account.parked_rows,
    }
}

fn source(account: &SourceAccount) -> SourceItem {
    let sizes = WindowSize::ALL.iter().map(|size| size.name());
    SourceItem {
        source: account.source.get(),
        accepted: account.accepted,
        remembered: account.remembered,
        frames: sizes.zip(account.frames).collect(),
        uneven_windows: account.uneven_windows,
    }
}

/// Most parked records in one answer.
const PARKED_MAX: u32 = 500;

/// Parked records in one answer if the client does not say.
const PARKED_DEFAULT: u32 = 50;

/// Of each parked record, how many bytes are shown.
const SHOWN_BYTES_MAX: usize = 1024;

/// The newest records that were kept aside.
#[derive(Serialize, ToSchema)]
pub(crate) struct ParkedRecords {
    items: Vec<ParkedItem>,
}

/// A record that was kept aside instead of counted.
#[derive(Serialize, ToSchema)]
struct ParkedItem {
    log: String,
    partition: u32,
    offset: u64,
    /// When the log took it.
    #[schema(example = "2026-03-01T12:00:00Z")]
    appended_at: String,
    /// The kind of fault, for programs.
    #[schema(example = "damaged")]
    reason: &'static str,
    /// The fault, for people.
    detail: String,
    /// Length of the whole record.
    bytes_total: usize,
    /// Its first 1024 bytes, base64.
    bytes: String,
    /// Whether there are more than those.
    truncated: bool,
}

/// Lists the newest records that were kept aside, with the reason.
#[utoipa::path(
    get,
    path = "/v1/parked",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 500,
            description = "Records in the answer; 50 if not given.")),
    responses(
        (status = 200, description = "The newest first.", body = ParkedRecords),
        Refusals,
    ),
    tag = "audit",
)]
pub(crate) async fn list_parked(
    viewer: Viewer,
    State(api): State<Api>,
    mut params: Params,
) -> Result<Json<ParkedRecords>, ApiError> {
    viewer.sees_all()?;
    let limit = params.take("limit", params::count(PARKED_MAX))?.unwrap_or(PARKED_DEFAULT);
    params.end()?;
    let parked = api.read(move |store| store.parked(limit)).await?;
    Ok(Json(ParkedRecords { items: parked.into_iter().map(record).collect() }))
}

fn record(parked: Parked) -> ParkedItem {
    let Parked { log, partition, offset, appended_at, reason, detail, bytes } = parked;
    let shown = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(&bytes);
    ParkedItem {
        log: log.to_string(),
        partition: partition.0,
        offset: offset.0,
        appended_at: appended_at.to_string(),
        reason: reason.name(),
        detail,
        bytes_total: bytes.len(),
        bytes: STANDARD.encode(shown),
        truncated: shown.len() < bytes.len(),
    }
}
