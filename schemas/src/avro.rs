//! The frame record as bytes: Avro single-object encoding, `C3 01`, then the
//! eight bytes of the writer schema's fingerprint, then the value.
//!
//! # Invariants
//!
//! - The schemas of this version, and that of frames before they had images, are
//!   read by hand, in place; every other version is read by its own schema, once
//!   that is [registered](Schemas::register). Both ways give the same frame.
//! - Whatever the bytes are, reading them ends in a value or an
//!   [`Undecodable`]: no panic, no allocation that the bytes only claim to need.

mod evolve;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use crate::commit::ParkReason;
use crate::frame::{
    ANIMALS_MAX, CLASSES_MAX, Detection, Frame, FrameFault, FrameId, Jpeg, Model, Picture, Seen,
    check_box, check_class, check_image,
};
use crate::source::{SessionId, SourceId};
use crate::time::UnixMillis;
use wire::Wire;

/// The schema of frames with boxes.
pub const FRAME_SCHEMA: &str = include_str!("../avro/frame.avsc");

/// The schema of frames that only know counts.
pub const COUNTS_SCHEMA: &str = include_str!("../avro/counts.avsc");

/// CRC-64-AVRO of [`FRAME_SCHEMA`]'s canonical form, as on the wire.
const FRAME_FINGERPRINT: [u8; 8] = [200, 8, 161, 49, 95, 2, 123, 90];

/// The same of `frame-1.avsc`: [`FRAME_SCHEMA`] before it had the image.
const FRAME_1_FINGERPRINT: [u8; 8] = [93, 153, 211, 181, 30, 18, 6, 121];

/// CRC-64-AVRO of [`COUNTS_SCHEMA`]'s canonical form, as on the wire.
const COUNTS_FINGERPRINT: [u8; 8] = [179, 250, 31, 142, 228, 184, 108, 5];

/// What every single-object encoding begins with.
const MARKER: [u8; 2] = [0xC3, 0x01];

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Undecodable {
    #[error("does not begin with C3 01 and a schema fingerprint")]
    NotAFrame,
    #[error("was written with a schema of fingerprint {0:016x}, which is not known here")]
    UnknownSchema(u64),
    #[error("ends early, or is no value of its schema")]
    Damaged,
    #[error("{0} bytes follow the value")]
    TrailingBytes(usize),
    #[error(transparent)]
    Invalid(#[from] FrameFault),
}

impl Undecodable {
    /// The reason to park the bytes under.
    pub fn park_reason(&self) -> ParkReason {
        match self {
            Undecodable::NotAFrame => ParkReason::NotAFrame,
            Undecodable::UnknownSchema(_) => ParkReason::UnknownSchema,
            Undecodable::Damaged | Undecodable::TrailingBytes(_) => ParkReason::Damaged,
            Undecodable::Invalid(_) => ParkReason::Invalid,
        }
    }
}

/// The writer schemas that can be read.
#[derive(Clone, Default)]
pub struct Schemas {
    /// Other than those that are read by hand, by fingerprint.
    others: HashMap<[u8; 8], Arc<serde_avro_fast::Schema>>,
}

/// A text that is no Avro schema.
#[derive(Debug, thiserror::Error)]
#[error("no Avro schema: {0}")]
pub struct InvalidSchema(String);

impl Schemas {
    /// The schemas of this version.
    pub fn builtin() -> Schemas {
        Schemas::default()
    }

    /// Reads also what is written with the schema `json`, of an older or a newer
    /// version.
    ///
    /// # Errors
    ///
    /// `json` is no Avro schema.
    pub fn register(&mut self, json: &str) -> Result<(), InvalidSchema> {
        let schema: serde_avro_fast::Schema =
            json.parse().map_err(|error| InvalidSchema(format!("{error}")))?;
        let fingerprint = *schema.rabin_fingerprint();
        let by_hand = [FRAME_FINGERPRINT, FRAME_1_FINGERPRINT, COUNTS_FINGERPRINT];
        if !by_hand.contains(&fingerprint) {
            self.others.insert(fingerprint, Arc::new(schema));
        }
        Ok(())
    }
}

/// A frame without what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub id: FrameId,
    pub captured_at: UnixMillis,
    pub produced_at: UnixMillis,
}

