//! True boxes as label tools read them.

use std::fs;
use std::path::Path;

use anyhow::Context;
use pen::{Posture, TrueAnimal};

/// The classes' file, in the order of their numbers.
pub(crate) fn write_classes(dir: &Path) -> anyhow::Result<()> {
    let names = [Posture::Standing.name(), Posture::Lying.name()].map(|name| format!("{name}\n"));
    let file = dir.join("classes.txt");
    fs::write(&file, names.concat()).with_context(|| format!("could not write {}", file.display()))
}

/// Removes what an earlier film of `name` left in `dir`: its labels are of other pictures.
pub(crate) fn remove(dir: &Path, name: &str) -> anyhow::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    let of_film = |file: &str| file.starts_with(&format!("{name}_t")) && file.ends_with(".txt");
    for entry in fs::read_dir(dir).with_context(|| format!("could not list {}", dir.display()))? {
        let path = entry?.path();
        if path.file_name().and_then(|file| file.to_str()).is_some_and(of_film) {
            fs::remove_file(&path)
                .with_context(|| format!("could not remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// One animal as a line of a YOLO label file: class, centre and size.
pub(crate) fn yolo_line(animal: &TrueAnimal) -> String {
    let TrueAnimal { x, y, w, h, .. } = *animal;
    let class = animal.posture.class();
    format!("{class} {:.6} {:.6} {w:.6} {h:.6}", x + w / 2.0, y + h / 2.0)
}

/// Writes the label file of a picture; with `visible`, each line ends with how much of
/// the animal is not hidden.
pub(crate) fn write_yolo<'a>(
    file: &Path,
    animals: impl Iterator<Item = &'a TrueAnimal>,
    visible: bool,
) -> anyhow::Result<()> {
    let mut text = String::new();
    for animal in animals {
        text += &yolo_line(animal);
        if visible {
            text += &format!(" {:.3}", animal.visible);
        }
        text.push('\n');
    }
    fs::write(file, text).with_context(|| format!("could not write {}", file.display()))
}
