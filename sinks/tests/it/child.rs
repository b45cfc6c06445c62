//! Tests that need a process of their own: to be killed, to hold a lock, or to
//! set failpoints, which are global.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Says to a process of this binary that it is the other one, and where to work.
const CHILD: &str = "SINKS_TEST_CHILD";

/// Where to work, if this process is a child.
pub(crate) fn dir() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// A process that runs only `test`, and in it finds [`dir`].
pub(crate) fn command(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, dir).stdin(Stdio::null());
    command
}

/// Runs `test` in a process of its own and returns what became of it.
pub(crate) fn run(test: &str, dir: &Path) -> Output {
    command(test, dir).output().unwrap()
}

/// Runs `body` in a process of its own, which is this test again.
pub(crate) fn alone(test: &str, body: impl FnOnce(&Path)) {
    match dir() {
        Some(dir) => body(&dir),
        None => {
            let dir = tempfile::tempdir().unwrap();
            let output = run(test, dir.path());
            let told = String::from_utf8_lossy(&output.stderr);
            let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
            assert!(output.status.success() && ran, "{told}");
        }
    }
}
