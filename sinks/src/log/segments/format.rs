//! The bytes of a segment: an Avro object-container file without compression.
//!
//! # Invariants
//!
//! - A block's checksum covers every byte of its records, so whatever is damaged
//!   in a block is noticed before any of its records is given.
//! - A record carries its own offset: after a damaged block the offsets are
//!   still right.
//! - Whatever the bytes are, reading them ends in a value or in `None`.

use schemas::time::UnixMillis;
use uuid::Uuid;

/// Longest value that a segment takes, bytes.
pub const VALUE_BYTES_MAX: usize = 4 << 20;

/// A block is closed when it holds so many bytes.
const BLOCK_BYTES: usize = 256 << 10;

/// A block is closed when it holds so many records.
const BLOCK_RECORDS_MAX: usize = 4096;

/// No block of ours is longer: a full one that then took the longest value.
pub(super) const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + VALUE_BYTES_MAX + RECORD_HEAD_BYTES_MAX;

/// Four variable-length numbers.
const RECORD_HEAD_BYTES_MAX: usize = 4 * VARINT_BYTES_MAX;

/// Avro's way to say that a record has no checksum of its own, or has one: the
/// branch of the union.
const NO_CHECKSUM: u8 = 0;
const CHECKSUM: u8 = 2;

const VARINT_BYTES_MAX: usize = 10;

/// Two variable-length numbers: how many records, how many bytes.
pub(super) const BLOCK_HEAD_BYTES_MAX: usize = 2 * VARINT_BYTES_MAX;

/// What ends the header and every block of one file.
pub(super) type Sync = [u8; 16];

pub(super) const SYNC_BYTES: usize = size_of::<Sync>();

const MAGIC: &[u8; 4] = b"Obj\x01";

/// The schema of a segment's records.
pub(super) const RECORD_SCHEMA: &str = include_str!("record.avsc");

/// What a segment's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) log_id: String,
    pub(super) base: u64,
    /// The texts of the frame schemas that the writing program knew.
    pub(super) schemas: Vec<String>,
    pub(super) sync: Sync,
    /// Bytes of the header in the file.
    pub(super) bytes: usize,
}

/// Why a file does not begin with a [`Header`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// The bytes end before the header does.
    EndsEarly,
    /// It is no segment of this format.
    NotASegment(&'static str),
}

