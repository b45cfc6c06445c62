//! What a folder says its classes are called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::avro;

use super::{LabelError, text_of};

/// One name a line.
const LISTS: [&str; 3] = ["classes.txt", "obj.names", "classes.names"];

/// Ultralytics' description of a dataset.
const YAML: [&str; 2] = ["data.yaml", "data.yml"];

/// Text files beside labels that are none.
const NO_LABELS: [&str; 5] = ["train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt"];

/// Whether `path` lists classes or pictures, and is no label.
pub(super) fn is_list(path: &Path) -> bool {
    let mut lists = LISTS.iter().chain(&NO_LABELS);
    lists.any(|name| path.file_name().is_some_and(|file| file == *name))
}

/// The names that files in `folders` give.
///
/// # Errors
///
/// A file cannot be read, names no classes, or contradicts another.
pub(super) fn in_folders(folders: &[&Path]) -> Result<Option<Vec<Arc<str>>>, LabelError> {
    let mut found: Option<(PathBuf, Vec<Arc<str>>)> = None;
    let paths = folders.iter().flat_map(|dir| YAML.iter().chain(&LISTS).map(|name| dir.join(name)));
    for path in paths.filter(|path| path.is_file()) {
        let text = text_of(&path)?;
        let names = match path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
        {
            true => of_yaml(&text),
            false => Some(text.lines().map(str::trim).filter(|l| !l.is_empty()).collect()),
        };
        let names: Vec<&str> = names.filter(|names| !names.is_empty()).ok_or_else(|| {
            let what = "it names no classes; name them with --classes".to_owned();
            LabelError::File { path: path.clone(), what }
        })?;
        let checked = |name: &&str| avro::name(name.as_bytes());
        let names: Vec<Arc<str>> =
            names.iter().map(checked).collect::<Result<_, _>>().map_err(|fault| {
                LabelError::File { path: path.clone(), what: fault.to_string() }
            })?;
        match &found {
            Some((first, others)) if *others != names => {
                let what = format!(
                    "it says that the classes are {}, but {} says {}; mend one, or name them with \
                     --classes",
                    names.join(", "),
                    first.display(),
                    others.join(", "),
                );
                return Err(LabelError::File { path, what });
            }
            Some(_) => {}
            None => found = Some((path, names)),
        }
    }
    Ok(found.map(|(_, names)| names))
}

/// `names` of a `data.yaml`: `[a, b]` on its line, or below it `- a` or `0: a`.
fn of_yaml(text: &str) -> Option<Vec<&str>> {
    let mut lines = text.lines().map(|line| line.split(" #").next().unwrap_or(line).trim_end());
    let here = lines.by_ref().find_map(|line| line.strip_prefix("names:"))?.trim();
    if let Some(list) = here.strip_prefix('[') {
        return Some(list.strip_suffix(']')?.split(',').map(unquoted).collect());
    }
    let mut numbered = BTreeMap::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let item = line.trim_start();
        if let Some(name) = item.strip_prefix("- ") {
            numbered.insert(numbered.len(), unquoted(name));
        } else if let Some((number, name)) = item.split_once(':')
            && line.starts_with([' ', '\t'])
        {
            numbered.insert(number.trim().parse().ok()?, unquoted(name));
        } else {
            break;
        }
    }
    // Numbers without a gap, or a line would mean another class.
    numbered.keys().copied().eq(0..numbered.len()).then(|| numbered.into_values().collect())
}

fn unquoted(name: &str) -> &str {
    name.trim().trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_dataset_are_read_in_each_form() {
        let expected = Some(vec!["standing", "lying goat"]);
        for text in [
            "nc: 2\nnames: ['standing', \"lying goat\"]\n",
            "names:\n  0: standing\n  1: lying goat # resting\nnc: 2\n",
            "names:\n- standing\n- 'lying goat'\ntrain: images\n",
            "names:\n  1: lying goat\n\n  0: standing",
        ] {
            assert_eq!(of_yaml(text), expected, "{text}");
        }
        assert_eq!(of_yaml("names:\n  0: standing\n  2: lying\n"), None);
        assert_eq!(of_yaml("nc: 2\n"), None);
    }
}
