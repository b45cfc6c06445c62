//! What a model's classes are called.

use std::sync::Arc;

/// Why a model's classes have no names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNames {
    #[error(
        "its metadata names {names} classes, but its output has {classes}: it is another kind of model than a detector, or was exported wrongly"
    )]
    Metadata { names: usize, classes: usize },
    #[error("{names} class names are configured, but the model's output has {classes}")]
    Configured { names: usize, classes: usize },
    #[error("{name:?} cannot be a class: names have 1 to {max} bytes and no control characters", max = schemas::frame::CLASS_BYTES_MAX)]
    Unusable { name: String },
}

/// The names of `classes` classes: as configured, else as the model's metadata says,
/// else COCO's if there are 80, else `class_0`, `class_1` …
///
/// # Errors
///
/// There are more or fewer names than classes, or a name cannot be one.
pub fn resolve(
    classes: usize,
    configured: &[String],
    metadata: Option<&str>,
) -> Result<Vec<Arc<str>>, InvalidNames> {
    let from_metadata = || metadata.and_then(parse).filter(|names| !names.is_empty());
    let names = if !configured.is_empty() {
        if configured.len() != classes {
            return Err(InvalidNames::Configured { names: configured.len(), classes });
        }
        configured.to_vec()
    } else if let Some(names) = from_metadata() {
        if names.len() != classes {
            return Err(InvalidNames::Metadata { names: names.len(), classes });
        }
        names
    } else if classes == COCO.len() {
        COCO.map(str::to_owned).to_vec()
    } else {
        (0..classes).map(|class| format!("class_{class}")).collect()
    };
    names
        .into_iter()
        .map(|name| {
            schemas::avro::name(name.as_bytes()).map_err(|_| InvalidNames::Unusable { name })
        })
        .collect()
}

/// Reads what Ultralytics writes, a Python dict (`{0: 'person', 1: "ram's"}`), and
/// also a list or a JSON object. `None` if the text is neither, or a number is missing.
pub fn parse(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim();
    let (close, numbered) = match rest.chars().next()? {
        '{' => ('}', true),
        '[' => (']', false),
        _ => return None,
    };
    rest = rest.get(1..)?.trim_start();
    let mut names = Vec::new();
    while !rest.starts_with(close) {
        let number = match numbered {
            true => take_number(&mut rest)?,
            false => names.len(),
        };
        names.push((number, take_string(&mut rest)?));
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with(close) => {}
            None => return None,
        }
    }
    names.sort_by_key(|(number, _)| *number);
    let in_order = names.iter().enumerate().all(|(at, (number, _))| at == *number);
    in_order.then(|| names.into_iter().map(|(_, name)| name).collect())
}

/// Takes `12:`, or JSON's `"12":`.
fn take_number(rest: &mut &str) -> Option<usize> {
    let (key, after) = rest.split_once(':')?;
    *rest = after.trim_start();
    key.trim().trim_matches(['"', '\'']).parse().ok()
}

/// Takes a string in either kind of quotes.
fn take_string(rest: &mut &str) -> Option<String> {
    let mut chars = rest.chars();
    let quote = chars.next().filter(|quote| ['"', '\''].contains(quote))?;
    let mut name = String::new();
    loop {
        match chars.next()? {
            '\\' => match chars.next()? {
                'n' => name.push('\n'),
                't' => name.push('\t'),
                other => name.push(other),
            },
            end if end == quote => break,
            other => name.push(other),
        }
    }
    *rest = chars.as_str();
    Some(name)
}

/// The classes of the COCO data set, in its order.
pub const COCO: [&str; 80] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_python_and_json_write_them() {
        let read = |text| parse(text).unwrap_or_default().join("|");
        assert_eq!(read("{0: 'person', 1: 'bicycle'}"), "person|bicycle");
        assert_eq!(read(r#"{0: "ram's horn", 1: 'a, b: {c}'}"#), "ram's horn|a, b: {c}");
        assert_eq!(read(r"{1: 'b', 0: 'it\'s'}"), "it's|b");
        assert_eq!(read(r#"{"0": "chèvre", "1": "b",}"#), "chèvre|b");
        assert_eq!(read("['a', \"b\"]"), "a|b");
        for broken in [
            "",
            "{",
            "{0: 'a'",
            "{0: 'a}",
            "{0: a}",
            "{x: 'a'}",
            "{0: 'a', 2: 'c'}",
            "{0 'a'}",
            "a",
            "{0: 'a' 1: 'b'}",
        ] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn names_come_from_the_nearest_to_the_user() {
        let of = |classes, configured: &[&str], metadata| {
            let configured: Vec<String> = configured.iter().map(|&name| name.into()).collect();
            resolve(classes, &configured, metadata).map(|names| names.join("|"))
        };
        let metadata = Some("{0: 'a', 1: 'b'}");
        assert_eq!(of(2, &["x", "y"], metadata), Ok("x|y".to_owned()));
        assert_eq!(of(2, &[], metadata), Ok("a|b".to_owned()));
        assert_eq!(of(2, &[], Some("no dict")), Ok("class_0|class_1".to_owned()));
        assert!(of(80, &[], None).unwrap().starts_with("person|bicycle"));
        assert_eq!(of(3, &[], metadata), Err(InvalidNames::Metadata { names: 2, classes: 3 }));
        assert_eq!(of(2, &["x"], None), Err(InvalidNames::Configured { names: 1, classes: 2 }));
        assert!(matches!(of(1, &["\n"], None), Err(InvalidNames::Unusable { .. })));
        assert!(matches!(of(1, &[], Some("{0: ''}")), Err(InvalidNames::Unusable { .. })));
    }
}
