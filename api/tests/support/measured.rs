//! How right detections were, in memory.

use std::cmp::Reverse;
use std::sync::Mutex;

use schemas::accuracy::{AccuracyStore, Measurement, MeasurementId, StoredMeasurement};
use schemas::commit::StoreError;
use schemas::source::SourceId;

/// Measurements as they came; none is kept twice.
#[derive(Default)]
pub struct MemoryAccuracy {
    pub kept: Mutex<Vec<Measurement>>,
    /// Answer every call with this.
    pub failure: Mutex<Option<fn() -> StoreError>>,
}

impl AccuracyStore for MemoryAccuracy {
    fn keep(&self, measurement: &Measurement) -> Result<MeasurementId, StoreError> {
        self.kept.lock().unwrap().push(measurement.clone());
        Ok(measurement.id())
    }

    fn of_source(
        &self,
        source: SourceId,
        limit: u32,
    ) -> Result<Vec<StoredMeasurement>, StoreError> {
        self.failure.lock().unwrap().map_or(Ok(()), |failure| Err(failure()))?;
        let kept = self.kept.lock().unwrap();
        let of_source = kept.iter().filter(|measurement| measurement.source == source);
        let mut of_source: Vec<StoredMeasurement> = of_source
            .map(|measurement| StoredMeasurement {
                id: measurement.id(),
                measurement: measurement.clone(),
            })
            .collect();
        of_source.sort_by_key(|stored| Reverse(stored.measurement.measured_at));
        of_source.truncate(limit.try_into().unwrap());
        Ok(of_source)
    }

    fn newest_of_postures(
        &self,
        source: SourceId,
    ) -> Result<Option<StoredMeasurement>, StoreError> {
        let of_postures = |stored: &StoredMeasurement| {
            let confusion = stored.measurement.confusion;
            0 < confusion.lying() && 0 < confusion.standing()
        };
        Ok(self.of_source(source, u32::MAX)?.into_iter().find(of_postures))
    }
}