/// Is told what a frame shows, class by class, while it is read.
///
/// Class names are the raw bytes: who has met a name before need not check it
/// again. After an error the frame is parked, and what was told is void.
pub trait Observer {
    /// One box of `class`.
    ///
    /// # Errors
    ///
    /// The frame cannot be counted.
    fn box_of(&mut self, class: &[u8]) -> Result<(), FrameFault>;

    /// `animals` of `class` in all; each class once.
    ///
    /// # Errors
    ///
    /// The frame cannot be counted.
    fn count_of(&mut self, class: &[u8], animals: u32) -> Result<(), FrameFault>;

    /// The picture itself as JPEG, after all boxes; few frames carry it, and who
    /// only counts passes it over.
    fn image(&mut self, _jpeg: &[u8]) {}
}

/// Reads what the pipeline needs of a frame, without building it.
///
/// # Errors
///
/// The bytes are no countable frame; see [`Undecodable`].
#[inline]
pub fn observe(
    bytes: &[u8],
    schemas: &Schemas,
    observer: &mut impl Observer,
) -> Result<Header, Undecodable> {
    let (fingerprint, value) = split_fingerprint(bytes)?;
    if fingerprint == COUNTS_FINGERPRINT {
        let mut wire = Wire(value);
        let header = read_header(&mut wire)?;
        read_counts(&mut wire, |class, animals| observer.count_of(class, animals))?;
        wire.end()?;
        return Ok(header);
    }
    observe_others(bytes, schemas, observer)
}

/// Frames with boxes, and other versions: apart, so that the way of counts,
/// which replays and imports take, stays short.
#[inline(never)]
fn observe_others(
    bytes: &[u8],
    schemas: &Schemas,
    observer: &mut impl Observer,
) -> Result<Header, Undecodable> {
    let (fingerprint, value) = split_fingerprint(bytes)?;
    if fingerprint == FRAME_FINGERPRINT || fingerprint == FRAME_1_FINGERPRINT {
        let mut wire = Wire(value);
        let header = read_header(&mut wire)?;
        read_size(&mut wire)?;
        wire.string()?;
        wire.string()?;
        read_boxes(&mut wire, |class, _, _| observer.box_of(class))?;
        if fingerprint == FRAME_FINGERPRINT
            && let Some(jpeg) = read_image(&mut wire)?
        {
            observer.image(jpeg);
        }
        wire.end()?;
        return Ok(header);
    }
    let mut rest = bytes;
    let frame = decode_prefix(&mut rest, schemas)?;
    ended(rest)?;
    match &frame.seen {
        Seen::Detections(picture) => {
            picture.detections.iter().try_for_each(|d| observer.box_of(d.class.as_bytes()))?;
            if let Some(image) = &picture.image {
                observer.image(image.bytes());
            }
        }
        Seen::Counts(counts) => {
            counts.iter().try_for_each(|(class, n)| observer.count_of(class.as_bytes(), *n))?;
        }
    }
    let Frame { id, captured_at, produced_at, seen: _ } = frame;
    Ok(Header { id, captured_at, produced_at })
}

/// Reads whose frame it is and when it was taken, whatever it shows: what follows
/// is not looked at where that can be left out.
///
/// # Errors
///
/// The bytes do not begin like a frame; see [`Undecodable`].
pub fn header(bytes: &[u8], schemas: &Schemas) -> Result<Header, Undecodable> {
    let (fingerprint, value) = split_fingerprint(bytes)?;
    if fingerprint == FRAME_FINGERPRINT || fingerprint == COUNTS_FINGERPRINT {
        return read_header(&mut Wire(value));
    }
    let Frame { id, captured_at, produced_at, seen: _ } = decode(bytes, schemas)?;
    Ok(Header { id, captured_at, produced_at })
}

/// Reads a frame that takes up all of `bytes`.
///
/// # Errors
///
/// The bytes are no frame that [`Frame::check`] accepts; see [`Undecodable`].
pub fn decode(mut bytes: &[u8], schemas: &Schemas) -> Result<Frame, Undecodable> {
    let frame = decode_prefix(&mut bytes, schemas)?;
    ended(bytes)?;
    Ok(frame)
}

