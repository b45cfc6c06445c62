//! How right detections were, in the same database as the tables.

use schemas::accuracy::{AccuracyStore, Confusion, Measurement, MeasurementId, StoredMeasurement};
use schemas::commit::StoreError;
use schemas::frame::Model;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::state::mysql::MySqlState;
use crate::state::mysql::connection::Link;
use crate::state::mysql::row::{Values, int, parse, source_id, text};

const KEEP: &str = "
    INSERT INTO accuracy (id, source, measured_at_ms, model_name, model_hash, confidence,
                          from_ms, to_ms, frames, lying_as_lying, lying_as_standing,
                          standing_as_lying, standing_as_standing, report)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON DUPLICATE KEY UPDATE measured_at_ms = GREATEST(measured_at_ms, ?)";

const OF_SOURCE: &str = "
    SELECT id, source, measured_at_ms, model_name, model_hash, confidence, from_ms, to_ms, frames,
           lying_as_lying, lying_as_standing, standing_as_lying, standing_as_standing, report
    FROM accuracy WHERE source = ?
    ORDER BY measured_at_ms DESC, id DESC LIMIT ?";

const NEWEST_OF_POSTURES: &str = "
    SELECT id, source, measured_at_ms, model_name, model_hash, confidence, from_ms, to_ms, frames,
           lying_as_lying, lying_as_standing, standing_as_lying, standing_as_standing, report
    FROM accuracy WHERE source = ?
      AND (0 < lying_as_lying OR 0 < lying_as_standing)
      AND (0 < standing_as_lying OR 0 < standing_as_standing)
    ORDER BY measured_at_ms DESC, id DESC LIMIT 1";

impl AccuracyStore for MySqlState {
    fn keep(&self, measurement: &Measurement) -> Result<MeasurementId, StoreError> {
        let id = measurement.id();
        self.write("keep a measurement in", async |link| keep(link, &id, measurement).await)?;
        Ok(id)
    }

    fn of_source(
        &self,
        source: SourceId,
        limit: u32,
    ) -> Result<Vec<StoredMeasurement>, StoreError> {
        self.read("read the measurements of", async |link| {
            link.rows(sqlx::query(OF_SOURCE).bind(source.get()).bind(limit), stored).await
        })
    }

    fn newest_of_postures(
        &self,
        source: SourceId,
    ) -> Result<Option<StoredMeasurement>, StoreError> {
        self.read("read the newest measurement of postures of", async |link| {
            let found = link.rows(sqlx::query(NEWEST_OF_POSTURES).bind(source.get()), stored).await;
            Ok(found?.pop())
        })
    }
}

async fn keep(link: &mut Link, id: &MeasurementId, measurement: &Measurement) -> sqlx::Result<()> {
    let Measurement {
        source,
        measured_at,
        model: Model { name, hash },
        confidence,
        from,
        to,
        frames,
        confusion,
        report,
    } = measurement;
    let Confusion { lying_as_lying, lying_as_standing, standing_as_lying, standing_as_standing } =
        *confusion;
    let mut values = Values::default();
    values.text(id.as_str())?;
    values.signed(source.get().into())?;
    values.signed(measured_at.get())?;
    values.text(name)?;
    values.text(hash)?;
    values.double((*confidence).into())?;
    values.signed(from.get())?;
    values.signed(to.get())?;
    values.int(*frames)?;
    values.int(lying_as_lying)?;
    values.int(lying_as_standing)?;
    values.int(standing_as_lying)?;
    values.int(standing_as_standing)?;
    values.text(&report.to_string())?;
    values.signed(measured_at.get())?;
    link.execute(sqlx::query_with(KEEP, values.into_arguments())).await?;
    Ok(())
}

fn stored(row: &MySqlRow) -> sqlx::Result<StoredMeasurement> {
    Ok(StoredMeasurement {
        id: parse(row, 0, |bytes| String::from_utf8_lossy(bytes).parse())?,
        measurement: Measurement {
            source: source_id(row, 1)?,
            measured_at: UnixMillis::new(row.try_get(2)?),
            model: Model { name: text(row, 3)?.into(), hash: text(row, 4)?.into() },
            confidence: row.try_get(5)?,
            from: UnixMillis::new(row.try_get(6)?),
            to: UnixMillis::new(row.try_get(7)?),
            frames: int(row, 8)?,
            confusion: Confusion {
                lying_as_lying: int(row, 9)?,
                lying_as_standing: int(row, 10)?,
                standing_as_lying: int(row, 11)?,
                standing_as_standing: int(row, 12)?,
            },
            report: parse(row, 13, |json| serde_json::from_slice(json))?,
        },
    })
}
