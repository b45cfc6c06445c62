//! Up to where the local log was forwarded: one small file, replaced whole.
//!
//! It may be behind, after a crash, and what lies between is sent once more. It is
//! never ahead of what the remote acknowledged or a bound dropped.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemas::log::{FrameLog, LogId, Offset};

use super::{ONLY, SpoolError};

/// The file's name in the spool's folder.
const FILE: &str = "forwarded";

/// How far a crash may set it back.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The file.
pub(super) struct Cursor {
    path: PathBuf,
    /// Offsets of another log mean nothing in this one.
    log: LogId,
    saved: Offset,
    saved_at: Instant,
}

/// Finds in `dir` up to where `local` was forwarded, within its bounds.
pub(super) fn open(dir: &Path, local: &dyn FrameLog) -> Result<(Cursor, Offset), SpoolError> {
    let path = dir.join(FILE);
    let log = local.identity();
    let bounds = local.bounds(ONLY).map_err(SpoolError::Local)?;
    let text = match fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(SpoolError::Cursor { path, source }),
    };
    let said = parse(&text).filter(|(id, _)| **id == *log.0).map(|(_, offset)| offset);
    if said.is_none() && !text.is_empty() {
        tracing::warn!(path = %path.display(), "this is not of this spool; everything in it is sent again");
    }
    // What lies before the low bound was forwarded, or it would be there. What lies
    // behind the high one will be appended.
    let sent = said.unwrap_or(bounds.low).clamp(bounds.low, bounds.high);
    Ok((Cursor { path, log, saved: sent, saved_at: Instant::now() }, sent))
}

fn parse(text: &str) -> Option<(&str, Offset)> {
    let (id, offset) = text.trim_end().split_once(' ')?;
    Some((id, Offset(offset.parse().ok()?)))
}

impl Cursor {
    /// Remembers `sent`, if it is time to or `now` asks for it.
    pub(super) fn keep(&mut self, sent: Offset, now: bool) -> io::Result<()> {
        if sent == self.saved || !(now || SAVE_EVERY <= self.saved_at.elapsed()) {
            return Ok(());
        }
        // `new` is what the local log calls its own unfinished files, and removes.
        let unfinished = self.path.with_extension("new");
        let mut file = File::create(&unfinished)?;
        writeln!(file, "{} {sent}", self.log)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        (self.saved, self.saved_at) = (sent, Instant::now());
        Ok(())
    }
}
