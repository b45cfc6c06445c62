//! Pictures with boxes, written so that label tools open them and a person can correct
//! them: what [`labels`](crate::labels) then reads.
//!
//! ```text
//! images/pen1_t000012000.jpg
//! labels/pen1_t000012000.txt            YOLO: class cx cy w h
//! labels/classes.txt, classes.txt       where labelImg and Label Studio look for names
//! data.yaml                             Ultralytics' description
//! annotations/instances_default.json    COCO, where CVAT looks for it
//! ```

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::frame::Detection;

use crate::area::Area;
use crate::labels::coco::{self, Annotation, Category, CocoFile, Image};
use crate::labels::yolo;

/// The form that boxes are written in; pictures are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Yolo,
    Coco,
}

/// Why a dataset cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(
        "{} holds labels already, which may have been corrected; name another folder", .0.display()
    )]
    NotEmpty(PathBuf),
    #[error("could not write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A folder that grows by one picture at a time.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    form: Form,
    classes: Vec<Arc<str>>,
    /// COCO's lists, which are written at the end.
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    pictures: u64,
    boxes: u64,
}

impl Dataset {
    /// Begins a dataset in `folder`, which is made.
    ///
    /// # Errors
    ///
    /// There are labels already, or the folder cannot be written.
    pub fn create(
        folder: &Path,
        form: Form,
        classes: &[Arc<str>],
    ) -> Result<Dataset, DatasetError> {
        let dataset = Dataset {
            folder: folder.to_owned(),
            form,
            classes: classes.to_vec(),
            images: Vec::new(),
            annotations: Vec::new(),
            pictures: 0,
            boxes: 0,
        };
        let labels = folder.join(match form {
            Form::Yolo => "labels",
            Form::Coco => "annotations",
        });
        // The list of classes is no label: an export that saw no picture leaves it alone.
        let is_label = |entry: io::Result<fs::DirEntry>| {
            entry.map_or(true, |entry| entry.file_name() != "classes.txt")
        };
        if fs::read_dir(&labels).is_ok_and(|mut entries| entries.any(is_label)) {
            return Err(DatasetError::NotEmpty(labels));
        }
        for dir in [&labels, &folder.join("images")] {
            fs::create_dir_all(dir).map_err(wrong(dir))?;
        }
        if form == Form::Yolo {
            let list: String = classes.iter().map(|class| format!("{class}\n")).collect();
            for path in ["classes.txt", "labels/classes.txt"] {
                dataset.write(path, list.as_bytes())?;
            }
            dataset.write("data.yaml", dataset.yaml().as_bytes())?;
        }
        Ok(dataset)
    }

    /// Adds a picture, a JPEG of so many pixels, under `name`, with its boxes; those of
    /// other classes are left out.
    ///
    /// # Errors
    ///
    /// The folder cannot be written.
    pub fn add(
        &mut self,
        name: &str,
        jpeg: &[u8],
        (width, height): (u32, u32),
        boxes: &[Detection],
    ) -> Result<(), DatasetError> {
        let file_name = format!("{name}.jpg");
        self.write(&format!("images/{file_name}"), jpeg)?;
        let class = |found: &Detection| self.classes.iter().position(|c| *c == found.class);
        let boxes: Vec<(usize, Area)> =
            boxes.iter().filter_map(|found| Some((class(found)?, inside(found)?))).collect();
        self.pictures += 1;
        self.boxes += u64::try_from(boxes.len()).unwrap_or(u64::MAX);
        match self.form {
            Form::Yolo => {
                let line = |(class, area): &(usize, Area)| yolo::line(*class, area) + "\n";
                let lines: String = boxes.iter().map(line).collect();
                self.write(&format!("labels/{name}.txt"), lines.as_bytes())
            }
            Form::Coco => {
                let [width, height] = [width, height].map(f64::from);
                let image_id = self.pictures;
                self.images.push(Image { id: image_id, file_name, width, height });
                for (class, Area { x, y, w, h }) in boxes {
                    let id = u64::try_from(self.annotations.len()).unwrap_or(u64::MAX) + 1;
                    let bbox = [x * width, y * height, w * width, h * height]
                        .map(|pixels| (pixels * 100.0).round() / 100.0);
                    let (category_id, area) = (category(class), bbox[2] * bbox[3]);
                    let annotation =
                        Annotation { id, image_id, category_id, bbox, area, iscrowd: 0 };
                    self.annotations.push(annotation);
                }
                Ok(())
            }
        }
    }

