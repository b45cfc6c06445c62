//! The comparison itself, as CSV: so that anybody can compute every figure again.

use std::io::Write;

use crate::comparison::{Comparison, Outcome};

/// One line a frame: when, under which conditions, and how many of each class there were
/// and were detected.
///
/// # Errors
///
/// `out` cannot be written.
pub fn frames(comparison: &Comparison, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let fixed = ["picture", "t_ms", "captured_at", "night", "occluded", "animals"];
    let classes = comparison.classes.iter();
    let names =
        classes.flat_map(|class| ["true", "detected"].map(|side| format!("{side} {class}")));
    writer.write_record(fixed.map(str::to_owned).into_iter().chain(names))?;
    for picture in &comparison.pictures {
        let text = |value: Option<String>| value.unwrap_or_default();
        let about = [
            picture.picture.to_string(),
            text(picture.picture.t_ms.map(|ms| ms.to_string())),
            text(picture.picture.captured_at.map(|at| at.get().to_string())),
            text(picture.night.map(|night| night.to_string())),
            text(picture.occluded.map(|share| share.to_string())),
            picture.animals.to_string(),
        ];
        let counts = picture.truth.iter().zip(&picture.detected);
        let counts = counts.flat_map(|(truth, found)| [truth.to_string(), found.to_string()]);
        writer.write_record(about.into_iter().chain(counts))?;
    }
    Ok(writer.flush()?)
}

/// One line a box: what it is, what it was detected as, and how much the two overlap; empty
/// where one of the two is missing.
///
/// # Errors
///
/// `out` cannot be written.
pub fn boxes(comparison: &Comparison, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["picture", "true", "detected", "iou"])?;
    let name = |class: Option<usize>| {
        class.map_or(String::new(), |class| comparison.classes[class].to_string())
    };
    for picture in &comparison.pictures {
        for Outcome { truth, detected, iou } in &picture.outcomes {
            let iou = iou.map_or(String::new(), |iou| iou.to_string());
            let about = picture.picture.to_string();
            writer.write_record([about, name(*truth), name(*detected), iou])?;
        }
    }
    Ok(writer.flush()?)
}