/// Takes a frame off the front of `bytes`; others may follow it.
///
/// # Errors
///
/// As [`decode`]; `bytes` is then where it was.
pub fn decode_prefix(bytes: &mut &[u8], schemas: &Schemas) -> Result<Frame, Undecodable> {
    let (fingerprint, value) = split_fingerprint(bytes)?;
    let (frame, rest) = match fingerprint {
        FRAME_FINGERPRINT | FRAME_1_FINGERPRINT => {
            let mut wire = Wire(value);
            (read_frame(&mut wire, fingerprint == FRAME_FINGERPRINT)?, wire.0)
        }
        COUNTS_FINGERPRINT => {
            let mut wire = Wire(value);
            (read_counts_frame(&mut wire)?, wire.0)
        }
        other => {
            let schema = schemas.others.get(&other);
            let schema = schema.ok_or(Undecodable::UnknownSchema(u64::from_le_bytes(other)))?;
            evolve::decode(value, schema)?
        }
    };
    frame.check()?;
    *bytes = rest;
    Ok(frame)
}

/// Appends `frame` with this version's schema.
///
/// A frame that [`Frame::check`] refuses is written all the same: whoever reads
/// it parks it.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let Frame { id, captured_at, produced_at, seen } = frame;
    let header = Header { id: *id, captured_at: *captured_at, produced_at: *produced_at };
    match seen {
        Seen::Detections(picture) => {
            write_header(FRAME_FINGERPRINT, &header, out);
            wire::write_long(i64::from(picture.width), out);
            wire::write_long(i64::from(picture.height), out);
            wire::write_string(&picture.model.name, out);
            wire::write_string(&picture.model.hash, out);
            wire::write_block(picture.detections.len(), out);
            for Detection { class, confidence, x, y, w, h } in &picture.detections {
                wire::write_string(class, out);
                for number in [confidence, x, y, w, h] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            wire::end_blocks(out);
            wire::write_optional_bytes(picture.image.as_ref().map(Jpeg::bytes), out);
        }
        Seen::Counts(counts) => {
            let counts = counts.iter().map(|(class, animals)| (&**class, *animals));
            encode_counts(&header, counts, out);
        }
    }
}

/// Appends a frame that only knows counts: what [`encode`] writes for it, for
/// those who have no [`Frame`] to begin with.
#[inline]
pub fn encode_counts<'a>(
    header: &Header,
    counts: impl ExactSizeIterator<Item = (&'a str, u32)>,
    out: &mut Vec<u8>,
) {
    write_header(COUNTS_FINGERPRINT, header, out);
    wire::write_block(counts.len(), out);
    for (class, animals) in counts {
        wire::write_string(class, out);
        wire::write_long(i64::from(animals), out);
    }
    wire::end_blocks(out);
}

#[inline]
fn write_header(fingerprint: [u8; 8], header: &Header, out: &mut Vec<u8>) {
    let Header { id: FrameId { source, session, seq }, captured_at, produced_at } = header;
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&fingerprint);
    wire::write_long(i64::from(*source), out);
    out.extend_from_slice(session.bytes());
    wire::write_long(i64::try_from(*seq).unwrap_or(-1), out);
    wire::write_long(captured_at.get(), out);
    wire::write_long(produced_at.get(), out);
}

fn split_fingerprint(bytes: &[u8]) -> Result<([u8; 8], &[u8]), Undecodable> {
    let (marker, rest) = bytes.split_first_chunk::<2>().ok_or(Undecodable::NotAFrame)?;
    if *marker != MARKER {
        return Err(Undecodable::NotAFrame);
    }
    let (fingerprint, value) = rest.split_first_chunk::<8>().ok_or(Undecodable::NotAFrame)?;
    Ok((*fingerprint, value))
}

fn ended(rest: &[u8]) -> Result<(), Undecodable> {
    if rest.is_empty() { Ok(()) } else { Err(Undecodable::TrailingBytes(rest.len())) }
}

#[inline(always)]
fn read_header(wire: &mut Wire<'_>) -> Result<Header, Undecodable> {
    let source = wire.long()?;
    let session = SessionId::from(*wire.fixed::<16>()?);
    let seq = wire.long()?;
    let captured_at = UnixMillis::new(wire.long()?);
    let produced_at = UnixMillis::new(wire.long()?);
    let source = SourceId::try_from(source).map_err(|_| FrameFault::Source(source))?;
    let seq = u64::try_from(seq).map_err(|_| FrameFault::Seq(seq))?;
    Ok(Header { id: FrameId { source, session, seq }, captured_at, produced_at })
}