/// A header for a new segment, with a sync marker of its own.
pub(super) fn encode_header(log_id: &str, base: u64, schemas: &[&str]) -> (Vec<u8>, Sync) {
    let sync = *Uuid::new_v4().as_bytes();
    let schemas = serde_json::Value::from(schemas).to_string();
    let base = base.to_string();
    let meta: [(&str, &str); 5] = [
        ("avro.schema", RECORD_SCHEMA),
        ("avro.codec", "null"),
        ("animov.base_offset", &base),
        ("animov.log_id", log_id),
        ("animov.schemas", &schemas),
    ];
    let mut out = MAGIC.to_vec();
    write_length(meta.len(), &mut out);
    for (key, value) in meta {
        for text in [key, value] {
            write_length(text.len(), &mut out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    write_long(0, &mut out);
    out.extend_from_slice(&sync);
    (out, sync)
}

/// Reads the header that `bytes` begin with.
pub(super) fn parse_header(bytes: &[u8]) -> Result<Header, NoHeader> {
    let early = NoHeader::EndsEarly;
    let magic = bytes.get(..MAGIC.len()).ok_or(early)?;
    if magic != MAGIC {
        return Err(NoHeader::NotASegment("it does not begin like an Avro object-container file"));
    }
    let mut at = MAGIC.len();
    let mut header =
        Header { log_id: String::new(), base: 0, schemas: Vec::new(), sync: [0; 16], bytes: 0 };
    let mut has_base = false;
    loop {
        let mut entries = read_long(bytes, &mut at).ok_or(early)?;
        if entries == 0 {
            break;
        }
        if entries < 0 {
            // Avro's other form: the count negated, then the bytes.
            read_long(bytes, &mut at).ok_or(early)?;
            entries = entries.saturating_neg();
        }
        for _ in 0..entries {
            let key = read_bytes(bytes, &mut at).ok_or(early)?;
            let value = read_bytes(bytes, &mut at).ok_or(early)?;
            match key {
                b"avro.codec" if value != b"null" => {
                    return Err(NoHeader::NotASegment("it is compressed"));
                }
                b"animov.log_id" => header.log_id = String::from_utf8_lossy(value).into_owned(),
                b"animov.base_offset" => {
                    let text = std::str::from_utf8(value).ok();
                    header.base = text
                        .and_then(|text| text.parse().ok())
                        .ok_or(NoHeader::NotASegment("its base offset is no number"))?;
                    has_base = true;
                }
                b"animov.schemas" => {
                    header.schemas = serde_json::from_slice(value)
                        .map_err(|_| NoHeader::NotASegment("its list of schemas is no JSON"))?;
                }
                _ => {}
            }
        }
    }
    let sync = bytes.get(at..at + SYNC_BYTES).ok_or(early)?;
    header.sync.copy_from_slice(sync);
    header.bytes = at + SYNC_BYTES;
    if has_base { Ok(header) } else { Err(NoHeader::NotASegment("it has no base offset")) }
}

/// Writes blocks of records, one after the other, into one buffer.
pub(super) struct BlockEncoder<'a> {
    sync: Sync,
    /// Finished blocks.
    out: &'a mut Vec<u8>,
    /// The records of the block that is being filled.
    block: &'a mut Vec<u8>,
    records: usize,
}

impl<'a> BlockEncoder<'a> {
    /// Appends to `out`; `block` is room to work in.
    pub(super) fn new(sync: Sync, out: &'a mut Vec<u8>, block: &'a mut Vec<u8>) -> Self {
        block.clear();
        BlockEncoder { sync, out, block, records: 0 }
    }

    pub(super) fn push(&mut self, offset: u64, appended_at: UnixMillis, value: &[u8]) {
        if 0 < self.records {
            self.block.push(NO_CHECKSUM);
        }
        for number in [offset.cast_signed(), appended_at.get(), long(value.len())] {
            write_long(number, self.block);
        }
        self.block.extend_from_slice(value);
        self.records += 1;
        if BLOCK_RECORDS_MAX <= self.records || BLOCK_BYTES <= self.block.len() {
            self.finish_block();
        }
    }

    /// Closes the last block.
    pub(super) fn finish(mut self) {
        self.finish_block();
    }

    fn finish_block(&mut self) {
        if self.records == 0 {
            return;
        }
        let mut checksum = [CHECKSUM; 1 + VARINT_BYTES_MAX];
        let value = checksum_of(self.records, self.block);
        let length = 1 + put_long(value, &mut checksum[1..]);
        write_length(self.records, self.out);
        write_length(length + self.block.len(), self.out);
        self.out.extend_from_slice(&checksum[..length]);
        self.out.extend_from_slice(self.block);
        self.out.extend_from_slice(&self.sync);
        self.block.clear();
        self.records = 0;
    }
}

/// What a block says of itself before its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockHead {
    pub(super) records: usize,
    /// Where the records begin.
    pub(super) data: usize,
    /// Bytes of the records.
    pub(super) bytes: usize,
}

/// Reads the head of a block at `at`; `None` if no block of ours has it.
pub(super) fn parse_block_head(bytes: &[u8], mut at: usize) -> Option<BlockHead> {
    let records = usize::try_from(read_long(bytes, &mut at)?).ok()?;
    let size = usize::try_from(read_long(bytes, &mut at)?).ok()?;
    // A record takes four bytes at least.
    let plausible = 0 < records && size <= BLOCK_BYTES_MAX && records <= size / 4;
    plausible.then_some(BlockHead { records, data: at, bytes: size })
}

/// Where in a block's `data` its `records` begin, behind the checksum; `None` if
/// it is wrong.
pub(super) fn check_block(records: usize, data: &[u8]) -> Option<usize> {
    let (checksum, begin) = read_checksum(data)?;
    (checksum_of(records, data.get(begin..)?) == checksum).then_some(begin)
}

/// Over how many records there are, and their bytes.
fn checksum_of(records: usize, bytes: &[u8]) -> i64 {
    let seed = crc32c::crc32c(&long(records).to_le_bytes());
    i64::from(crc32c::crc32c_append(seed, bytes).cast_signed())
}

fn read_checksum(data: &[u8]) -> Option<(i64, usize)> {
    let mut at = 1;
    let has_one = *data.first()? == CHECKSUM;
    let checksum = read_long(data, &mut at)?;
    has_one.then_some((checksum, at))
}

/// One record, as it lies in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed<'a> {
    pub(super) offset: u64,
    pub(super) appended_at: UnixMillis,
    pub(super) value: &'a [u8],
}

/// Reads the record at `*at` of a block's `data` and moves `*at` to the next, or
/// to the end.
#[inline]
pub(super) fn parse_record<'a>(data: &'a [u8], at: &mut usize) -> Option<Parsed<'a>> {
    let mut here = *at;
    let offset = u64::try_from(read_long(data, &mut here)?).ok()?;
    let appended_at = UnixMillis::new(read_long(data, &mut here)?);
    let value = read_bytes(data, &mut here)?;
    // The next record's first field, which only a block's first record fills.
    if let Some(&none) = data.get(here) {
        if none != NO_CHECKSUM {
            return None;
        }
        here += 1;
    }
    *at = here;
    Some(Parsed { offset, appended_at, value })
}

