//! What others recorded: headcounts of files against pandas, pages of prices, and
//! the minutes of an existing ANIMOV database.

mod original;
mod web;

use std::process::Command;

use crate::support::{Site, failed, succeeded};

/// Runs `tests/data/animov/headcounts.py`, if there is a Python with pandas.
fn python(arguments: &[&str]) -> Option<String> {
    let Some(python) = std::env::var_os("ANIMOV_TEST_PYTHON") else {
        println!("SKIPPED: ANIMOV_TEST_PYTHON is not set");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/animov/headcounts.py");
    let told = Command::new(python).arg(script).args(arguments).output().unwrap();
    Some(succeeded(told))
}

#[test]
fn headcounts_of_files_and_cameras_are_what_pandas_makes_of_them() {
    const ZONE: &str = "Europe/Paris";
    let site = Site::new(&format!("[site]\nzone = \"{ZONE}\"\n"));
    let folder = site.dir.path().join("exports");
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.to_str().unwrap();
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis().to_string();
    println!("seed {seed}");
    if python(&["write", folder, &seed]).is_none() {
        return;
    }
    let running = site.start_ready();
    // Beside the running program; the second time nothing is new.
    let told = succeeded(site.animov(&["import", "csv", folder, "--source", "3"]));
    let summary = told.lines().last().unwrap();
    assert!(summary.starts_with("files=8 known=0 files_refused=0 rows="), "{told}");
    let again = succeeded(site.animov(&["import", "csv", folder, "--source", "3"]));
    assert!(again.lines().last().unwrap().contains("files=8 known=8 "), "{again}");
    let url = site.url("");
    println!("{}", python(&["compare", folder, &url, "3"]).unwrap());
    println!("{}", python(&["camera", &url, &seed, ZONE]).unwrap());
    succeeded(site.animov(&["audit"]));
    running.terminate();
}

#[test]
fn a_folder_without_files_is_an_empty_result_and_a_file_without_columns_is_told() {
    let site = Site::new("");
    let folder = site.dir.path().join("exports");
    std::fs::create_dir_all(folder.join("folder-1.csv")).unwrap();
    let import = || site.animov(&["import", "csv", folder.to_str().unwrap(), "--source", "1"]);
    let told = succeeded(import());
    assert_eq!(told, "files=0 known=0 files_refused=0 rows=0 new=0 refused=0\n");
    std::fs::write(folder.join("other-2.csv"), "a,b\n1,2\n").unwrap();
    let output = import();
    assert_eq!(output.status.code(), Some(4));
    let error = failed(&output);
    assert!(error.contains("it has no column \"date\""), "{error}");
    let file = "date,Effectif couche,Effectif debout\n2026-03-01,1,2\nsoon,1,2\n";
    std::fs::write(folder.join("pen-1.csv"), file).unwrap();
    let output = import();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("pen-1.csv, line 3: no date: \"soon\""), "{error}");
    let told = succeeded(output);
    assert!(told.contains("table=final rows=2 new=1 refused=1"), "{told}");
    let missing = site.animov(&["import", "csv", "/nowhere", "--source", "1"]);
    assert!(failed(&missing).contains("could not list the folder /nowhere"));
}
