//! COCO's JSON of boxes. Every picture that it lists is labelled, also one without a box.
//! `iscrowd` marks a region whose animals were not labelled one by one.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use schemas::avro;
use serde::{Deserialize, Serialize};

use super::{Form, Label, LabelError, Labels, Reading, Role, TrueBox, Truth, distinct};
use crate::area::Area;

/// The file, as far as it concerns boxes.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CocoFile {
    pub(crate) images: Vec<Image>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) categories: Vec<Category>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Image {
    pub(crate) id: u64,
    pub(crate) file_name: String,
    /// Pixels.
    pub(crate) width: f64,
    pub(crate) height: f64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Annotation {
    pub(crate) id: u64,
    pub(crate) image_id: u64,
    pub(crate) category_id: u64,
    /// Left, top, width, height, in pixels.
    pub(crate) bbox: [f64; 4],
    #[serde(default)]
    pub(crate) area: f64,
    #[serde(default)]
    pub(crate) iscrowd: u8,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Category {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// The file in a folder of pictures and labels, where CVAT and `animov label export` have it.
pub const IN_FOLDER: &str = "annotations/instances_default.json";

/// Reads the file `path`.
///
/// # Errors
///
/// It cannot be read, is something else, or contradicts itself.
pub fn read(path: &Path, reading: &Reading) -> Result<Labels, LabelError> {
    let inner = path.join(IN_FOLDER);
    let path = if path.is_dir() { inner.as_path() } else { path };
    let file =
        File::open(path).map_err(|source| LabelError::Read { path: path.to_owned(), source })?;
    let file: CocoFile = serde_json::from_reader(BufReader::new(file))
        .map_err(|source| LabelError::NotCoco { path: path.to_owned(), source })?;
    labels(file, path, reading).map_err(|what| LabelError::File { path: path.to_owned(), what })
}

fn labels(file: CocoFile, path: &Path, reading: &Reading) -> Result<Labels, String> {
    let mut classes = BTreeMap::new();
    for Category { id, name } in file.categories {
        let name =
            avro::name(name.as_bytes()).map_err(|fault| format!("category {id}: {fault}"))?;
        if classes.insert(id, name).is_some() {
            return Err(format!("two categories have the id {id}"));
        }
    }
    let mut boxes: HashMap<u64, Vec<TrueBox>> = HashMap::new();
    let images: HashMap<u64, &Image> = file.images.iter().map(|image| (image.id, image)).collect();
    if images.len() != file.images.len() {
        return Err("two images have the same id".to_owned());
    }
    for Annotation { id, image_id, category_id, bbox, iscrowd, .. } in file.annotations {
        let of = |what: String| format!("annotation {id}: {what}");
        let image = images
            .get(&image_id)
            .ok_or_else(|| of(format!("there is no image with the id {image_id}")))?;
        let class: &Arc<str> = classes
            .get(&category_id)
            .ok_or_else(|| of(format!("there is no category with the id {category_id}")))?;
        let (across, down) = (image.width, image.height);
        let [x, y, w, h] = bbox;
        let area = Area::inside([x / across, y / down, w / across, h / down]).ok_or_else(|| {
            of(format!("[{x}, {y}, {w}, {h}] is no box inside a picture of {across} x {down}"))
        })?;
        let role = if iscrowd == 0 { Role::Expected } else { Role::Crowd };
        boxes.entry(image_id).or_default().push(TrueBox { class: Arc::clone(class), area, role });
    }
    let label = |image: &Image| Label {
        picture: reading.naming.picture(&image.file_name),
        origin: format!("{}, image {}", path.display(), image.file_name),
        truth: Truth::Boxes(boxes.remove(&image.id).unwrap_or_default()),
        night: None,
        occluded: None,
    };
    let pictures = file.images.iter().map(label).collect();
    Ok(Labels {
        form: Form::Coco,
        classes: distinct(classes.into_values()),
        classes_guessed: false,
        pictures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Labels, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(&path, text).unwrap();
        read(&path, &Reading::default()).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", cause.unwrap_or_default())
        })
    }

    const IMAGES: &str = r#""images":[{"id":7,"file_name":"pen_t000000500.jpg","width":200,
        "height":100},{"id":8,"file_name":"images/b.png","width":200,"height":100}],
        "categories":[{"id":3,"name":"lying","supercategory":"goat"}]"#;

    #[test]
    fn boxes_are_fractions_of_their_picture() {
        let text = format!(
            r#"{{"info":{{}},{IMAGES},"annotations":[
            {{"id":1,"image_id":7,"category_id":3,"bbox":[50,20,100,40],"area":4000,"iscrowd":0}},
            {{"id":2,"image_id":7,"category_id":3,"bbox":[0,0,200,100],"iscrowd":1,
              "segmentation":{{"counts":[],"size":[]}}}}]}}"#
        );
        let labels = read_text(&text).unwrap();
        let Truth::Boxes(boxes) = &labels.pictures[0].truth else { panic!("no boxes") };
        assert_eq!(boxes[0].area, Area { x: 0.25, y: 0.2, w: 0.5, h: 0.4 });
        assert_eq!((boxes[0].role, boxes[1].role), (Role::Expected, Role::Crowd));
        assert_eq!(labels.pictures[0].picture.t_ms, Some(500));
        assert_eq!(labels.pictures[1].truth, Truth::Boxes(Vec::new()));
        assert_eq!(labels.pictures[1].picture.name.as_deref(), Some("b"));
    }

    #[test]
    fn a_file_that_contradicts_itself_is_refused() {
        let with = |annotation: &str| {
            read_text(&format!(r#"{{{IMAGES},"annotations":[{annotation}]}}"#)).unwrap_err()
        };
        let other = with(r#"{"id":1,"image_id":9,"category_id":3,"bbox":[0,0,1,1]}"#);
        assert!(other.contains("annotation 1: there is no image with the id 9"), "{other}");
        let class = with(r#"{"id":1,"image_id":7,"category_id":1,"bbox":[0,0,1,1]}"#);
        assert!(class.contains("there is no category with the id 1"), "{class}");
        let outside = with(r#"{"id":1,"image_id":7,"category_id":3,"bbox":[150,0,100,50]}"#);
        assert!(outside.contains("is no box inside a picture of 200 x 100"), "{outside}");
        let broken = with(r#"{"id":1}"#);
        assert!(broken.contains("no COCO file of boxes") && broken.contains("line 3"), "{broken}");
    }
}
