//! YOLO's text files: one a picture, one line a box: `class cx cy w h`, the centre and the
//! size as fractions of the picture. A sixth number is a confidence and passed over, or the
//! share of the animal that is visible.
//!
//! Their folder may be given, or the one that holds it as `labels`. An empty file says that
//! the picture shows no animal. A picture without a file is not labelled.
//!
//! What the numbers of the classes mean is said by, in this order: the caller; `data.yaml`,
//! `classes.txt` or `obj.names` in either folder, which must agree, or in the next of the
//! folders above one of labels that has any; else 0 is standing and 1 is lying, and the
//! result says that this was guessed.

mod names;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Form, Label, LabelError, Labels, Reading, Role, TrueBox, Truth};
use crate::area::Area;

/// What the classes are called if nobody says so.
pub const USUAL_CLASSES: [&str; 2] = ["standing", "lying"];

/// Folders in folders that are looked into, at most.
const DEPTH_MAX: usize = 8;

/// Of a folder and those above it, as many may be called `labels`.
const LABELS_ABOVE: usize = 3;

/// Folders above `labels` where a dataset's description may be: `set/labels`, and
/// `set/train/labels`.
const FOLDERS_ABOVE: usize = 2;

/// Longest label file, in bytes: a thousand boxes are a tenth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the label files of `folder`.
///
/// # Errors
///
/// A file cannot be read, or a line in it is no box.
pub fn read(folder: &Path, reading: &Reading) -> Result<Labels, LabelError> {
    let inner = folder.join("labels");
    let labels_in = if inner.is_dir() { inner.as_path() } else { folder };
    let named = match reading.classes.is_empty() {
        true => named(folder, labels_in)?,
        false => Some(reading.classes.clone()),
    };
    let classes_guessed = named.is_none();
    let classes = named.unwrap_or_else(|| USUAL_CLASSES.map(Arc::from).to_vec());
    let mut pictures = Vec::new();
    for path in label_files(labels_in)? {
        let picture = reading.naming.picture(&path.to_string_lossy());
        let truth = Truth::Boxes(boxes(&path, &classes, reading)?);
        let origin = path.display().to_string();
        pictures.push(Label { picture, origin, truth, night: None, occluded: None });
    }
    Ok(Labels { form: Form::Yolo, classes, classes_guessed, pictures })
}

/// What the classes are called by a file in the folders or, where the one of labels was
/// given itself, in the nearest folder above it that has one.
fn named(folder: &Path, labels_in: &Path) -> Result<Option<Vec<Arc<str>>>, LabelError> {
    let found = names::in_folders(&[folder, labels_in])?;
    // As it is named on disk, not as it was given: `labels/..` and `.` have no parents.
    let whole = fs::canonicalize(folder)
        .map_err(|source| LabelError::Read { path: folder.to_owned(), source })?;
    let of_labels = whole.ancestors().take(LABELS_ABOVE).position(|dir| dir.ends_with("labels"));
    let (None, Some(depth)) = (&found, of_labels) else { return Ok(found) };
    let above = whole.ancestors().skip(1).take(depth + FOLDERS_ABOVE);
    above
        .map(|dir| names::in_folders(&[dir]))
        .find(|found| !matches!(found, Ok(None)))
        .unwrap_or(Ok(None))
}

/// Every label file below `folder`, by name.
fn label_files(folder: &Path) -> Result<Vec<PathBuf>, LabelError> {
    let mut found = Vec::new();
    let mut waiting = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let unread = |source| LabelError::Read { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            if path.is_dir() {
                if depth < DEPTH_MAX {
                    waiting.push((path, depth + 1));
                }
            } else if path.extension().is_some_and(|ending| ending == "txt")
                && !names::is_list(&path)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn boxes(path: &Path, classes: &[Arc<str>], reading: &Reading) -> Result<Vec<TrueBox>, LabelError> {
    let text = text_of(path)?;
    let mut boxes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if !line.trim().is_empty() {
            let wrong = |what| LabelError::Line { path: path.to_owned(), line: number, what };
            boxes.push(true_box(line, classes, reading).map_err(wrong)?);
        }
    }
    Ok(boxes)
}

/// A small text file.
fn text_of(path: &Path) -> Result<String, LabelError> {
    let unread = |source| LabelError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unread)?.len();
    if FILE_BYTES_MAX < bytes {
        let what = format!("it has {bytes} bytes; a file of labels has {FILE_BYTES_MAX} at most");
        return Err(LabelError::File { path: path.to_owned(), what });
    }
    fs::read_to_string(path).map_err(unread)
}

