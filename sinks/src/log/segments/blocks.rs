//! Reads one segment file block by block, in big pieces, past damage.
//!
//! # Invariants
//!
//! - Nothing at or behind `limit` is ever looked at.
//! - Each call moves forward: damage cannot make it loop.
//! - Memory is one buffer, however long the file is.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::format::{
    BLOCK_BYTES_MAX, BLOCK_HEAD_BYTES_MAX, SYNC_BYTES, Sync, check_block, parse_block_head,
};

/// Bytes read from the file at once.
const CHUNK_BYTES: usize = 512 << 10;

/// No block with its head and its marker is longer.
const WHOLE_BYTES_MAX: usize = BLOCK_HEAD_BYTES_MAX + BLOCK_BYTES_MAX + SYNC_BYTES;

/// What lies next in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A whole block with the right checksum.
    Block(Block),
    /// So many bytes that are no block; what follows may be one.
    Damage { bytes: u64 },
    /// The limit.
    End,
}

/// A block in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) records: usize,
    /// Where its records lie in [`Blocks::bytes`].
    pub(super) data: Range<usize>,
    /// Whether the right sync marker follows.
    pub(super) marked: bool,
}

/// A place between two blocks of a file, moving forward.
pub(super) struct Blocks {
    file: File,
    sync: Sync,
    /// Where in the file the buffer's `begin` lies.
    at: u64,
    /// Where the readable part of the file ends.
    limit: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that is read and not yet consumed.
    begin: usize,
    end: usize,
}

impl Blocks {
    /// Reads `file` from `at`, just behind its header or a block.
    pub(super) fn new(file: File, sync: Sync, at: u64, limit: u64) -> Blocks {
        Blocks { file, sync, at, limit, buffer: Vec::new(), begin: 0, end: 0 }
    }

    /// Moves on to another file and keeps the buffer.
    pub(super) fn reopen(&mut self, file: File, sync: Sync, at: u64, limit: u64) {
        (self.file, self.sync, self.at, self.limit) = (file, sync, at, limit);
        (self.begin, self.end) = (0, 0);
    }

    /// Lets more of the file be read.
    pub(super) fn extend(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// Where the readable part of the file ends.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Which file this is, by its sync marker.
    pub(super) fn sync(&self) -> &Sync {
        &self.sync
    }

    /// Where in the file the next block would begin.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The buffer that a [`Block`] lies in, until the next call of
    /// [`next`](Blocks::next).
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the next block.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        if self.limit <= self.at {
            return Ok(Next::End);
        }
        self.fill(BLOCK_HEAD_BYTES_MAX)?;
        let Some(head) = parse_block_head(&self.buffer[..self.end], self.begin) else {
            return self.skip_damage();
        };
        let ahead = head.data - self.begin;
        let length = ahead + head.bytes + SYNC_BYTES;
        if self.fill(length)? < length {
            return self.skip_damage();
        }
        let data = self.begin + ahead..self.begin + ahead + head.bytes;
        let Some(behind_checksum) = check_block(head.records, &self.buffer[data.clone()]) else {
            return self.skip_damage();
        };
        let marked = self.buffer[data.end..data.end + SYNC_BYTES] == self.sync;
        let data = data.start + behind_checksum..data.end;
        self.consume(length);
        Ok(Next::Block(Block { records: head.records, data, marked }))
    }

    /// Consumes everything up to the next whole block, or else up to and with
    /// the next sync marker.
    fn skip_damage(&mut self) -> io::Result<Next> {
        let from = self.at;
        // Any whole block ahead begins behind this byte, which begins none.
        self.consume(usize::from(self.begin < self.end));
        // Of the bytes ahead, so many begin no marker.
        let mut searched = 0;
        loop {
            let ahead = &self.buffer[self.begin..self.end];
            if let Some(marker) = find(&ahead[searched..], &self.sync).map(|at| searched + at) {
                let whole = block_before(ahead, marker);
                self.consume(whole.unwrap_or(marker + SYNC_BYTES));
                break;
            }
            // A block and its marker may begin in the last bytes that are here.
            let keep = WHOLE_BYTES_MAX.min(ahead.len());
            let passed = ahead.len() - keep;
            self.consume(passed);
            searched = keep.saturating_sub(SYNC_BYTES - 1);
            if self.fill(keep + CHUNK_BYTES)? <= keep {
                self.consume(self.end - self.begin);
                self.at = self.limit;
                break;
            }
        }
        Ok(Next::Damage { bytes: self.at - from })
    }

    fn consume(&mut self, bytes: usize) {
        self.begin += bytes;
        self.at += wide(bytes);
    }

    /// Reads until `wanted` bytes are in the buffer or the limit is reached;
    /// returns how many are.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        while self.end - self.begin < wanted {
            let left = self.limit.saturating_sub(self.at + wide(self.end - self.begin));
            if left == 0 {
                break;
            }
            let room_wanted = wanted.max(CHUNK_BYTES);
            if self.buffer.len() - self.begin < room_wanted {
                self.buffer.copy_within(self.begin..self.end, 0);
                (self.begin, self.end) = (0, self.end - self.begin);
                if self.buffer.len() < room_wanted {
                    self.buffer.resize(room_wanted, 0);
                }
            }
            let room = self.buffer.len() - self.end;
            let piece = usize::try_from(left).map_or(room, |left| left.min(room));
            let place = self.at + wide(self.end - self.begin);
            let read = self.file.read_at(&mut self.buffer[self.end..self.end + piece], place);
            match read {
                // Shorter than it was: what is missing is damage, not an error.
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end - self.begin)
    }
}

/// Where in `bytes` the whole block begins that ends at `marker`.
fn block_before(bytes: &[u8], marker: usize) -> Option<usize> {
    (0..marker).find(|&at| {
        let head = parse_block_head(bytes, at).filter(|head| head.data + head.bytes == marker);
        head.is_some_and(|head| check_block(head.records, &bytes[head.data..marker]).is_some())
    })
}

fn find(bytes: &[u8], marker: &Sync) -> Option<usize> {
    let mut from = 0;
    // The first byte sieves: random bytes match it once in 256.
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == marker[0]) {
        from += at;
        match bytes.get(from..from + SYNC_BYTES) {
            Some(candidate) if candidate == marker => return Some(from),
            Some(_) => from += 1,
            None => return None,
        }
    }
    None
}

/// A length in memory as a length in a file.
pub(super) fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
