//! Where records go that nobody will ever take: into a file, one behind the other.
//!
//! The file is what the API takes as a request's body (`avro/binary`), so what was
//! too long for a log can be sent again when the log takes longer records.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file's name in the spool's folder.
const FILE: &str = "set-aside.frames";

/// Longest that the file gets, bytes; what comes then is only counted.
const BYTES_MAX: u64 = 64 << 20;

/// The file, made when it is needed.
pub(super) struct Aside {
    path: PathBuf,
    /// How many records this process has set aside.
    count: Mutex<u64>,
}

impl Aside {
    pub(super) fn in_dir(dir: &Path) -> Aside {
        Aside { path: dir.join(FILE), count: Mutex::new(0) }
    }

    /// Keeps `value`, and says why.
    pub(super) fn take(&self, value: &[u8], why: &(dyn std::error::Error + 'static)) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        let kept = self.write(value);
        let path = self.path.display();
        // One line for the first: where one is, there may be thousands.
        match (&kept, *count) {
            (Err(error), 1) => {
                tracing::error!(why, %error, %path, "a frame is lost: it cannot be sent, nor set aside");
            }
            (Ok(()), 1) => tracing::error!(
                why,
                %path,
                "a frame cannot be sent and is set aside; further ones are only counted"
            ),
            _ => tracing::debug!(why, kept = kept.is_ok(), "frame set aside"),
        }
    }

    fn write(&self, value: &[u8]) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(&self.path)?;
        if BYTES_MAX < file.metadata()?.len() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        file.write_all(value)?;
        file.sync_data()
    }
}
