//! The report as files, and on standard output.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use accuracy::{plot, tables};
use anyhow::Context;

use super::Measured;
use crate::output;

/// Writes the report into `folder`, if there is one, and prints it.
///
/// # Errors
///
/// A file or standard output cannot be written.
pub(super) fn write(folder: Option<&Path>, measured: &Measured) -> anyhow::Result<()> {
    let Measured { report, comparison } = measured;
    if let Some(folder) = folder {
        let plots = plot::all(comparison, &report.figures)?;
        let names: Vec<&str> = plots.iter().map(|(name, _)| *name).collect();
        let json = serde_json::to_string_pretty(report)? + "\n";
        fs::create_dir_all(folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        save(folder, "report.json", json.as_bytes())?;
        save(folder, "report.md", report.markdown(&names).as_bytes())?;
        for (name, svg) in &plots {
            save(folder, name, svg.as_bytes())?;
        }
        let table = |name: &str| -> anyhow::Result<_> {
            let path = folder.join(name);
            let made = File::create(&path);
            Ok(BufWriter::new(made.with_context(|| format!("could not make {}", path.display()))?))
        };
        tables::frames(comparison, table("frames.csv")?).context("could not write frames.csv")?;
        tables::boxes(comparison, table("boxes.csv")?).context("could not write boxes.csv")?;
    }
    let mut out = output::open(None)?;
    let written = out.write_all(report.markdown(&[]).trim_end().as_bytes());
    output::unless_closed(written.and_then(|()| writeln!(out)).and_then(|()| out.flush()))?;
    Ok(())
}

fn save(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("could not write {}", path.display()))
}
