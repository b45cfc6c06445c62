//! A disk that can be filled up.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in memory, of its own; gone when dropped.
pub(crate) struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, and a line that says so, where this process may not mount.
    pub(crate) fn mount(kib: u32) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={kib}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk { dir }),
            _ => {
                println!("SKIPPED: mounting a small tmpfs needs root");
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all the room that is left, but for `kib`.
    pub(crate) fn fill_but(&self, kib: usize) -> Filler {
        let path = self.dir.path().join("filler");
        let mut file = File::create(&path).unwrap();
        let room = vec![0; 1024];
        while file.write_all(&room).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(u64::try_from(kib * 1024).unwrap())).unwrap();
        Filler { path, file }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.dir.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("could not unmount {}", self.dir.path().display());
        }
    }
}

/// What takes the room; gone when dropped.
pub(crate) struct Filler {
    path: PathBuf,
    file: File,
}

impl Drop for Filler {
    fn drop(&mut self) {
        // Also if a process that another test just forked holds the file too.
        self.file.set_len(0).unwrap();
        fs::remove_file(&self.path).unwrap();
    }
}
