//! The references of the replay: a plain loop in one process that reads the log's
//! files, decodes the same bytes with the same decoder, and fills dense
//! histograms by source and window: of minutes alone, or of all five sizes. No
//! checksums, no deduplication, no tables.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use schemas::avro::{self, Observer, Schemas};
use schemas::frame::FrameFault;

/// Lying, standing, both: frames by animals.
type Bars = [[u32; 64]; 3];

#[derive(Default)]
struct Counts([u32; 2]);

impl Observer for Counts {
    fn box_of(&mut self, _: &[u8]) -> Result<(), FrameFault> {
        Err(FrameFault::Class)
    }

    #[inline]
    fn count_of(&mut self, class: &[u8], animals: u32) -> Result<(), FrameFault> {
        self.0[usize::from(class != b"lying")] = animals;
        Ok(())
    }
}

/// The windows' lengths in milliseconds; days are those of UTC.
const LENGTHS: [i64; 5] = [60_000, 300_000, 900_000, 3_600_000, 86_400_000];

/// Counts every frame of the log in `folder` into windows of the first so many
/// sizes; prints how many frames, in how many windows.
pub(crate) fn run(folder: &Path, sizes: usize) -> io::Result<()> {
    let schemas = Schemas::builtin();
    let mut windows = HashMap::<(i32, i64, i64), Box<Bars>>::new();
    let mut frames = 0_u64;
    for segment in segments(folder)? {
        each_value(&segment, |value| {
            let mut counts = Counts::default();
            let header = avro::observe(value, &schemas, &mut counts).map_err(io::Error::other)?;
            let Counts([lying, standing]) = counts;
            for length in &LENGTHS[..sizes] {
                let start = header.captured_at.get() / length;
                let key = (header.id.source.get(), *length, start);
                let window = windows.entry(key).or_insert_with(|| Box::new([[0; 64]; 3]));
                for (metric, animals) in window.iter_mut().zip([lying, standing, lying + standing])
                {
                    metric[usize::try_from(animals).unwrap_or(usize::MAX).min(63)] += 1;
                }
            }
            frames += 1;
            Ok(())
        })?;
    }
    crate::say(&format!("{frames} frames in {} windows", windows.len()))
}

fn segments(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(segments(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "avro") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads an Avro object-container file, block by block, and hands over the last
/// field, `value`, of each record.
fn each_value(path: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let (mut buffer, mut filled, mut at) = (vec![0_u8; 1 << 20], 0, 0);
    let mut header = false;
    loop {
        if filled == buffer.len() && at == 0 {
            buffer.resize(2 * filled, 0);
        }
        buffer.copy_within(at..filled, 0);
        (filled, at) = (filled - at, 0);
        let more = file.read(&mut buffer[filled..])?;
        if more == 0 {
            return Ok(());
        }
        filled += more;
        if !header {
            // Magic, the metadata map, the sync marker.
            let mut rest = &buffer[4..filled];
            loop {
                let entries = long(&mut rest).unwrap_or(0);
                if entries == 0 {
                    break;
                }
                for _ in 0..2 * entries {
                    let length = usize::try_from(long(&mut rest).unwrap_or(0)).unwrap_or(0);
                    rest = &rest[length..];
                }
            }
            at = filled - rest.len() + 16;
            header = true;
        }
        while let Some(next) = block(&buffer[at..filled], &mut each)? {
            at += next;
        }
    }
}

/// One whole block off the front; how long it is, unless it is cut off.
fn block(
    bytes: &[u8],
    each: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<usize>> {
    let mut rest = bytes;
    let (Some(records), Some(length)) = (long(&mut rest), long(&mut rest)) else { return Ok(None) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let Some((mut body, _)) = rest.split_at_checked(length) else { return Ok(None) };
    let whole = bytes.len() - rest.len() + length + 16;
    if bytes.len() < whole {
        return Ok(None);
    }
    for _ in 0..records {
        let Some(value) = record(&mut body) else {
            return Err(io::Error::other("a record of another shape"));
        };
        each(value)?;
    }
    Ok(Some(whole))
}

/// The value of one record, which is its last field.
fn record<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    // `checksum`: nothing, or a number.
    if long(body)? == 1 {
        long(body)?;
    }
    // `offset` and `appended_at`.
    long(body)?;
    long(body)?;
    let length = usize::try_from(long(body)?).ok()?;
    let (value, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(value)
}

fn long(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let half = (value >> 1).cast_signed();
            return Some(if value & 1 == 0 { half } else { !half });
        }
    }
    None
}
