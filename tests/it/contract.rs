//! The OpenAPI document against the program: whatever a client sends, it gets an answer
//! that the document describes, and never a fault of the server.

use std::path::Path;
use std::process::Command;

use crate::support::{Counted, Site, succeeded};

/// Requests a route and phase, at most.
const EXAMPLES: &str = "25";

/// No fault of the server, no status, media type, header or body that is not documented.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

#[test]
fn every_route_answers_as_its_document_says_whatever_is_sent() {
    let Some(python) = std::env::var_os("ANIMOV_TEST_PYTHON") else {
        println!("SKIPPED: ANIMOV_TEST_PYTHON is not set");
        return;
    };
    let site = Site::new("");
    let running = site.start_ready();
    let frames: Vec<Counted> = (0..200)
        .map(|seq| Counted {
            source: 1,
            session: "7b9c1f6e-0c57-4b6e-9a49-3c4f8f6a1c11".to_owned(),
            seq,
            captured_at: 1_772_408_970_000 + i64::try_from(seq).unwrap() * 1000,
            lying: 3,
            standing: 2,
        })
        .collect();
    assert!(site.post(&frames));
    site.wait_accepted(200);

    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
    println!("seed {seed}");
    let told = Command::new(Path::new(&python).with_file_name("schemathesis"))
        .args(["run", &site.url("/v1/openapi.json"), "--url", &site.url("")])
        .args(["--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        .args(["--seed", &seed, "--request-timeout", "30", "--no-color"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .current_dir(site.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success(), "{said}");
    println!("{}", succeeded(told));
    assert!(ureq::get(site.url("/readyz")).call().is_ok());
    running.terminate();
}
