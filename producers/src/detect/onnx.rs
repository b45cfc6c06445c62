//! A model file, run by ONNX Runtime. The only file that names that library.
//!
//! # Invariants
//!
//! - The library is loaded once a process, when the first detector is.
//! - A detector that was loaded has run once: it works, and its shapes are those
//!   that its model really has.
//! - One thread a session: several cameras are several sessions. Between two
//!   pictures of one size nothing is allocated on our side.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::{Session, SessionOutputs};
use ort::value::{Tensor, TensorElementType, ValueType};
use schemas::frame::{ANIMALS_MAX, Detection, Model};
use sha2::{Digest, Sha256};

use crate::detect::contract::{Candidate, Contract, Reader, Shape};
use crate::detect::letterbox::{InputFormat, Placement, Resampler, Size};
use crate::detect::model::ModelFile;
use crate::detect::runtime::{RuntimeError, Surroundings};
use crate::detect::suppress::{Rivalry, suppress};
use crate::detect::{DetectError, Detector, names};
use crate::pixels::{Pixels, index};

/// What a detector is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxOptions {
    /// Where the model comes from.
    pub model: ModelFile,
    /// ONNX Runtime's library, if not where it is looked for.
    pub runtime: Option<PathBuf>,
    /// Only boxes surer than this are detections; none to take the model's own, or
    /// 0.25, with which Ultralytics' tools predict.
    pub confidence: Option<f32>,
    /// Boxes that overlap more than this are one object; none to take the model's own,
    /// or 0.45, with which Ultralytics' tools predict.
    pub iou_max: Option<f32>,
    /// Whether boxes of two classes can be one object; none to take the model's own
    /// word, or that they cannot.
    pub class_agnostic: Option<bool>,
    /// Where in the model's input a picture lies; none to take the model's own word, or
    /// what is usual in its [contract](crate::detect::contract).
    pub placement: Option<Placement>,
    /// The classes' names, in the model's order; none to take the model's own.
    pub classes: Vec<String>,
}

impl OnnxOptions {
    /// The defaults for `model`: what it says itself of how to be read.
    pub fn new(model: impl Into<ModelFile>) -> OnnxOptions {
        OnnxOptions {
            model: model.into(),
            runtime: None,
            confidence: None,
            iou_max: None,
            class_agnostic: None,
            placement: None,
            classes: Vec::new(),
        }
    }
}

/// A detector that runs an ONNX model on the processor.
pub struct OnnxDetector {
    session: Session,
    input: Tensor<f32>,
    contract: Contract,
    format: InputFormat,
    reader: Reader,
    /// For pictures of the size that was shown last.
    resampler: Option<Resampler>,
    candidates: Vec<Candidate>,
    model: Model,
    classes: Arc<[Arc<str>]>,
    confidence: f32,
    rivalry: Rivalry,
}

/// How sure a box must be where neither user nor model says.
const CONFIDENCE: f32 = 0.25;

/// How much boxes of one object overlap where neither user nor model says.
const IOU_MAX: f32 = 0.45;

/// The side of an input that a model leaves open and its metadata does not name.
const OPEN_SIDE: i64 = 640;