fn read_size(wire: &mut Wire<'_>) -> Result<(u32, u32), Undecodable> {
    let (width, height) = (wire.long()?, wire.long()?);
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) => Ok((w, h)),
        _ => Err(FrameFault::Size(width, height).into()),
    }
}

#[inline(always)]
fn read_counts<'a>(
    wire: &mut Wire<'a>,
    mut each: impl FnMut(&'a [u8], u32) -> Result<(), FrameFault>,
) -> Result<(), Undecodable> {
    let mut classes = 0;
    loop {
        let entries = wire.block()?;
        if entries == 0 {
            return Ok(());
        }
        for _ in 0..entries {
            classes += 1;
            if CLASSES_MAX < classes {
                return Err(FrameFault::Classes.into());
            }
            let class = wire.string()?;
            let animals = wire.long()?;
            match u32::try_from(animals) {
                Ok(few) if few <= ANIMALS_MAX => each(class, few)?,
                _ => return Err(FrameFault::Count(animals).into()),
            }
        }
    }
}

fn read_boxes<'a>(
    wire: &mut Wire<'a>,
    mut each: impl FnMut(&'a [u8], f32, [f32; 4]) -> Result<(), FrameFault>,
) -> Result<(), Undecodable> {
    let mut boxes = 0;
    loop {
        let entries = wire.block()?;
        if entries == 0 {
            return Ok(());
        }
        for _ in 0..entries {
            boxes += 1;
            if ANIMALS_MAX < boxes {
                return Err(FrameFault::Boxes.into());
            }
            let class = wire.string()?;
            let confidence = wire.float()?;
            let sides = [wire.float()?, wire.float()?, wire.float()?, wire.float()?];
            check_box(confidence, sides)?;
            each(class, confidence, sides)?;
        }
    }
}

fn read_counts_frame(wire: &mut Wire<'_>) -> Result<Frame, Undecodable> {
    let Header { id, captured_at, produced_at } = read_header(wire)?;
    let mut counts = Vec::new();
    read_counts(wire, |class, animals| {
        counts.push((name(class)?, animals));
        Ok(())
    })?;
    Ok(Frame { id, captured_at, produced_at, seen: Seen::Counts(counts) })
}

/// The picture itself, if the frame carries it.
fn read_image<'a>(wire: &mut Wire<'a>) -> Result<Option<&'a [u8]>, Undecodable> {
    let Some(jpeg) = wire.optional_bytes()? else { return Ok(None) };
    check_image(jpeg)?;
    Ok(Some(jpeg))
}

fn read_frame(wire: &mut Wire<'_>, has_image: bool) -> Result<Frame, Undecodable> {
    let Header { id, captured_at, produced_at } = read_header(wire)?;
    let (width, height) = read_size(wire)?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Undecodable::Damaged);
    let model = Model { name: text(wire.string()?)?.into(), hash: text(wire.string()?)?.into() };
    let mut detections = Vec::new();
    read_boxes(wire, |class, confidence, [x, y, w, h]| {
        detections.push(Detection { class: name(class)?, confidence, x, y, w, h });
        Ok(())
    })?;
    let image = match has_image {
        true => read_image(wire)?.map(Jpeg::try_from).transpose()?,
        false => None,
    };
    let seen = Seen::Detections(Picture { width, height, model, detections, image });
    Ok(Frame { id, captured_at, produced_at, seen })
}

/// Takes an Avro `long` off the front of `bytes`; `None` if they end inside it.
#[inline]
pub fn read_long(bytes: &mut &[u8]) -> Option<i64> {
    let mut wire = Wire(bytes);
    let value = wire.long().ok()?;
    *bytes = wire.0;
    Some(value)
}

/// A class name, if the bytes are one.
///
/// # Errors
///
/// [`FrameFault::Class`].
pub fn name(bytes: &[u8]) -> Result<Arc<str>, FrameFault> {
    let class = std::str::from_utf8(bytes).map_err(|_| FrameFault::Class)?;
    check_class(class)?;
    Ok(class.into())
}

#[cfg(test)]
mod tests;
