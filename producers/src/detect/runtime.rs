//! Where ONNX Runtime's library may be.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The variable that names the library itself.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library's name without its version.
const LIBRARY: &str = "libonnxruntime.so";

/// What this process's surroundings say about where to look.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `$ORT_DYLIB_PATH`.
    pub variable: Option<OsString>,
    /// The folder of the executable.
    pub executable: Option<PathBuf>,
    /// `$XDG_CACHE_HOME`, or `~/.cache`.
    pub cache: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Surroundings {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        Surroundings {
            variable: set(VARIABLE),
            executable: env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)),
            cache: set("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache"))),
        }
    }

    /// The libraries to try, in this order. Whoever names one means that one: then
    /// there is no other.
    pub fn candidates(&self, named: Option<&Path>) -> Vec<PathBuf> {
        if let Some(path) = named {
            return vec![path.to_owned()];
        }
        if let Some(path) = &self.variable {
            return vec![path.into()];
        }
        let mut found: Vec<PathBuf> =
            self.folders().iter().filter_map(|folder| newest_in(folder)).collect();
        // A bare name is looked up by the system's loader.
        found.extend([LIBRARY, "libonnxruntime.so.1"].map(PathBuf::from));
        found
    }

    /// The folders that [`candidates`](Surroundings::candidates) looks into.
    pub fn folders(&self) -> Vec<PathBuf> {
        let beside = self
            .executable
            .iter()
            .flat_map(|folder| [folder.clone(), folder.join("../lib/animov")]);
        let cached = self.cache.iter().map(|cache| cache.join("animov/onnxruntime"));
        beside.chain(cached).collect()
    }
}

/// The library of the highest version in `folder`.
fn newest_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some((version(name.strip_prefix(LIBRARY)?)?, name)))
        .max()
        .map(|(_, name)| folder.join(name))
}

/// The numbers of `.1.24.4`; none for the bare name.
fn version(suffix: &str) -> Option<Vec<u32>> {
    if suffix.is_empty() {
        return Some(Vec::new());
    }
    suffix.strip_prefix('.')?.split('.').map(|part| part.parse().ok()).collect()
}

/// ONNX Runtime could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeError {
    /// Each library tried, and what became of it.
    pub tried: Vec<(PathBuf, String)>,
    /// The folders that were searched.
    pub folders: Vec<PathBuf>,
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not load ONNX Runtime, which runs the detector; tried")?;
        for (path, outcome) in &self.tried {
            write!(f, " {} ({outcome}),", path.display())?;
        }
        if !self.folders.is_empty() {
            write!(f, " and looked for {LIBRARY}* in")?;
            for folder in &self.folders {
                write!(f, " {},", folder.display())?;
            }
        }
        write!(
            f,
            " in vain. Run scripts/install-onnxruntime, or name the library in detector.runtime or \
             in {VARIABLE}"
        )
    }
}

impl std::error::Error for RuntimeError {}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn who_names_a_library_gets_that_one() {
        let surroundings = Surroundings {
            variable: Some("/opt/ort.so".into()),
            executable: Some("/usr/bin".into()),
            cache: None,
        };
        let named = Path::new("/etc/mine.so");
        assert_eq!(surroundings.candidates(Some(named)), [named]);
        assert_eq!(surroundings.candidates(None), [Path::new("/opt/ort.so")]);
    }

    #[test]
    fn the_nearest_folder_and_the_newest_version_come_first() {
        let root = tempfile::tempdir().unwrap();
        let (bin, lib) = (root.path().join("bin"), root.path().join("lib/animov"));
        let cached = root.path().join("cache/animov/onnxruntime");
        for folder in [&bin, &lib, &cached] {
            fs::create_dir_all(folder).unwrap();
        }
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.24.4",
            "libonnxruntime.so",
            "libonnxruntime.so.1.part",
        ] {
            fs::write(cached.join(name), "").unwrap();
        }
        fs::write(lib.join("libonnxruntime.so"), "").unwrap();
        fs::write(lib.join("libonnxruntime_providers_shared.so"), "").unwrap();
        let surroundings = Surroundings {
            variable: None,
            executable: Some(bin.clone()),
            cache: Some(root.path().join("cache")),
        };
        assert_eq!(
            surroundings.candidates(None),
            [
                bin.join("../lib/animov/libonnxruntime.so"),
                cached.join("libonnxruntime.so.1.24.4"),
                "libonnxruntime.so".into(),
                "libonnxruntime.so.1".into(),
            ]
        );
    }

    #[test]
    fn the_error_says_what_was_tried_and_what_to_do() {
        let error = RuntimeError {
            tried: vec![("/opt/ort.so".into(), "no such file".to_owned())],
            folders: vec!["/usr/lib/animov".into()],
        };
        insta::assert_snapshot!(error, @"could not load ONNX Runtime, which runs the detector; tried /opt/ort.so (no such file), and looked for libonnxruntime.so* in /usr/lib/animov, in vain. Run scripts/install-onnxruntime, or name the library in detector.runtime or in ORT_DYLIB_PATH");
    }
}
