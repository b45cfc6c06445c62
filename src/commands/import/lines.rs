//! A file, line by line, in big reads and without a copy a line.

use std::fs::File;
use std::io::{self, Read};

/// Bytes of one read: large enough for the system call to cost nothing, small
/// enough to stay in a core's own cache.
const READ_BYTES: usize = 1 << 20;

/// Longest line. Nothing that counts animals comes near it.
const LINE_BYTES_MAX: usize = 1 << 24;

/// Marks the beginning of UTF-8 text in files from Windows.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The first `length` bytes of a file, as lines without their ends.
pub(super) struct Lines<R = File> {
    from: R,
    /// Not read yet.
    left: u64,
    buffer: Vec<u8>,
    /// What was read and not yet given: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Bytes given.
    given: u64,
}

impl<R: Read> Lines<R> {
    /// The lines of `from`, of which `length` bytes count: what is appended to
    /// a file while it is read belongs to the next import.
    pub(super) fn new(from: R, length: u64) -> Lines<R> {
        let buffer = vec![0; READ_BYTES];
        Lines { from, left: length, buffer, start: 0, end: 0, given: 0 }
    }

    /// Bytes of the lines given so far, with their ends.
    pub(super) fn bytes(&self) -> u64 {
        self.given
    }

    /// The next line.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or what it holds are no lines.
    #[inline]
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = 0;
        let end = loop {
            match memchr::memchr(b'\n', &self.buffer[self.start + searched..self.end]) {
                Some(at) => break searched + at,
                None => {
                    searched = self.end - self.start;
                    if !self.fill()? {
                        if searched == 0 {
                            return Ok(None);
                        }
                        break searched;
                    }
                }
            }
        };
        let first = self.given == 0;
        let line = &self.buffer[self.start..self.start + end];
        // The last line may have no end.
        let with_end = (end + 1).min(self.end - self.start);
        self.start += with_end;
        self.given += u64::try_from(with_end).unwrap_or(u64::MAX);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        Ok(Some(line))
    }

    /// Reads more behind what is there; whether there was any.
    #[cold]
    fn fill(&mut self) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            if LINE_BYTES_MAX <= self.buffer.len() {
                let what = format!("a line has more than {LINE_BYTES_MAX} bytes: this is no text");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let room = self.buffer.len() - self.end;
        let wanted = usize::try_from(self.left).unwrap_or(room).min(room);
        loop {
            match self.from.read(&mut self.buffer[self.end..self.end + wanted]) {
                Ok(0) => {
                    let what = "the file became shorter while it was read";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                }
                Ok(read) => {
                    self.end += read;
                    self.left -= u64::try_from(read).unwrap_or(self.left);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(bytes, u64::try_from(bytes.len()).unwrap());
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(line.to_vec());
        }
        assert_eq!(lines.bytes(), u64::try_from(bytes.len()).unwrap());
        found
    }

    #[test]
    fn ends_marks_and_a_last_line_without_an_end() {
        assert_eq!(lines(b"\xEF\xBB\xBFa\r\n\nb"), [b"a".to_vec(), b"".to_vec(), b"b".to_vec()]);
        assert_eq!(lines(b"a\n"), [b"a".to_vec()]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn what_was_appended_later_is_left_for_later() {
        let mut lines = Lines::new(&b"one\ntwo\nthr"[..], 8);
        assert_eq!(lines.next().unwrap(), Some(&b"one"[..]));
        assert_eq!(lines.next().unwrap(), Some(&b"two"[..]));
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let mut lines = Lines::new(&b"one"[..], 8);
        assert_eq!(lines.next().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_has_no_lines_is_refused_and_not_held_in_memory() {
        let mut lines = Lines::new(io::repeat(b'x'), u64::MAX);
        assert_eq!(lines.next().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn long_and_short_lines_are_the_files(
            lengths in prop::collection::vec(prop_oneof![0_usize..200, 500_000_usize..1_500_000], 0..12),
        ) {
            let written: Vec<Vec<u8>> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
            let mut bytes = written.join(&b'\n');
            if !written.is_empty() {
                bytes.push(b'\n');
            }
            prop_assert_eq!(lines(&bytes), written);
        }
    }
}