    /// Ends the dataset; how many pictures and boxes it has.
    ///
    /// # Errors
    ///
    /// The folder cannot be written.
    pub fn finish(self) -> Result<(u64, u64), DatasetError> {
        let written = (self.pictures, self.boxes);
        if self.form == Form::Coco && 0 < self.pictures {
            let categories = self.classes.iter().enumerate();
            let categories = categories
                .map(|(at, class)| Category { id: category(at), name: class.to_string() })
                .collect();
            let path = self.folder.join(coco::IN_FOLDER);
            let file = CocoFile { images: self.images, annotations: self.annotations, categories };
            let out = File::create(&path).map_err(wrong(&path))?;
            let mut out = BufWriter::new(out);
            serde_json::to_writer(&mut out, &file)
                .map_err(io::Error::from)
                .and_then(|()| out.flush())
                .map_err(wrong(&path))?;
        }
        Ok(written)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), DatasetError> {
        let path = self.folder.join(path);
        fs::write(&path, bytes).map_err(wrong(&path))
    }

    fn yaml(&self) -> String {
        let mut text = "path: .\ntrain: images\nval: images\nnames:\n".to_owned();
        for (number, class) in self.classes.iter().enumerate() {
            text += &format!("  {number}: {class}\n");
        }
        text
    }
}

/// A detection may reach over the picture's edge by rounding; label tools refuse that. None
/// if nothing of it is left.
fn inside(found: &Detection) -> Option<Area> {
    let Area { x, y, w, h } = Area::from(found);
    let (left, top) = (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0));
    let (right, bottom) = ((x + w).clamp(0.0, 1.0), (y + h).clamp(0.0, 1.0));
    Area::inside([left, top, right - left, bottom - top])
}

/// COCO counts categories from 1.
fn category(class: usize) -> u64 {
    u64::try_from(class).unwrap_or(u64::MAX - 1) + 1
}

fn wrong(path: &Path) -> impl Fn(io::Error) -> DatasetError + use<> {
    let path = path.to_owned();
    move |source| DatasetError::Write { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{self, Labels, Reading, Truth};

    fn detection(class: &str, x: f32, w: f32) -> Detection {
        Detection { class: class.into(), confidence: 0.9, x, y: 0.25, w, h: 0.5 }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let classes = ["standing", "lying"].map(Arc::from);
        for (form, path, read_as) in [
            (Form::Yolo, "", labels::Form::Yolo),
            (Form::Coco, "annotations/instances_default.json", labels::Form::Coco),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let mut dataset = Dataset::create(dir.path(), form, &classes).unwrap();
            let found = [
                detection("lying", 0.5, 0.505),
                detection("dog", 0.1, 0.1),
                detection("standing", 0.1, 0.2),
            ];
            dataset.add("pen_t000001000", b"a picture", (640, 480), &found).unwrap();
            dataset.add("pen_t000002000", b"a picture", (640, 480), &[]).unwrap();
            assert_eq!(dataset.finish().unwrap(), (2, 2));
            let read = Labels::read(&dir.path().join(path), read_as, &Reading::default()).unwrap();
            assert_eq!(read.classes, classes);
            let times: Vec<_> = read.pictures.iter().map(|label| label.picture.t_ms).collect();
            assert_eq!(times, [Some(1000), Some(2000)]);
            let Truth::Boxes(boxes) = &read.pictures[0].truth else { panic!("no boxes") };
            let expected = [Area { x: 0.5, y: 0.25, w: 0.5, h: 0.5 }, Area::from(&found[2])];
            assert_eq!(boxes.len(), 2);
            for (label, expected) in boxes.iter().zip(&expected) {
                assert!(0.999 < label.area.iou(expected), "{label:?}");
            }
            assert_eq!((&*boxes[0].class, &*boxes[1].class), ("lying", "standing"));
            assert!(dir.path().join("images/pen_t000002000.jpg").exists());
            let again = Dataset::create(dir.path(), form, &classes).unwrap_err();
            assert!(again.to_string().contains("holds labels already"));
        }
    }

    #[test]
    fn a_folder_that_nothing_was_written_into_can_be_named_again() {
        let classes = ["standing", "lying"].map(Arc::from);
        for form in [Form::Yolo, Form::Coco] {
            let dir = tempfile::tempdir().unwrap();
            let nothing = Dataset::create(dir.path(), form, &classes).unwrap();
            assert_eq!(nothing.finish().unwrap(), (0, 0));
            _ = Dataset::create(dir.path(), form, &classes).unwrap();
        }
    }
}
