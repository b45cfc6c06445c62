//! A named pipe from a film to a camera of the same machine.
//!
//! # Invariants
//!
//! - Neither end waits for ever: the writer opens it also where nobody reads yet,
//!   and a write that nobody takes ends when it is time to stop.
//! - When the writer goes, the reader comes to the end of the film.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use schemas::stop::Stop;

/// How long a full pipe is left alone.
const FULL: Duration = Duration::from_millis(5);

/// The end that is written to.
pub(crate) struct Fifo {
    file: File,
    stop: Stop,
}

impl Fifo {
    /// Makes a named pipe at `path` and opens it.
    ///
    /// # Errors
    ///
    /// It cannot be made there.
    pub(crate) fn make(path: &Path, stop: Stop) -> anyhow::Result<Fifo> {
        nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)
            .with_context(|| format!("could not make the named pipe {}", path.display()))?;
        Fifo::open(path, stop)
    }

    /// Opens the named pipe at `path`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn open(path: &Path, stop: Stop) -> anyhow::Result<Fifo> {
        // Open for both, it does not wait for a reader.
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path);
        let file =
            opened.with_context(|| format!("could not write the named pipe {}", path.display()))?;
        Ok(Fifo { file, stop })
    }
}

impl Write for Fifo {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stop.wait(FULL) {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_then_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film.ts");
        let mut fifo = Fifo::make(&path, Stop::default()).unwrap();
        let sent: Vec<u8> = (0..500_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            File::open(&path).unwrap().read_to_end(&mut got).unwrap();
            got
        });
        fifo.write_all(&sent).unwrap();
        drop(fifo);
        assert_eq!(reader.join().unwrap(), sent);
    }

    #[test]
    fn a_pipe_that_nobody_reads_does_not_hold_up_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        let mut fifo = Fifo::make(&dir.path().join("film.ts"), stop.clone()).unwrap();
        let writer = std::thread::spawn(move || fifo.write_all(&vec![7; 1 << 20]));
        std::thread::sleep(Duration::from_millis(50));
        stop.stop();
        assert!(writer.join().unwrap().is_err());
    }
}
