//! Why labels cannot be used.

use std::path::PathBuf;

/// What is wrong with labels, and where.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    #[error("could not read the labels {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },

    #[error("{}, line {line}: {what}", path.display())]
    Line { path: PathBuf, line: u64, what: String },

    #[error("{}: {what}", path.display())]
    File { path: PathBuf, what: String },

    #[error("{} is no COCO file of boxes", path.display())]
    NotCoco { path: PathBuf, source: serde_json::Error },

    #[error(
        "there is no label in {} (read as {form}); if they are written otherwise, say so with \
         --labels-form", path.display()
    )]
    Nothing { path: PathBuf, form: &'static str },

    #[error("the labels know no class {class:?}; they know {known}")]
    NoSuchClass { class: String, known: String },
}
