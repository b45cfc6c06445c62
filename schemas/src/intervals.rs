//! Sets of sequence numbers, kept as intervals.

/// Sequence numbers of one session that share all but their low 16 bits.
///
/// Deduplication remembers every number for ever; in blocks, what is loaded and
/// stored for one frame stays small however long the session and however full
/// of holes.
pub const BLOCK_BITS: u32 = 16;

/// The block that `seq` lies in.
pub const fn block_of(seq: u64) -> u64 {
    seq >> BLOCK_BITS
}

/// A set of numbers as disjoint, ascending, half-open intervals that do not
/// touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intervals {
    ends: Vec<(u64, u64)>,
}

impl Intervals {
    /// Adds `number`; whether it was new.
    #[inline]
    pub fn insert(&mut self, number: u64) -> bool {
        // In order, nearly always.
        match self.ends.last_mut() {
            Some((_, end)) if *end == number => {
                *end += 1;
                true
            }
            Some((_, end)) if number < *end => self.insert_inside(number),
            _ => {
                self.ends.push((number, number + 1));
                true
            }
        }
    }

    fn insert_inside(&mut self, number: u64) -> bool {
        // The first interval that ends at or after `number`; there is one.
        let at = self.ends.partition_point(|&(_, end)| end < number);
        let (start, end) = self.ends[at];
        if start <= number && number < end {
            return false;
        }
        let touches_next = |next: Option<&(u64, u64)>| next.is_some_and(|n| n.0 == number + 1);
        if end == number {
            self.ends[at].1 += 1;
            if touches_next(self.ends.get(at + 1)) {
                self.ends[at].1 = self.ends[at + 1].1;
                self.ends.remove(at + 1);
            }
        } else if touches_next(self.ends.get(at)) {
            self.ends[at].0 = number;
        } else {
            self.ends.insert(at, (number, number + 1));
        }
        true
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.ends.partition_point(|&(_, end)| end <= number);
        self.ends.get(at).is_some_and(|&(start, _)| start <= number)
    }

    /// The half-open intervals, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ends.iter().copied()
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u64 {
        self.ends.iter().map(|(start, end)| end - start).sum()
    }

    /// Writes the intervals as LEB128 gaps and lengths.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut at = 0;
        for &(start, end) in &self.ends {
            write_varint(start - at, out);
            write_varint(end - start, out);
            at = end;
        }
    }

    /// Reads what [`encode`](Intervals::encode) wrote.
    ///
    /// # Errors
    ///
    /// The bytes are cut off or describe intervals that touch or overflow.
    pub fn decode(mut bytes: &[u8]) -> Result<Intervals, InvalidIntervals> {
        let mut ends = Vec::new();
        let mut at = 0_u64;
        while !bytes.is_empty() {
            let gap = read_varint(&mut bytes).ok_or(InvalidIntervals)?;
            let length = read_varint(&mut bytes).ok_or(InvalidIntervals)?;
            if length == 0 || (gap == 0 && !ends.is_empty()) {
                return Err(InvalidIntervals);
            }
            let start = at.checked_add(gap).ok_or(InvalidIntervals)?;
            at = start.checked_add(length).ok_or(InvalidIntervals)?;
            ends.push((start, at));
        }
        Ok(Intervals { ends })
    }
}

/// Bytes that are no set of intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored sequence numbers are damaged")]
pub struct InvalidIntervals;

/// Appends `value` as an unsigned LEB128 number.
pub(crate) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Takes an unsigned LEB128 number off the front; `None` if the bytes end
/// inside it or it does not fit.
#[inline]
pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift == 63 && 1 < byte {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn intervals_are_a_set(numbers in prop::collection::vec(0_u64..60, 0..80)) {
            let (mut ours, mut theirs) = (Intervals::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(ours.contains(number), theirs.contains(&number));
                prop_assert_eq!(ours.insert(number), theirs.insert(number));
            }
            let listed: Vec<u64> = ours.iter().flat_map(|(start, end)| start..end).collect();
            prop_assert_eq!(listed, theirs.iter().copied().collect::<Vec<_>>());
            prop_assert!(ours.ends.windows(2).all(|pair| pair[0].1 < pair[1].0));
            let mut bytes = Vec::new();
            ours.encode(&mut bytes);
            prop_assert_eq!(Intervals::decode(&bytes), Ok(ours));
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            _ = Intervals::decode(&bytes);
        }

        #[test]
        fn varints_survive(value in any::<u64>()) {
            let mut bytes = Vec::new();
            write_varint(value, &mut bytes);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(read_varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
