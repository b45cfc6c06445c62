//! A page as a real browser builds it.
//!
//! Needs only `std` and `tempfile`, so another package's tests can take this
//! file in with `#[path]`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set to make a missing browser a failure instead of a skipped test.
pub const REQUIRE: &str = "ANIMOV_REQUIRE_BROWSER";

/// Names under which Chromium is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Longer than a browser takes to start on a busy machine.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A browser that was found on this machine.
pub struct Browser {
    program: PathBuf,
}

/// How a page is looked at.
#[derive(Clone, Debug)]
pub struct View {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    /// As in `Accept-Language`.
    pub language: &'static str,
}

impl Default for View {
    fn default() -> View {
        View { width: 1280, height: 1000, dark: false, language: "en" }
    }
}

impl Browser {
    /// Chromium, if this machine has it. Says so if it has not.
    ///
    /// # Panics
    ///
    /// It has not, and [`REQUIRE`] is set.
    pub fn find() -> Option<Browser> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .flat_map(|folder| NAMES.map(|name| folder.join(name)))
            .find(|program| program.is_file());
        if found.is_none() {
            assert!(
                std::env::var_os(REQUIRE).is_none(),
                "{REQUIRE} is set and there is no Chromium in PATH: install the package chromium"
            );
            println!("SKIPPED: there is no Chromium in PATH, so no page was looked at");
        }
        found.map(|program| Browser { program })
    }

    /// The document of `url` once its scripts have run for `budget` of the
    /// page's own time, which passes quicker than ours.
    pub fn document(&self, url: &str, view: &View, budget: Duration) -> String {
        let budget = format!("--virtual-time-budget={}", budget.as_millis());
        self.run(view, &[budget, "--dump-dom".to_owned(), url.to_owned()])
    }

    /// Writes what `url` looks like to `picture`, as PNG.
    pub fn picture(&self, url: &str, view: &View, budget: Duration, picture: &Path) {
        let budget = format!("--virtual-time-budget={}", budget.as_millis());
        let picture = format!("--screenshot={}", picture.display());
        self.run(view, &[budget, picture, url.to_owned()]);
    }

    fn run(&self, view: &View, arguments: &[String]) -> String {
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        let mut user_data = OsString::from("--user-data-dir=");
        user_data.push(profile.path());
        let out = profile.path().join("out");
        let mut command = Command::new(&self.program);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"])
            .arg("--hide-scrollbars")
            .arg(format!("--window-size={},{}", view.width, view.height))
            .arg(format!("--lang={}", view.language))
            .arg(format!("--accept-lang={}", view.language))
            .arg(user_data)
            .args(view.dark.then_some("--blink-settings=preferredColorScheme=0"))
            .args(arguments)
            .env("LANGUAGE", view.language)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&out).expect("a file for the browser's output"))
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the browser starts");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("the browser can be waited for") {
                break status;
            }
            if WAIT_MAX < begun.elapsed() {
                child.kill().expect("the browser can be ended");
                child.wait().expect("the browser can be waited for");
                panic!("the browser did not end within {WAIT_MAX:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "the browser ended with {status}");
        std::fs::read_to_string(&out).expect("what the browser wrote")
    }
}
