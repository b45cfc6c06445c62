//! The options of every command that runs a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use producers::detect::onnx::OnnxOptions;
use producers::input::Input;
use schemas::source::SourceId;

use crate::config::Config;

// Not a doc comment: it would take the place of the command's own help.
// Which model, how it is run, and how sure it must be.
#[derive(clap::Args, Debug)]
pub(super) struct ModelArgs {
    /// The model, an ONNX file [default: the configuration's, else the built-in one,
    /// for drawn goats]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// ONNX Runtime's library [default: the configuration's, else looked for in
    /// `ORT_DYLIB_PATH`, beside this program, in ~/.cache/animov/onnxruntime and in the system]
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,

    /// Take only boxes surer than this, 0 to 1 [default: the configuration's,
    /// else the model's own, else 0.25]
    #[arg(long, value_name = "FRACTION", value_parser = fraction::<f32>)]
    pub(super) confidence: Option<f32>,
}

impl ModelArgs {
    /// How the model is to be run; `classes` are names of its classes, unless empty.
    pub(super) fn options(&self, config: &Config, classes: &[String]) -> OnnxOptions {
        self.options_of(config, None, classes)
    }

    /// The same of a camera of the site: without another word, with its own model.
    pub(super) fn options_of(
        &self,
        config: &Config,
        camera: Option<SourceId>,
        classes: &[String],
    ) -> OnnxOptions {
        let camera = config.camera.iter().find(|known| camera == Some(known.source));
        let of_camera = camera.and_then(|camera| camera.model.as_ref());
        let mut options = config.detector.options(self.model.as_ref().or(of_camera));
        if let Some(runtime) = &self.runtime {
            options.runtime = Some(runtime.clone());
        }
        if let Some(confidence) = self.confidence {
            options.confidence = Some(confidence);
        }
        if !classes.is_empty() {
            options.classes = classes.to_vec();
        }
        options
    }
}

/// Reads a number from 0 to 1.
pub(super) fn fraction<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let number = text.parse::<T>().ok();
    let within = number.filter(|number| (T::from(0)..=T::from(1)).contains(number));
    within.ok_or_else(|| "write a number from 0 to 1".to_owned())
}

/// What pictures of `input` are called in files: its name without folder and ending.
pub(super) fn stem(input: &str) -> String {
    let stem = Path::new(input).file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    stem.chars().map(plain).collect()
}

/// What pictures of each input are called, so that none overwrites another's.
///
/// # Errors
///
/// Two would be called the same.
pub(super) fn stems(inputs: &[String]) -> anyhow::Result<Vec<String>> {
    let mut known = BTreeMap::new();
    for input in inputs {
        if let Some(other) = known.insert(stem(input), input) {
            let [other, input] = [other, input].map(Input::new);
            bail!(
                "{other} and {input} would give pictures of the same names; write them into folders \
                 of their own, one after the other"
            );
        }
    }
    Ok(inputs.iter().map(|input| stem(input)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_is_a_fraction() {
        assert_eq!(fraction::<f64>("0.4"), Ok(0.4));
        for wrong in ["1.4", "-0.1", "NaN", "x"] {
            assert!(fraction::<f32>(wrong).is_err(), "{wrong}");
        }
    }
}
