//! What `animov detect` printed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use accuracy::comparison::{Found, Seen};
use accuracy::labels::Naming;
use accuracy::picture::PictureId;
use anyhow::{Context, bail};
use schemas::frame::Detection;
use serde::Deserialize;

use super::Args;
use super::seen::Looked;

/// Longest line, in bytes: all boxes that a frame may have take a fifth of it.
const LINE_BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Line {
    input: Option<String>,
    t_ms: i64,
    detections: Vec<Detection>,
}

/// Reads the file `path`. Lines of several inputs are single pictures, each told by its
/// name, unless `args` choose one input.
///
/// # Errors
///
/// It cannot be read, or a line is something else.
pub(super) fn read(path: &Path, args: &Args) -> anyhow::Result<Looked> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("could not read {shown}"))?;
    let (mut file, mut text, mut lines) = (BufReader::new(file), String::new(), Vec::new());
    for number in 1.. {
        text.clear();
        let read = (&mut file)
            .take(LINE_BYTES_MAX)
            .read_line(&mut text)
            .with_context(|| format!("could not read {shown}"))?;
        if read == 0 {
            break;
        }
        let what = || format!("{shown}, line {number}: not as `animov detect` prints it");
        let line: Line = serde_json::from_str(&text).with_context(what)?;
        for found in &line.detections {
            found.check().with_context(what)?;
        }
        if args.input.is_none() || args.input == line.input {
            lines.push(line);
        }
    }
    let Some(first) = lines.first() else {
        bail!("{shown} holds no line{}", args.input.as_ref().map_or("", |_| " of this --input"));
    };
    let several = lines.iter().any(|line| line.input != first.input);
    if several {
        let mut inputs = BTreeSet::new();
        if let Some(twice) = lines.iter().find(|line| !inputs.insert(&line.input)) {
            let input = twice.input.as_deref().unwrap_or_default();
            bail!(
                "{shown} holds several pictures of {input}, and other inputs: choose one of them, \
                 for example with --input {input}"
            );
        }
    }
    let naming = Naming { fps: args.fps, first: args.first };
    let seen = |line: Line| {
        let picture = match (&line.input, several) {
            (Some(input), true) => naming.picture(input),
            _ => PictureId::of_video(line.t_ms),
        };
        Seen { picture, found: Found::Boxes(line.detections) }
    };
    let seen = lines.into_iter().map(seen).collect();
    Ok(Looked { seen, from: shown.to_string(), model: None, confidence: None })
}
