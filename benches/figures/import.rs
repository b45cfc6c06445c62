//! `animov import counts` of newline JSON against DuckDB grouping the same file.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::{in_turn, median};
use crate::replay::as_float;
use crate::{ANIMOV, Figure, folder, frames, say};

const RUNS: usize = 3;

pub(crate) fn figures() -> io::Result<Vec<Figure>> {
    let Some(python) = std::env::var_os("ANIMOV_BENCH_PYTHON").map(PathBuf::from) else {
        say("import: left out, no Python with DuckDB (run it through `make bench`)")?;
        return Ok(Vec::new());
    };
    let folder = folder()?;
    let (file, state) = (folder.path().join("herd.ndjson"), folder.path().join("state"));
    let count = frames();
    say(&format!("writing {count} frames as newline JSON"))?;
    let written = Command::new(ANIMOV)
        .args(["simulate", "--counts-only", "--sources", "64", "--every", "1s", "--seed", "1"])
        .args(["--frames", &count.to_string(), "--format", "ndjson"])
        .stdout(std::fs::File::create(&file)?)
        .stderr(Stdio::null())
        .status()?;
    if !written.success() {
        return Err(io::Error::other(format!("simulate ended with {written}")));
    }
    let pairs = in_turn(RUNS, || import(&file, &state), || duckdb(&python, &file))?;
    let per_million = |cpu: f64| cpu / (as_float(count) / 1e6);
    let ours = median(pairs.iter().map(|(ours, _)| per_million(ours.cpu)).collect());
    let reference = median(pairs.iter().map(|(_, duckdb)| per_million(duckdb.cpu)).collect());
    let ratio = median(pairs.iter().map(|(ours, duckdb)| ours.cpu / duckdb.cpu).collect());
    let memory = pairs.iter().map(|(ours, _)| ours.memory).max().unwrap_or(0) >> 20;
    let theirs = pairs.iter().map(|(_, duckdb)| duckdb.memory).max().unwrap_or(0) >> 20;
    Ok(vec![Figure {
        what: format!("import of {count} frames as newline JSON: CPU seconds per million frames"),
        ours: format!("{ours:.3} (peak memory {memory} MiB; deduplicated and durable)"),
        reference: format!("{reference:.3} (DuckDB, the same windows; peak memory {theirs} MiB)"),
        ratio,
        goal: "at most 0.6",
    }])
}

fn import(file: &Path, state: &Path) -> Command {
    _ = std::fs::remove_dir_all(state);
    let mut command = Command::new(ANIMOV);
    command.args(["import", "counts"]).arg(file).arg("--state").arg(state).stderr(Stdio::null());
    command
}

fn duckdb(python: &Path, file: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/figures/import.py")).arg(file);
    command
}
