//! The result of one comparison: what was compared, and the figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::accuracy::Measurement;
use schemas::frame::Model;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use serde::Serialize;
use serde_json::Value;

use crate::bootstrap::Plan;
use crate::comparison::Comparison;
use crate::figures::Figures;

/// What was compared with what, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    pub source: Option<SourceId>,
    /// Where labels are from.
    pub labels: String,
    pub labels_form: &'static str,
    /// Where detections are from.
    pub detections: String,
    pub model: Option<Model>,
    /// Detections below this were left out; none: as they were recorded.
    pub confidence: Option<f32>,
    /// From this overlap on, a detection may have found an animal.
    pub iou_min: f64,
    /// Animals of which less is to be seen are not asked for; none: nothing is known of it.
    pub visible_min: Option<f64>,
    pub lying: Vec<Arc<str>>,
    pub standing: Vec<Arc<str>>,
    pub bootstrap: Plan,
}

/// Which frames were compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frames {
    /// Labelled frames that were compared.
    pub compared: u64,
    /// Labels without a picture.
    pub labels_alone: u64,
    /// Pictures without a label.
    pub pictures_alone: u64,
    /// Event time of the first and the last, if known.
    pub from: Option<UnixMillis>,
    pub to: Option<UnixMillis>,
    /// Detections of classes that nobody labelled, which were left out.
    pub unlabelled_classes: BTreeMap<Arc<str>, u64>,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub setting: Setting,
    pub frames: Frames,
    #[serde(flatten)]
    pub figures: Figures,
}

/// Why a report cannot be kept with a site's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    #[error("whose camera it was is not known: name it with --source NUMBER")]
    Source,
    #[error(
        "which model looked is not known, or there were several: detections in a file do not say \
         it; of frames, choose those of one model with --from and --to"
    )]
    Model,
    #[error("when frames were captured is not known: say when the video began with --start TIME")]
    Time,
}

impl Frames {
    /// Of what was compared; `alone` are labels and pictures that were not.
    pub fn of(comparison: &Comparison, alone: (usize, usize)) -> Frames {
        let whole = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let times = || comparison.pictures.iter().filter_map(|p| p.picture.captured_at);
        Frames {
            compared: whole(comparison.pictures.len()),
            labels_alone: whole(alone.0),
            pictures_alone: whole(alone.1),
            from: times().min(),
            to: times().max(),
            unlabelled_classes: comparison.unlabelled.clone(),
        }
    }
}

impl Report {
    /// As it is printed: by way of the text, since a number of single precision would get
    /// digits that it does not have.
    fn as_printed(&self) -> Value {
        let text = serde_json::to_string(self).expect("numbers and texts have a JSON form");
        serde_json::from_str(&text).expect("what was just written is JSON")
    }

    /// The report as a site's tables keep it.
    ///
    /// # Errors
    ///
    /// What identifies a measurement is not known.
    pub fn measurement(&self, measured_at: UnixMillis) -> Result<Measurement, NotKept> {
        let source = self.setting.source.ok_or(NotKept::Source)?;
        let model = self.setting.model.clone().ok_or(NotKept::Model)?;
        let (from, to) = self.frames.from.zip(self.frames.to).ok_or(NotKept::Time)?;
        let postures = self.figures.boxes.as_ref().map(|boxes| boxes.postures.confusion);
        Ok(Measurement {
            source,
            measured_at,
            model,
            confidence: self.setting.confidence.unwrap_or(0.0),
            from,
            to: UnixMillis::new(to.get().saturating_add(1)),
            frames: self.frames.compared,
            confusion: postures.unwrap_or_default(),
            report: self.as_printed(),
        })
    }
}
