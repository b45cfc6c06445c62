//! The original's Python client against every one of its routes.

use std::process::Command;

use crate::servers::Servers;
use crate::support::{Site, free_port, succeeded};

const ZONE: &str = "Europe/Paris";

/// The original's classes.
const METRICS: &str = "[metrics]\nlying = [\"couche\"]\nstanding = [\"debout\"]\n\
                       total = [\"couche\", \"debout\"]\n";

#[test]
fn the_originals_client_finds_what_pandas_computes_from_the_frames() {
    client_agrees(&Site::new(&format!("[site]\nzone = \"{ZONE}\"\n{METRICS}")));
}

#[test]
fn the_originals_client_finds_the_same_on_servers() {
    let Some(servers) = Servers::new() else { return };
    let Ok(mongo) = std::env::var("ANIMOV_TEST_MONGO") else {
        println!("SKIPPED: ANIMOV_TEST_MONGO is not set");
        return;
    };
    let collection = format!("chevres_{}_{}", std::process::id(), free_port());
    let snapshots = format!(
        "[snapshots]\nkind = \"mongo\"\n[snapshots.mongo]\nurl = \"{mongo}\"\n\
         database = \"animov_it\"\ncollection = \"{collection}\"\n"
    );
    let site = Site::new(&format!("{}{METRICS}{snapshots}", servers.settings(2)));
    succeeded(site.animov(&["migrate"]));
    client_agrees(&site);
}

fn client_agrees(site: &Site) {
    let Some(python) = std::env::var_os("ANIMOV_TEST_PYTHON") else {
        println!("SKIPPED: ANIMOV_TEST_PYTHON is not set");
        return;
    };
    let running = site.start_ready();
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis().to_string();
    println!("seed {seed}");
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/animov/client.py");
    let url = site.url("");
    let told = Command::new(python).args([client, &url, &seed, ZONE]).output().unwrap();
    println!("{}", succeeded(told));
    running.terminate();
}
