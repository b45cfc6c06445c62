//! What a detector is, and the parts that every detector is made of.
//!
//! A detector is shown pixels and answers with boxes. [`onnx`] runs a model file;
//! the rest is arithmetic: [`letterbox`] fits a picture into a model's input,
//! [`contract`] reads a model's output, [`suppress`] leaves one box an object,
//! [`names`] says what classes are called, [`runtime`] where ONNX Runtime may be.

pub mod contract;
pub mod letterbox;
pub mod names;
pub mod onnx;
pub mod runtime;
pub mod suppress;

use std::path::PathBuf;

use schemas::frame::{Detection, Model};

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

    #[error("could not read the model {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },

    #[error("{} is no ONNX model that this ONNX Runtime can run: {reason}", path.display())]
    NotAModel { path: PathBuf, reason: String },

    #[error("{} cannot be used as a detector: {source}", path.display())]
    NoContract { path: PathBuf, source: contract::NoContract },

    #[error("{} says that its task is {task:?}; animov needs a model for the task \"detect\"", path.display())]
    Task { path: PathBuf, task: String },

    #[error("the classes of {} have no usable names: {source}", path.display())]
    Names { path: PathBuf, source: names::InvalidNames },

    #[error("the model {model} could not be run on a picture: {reason}")]
    Run { model: String, reason: String },
}
