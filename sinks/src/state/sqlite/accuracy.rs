//! How right detections were, in the same file as the tables.

use rusqlite::{Connection, Row, params};
use schemas::accuracy::{AccuracyStore, Confusion, Measurement, MeasurementId, StoredMeasurement};
use schemas::commit::StoreError;
use schemas::frame::Model;
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use crate::sqlite::row::{Int, from_int, parse, source_id};
use crate::state::sqlite::SqliteState;

const KEEP: &str = "
    INSERT INTO accuracy (id, source, measured_at_ms, model_name, model_hash, confidence,
                          from_ms, to_ms, frames, lying_as_lying, lying_as_standing,
                          standing_as_lying, standing_as_standing, report)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
    ON CONFLICT DO UPDATE SET measured_at_ms = max(measured_at_ms, excluded.measured_at_ms)";

const OF_SOURCE: &str = "
    SELECT id, source, measured_at_ms, model_name, model_hash, confidence, from_ms, to_ms, frames,
           lying_as_lying, lying_as_standing, standing_as_lying, standing_as_standing, report
    FROM accuracy WHERE source = ?1
    ORDER BY measured_at_ms DESC, id DESC LIMIT ?2";

const NEWEST_OF_POSTURES: &str = "
    SELECT id, source, measured_at_ms, model_name, model_hash, confidence, from_ms, to_ms, frames,
           lying_as_lying, lying_as_standing, standing_as_lying, standing_as_standing, report
    FROM accuracy WHERE source = ?1
      AND (0 < lying_as_lying OR 0 < lying_as_standing)
      AND (0 < standing_as_lying OR 0 < standing_as_standing)
    ORDER BY measured_at_ms DESC, id DESC LIMIT 1";

impl AccuracyStore for SqliteState {
    fn keep(&self, measurement: &Measurement) -> Result<MeasurementId, StoreError> {
        let id = measurement.id();
        self.write("keep a measurement in", |connection| keep(connection, &id, measurement))?;
        Ok(id)
    }

    fn of_source(
        &self,
        source: SourceId,
        limit: u32,
    ) -> Result<Vec<StoredMeasurement>, StoreError> {
        self.read("read the measurements of", |connection| {
            let mut find = connection.prepare_cached(OF_SOURCE)?;
            find.query_map(params![source.get(), limit], stored)?.collect()
        })
    }

    fn newest_of_postures(
        &self,
        source: SourceId,
    ) -> Result<Option<StoredMeasurement>, StoreError> {
        self.read("read the newest measurement of postures of", |connection| {
            let mut find = connection.prepare_cached(NEWEST_OF_POSTURES)?;
            find.query_map(params![source.get()], stored)?.next().transpose()
        })
    }
}

fn keep(
    connection: &Connection,
    id: &MeasurementId,
    measurement: &Measurement,
) -> rusqlite::Result<()> {
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
    connection.prepare_cached(KEEP)?.execute(params![
        id.as_str(),
        source.get(),
        measured_at.get(),
        &**name,
        &**hash,
        confidence,
        from.get(),
        to.get(),
        Int(*frames),
        Int(lying_as_lying),
        Int(lying_as_standing),
        Int(standing_as_lying),
        Int(standing_as_standing),
        report.to_string(),
    ])?;
    Ok(())
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredMeasurement> {
    let name: String = row.get(3)?;
    let hash: String = row.get(4)?;
    Ok(StoredMeasurement {
        id: parse(row, 0, |bytes| String::from_utf8_lossy(bytes).parse())?,
        measurement: Measurement {
            source: source_id(row, 1)?,
            measured_at: UnixMillis::new(row.get(2)?),
            model: Model { name: name.into(), hash: hash.into() },
            confidence: row.get(5)?,
            from: UnixMillis::new(row.get(6)?),
            to: UnixMillis::new(row.get(7)?),
            frames: from_int(row, 8)?,
            confusion: Confusion {
                lying_as_lying: from_int(row, 9)?,
                lying_as_standing: from_int(row, 10)?,
                standing_as_lying: from_int(row, 11)?,
                standing_as_standing: from_int(row, 12)?,
            },
            report: parse(row, 13, |json| serde_json::from_slice(json))?,
        },
    })
}
