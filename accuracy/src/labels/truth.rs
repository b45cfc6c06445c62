//! The truth beside a rendered video: newline JSON, one line a picture.
//!
//! ```json
//! {"t_ms":12000,"captured_at":1772408970000,"night":false,"animals":[
//!   {"id":3,"class":"lying","behaviour":"lying","x":0.1,"y":0.2,"w":0.05,"h":0.06,"visible":0.83}]}
//! ```
//!
//! (on one line). `x` and `y` are the top left corner, all four fractions of the picture's
//! sides. `visible` is the share of the animal's own silhouette that nothing else hides.
//!
//! An animal of which less than a minimum is visible is neither expected of a detector nor
//! false if found: *difficult*, as PASCAL VOC calls it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use schemas::avro;
use schemas::time::UnixMillis;
use serde::Deserialize;

use super::{Form, Label, LabelError, Labels, Reading, Role, TrueBox, Truth, distinct};
use crate::area::Area;
use crate::number::count;
use crate::picture::PictureId;

/// An animal of which less is visible counts as occluded.
pub const OCCLUDED_BELOW: f64 = 0.7;

/// Longest line, in bytes: a thousand animals.
const LINE_BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Line {
    t_ms: Option<i64>,
    captured_at: Option<i64>,
    night: Option<bool>,
    animals: Vec<Animal>,
}

#[derive(Deserialize)]
struct Animal {
    class: String,
    x: f64,
    y: f64,
    w: f64,
    h: f64,
    #[serde(default = "wholly")]
    visible: f64,
}

fn wholly() -> f64 {
    1.0
}

/// Reads the file `path`.
///
/// # Errors
///
/// It cannot be read, or a line is no truth of a picture.
pub fn read(path: &Path, reading: &Reading) -> Result<Labels, LabelError> {
    let unread = |source| LabelError::Read { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(unread)?);
    let (mut pictures, mut classes, mut text) = (Vec::new(), Vec::new(), String::new());
    for number in 1.. {
        text.clear();
        // One byte more than a line may have: then it is too long, and not cut off.
        let read = (&mut file).take(LINE_BYTES_MAX + 1).read_line(&mut text).map_err(unread)?;
        if read == 0 {
            break;
        }
        let wrong = |what| LabelError::Line { path: path.to_owned(), line: number, what };
        if LINE_BYTES_MAX < u64::try_from(read).unwrap_or(u64::MAX) {
            return Err(wrong(format!("longer than {LINE_BYTES_MAX} bytes")));
        }
        if text.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let origin = format!("{}, line {number}", path.display());
        let label = label(line, origin, reading.visible_min).map_err(wrong)?;
        if let Truth::Boxes(boxes) = &label.truth {
            let seen = boxes.iter().map(|animal| Arc::clone(&animal.class));
            classes = distinct(classes.into_iter().chain(seen));
        }
        pictures.push(label);
    }
    Ok(Labels { form: Form::Truth, classes, classes_guessed: false, pictures })
}

fn label(line: Line, origin: String, visible_min: f64) -> Result<Label, String> {
    let Line { t_ms, captured_at, night, animals } = line;
    if t_ms.is_none() && captured_at.is_none() {
        return Err("neither t_ms nor captured_at".to_owned());
    }
    let occluded = animals.iter().filter(|animal| animal.visible < OCCLUDED_BELOW);
    let occluded: Vec<&Animal> = occluded.collect();
    let share = if animals.is_empty() { 0.0 } else { count(&occluded) / count(&animals) };
    let mut boxes = Vec::new();
    for Animal { class, x, y, w, h, visible } in &animals {
        let class = avro::name(class.as_bytes()).map_err(|fault| fault.to_string())?;
        let area = Area::inside([*x, *y, *w, *h])
            .ok_or_else(|| format!("[{x}, {y}, {w}, {h}] is no box inside the picture"))?;
        if !(0.0..=1.0).contains(visible) {
            return Err(format!("visible {visible} is not from 0 to 1"));
        }
        let role = if *visible < visible_min { Role::Hidden } else { Role::Expected };
        boxes.push(TrueBox { class, area, role });
    }
    Ok(Label {
        picture: PictureId {
            t_ms,
            captured_at: captured_at.map(UnixMillis::new),
            ..PictureId::default()
        },
        origin,
        truth: Truth::Boxes(boxes),
        night,
        occluded: Some(share),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Labels, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("truth.ndjson");
        std::fs::write(&path, text).unwrap();
        let reading = Reading { visible_min: 0.25, ..Reading::default() };
        read(&path, &reading).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_is_a_picture_with_its_conditions() {
        let text = r#"
{"t_ms":12000,"captured_at":1772408970000,"night":true,"animals":[{"id":3,"class":"lying","behaviour":"lying","x":0.1,"y":0.2,"w":0.05,"h":0.06,"visible":0.83},{"class":"standing","x":0.1,"y":0.2,"w":0.05,"h":0.06,"visible":0.1}]}
{"t_ms":13000,"animals":[]}
"#;
        let labels = read_text(text).unwrap();
        assert_eq!(labels.classes.join(" "), "lying standing");
        let first = &labels.pictures[0];
        assert_eq!(first.picture.captured_at, Some(UnixMillis::new(1_772_408_970_000)));
        assert_eq!((first.night, first.occluded), (Some(true), Some(0.5)));
        let Truth::Boxes(boxes) = &first.truth else { panic!("no boxes") };
        assert_eq!((boxes[0].role, boxes[1].role), (Role::Expected, Role::Hidden));
        assert_eq!(labels.pictures[1].picture, PictureId::of_video(13_000));
        assert!(labels.pictures[1].origin.ends_with("truth.ndjson, line 3"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (line, what) in [
            (r#"{"animals":[]}"#, "line 2: neither t_ms nor captured_at"),
            (r#"{"t_ms":0}"#, "line 2: missing field `animals`"),
            (
                r#"{"t_ms":0,"animals":[{"class":"lying","x":0.9,"y":0,"w":0.5,"h":0.5}]}"#,
                "line 2: [0.9, 0, 0.5, 0.5] is no box",
            ),
            (
                r#"{"t_ms":0,"animals":[{"class":"","x":0,"y":0,"w":0.5,"h":0.5}]}"#,
                "line 2: a class name is empty",
            ),
            (
                r#"{"t_ms":0,"animals":[{"class":"a","x":0,"y":0,"w":0.5,"h":0.5,"visible":2}]}"#,
                "line 2: visible 2 is not from 0 to 1",
            ),
        ] {
            let told = read_text(&format!("{{\"t_ms\":0,\"animals\":[]}}\n{line}\n")).unwrap_err();
            assert!(told.contains(what), "{told}");
        }
    }
}
