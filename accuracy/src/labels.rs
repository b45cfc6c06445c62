//! What a person, or a renderer, says is in each picture.
//!
//! Four forms are read: a folder of YOLO text files ([`yolo`]), a COCO JSON file
//! ([`coco`]), a CSV file of headcounts ([`counts`]), and the truth beside a rendered video
//! ([`truth`]). Whatever is wrong in one is an error that names file and line: a label that
//! was passed over would be counted as an animal that is not there.

pub mod coco;
pub mod counts;
mod error;
pub mod naming;
pub mod truth;
pub mod yolo;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use schemas::source::SourceId;

use crate::area::Area;
use crate::picture::PictureId;

pub use error::LabelError;
pub use naming::Naming;

/// The form that labels come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Yolo,
    Coco,
    Counts,
    Truth,
}

impl Form {
    /// As a report says it.
    pub fn name(self) -> &'static str {
        match self {
            Form::Yolo => "YOLO",
            Form::Coco => "COCO",
            Form::Counts => "counts",
            Form::Truth => "truth of a rendered video",
        }
    }

    /// The form that `path` has by its name.
    pub fn of(path: &Path) -> Option<Form> {
        if path.is_dir() {
            let coco = path.join(coco::IN_FOLDER).is_file() && !path.join("labels").is_dir();
            return Some(if coco { Form::Coco } else { Form::Yolo });
        }
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "json" => Some(Form::Coco),
            "csv" | "tsv" => Some(Form::Counts),
            "ndjson" | "jsonl" => Some(Form::Truth),
            _ => None,
        }
    }
}

/// How labels are to be read, where they leave it open.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub naming: Naming,
    /// YOLO: names of the classes, in the order of their numbers; empty: as the folder
    /// says.
    pub classes: Vec<Arc<str>>,
    /// Counts: columns that are no class.
    pub ignored_columns: Vec<String>,
    /// Counts: the source whose lines are wanted, where a line names one.
    pub source: Option<SourceId>,
    /// YOLO: whether the sixth number of a line is how much of the animal is visible; else it
    /// is how sure somebody was, and passed over.
    pub sixth_is_visible: bool,
    /// Truth, and YOLO where it says so: an animal of which less is visible is neither expected
    /// nor false.
    pub visible_min: f64,
}

/// All labels of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    pub form: Form,
    /// The classes that were looked for: one that is in no picture was looked for, too.
    pub classes: Vec<Arc<str>>,
    /// Whether nobody said what the numbers of the classes mean.
    pub classes_guessed: bool,
    pub pictures: Vec<Label>,
}

/// What one picture shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub picture: PictureId,
    /// File, and line where there is one.
    pub origin: String,
    pub truth: Truth,
    /// Whether it was filmed at night, if the labels say so.
    pub night: Option<bool>,
    /// The share of the animals that something else hides in part, if the labels say so.
    pub occluded: Option<f64>,
}

/// Boxes, or only how many of each class.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    Boxes(Vec<TrueBox>),
    Counts(BTreeMap<Arc<str>, u32>),
}

/// One labelled animal.
#[derive(Clone, Debug, PartialEq)]
pub struct TrueBox {
    pub class: Arc<str>,
    pub area: Area,
    pub role: Role,
}

/// What a label asks of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To be found.
    Expected,
    /// Hardly to be seen: neither expected, nor false if found (PASCAL VOC's *difficult*).
    Hidden,
    /// A region of animals that were not labelled one by one (COCO's *iscrowd*): whatever
    /// is found in it is not false.
    Crowd,
}

impl Labels {
    /// Reads `path`, which has this form.
    ///
    /// # Errors
    ///
    /// Something cannot be read, or there is no label.
    pub fn read(path: &Path, form: Form, reading: &Reading) -> Result<Labels, LabelError> {
        let labels = match form {
            Form::Yolo => yolo::read(path, reading)?,
            Form::Coco => coco::read(path, reading)?,
            Form::Counts => counts::read(path, reading)?,
            Form::Truth => truth::read(path, reading)?,
        };
        if labels.pictures.is_empty() {
            return Err(LabelError::Nothing { path: path.to_owned(), form: form.name() });
        }
        Ok(labels)
    }

    /// Their form as a report says it, and what of it was guessed.
    pub fn form_told(&self) -> &'static str {
        match (self.form, self.classes_guessed) {
            (Form::Yolo, true) => "YOLO, its classes taken to be standing and lying",
            (form, _) => form.name(),
        }
    }

    /// Calls classes as the detector calls them: `renamed` from the labels' names to the
    /// detector's. Two that become one are counted together.
    ///
    /// # Errors
    ///
    /// The labels know no such class.
    pub fn rename(&mut self, renamed: &BTreeMap<Arc<str>, Arc<str>>) -> Result<(), LabelError> {
        if let Some(unknown) = renamed.keys().find(|from| !self.classes.contains(from)) {
            let known = self.classes.join(", ");
            return Err(LabelError::NoSuchClass { class: unknown.to_string(), known });
        }
        let new = |class: &Arc<str>| Arc::clone(renamed.get(class).unwrap_or(class));
        self.classes = distinct(self.classes.iter().map(new));
        for label in &mut self.pictures {
            match &mut label.truth {
                Truth::Boxes(boxes) => boxes.iter_mut().for_each(|b| b.class = new(&b.class)),
                Truth::Counts(counts) => {
                    let mut together = BTreeMap::<Arc<str>, u32>::new();
                    for (class, animals) in counts.iter() {
                        let sum = together.entry(new(class)).or_default();
                        *sum = sum.saturating_add(*animals);
                    }
                    *counts = together;
                }
            }
        }
        Ok(())
    }
}

/// Each class once, in the order of the first.
pub(crate) fn distinct(classes: impl IntoIterator<Item = Arc<str>>) -> Vec<Arc<str>> {
    let mut seen = Vec::new();
    for class in classes {
        if !seen.contains(&class) {
            seen.push(class);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_told_by_the_name() {
        let of = |name: &str| Form::of(Path::new(name));
        assert_eq!(of("a/instances.JSON"), Some(Form::Coco));
        assert_eq!(of("counts.csv"), Some(Form::Counts));
        assert_eq!(of("truth.ndjson"), Some(Form::Truth));
        assert_eq!(of("truth"), None);
        assert_eq!(Form::of(&std::env::temp_dir()), Some(Form::Yolo));
    }

    #[test]
    fn classes_that_get_one_name_are_counted_together() {
        let counts: BTreeMap<Arc<str>, u32> =
            [("couche", 2), ("assis", 1), ("debout", 4)].map(|(c, n)| (c.into(), n)).into();
        let label = Label {
            picture: PictureId::of_video(0),
            origin: String::new(),
            truth: Truth::Counts(counts),
            night: None,
            occluded: None,
        };
        let mut labels = Labels {
            form: Form::Counts,
            classes: ["couche", "assis", "debout"].map(Arc::from).to_vec(),
            classes_guessed: false,
            pictures: vec![label],
        };
        let renamed = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(from, to)| (Arc::from(*from), Arc::from(*to))).collect()
        };
        labels.rename(&renamed(&[("couche", "lying"), ("assis", "lying")])).unwrap();
        assert_eq!(labels.classes.join(" "), "lying debout");
        let expected: BTreeMap<Arc<str>, u32> =
            [("lying", 3), ("debout", 4)].map(|(c, n)| (c.into(), n)).into();
        assert_eq!(labels.pictures[0].truth, Truth::Counts(expected));
        let error = labels.rename(&renamed(&[("couche", "x")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the labels know no class \"couche\"; they know lying, debout"
        );
    }
}
