//! The figures, each as a ratio to a named reference that is measured in the same
//! run: `make bench`, or `scripts/bench replay` for one of them.
//!
//! Machines differ and are noisy; ratios of processor time, taken in turn, are
//! what can be compared.

mod import;
mod measure;
mod plain;
mod reading;
mod replay;
mod servers;
mod video;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The program that is measured.
pub(crate) const ANIMOV: &str = env!("CARGO_BIN_EXE_animov");

/// One line of the report.
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) reference: String,
    pub(crate) ratio: f64,
    pub(crate) goal: &'static str,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    // References that are loops of ours run as child processes of their own.
    if let [word, rest @ ..] = arguments.as_slice() {
        match (word.as_str(), rest) {
            ("plain-minutes", [folder]) => return plain::run(Path::new(folder), 1),
            ("plain-all-sizes", [folder]) => return plain::run(Path::new(folder), 5),
            ("decode", [file]) => return video::decode(file),
            ("detect", [model, rounds]) => return video::detect(model, rounds),
            ("bare-onnx", [model, rounds]) => return video::bare(model, rounds),
            _ => {}
        }
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|a| a == name);
    let mut figures = Vec::new();
    if wanted("video") {
        figures.extend(video::figures()?);
    }
    if wanted("replay") {
        figures.extend(replay::figures()?);
    }
    if wanted("import") {
        figures.extend(import::figures()?);
    }
    if wanted("reading") {
        figures.extend(reading::figures()?);
    }
    if wanted("servers") {
        figures.extend(servers::figures()?);
    }
    for Figure { what, ours, reference, ratio, goal } in figures {
        say(&format!(
            "{what}\n  ours       {ours}\n  reference  {reference}\n  ratio      {ratio:.2} (goal {goal})\n"
        ))?;
    }
    Ok(())
}

/// Prints a line.
pub(crate) fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// How many frames the large figures use; `ANIMOV_BENCH_FRAMES` makes it fewer.
pub(crate) fn frames() -> u64 {
    let chosen = std::env::var("ANIMOV_BENCH_FRAMES").ok().and_then(|text| text.parse().ok());
    chosen.unwrap_or(20_000_000)
}

/// A new folder for one figure's files, outside the memory file system.
pub(crate) fn folder() -> io::Result<tempfile::TempDir> {
    let base = std::env::var_os("ANIMOV_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(base)
}