fn true_box(line: &str, classes: &[Arc<str>], reading: &Reading) -> Result<TrueBox, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [class, numbers @ ..] = words.as_slice() else { return Err("no box".to_owned()) };
    if !matches!(numbers.len(), 4 | 5) {
        return Err(format!(
            "{} values; a box is a class and 4 numbers, and outlines are not read",
            words.len()
        ));
    }
    // Some tools write the class as 0.0.
    let number = class.strip_suffix(".0").unwrap_or(class);
    let index: usize = number.parse().map_err(|_| format!("{class:?} is no number of a class"))?;
    let class = classes.get(index).ok_or_else(|| {
        let (known, names) = (classes.len(), classes.join(", "));
        format!("class {index}, but there are {known}, from 0 ({names}); name them with --classes")
    })?;
    let mut values = [0.0, 0.0, 0.0, 0.0, 1.0];
    let read = if reading.sixth_is_visible { 5 } else { 4 };
    for (value, word) in values.iter_mut().zip(numbers).take(read) {
        *value = word.parse().map_err(|_| format!("{word:?} is no number"))?;
    }
    let [cx, cy, w, h, sixth] = values;
    let area = Area::inside([cx - w / 2.0, cy - h / 2.0, w, h]).ok_or_else(|| {
        format!("[{cx}, {cy}, {w}, {h}] is no box inside the picture (centre and size, 0 to 1)")
    })?;
    let role = match reading.sixth_is_visible {
        true if !(0.0..=1.0).contains(&sixth) => {
            return Err(format!("visible {sixth} is not from 0 to 1"));
        }
        true if sixth < reading.visible_min => Role::Hidden,
        _ => Role::Expected,
    };
    Ok(TrueBox { class: Arc::clone(class), area, role })
}

