//! Where a model comes from: a file, or this program itself.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// The model that comes with the program: goats, standing and lying. What it was trained
/// on, and what it can do, is told in `models/README.md`.
static GOATS: &[u8] = include_bytes!("../../../models/goats.onnx");

/// A model that can be loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelFile {
    /// The one that comes with the program.
    #[default]
    BuiltIn,
    /// A user's own.
    File(PathBuf),
}

impl ModelFile {
    /// The bytes of the ONNX file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(&self) -> std::io::Result<Cow<'static, [u8]>> {
        match self {
            ModelFile::BuiltIn => Ok(Cow::Borrowed(GOATS)),
            ModelFile::File(path) => std::fs::read(path).map(Cow::Owned),
        }
    }

    /// What frames call it: the name of its file.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            ModelFile::BuiltIn => "goats.onnx".into(),
            ModelFile::File(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy(),
        }
    }

    /// Its path, if it is a file: data that it keeps beside itself lies there.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ModelFile::BuiltIn => None,
            ModelFile::File(path) => Some(path),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for ModelFile {
    fn from(path: P) -> ModelFile {
        ModelFile::File(path.into())
    }
}

impl fmt::Display for ModelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelFile::BuiltIn => f.write_str("the built-in model"),
            ModelFile::File(path) => path.display().fmt(f),
        }
    }
}