impl OnnxDetector {
    /// Loads a model, and ONNX Runtime if this is the first.
    ///
    /// # Errors
    ///
    /// The library or the model is missing, the file is no model, or the model is
    /// no detector of a [contract](crate::detect::contract) that is known.
    pub fn load(options: &OnnxOptions) -> Result<OnnxDetector, DetectError> {
        let from = &options.model;
        let bytes =
            from.read().map_err(|source| DetectError::Read { model: from.clone(), source })?;
        let model = identify(from, &bytes);
        let environment = environment(options.runtime.as_deref())?;
        let not_a_model = |reason: String| DetectError::NotAModel { model: from.clone(), reason };
        let mut session = open(&environment, from, &bytes)
            .map_err(|error| not_a_model(error.message().to_owned()))?;
        let metadata = |key: &str| session.metadata().ok().and_then(|all| all.custom(key));
        if let Some(task) = metadata("task").filter(|task| task != "detect") {
            return Err(DetectError::Task { model: from.clone(), task });
        }
        let (class_names, image_size) = (metadata("names"), metadata("imgsz"));
        let fraction = |key: &str| {
            let number: Option<f32> = metadata(key).and_then(|text| text.trim().parse().ok());
            number.filter(|number| (0.0..=1.0).contains(number))
        };
        let own_confidence = fraction("confidence");
        let agnostic = || metadata("class_agnostic").is_some_and(|text| text.trim() == "true");
        let own_placement = match metadata("placement").filter(|_| options.placement.is_none()) {
            None => None,
            Some(text) => Some(Placement::named(text.trim()).ok_or_else(|| {
                DetectError::Placement { model: from.clone(), placement: text.trim().to_owned() }
            })?),
        };
        let rivalry = Rivalry {
            iou_max: options.iou_max.or_else(|| fraction("iou_max")).unwrap_or(IOU_MAX),
            class_agnostic: options.class_agnostic.unwrap_or_else(agnostic),
        };

        let no_contract = |source| DetectError::NoContract { model: from.clone(), source };
        let mut inputs = shapes(session.inputs());
        let outputs = shapes(session.outputs());
        if let [Ok(input)] = inputs.as_mut_slice() {
            close(input, image_size.as_deref());
        }
        let input_size = Contract::input_size(&inputs, &outputs).map_err(no_contract)?;
        let side = |side: u32| i64::from(side);
        let shape = [1, 3, side(input_size.height), side(input_size.width)];
        let values = 3 * index(input_size.height) * index(input_size.width);
        let input = Tensor::from_array((shape, vec![0.0_f32; values]))
            .map_err(|error| not_a_model(error.message().to_owned()))?;
        if outputs.iter().all(is_known) {
            // Refused before it is run: a model of another kind may run for long.
            Contract::recognise(&inputs, &outputs).map_err(no_contract)?;
        }
        // What a model declares may leave sides open; what it answers may not.
        let outputs = trial(&mut session, &input).map_err(not_a_model)?;
        let contract = Contract::recognise(&inputs, &outputs).map_err(no_contract)?;
        let classes = names::resolve(contract.classes, &options.classes, class_names.as_deref())
            .map_err(|source| DetectError::Names { model: from.clone(), source })?;
        let usual = contract.input_format();
        let placement = options.placement.or(own_placement).unwrap_or(usual.placement);
        Ok(OnnxDetector {
            session,
            input,
            format: InputFormat { placement, ..usual },
            reader: contract.reader(),
            contract,
            resampler: None,
            candidates: Vec::new(),
            model,
            classes: classes.into(),
            confidence: options.confidence.or(own_confidence).unwrap_or(CONFIDENCE),
            rivalry,
        })
    }

    /// The contract that the model keeps.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// What the model is shown.
    pub fn input_format(&self) -> InputFormat {
        self.format
    }

    /// Only boxes that are surer than this are found.
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// The classes, in the model's order.
    pub fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    /// When one of its boxes falls for another.
    pub fn rivalry(&self) -> Rivalry {
        self.rivalry
    }

    /// The first half of [`detect`](Detector::detect): scales `picture` into the
    /// model's input.
    pub fn prepare(&mut self, picture: &Pixels<'_>) {
        let size = Size { width: picture.width(), height: picture.height() };
        let (_, tensor) = self.input.extract_tensor_mut();
        let resampler = match self.resampler.take() {
            Some(resampler) if resampler.fits(size) => resampler,
            _ => {
                let resampler = Resampler::new(size, self.format);
                resampler.fill(tensor);
                resampler
            }
        };
        self.resampler.insert(resampler).scale(picture, tensor);
    }

    /// The second half: replaces `found` by the boxes of the picture that was
    /// [prepared](OnnxDetector::prepare) last; none if none was.
    ///
    /// # Errors
    ///
    /// The model could not be run.
    pub fn infer(&mut self, found: &mut Vec<Detection>) -> Result<(), DetectError> {
        found.clear();
        let Some(resampler) = &self.resampler else { return Ok(()) };
        let error = |reason| DetectError::Run { model: self.model.name.to_string(), reason };
        let outputs = self.session.run([(&self.input).into()]);
        let outputs = outputs.map_err(|cause| error(cause.message().to_owned()))?;
        let output = match outputs[0].try_extract_tensor::<f32>() {
            Ok((_, output)) => output,
            Err(cause) => return Err(error(cause.message().to_owned())),
        };
        if output.len() != self.reader.values() {
            return Err(error(format!(
                "it answered {} values of {}",
                output.len(),
                self.reader.values()
            )));
        }
        self.candidates.clear();
        self.reader.read(output, self.confidence, &mut self.candidates);
        suppress(&mut self.candidates, self.rivalry, index(ANIMALS_MAX));
        let letterbox = resampler.letterbox();
        found.extend(self.candidates.iter().filter_map(|candidate| {
            let [x, y, w, h] = letterbox.to_picture(candidate.corners)?;
            let class = Arc::clone(&self.classes[candidate.class]);
            Some(Detection { class, confidence: candidate.confidence, x, y, w, h })
        }));
        Ok(())
    }
}

