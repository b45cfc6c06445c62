//! Finds where the newest segment ends, and what is known of older ones.
//!
//! # Invariants
//!
//! - A segment ends behind its last wholly valid block: its sync marker is
//!   right, its checksum is, and the offsets ascend.
//! - What precedes a valid block is never cut, also if it is damaged: it may
//!   have been acknowledged.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use schemas::time::UnixMillis;

use super::blocks::{Block, Blocks, Next, wide};
use super::format::{
    BLOCK_HEAD_BYTES_MAX, Header, NoHeader, parse_block_head, parse_header, parse_record,
    peek_appended_at,
};

/// What a whole segment holds.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// Behind the last wholly valid block.
    pub(super) bytes: u64,
    /// Behind the last record.
    pub(super) next: u64,
    pub(super) last_appended_at: Option<UnixMillis>,
}

/// No header is longer: it holds a few schemas.
const HEADER_BYTES_MAX: u64 = 4 << 20;

/// Reads the header of `file`.
pub(super) fn read_header(file: &File) -> io::Result<Result<Header, NoHeader>> {
    let length = file.metadata()?.len().min(HEADER_BYTES_MAX);
    let mut bytes = Vec::new();
    // Headers are a few KiB; the rest is only read if that was not enough.
    for piece in [length.min(16 << 10), length] {
        bytes.resize(usize::try_from(piece).unwrap_or(0), 0);
        file.read_exact_at(&mut bytes, 0)?;
        match parse_header(&bytes) {
            Err(NoHeader::EndsEarly) => {}
            known => return Ok(known),
        }
    }
    Ok(Err(NoHeader::EndsEarly))
}

/// When the first record of a segment was appended, if it has a readable one.
pub(super) fn first_appended_at(file: &File, header: &Header) -> io::Result<Option<UnixMillis>> {
    let mut bytes = [0; 3 * BLOCK_HEAD_BYTES_MAX];
    let read = file.read_at(&mut bytes, wide(header.bytes))?;
    let bytes = &bytes[..read];
    let first =
        parse_block_head(bytes, 0).and_then(|head| peek_appended_at(bytes.get(head.data..)?));
    Ok(first)
}

/// Reads a segment up to `limit`, its length when it was opened, and checks
/// every record. What another process appends meanwhile is not looked at.
pub(super) fn scan(file: File, header: &Header, limit: u64) -> io::Result<Scan> {
    let begin = wide(header.bytes);
    let mut blocks = Blocks::new(file, header.sync, begin, limit);
    let mut scan = Scan { bytes: begin, next: header.base, last_appended_at: None };
    loop {
        match blocks.next()? {
            Next::End => return Ok(scan),
            Next::Damage { .. } => {}
            Next::Block(block) => {
                let valid = check(&blocks.bytes()[block.data.clone()], &block, scan.next);
                if let Some((next, appended_at)) = valid {
                    let last_appended_at = Some(appended_at);
                    scan = Scan { bytes: blocks.at(), next, last_appended_at };
                }
            }
        }
    }
}

/// The offset behind a wholly valid block, and when its last record was
/// appended.
fn check(data: &[u8], block: &Block, mut next: u64) -> Option<(u64, UnixMillis)> {
    if !block.marked {
        return None;
    }
    let (mut at, mut last_appended_at) = (0, UnixMillis::MIN);
    for _ in 0..block.records {
        let record = parse_record(data, &mut at)?;
        if record.offset < next {
            return None;
        }
        next = record.offset.checked_add(1)?;
        last_appended_at = record.appended_at;
    }
    (at == data.len()).then_some((next, last_appended_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::segments::format::{BlockEncoder, encode_header};

    #[test]
    fn what_is_appended_behind_the_limit_is_not_counted() {
        let (mut bytes, sync) = encode_header("a-log", 7, &[]);
        let header = parse_header(&bytes).unwrap();
        let mut ends = vec![bytes.len()];
        for offset in 7..9 {
            let mut encoder_block = Vec::new();
            let mut encoder = BlockEncoder::new(sync, &mut bytes, &mut encoder_block);
            encoder.push(offset, UnixMillis::new(1), b"value");
            encoder.finish();
            ends.push(bytes.len());
        }
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &bytes).unwrap();
        for limit in ends[0]..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= limit).count() - 1;
            let found = scan(file.try_clone().unwrap(), &header, wide(limit)).unwrap();
            assert_eq!(found.bytes, wide(ends[whole]), "up to {limit}");
            assert_eq!(found.next, 7 + wide(whole), "up to {limit}");
        }
    }
}
