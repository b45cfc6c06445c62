//! Avro's binary primitives, by hand.

use super::Undecodable;

/// What is left to read of a value.
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl<'a> Wire<'a> {
    /// A zigzag `int` or `long`.
    #[inline(always)]
    pub(super) fn long(&mut self) -> Result<i64, Undecodable> {
        let raw = self.varint()?;
        let half = (raw >> 1).cast_signed();
        Ok(if raw & 1 == 0 { half } else { !half })
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Undecodable> {
        match self.0.first_chunk::<8>() {
            Some(&[first, ..]) if first < 0x80 => {
                self.0 = &self.0[1..];
                Ok(u64::from(first))
            }
            Some(chunk) => {
                let word = u64::from_le_bytes(*chunk);
                // The highest bit of a byte says that another one follows.
                let stops = !word & 0x8080_8080_8080_8080;
                if stops == 0 {
                    return self.long_varint();
                }
                let used = stops.trailing_zeros() / 8 + 1;
                self.0 = &self.0[used_bytes(used)..];
                // Keep what lies at or below the stop bit, then close the gaps
                // between the groups of seven bits, two by two.
                let word = word & (stops ^ (stops - 1));
                let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
                let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
                Ok((word & 0x0000_0000_0fff_ffff) | ((word & 0x0fff_ffff_0000_0000) >> 4))
            }
            None => self.long_varint(),
        }
    }

    /// Near the end of the bytes, or more than eight bytes long.
    #[cold]
    fn long_varint(&mut self) -> Result<u64, Undecodable> {
        crate::intervals::read_varint(&mut self.0).ok_or(Undecodable::Damaged)
    }

    #[inline]
    pub(super) fn float(&mut self) -> Result<f32, Undecodable> {
        Ok(f32::from_le_bytes(*self.fixed::<4>()?))
    }

    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<&'a [u8; N], Undecodable> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Undecodable::Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// `bytes`, or those of a `string`, not checked to be UTF-8.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a [u8], Undecodable> {
        let length = usize::try_from(self.long()?).map_err(|_| Undecodable::Damaged)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Undecodable::Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A union of `null` and `bytes`.
    pub(super) fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>, Undecodable> {
        match self.long()? {
            0 => Ok(None),
            1 => self.string().map(Some),
            _ => Err(Undecodable::Damaged),
        }
    }

    /// How many entries the next block of an array or a map has; 0 ends it.
    #[inline(always)]
    pub(super) fn block(&mut self) -> Result<u64, Undecodable> {
        let entries = self.long()?;
        if entries < 0 {
            // A negative count is followed by the block's size in bytes, for
            // readers that want to skip it.
            self.long()?;
        }
        Ok(entries.unsigned_abs())
    }

    pub(super) fn end(&self) -> Result<(), Undecodable> {
        super::ended(self.0)
    }
}

#[inline]
fn used_bytes(used: u32) -> usize {
    usize::try_from(used).unwrap_or(usize::MAX)
}

/// Appends a zigzag `int` or `long`.
#[inline]
pub(super) fn write_long(value: i64, out: &mut Vec<u8>) {
    crate::intervals::write_varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    write_bytes(text.as_bytes(), out);
}

/// Appends a union of `null` and `bytes`.
pub(super) fn write_optional_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    write_long(i64::from(bytes.is_some()), out);
    if let Some(bytes) = bytes {
        write_bytes(bytes, out);
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Opens the only block of an array or a map; without entries there is none.
pub(super) fn write_block(entries: usize, out: &mut Vec<u8>) {
    if 0 < entries {
        write_length(entries, out);
    }
}

/// Ends an array or a map.
pub(super) fn end_blocks(out: &mut Vec<u8>) {
    out.push(0);
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    write_long(i64::try_from(length).unwrap_or(i64::MAX), out);
}