impl Detector for OnnxDetector {
    fn model(&self) -> &Model {
        &self.model
    }

    fn detect(
        &mut self,
        picture: &Pixels<'_>,
        found: &mut Vec<Detection>,
    ) -> Result<(), DetectError> {
        self.prepare(picture);
        self.infer(found)
    }
}

/// The model's name and the hash of its bytes.
fn identify(from: &ModelFile, bytes: &[u8]) -> Model {
    let digest = Sha256::digest(bytes);
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Model { name: from.name().as_ref().into(), hash: hash.into() }
}

/// The process's one environment, made on the first call.
fn environment(named: Option<&Path>) -> Result<Environment, RuntimeError> {
    static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let surroundings = Surroundings::of_process();
    let mut tried = Vec::new();
    for candidate in surroundings.candidates(named) {
        match load(&candidate) {
            Ok(environment) => {
                tracing::info!(library = %candidate.display(), "loaded ONNX Runtime");
                return Ok(loaded.insert(environment).clone());
            }
            Err(outcome) => tried.push((candidate, outcome)),
        }
    }
    let only_named = named.is_some() || surroundings.variable.is_some();
    let folders = if only_named { Vec::new() } else { surroundings.folders() };
    Err(RuntimeError { tried, folders })
}

fn load(library: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(library).map_err(|error| error.to_string())?;
    builder
        .with_name("animov")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, category: &str, _: &str, _: &str, message: &str| {
            tracing::debug!(?level, category, message, "ONNX Runtime says");
        }))
        .build()
        .map_err(|error| error.message().to_owned())
}

fn open(environment: &Environment, from: &ModelFile, bytes: &[u8]) -> ort::Result<Session> {
    let mut builder =
        Session::builder(environment)?.with_intra_threads(1)?.with_inter_threads(1)?;
    match from.path() {
        // Weights beside the file are found from its path.
        Some(path) => builder.commit_from_file(path),
        None => builder.commit_from_memory(bytes),
    }
}

/// The shapes of a model's inputs or outputs; what is no tensor of floats, in words.
fn shapes(outlets: &[ort::value::Outlet]) -> Vec<Shape> {
    outlets.iter().map(|outlet| shape(outlet.dtype())).collect()
}

fn shape(kind: &ValueType) -> Shape {
    match kind {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Ok(shape.to_vec()),
        ValueType::Tensor { ty, shape, .. } => Err(format!("{ty} {:?}", shape.to_vec())),
        other => Err(format!("{other}")),
    }
}

/// Whether no side is left open.
fn is_known(shape: &Shape) -> bool {
    shape.as_ref().is_ok_and(|sides| sides.iter().all(|side| 0 < *side))
}

/// Gives the open sides of `[batch, 3, H, W]` a length: one picture, and the size
/// that the model was trained for (`[H, W]`, as Ultralytics writes it).
fn close(input: &mut [i64], image_size: Option<&str>) {
    let trained: Vec<i64> = image_size
        .map(|text| {
            text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
        })
        .unwrap_or_default();
    let [batch, channels, height, width] = input else { return };
    let (tall, wide) = match trained.as_slice() {
        [tall, wide] => (*tall, *wide),
        [side] => (*side, *side),
        _ => (OPEN_SIDE, OPEN_SIDE),
    };
    for (side, length) in [(batch, 1), (channels, 3), (height, tall), (width, wide)] {
        if *side < 1 {
            *side = length;
        }
    }
}

/// Runs the model once and tells the shapes of what it answered.
fn trial(session: &mut Session, input: &Tensor<f32>) -> Result<Vec<Shape>, String> {
    let outputs: SessionOutputs<'_> =
        session.run([input.into()]).map_err(|error| error.message().to_owned())?;
    Ok(outputs.values().map(|value| shape(value.dtype())).collect())
}
