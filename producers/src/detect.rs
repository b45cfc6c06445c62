//! What a detector is, and the parts that every detector is made of.
//!
//! A detector is shown pixels and answers with boxes. [`onnx`] runs a model file;
//! the rest is arithmetic: [`letterbox`] fits a picture into a model's input,
//! [`contract`] reads a model's output, [`suppress`] leaves one box an object,
//! [`names`] says what classes are called, [`model`] where a model comes from, [`runtime`] where ONNX Runtime may be.

pub mod contract;
pub mod letterbox;
pub mod model;
pub mod names;
pub mod onnx;
pub mod runtime;
pub mod suppress;

use schemas::frame::{Detection, Model};

use crate::detect::model::ModelFile;
use crate::pixels::Pixels;

/// Finds animals in pictures.
pub trait Detector: Send {
    /// What looks, as each frame says it.
    fn model(&self) -> &Model;

    /// Replaces `found` by the boxes of `picture`, the surest first. Each passes
    /// [`Detection::check`], and there are at most
    /// [`ANIMALS_MAX`](schemas::frame::ANIMALS_MAX).
    ///
    /// # Errors
    ///
    /// The model could not be run.
    fn detect(
        &mut self,
        picture: &Pixels<'_>,
        found: &mut Vec<Detection>,
    ) -> Result<(), DetectError>;
}

/// Why there is no detector, or no answer from it.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    #[error(transparent)]
    Runtime(#[from] runtime::RuntimeError),

    #[error("could not read the model {model}")]
    Read { model: ModelFile, source: std::io::Error },

    #[error("{model} is no ONNX model that this ONNX Runtime can run: {reason}")]
    NotAModel { model: ModelFile, reason: String },

    #[error("{model} cannot be used as a detector: {source}")]
    NoContract { model: ModelFile, source: contract::NoContract },

    #[error("{model} says that its task is {task:?}; animov needs a model for the task \"detect\"")]
    Task { model: ModelFile, task: String },

    #[error(
        "{model} says that its placement is {placement:?}; animov knows \"top-left\", \"centre\" and \
         \"stretch\": say with detector.placement how pictures lie in its input"
    )]
    Placement { model: ModelFile, placement: String },

    #[error("the classes of {model} have no usable names: {source}")]
    Names { model: ModelFile, source: names::InvalidNames },

    #[error("the model {model} could not be run on a picture: {reason}")]
    Run { model: String, reason: String },
}
