//! The folder of a log: its identity, its lock, its partitions' files.
//!
//! ```text
//! DIR/log.json                                       identity, partitions, format
//! DIR/lock                                           held by the writing process
//! DIR/partition-0000/00000000000000000000.avro       named by the first offset
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use schemas::log::LogError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The layout that this program reads and writes.
const FORMAT: u32 = 1;

/// What a file is called until it is whole.
const UNFINISHED: &str = "new";

/// What `log.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    format: u32,
    pub(super) id: Uuid,
    pub(super) partitions: u32,
}

impl Identity {
    /// Reads `log.json` of `dir`, if there is one.
    pub(super) fn load(dir: &Path) -> Result<Option<Identity>, LogError> {
        let path = dir.join("log.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let identity: Identity = serde_json::from_slice(&text)
            .map_err(|error| LogError::Damaged { at: shown(&path), what: error.to_string() })?;
        if identity.format != FORMAT || identity.partitions == 0 {
            let what = format!(
                "it says format {} and {} partitions; this program knows format {FORMAT} and at \
                 least one partition",
                identity.format, identity.partitions
            );
            return Err(LogError::Damaged { at: shown(&path), what });
        }
        Ok(Some(identity))
    }

    /// Reads `log.json` of `dir`, or makes a new log; then sees to it that
    /// there are `partitions`.
    pub(super) fn load_or_create(dir: &Path, partitions: u32) -> Result<Identity, LogError> {
        let identity = match Identity::load(dir)? {
            None => Identity { format: FORMAT, id: Uuid::new_v4(), partitions },
            Some(known) if known.partitions == partitions => return Ok(known),
            Some(known) if known.partitions < partitions => Identity { partitions, ..known },
            Some(known) => {
                let what = format!(
                    "it has {} partitions and {partitions} are configured: a log never loses \
                     partitions; configure {} or more",
                    known.partitions, known.partitions
                );
                return Err(LogError::Damaged { at: shown(dir), what });
            }
        };
        let text = serde_json::to_vec_pretty(&identity)
            .map_err(|error| failed("write", dir)(io::Error::other(error)))?;
        let path = dir.join("log.json");
        create_whole(&path, &text).map_err(failed("write", &path))?;
        Ok(identity)
    }
}

/// The right to write to a log, while it lives.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that was just forked, to
        // start another program, holds the same lock until it has.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "could not unlock the log; it is free when this process ends");
        }
    }
}

/// Takes the lock of `dir`.
pub(super) fn lock(dir: &Path) -> Result<Lock, LogError> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(failed("read", &path))?;
            return Err(LogError::InUse { at: shown(dir), pid: pid.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
    }
    let sign = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    sign(&mut file).map_err(failed("write", &path))?;
    Ok(Lock(file))
}

/// The folder of one partition.
pub(super) fn partition_dir(dir: &Path, partition: u32) -> PathBuf {
    dir.join(format!("partition-{partition:04}"))
}

/// The file of the segment that begins at `base`.
pub(super) fn segment_path(partition_dir: &Path, base: u64) -> PathBuf {
    partition_dir.join(format!("{base:020}.avro"))
}

/// First offsets of a partition's segments, ascending; none if there is no
/// folder yet.
pub(super) fn segment_bases(partition_dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(partition_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bases = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".avro"));
        bases.extend(base.filter(|digits| digits.len() == 20).and_then(|d| d.parse::<u64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Removes what a crash left of files that were never whole.
pub(super) fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Makes a file that is either absent or whole, also after a power cut.
pub(super) fn create_whole(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let unfinished = path.with_extension(UNFINISHED);
    let made = write_and_rename(&unfinished, path, bytes);
    if made.is_err() {
        // It takes room that may be scarce; the next start removes it too.
        drop(fs::remove_file(&unfinished));
    }
    made
}

fn write_and_rename(unfinished: &Path, path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fail::fail_point!("log-while-rolling");
    fs::rename(unfinished, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    Ok(file)
}

/// Makes the names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes `dir` and what leads to it, durably.
pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// The error of `doing` something at `path`.
pub(super) fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> LogError {
    let at = shown(path);
    move |source| error(doing, at.clone(), source)
}

/// The error of `doing` something at a place; a full disk is named as such.
pub(super) fn error(doing: &'static str, at: String, source: io::Error) -> LogError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::Full { at, source },
        _ => LogError::Io { doing, at, source },
    }
}

/// A path as a message shows it.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
