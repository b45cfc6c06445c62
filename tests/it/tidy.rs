//! ARCHITECTURE.md makes promises; here they are kept.

use std::fs;
use std::path::{Path, PathBuf};

/// Each crate, and the crates of ours that it may name.
const MAY_USE: [(&str, &[&str]); 8] = [
    ("schemas", &[]),
    ("producers", &["schemas"]),
    ("pen", &["schemas"]),
    ("prices", &["schemas"]),
    ("pipeline", &["schemas"]),
    ("sinks", &["schemas"]),
    ("accuracy", &["schemas"]),
    ("api", &["schemas"]),
];

/// Each foreign library that lives in one place, and the place.
const LIVES_IN: [(&str, &[&str]); 13] = [
    ("ffmpeg_next", &["producers/src/decode.rs", "producers/src/encode.rs"]),
    ("ort::", &["producers/src/detect/onnx.rs", "producers/src/detect/onnx/"]),
    ("rdkafka", &["sinks/src/log/kafka.rs", "sinks/src/log/kafka/"]),
    ("mongodb::", &["sinks/src/snapshots/mongo.rs", "sinks/src/snapshots/mongo/"]),
    (
        "rusqlite",
        &[
            "sinks/src/sqlite/",
            "sinks/src/state/sqlite.rs",
            "sinks/src/state/sqlite/",
            "sinks/src/snapshots/sqlite.rs",
        ],
    ),
    ("sqlx", &["sinks/src/state/mysql.rs", "sinks/src/state/mysql/"]),
    ("tokio_rustls", &["api/src/tls.rs"]),
    ("jsonwebtoken", &["api/src/auth/keys.rs", "api/src/auth/crypto.rs"]),
    ("argon2::", &["api/src/auth/password.rs"]),
    ("ureq::", &["prices/src/fetch.rs", "prices/src/fetch/"]),
    ("plotters::", &["accuracy/src/plot.rs"]),
    ("scraper::", &["prices/src/extract.rs"]),
    ("timely::", &["pipeline/src/dataflow.rs", "pipeline/src/worker.rs", "pipeline/src/run.rs"]),
];

/// The one file that may be `unsafe`, where the compiler cannot look.
const UNSAFE: &str = "sinks/src/log/kafka/native.rs";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn crates_depend_only_downwards() {
    for (krate, allowed) in MAY_USE {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
        let (dependencies, _) = dependencies.split_once("\n[").unwrap();
        assert!(!dependencies.trim().is_empty());
        for (other, _) in MAY_USE {
            let used = dependencies
                .lines()
                .any(|line| line.split(['.', ' ', '=']).next().is_some_and(|name| name == other));
            assert!(!used || allowed.contains(&other), "{krate} must not use {other}");
        }
    }
}

#[test]
fn a_foreign_library_lives_in_one_place() {
    for (library, places) in LIVES_IN {
        let mut found = 0;
        for (krate, _) in MAY_USE {
            for file in sources(&root().join(krate).join("src")) {
                let text = fs::read_to_string(&file).unwrap();
                let code: Vec<&str> =
                    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                // The name itself, not a longer one that ends in it.
                let word = |line: &&str| {
                    let longer = |c: char| c.is_alphanumeric() || c == '_';
                    let before = |at: usize| line.get(..at).unwrap_or_default();
                    line.match_indices(library).any(|(at, _)| !before(at).ends_with(longer))
                };
                if code.iter().any(word) {
                    let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                    assert!(
                        places.iter().any(|place| name.starts_with(place)),
                        "{library} in {name}"
                    );
                    found += 1;
                }
            }
        }
        assert!(0 < found, "{library} is used nowhere");
    }
}

#[test]
fn one_file_alone_is_unsafe() {
    // Put together here, or this file would be found too.
    let lint = ["unsafe", "code"].join("_");
    let lints = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(lints.contains(&format!("\n{lint} = \"deny\"\n")), "the compiler refuses the others");
    let folders = MAY_USE.iter().map(|(krate, _)| *krate).chain(["src", "tests", "benches"]);
    let excused: Vec<PathBuf> = folders
        .flat_map(|folder| sources(&root().join(folder)))
        .filter(|file| fs::read_to_string(file).unwrap().contains(&lint))
        .collect();
    assert_eq!(excused, [root().join(UNSAFE)]);
}

#[test]
fn every_module_says_what_it_is() {
    let folders = MAY_USE.iter().map(|(krate, _)| root().join(krate).join("src"));
    for folder in folders.chain([root().join("src"), root().join("tests"), root().join("benches")])
    {
        // A module's own tests are described by the module.
        for file in sources(&folder).iter().filter(|file| !file.ends_with("tests.rs")) {
            let text = fs::read_to_string(file).unwrap();
            let begins = text.starts_with("//!") || text.starts_with("#![doc = include_str!");
            assert!(begins, "{} has no module documentation", file.display());
        }
    }
}

#[test]
fn the_map_names_what_exists() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = map.split_once("## The map").unwrap();
    let (table, _) = table.split_once("One foreign library").unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().filter(|l| l.starts_with("| `")).map(|l| l.split('|').collect()).collect();
    assert!(8 < rows.len());
    for row in rows {
        let folder = row[1].trim().trim_matches('`');
        for file in row[3].split(',') {
            let file = file.trim().trim_matches('`');
            let inside =
                [root().join(folder).join(file), root().join(folder).join("src").join(file)];
            assert!(inside.iter().any(|path| path.exists()), "{folder}: no {file}");
        }
    }
}

#[test]
fn the_image_is_made_from_every_crate() {
    let [made, let_in] = ["docker/Dockerfile", ".dockerignore"]
        .map(|file| fs::read_to_string(root().join(file)).unwrap());
    for (member, _) in MAY_USE {
        assert!(
            made.contains(&format!("COPY {member} {member}\n")),
            "Dockerfile leaves {member} out"
        );
        assert!(let_in.contains(&format!("!{member}\n")), ".dockerignore leaves {member} out");
    }
}