/// When the first record of a block was appended; not checked.
pub(super) fn peek_appended_at(data: &[u8]) -> Option<UnixMillis> {
    let (_, mut at) = read_checksum(data)?;
    read_long(data, &mut at)?;
    Some(UnixMillis::new(read_long(data, &mut at)?))
}

/// Appends an Avro `long`.
fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut bytes = [0; VARINT_BYTES_MAX];
    let length = put_long(value, &mut bytes);
    out.extend_from_slice(&bytes[..length]);
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    write_long(long(length), out);
}

fn long(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Puts an Avro `long` at the beginning of `out`; returns its length.
fn put_long(value: i64, out: &mut [u8]) -> usize {
    // Zigzag: the sign is the lowest bit.
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut length = 0;
    loop {
        let low = rest.to_le_bytes()[0];
        rest >>= 7;
        if rest == 0 {
            out[length] = low;
            return length + 1;
        }
        out[length] = low | 0x80;
        length += 1;
    }
}

/// Reads an Avro `long` at `*at` and moves `*at` behind it.
#[inline]
fn read_long(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut rest = bytes.get(*at..)?;
    let value = schemas::avro::read_long(&mut rest)?;
    *at = bytes.len() - rest.len();
    Some(value)
}

#[inline]
fn read_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let length = usize::try_from(read_long(bytes, at)?).ok()?;
    let end = at.checked_add(length)?;
    let found = bytes.get(*at..end)?;
    *at = end;
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive_wherever_they_lie(value in any::<i64>(), shift in 0_u32..64, behind in 0_usize..12) {
            let value = value >> shift;
            let mut bytes = vec![0xFF; 3];
            write_long(value, &mut bytes);
            let end = bytes.len();
            bytes.extend(std::iter::repeat_n(0xA5, behind));
            let mut at = 3;
            prop_assert_eq!(read_long(&bytes, &mut at), Some(value));
            prop_assert_eq!(at, end);
            prop_assert_eq!(read_long(&bytes[..end - 1], &mut 3), None);
        }

        #[test]
        fn damaged_bytes_are_nothing_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            _ = parse_record(&bytes, &mut 0);
            _ = parse_block_head(&bytes, 0);
            _ = check_block(1, &bytes);
            _ = peek_appended_at(&bytes);
            let mut header = MAGIC.to_vec();
            header.extend(bytes);
            _ = parse_header(&header);
        }

        #[test]
        fn a_block_reads_back_and_any_flipped_bit_of_it_is_noticed(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5),
            first in 0_u64..1 << 40,
            bit in any::<prop::sample::Index>(),
        ) {
            let (mut out, mut block) = (Vec::new(), Vec::new());
            let mut encoder = BlockEncoder::new([7; 16], &mut out, &mut block);
            let moment = UnixMillis::new(1_772_323_200_000);
            (first..).zip(&values).for_each(|(offset, value)| encoder.push(offset, moment, value));
            encoder.finish();
            let head = parse_block_head(&out, 0).unwrap();
            prop_assert_eq!(head.records, values.len());
            prop_assert_eq!(head.data + head.bytes + SYNC_BYTES, out.len());
            let data = &mut out[head.data..head.data + head.bytes];
            prop_assert_eq!(peek_appended_at(data), Some(moment));
            let mut at = check_block(values.len(), data).unwrap();
            for (offset, value) in (first..).zip(&values) {
                let read = parse_record(data, &mut at).unwrap();
                prop_assert_eq!((read.offset, read.appended_at), (offset, moment));
                prop_assert_eq!(read.value, value.as_slice());
            }
            prop_assert_eq!(at, data.len());
            let bit = bit.index(data.len() * 8);
            data[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(check_block(values.len(), data), None);
        }
    }

    #[test]
    fn a_header_survives_and_a_cut_one_is_known_as_such() {
        let (bytes, sync) = encode_header("a-log", 42, &["\"long\"", "{}"]);
        let header = parse_header(&bytes).unwrap();
        assert_eq!((header.log_id.as_str(), header.base, header.sync), ("a-log", 42, sync));
        assert_eq!((header.schemas.join(" "), header.bytes), ("\"long\" {}".into(), bytes.len()));
        for length in 0..bytes.len() {
            assert_eq!(parse_header(&bytes[..length]), Err(NoHeader::EndsEarly), "{length}");
        }
        assert!(matches!(parse_header(b"nonsense"), Err(NoHeader::NotASegment(_))));
    }
}