/// `area` of class number `class`, as a line says it.
pub fn line(class: usize, area: &Area) -> String {
    let Area { x, y, w, h } = *area;
    format!("{class} {:.6} {:.6} {w:.6} {h:.6}", x + w / 2.0, y + h / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn shown(labels: &Labels) -> Vec<String> {
        let of = |label: &Label| {
            let Truth::Boxes(boxes) = &label.truth else { panic!("no boxes") };
            let boxes: Vec<String> = boxes
                .iter()
                .map(|b| format!("{} {:.2} {:.2}", b.class, b.area.x, b.area.h))
                .collect();
            format!("{:?}: {}", label.picture.t_ms, boxes.join(", "))
        };
        labels.pictures.iter().map(of).collect()
    }

    #[test]
    fn a_folder_is_read_with_the_classes_that_it_names() {
        let dir = folder(&[
            ("data.yaml", "path: .\nnames:\n  0: lying\n  1: 'standing'\n"),
            ("labels/pen_t000001000.txt", "0 0.5 0.5 0.2 0.4\n\n1.0 0.25 0.5 0.1 0.1 0.87\r\n"),
            ("labels/train/pen_t000002000.txt", ""),
            ("labels/classes.txt", "lying\nstanding\n"),
            ("images/pen_t000001000.jpg", ""),
        ]);
        let labels = read(dir.path(), &Reading::default()).unwrap();
        assert_eq!(labels.classes.join(" "), "lying standing");
        assert_eq!(
            shown(&labels),
            ["Some(1000): lying 0.40 0.40, standing 0.20 0.10", "Some(2000): "]
        );
        let named = Reading { classes: vec!["a".into(), "b".into()], ..Reading::default() };
        assert!(shown(&read(&dir.path().join("labels"), &named).unwrap())[0].contains(": a 0.40"));
    }

    #[test]
    fn without_names_0_stands_and_1_lies() {
        let dir = folder(&[("a.txt", "1 0.5 0.5 0.2 0.4")]);
        assert_eq!(
            shown(&read(dir.path(), &Reading::default()).unwrap()),
            ["None: lying 0.40 0.40"]
        );
    }

    #[test]
    fn a_sixth_number_may_be_what_is_visible() {
        let dir =
            folder(&[("a.txt", "0 0.5 0.5 0.2 0.4 0.1\n1 0.5 0.5 0.2 0.4 0.3\n1 0.5 0.5 0.2 0.4")]);
        let roles = |sixth_is_visible| {
            let reading = Reading { sixth_is_visible, visible_min: 0.25, ..Reading::default() };
            let labels = read(dir.path(), &reading).unwrap();
            let Truth::Boxes(boxes) = &labels.pictures[0].truth else { panic!("no boxes") };
            boxes.iter().map(|one| one.role).collect::<Vec<_>>()
        };
        assert_eq!(roles(false), [Role::Expected; 3]);
        assert_eq!(roles(true), [Role::Hidden, Role::Expected, Role::Expected]);
        let dir = folder(&[("a.txt", "0 0.5 0.5 0.2 0.4 87")]);
        let reading = Reading { sixth_is_visible: true, ..Reading::default() };
        let error = read(dir.path(), &reading).unwrap_err().to_string();
        assert!(error.ends_with("line 1: visible 87 is not from 0 to 1"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let told = |text: &str| {
            let dir = folder(&[("a.txt", text)]);
            let error = read(dir.path(), &Reading::default()).unwrap_err().to_string();
            error.rsplit_once("a.txt").unwrap().1.to_owned()
        };
        assert_eq!(
            told("0 0.5 0.5 0.2 0.4\n2 0.5 0.5 0.2 0.4"),
            ", line 2: class 2, but there are 2, from 0 (standing, lying); name them with --classes"
        );
        assert_eq!(told("0 0.5 0.5 0.2 x"), ", line 1: \"x\" is no number");
        assert_eq!(
            told("0 0.1 0.5 0.4 0.2"),
            ", line 1: [0.1, 0.5, 0.4, 0.2] is no box inside the picture (centre and size, 0 to 1)"
        );
        assert_eq!(
            told("0 0.1 0.5 0.4 0.2 0.1 0.3 0.4"),
            ", line 1: 8 values; a box is a class and 4 numbers, and outlines are not read"
        );
    }

    #[test]
    fn names_that_contradict_each_other_are_refused() {
        let dir = folder(&[
            ("data.yaml", "names: [lying, standing]"),
            ("classes.txt", "standing\nlying"),
            ("labels/a.txt", ""),
        ]);
        let error = read(dir.path(), &Reading::default()).unwrap_err().to_string();
        assert!(error.contains("standing, lying, but"), "{error}");
    }

    proptest! {
        #[test]
        fn a_written_line_is_the_box(x in 0.0..0.5, y in 0.0..0.5, w in 0.01..0.5, h in 0.01..0.5) {
            let area = Area { x, y, w, h };
            let classes = USUAL_CLASSES.map(Arc::from);
            let read = true_box(&line(1, &area), &classes, &Reading::default()).unwrap();
            prop_assert_eq!(&*read.class, "lying");
            prop_assert!(0.999 < read.area.iou(&area));
        }

        #[test]
        fn no_line_does_harm(line in "\\PC{0,60}") {
            let reading = Reading { sixth_is_visible: true, ..Reading::default() };
            _ = true_box(&line, &USUAL_CLASSES.map(Arc::from), &reading);
        }
    }
}
