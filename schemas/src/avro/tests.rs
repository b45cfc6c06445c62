//! The record against apache-avro as an independent reader and writer, across
//! versions, and against bytes that are no record.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;

use super::*;

/// A predecessor: without producer's time, size and model.
const OLDER: &str = r#"{"type": "record", "name": "Frame", "namespace": "animov", "fields": [
    {"name": "source", "type": "int"},
    {"name": "session", "type": {"type": "fixed", "name": "Session", "size": 16}},
    {"name": "seq", "type": "long"},
    {"name": "captured_at", "type": "long"},
    {"name": "detections", "type": {"type": "array", "items": {"type": "record", "name": "Detection", "fields": [
        {"name": "class", "type": "string"},
        {"name": "confidence", "type": "float"},
        {"name": "x", "type": "float"}, {"name": "y", "type": "float"},
        {"name": "w", "type": "float"}, {"name": "h", "type": "float"}
    ]}}}
]}"#;

/// The first that was released: without the image.
const FIRST: &str = include_str!("../../avro/frame-1.avsc");

/// A version with defaults for what [`OLDER`] lacks, so that apache-avro can
/// resolve between the two.
fn with_defaults(schema: &str) -> String {
    let mut schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    for field in schema["fields"].as_array_mut().unwrap() {
        match field["name"].as_str().unwrap() {
            "produced_at" | "width" | "height" => field["default"] = 0.into(),
            "model" => field["default"] = serde_json::json!({"name": "", "hash": ""}),
            _ => {}
        }
    }
    schema.to_string()
}

/// A successor: tracks in the boxes, a temperature, a thumbnail and tags.
fn newer() -> String {
    let mut schema: serde_json::Value = serde_json::from_str(&with_defaults(FRAME_SCHEMA)).unwrap();
    let fields = schema["fields"].as_array_mut().unwrap();
    let boxes = fields.iter_mut().find(|field| field["name"] == "detections").unwrap();
    boxes["type"]["items"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"name": "track", "type": ["null", "long"], "default": null}));
    fields
        .push(serde_json::json!({"name": "celsius", "type": ["null", "double"], "default": null}));
    fields.push(
        serde_json::json!({"name": "thumbnail", "type": ["bytes", "null"], "default": "\u{ff}"}),
    );
    fields.push(serde_json::json!({"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}));
    schema.to_string()
}

/// Every version of a frame with boxes, the oldest first.
fn versions() -> [String; 4] {
    [OLDER.to_owned(), with_defaults(FIRST), with_defaults(FRAME_SCHEMA), newer()]
}

fn parse(json: &str) -> apache_avro::Schema {
    apache_avro::Schema::parse_str(json).unwrap()
}

fn fingerprint(json: &str) -> [u8; 8] {
    parse(json).fingerprint::<apache_avro::rabin::Rabin>().bytes.try_into().unwrap()
}

fn read(bytes: &[u8], writer: &str, reader: &str) -> Value {
    let (writer, reader) = (parse(writer), parse(reader));
    let datum = GenericDatumReader::builder(&writer).reader_schema(&reader).build().unwrap();
    datum.read_value(&mut &bytes[10..]).unwrap()
}

fn write(value: Value, schema: &str) -> Vec<u8> {
    let parsed = parse(schema);
    let datum = GenericDatumWriter::builder(&parsed).build().unwrap();
    let value = value.resolve(&parsed).unwrap();
    [&MARKER[..], &fingerprint(schema), &datum.write_value_to_vec(value).unwrap()].concat()
}

fn schemas() -> Schemas {
    let mut schemas = Schemas::builtin();
    for json in [OLDER, FIRST, FRAME_SCHEMA, COUNTS_SCHEMA, &newer()] {
        schemas.register(json).unwrap();
    }
    // Those that are read by hand are not kept.
    assert_eq!(schemas.others.len(), 2);
    schemas
}

fn class() -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(vec!["lying", "standing", "eat", "chèvre", "class_0"]).prop_map(Arc::from)
}

fn detection() -> impl Strategy<Value = Detection> {
    (class(), 0.0_f32..=1.0, 0.0_f32..=0.5, 0.0_f32..=0.5, 0.0_f32..=0.5, 0.0_f32..=0.5)
        .prop_map(|(class, confidence, x, y, w, h)| Detection { class, confidence, x, y, w, h })
}

fn jpeg() -> impl Strategy<Value = Jpeg> {
    prop::collection::vec(any::<u8>(), 0..300)
        .prop_map(|rest| Jpeg::try_from(&*[&[0xFF, 0xD8, 0xFF], &*rest].concat()).unwrap())
}

fn seen() -> impl Strategy<Value = Seen> {
    let model = Model { name: "goats.onnx".into(), hash: "0123456789abcdef".into() };
    let picture = move |(width, height, detections, image)| {
        Seen::Detections(Picture { width, height, model: model.clone(), detections, image })
    };
    let detections = prop::collection::vec(detection(), 0..20);
    let image = prop::option::of(jpeg());
    prop_oneof![
        (1_u32..5000, 1_u32..5000, detections, image).prop_map(picture),
        prop::collection::btree_map(class(), 0_u32..=ANIMALS_MAX, 0..5)
            .prop_map(|counts| Seen::Counts(counts.into_iter().collect())),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let numbers = (1_i64..=i64::from(i32::MAX), 0_u64..1 << 62, any::<i64>(), any::<i64>());
    (numbers, any::<[u8; 16]>(), seen()).prop_map(
        |((source, seq, captured_at, produced_at), session, seen)| Frame {
            id: FrameId {
                source: SourceId::try_from(source).unwrap(),
                session: SessionId::from(session),
                seq,
            },
            captured_at: UnixMillis::new(captured_at),
            produced_at: UnixMillis::new(produced_at),
            seen,
        },
    )
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(frame, &mut bytes);
    bytes
}

/// Collects what [`observe`] tells, as one count a class, and the image.
#[derive(Debug, Default, PartialEq)]
struct Tally(std::collections::BTreeMap<Vec<u8>, u32>, Option<Vec<u8>>);

impl Observer for Tally {
    fn box_of(&mut self, class: &[u8]) -> Result<(), FrameFault> {
        *self.0.entry(class.to_vec()).or_default() += 1;
        Ok(())
    }

    fn count_of(&mut self, class: &[u8], animals: u32) -> Result<(), FrameFault> {
        assert_eq!(self.0.insert(class.to_vec(), animals), None);
        Ok(())
    }

    fn image(&mut self, jpeg: &[u8]) {
        assert_eq!(self.1.replace(jpeg.to_vec()), None);
    }
}

fn tally(seen: &Seen) -> Tally {
    let mut tally = Tally::default();
    match seen {
        Seen::Detections(picture) => {
            picture.detections.iter().for_each(|d| tally.box_of(d.class.as_bytes()).unwrap());
            picture.image.iter().for_each(|image| tally.image(image.bytes()));
        }
        Seen::Counts(counts) => {
            counts.iter().for_each(|(class, n)| tally.count_of(class.as_bytes(), *n).unwrap());
        }
    }
    tally
}

#[test]
fn the_fingerprints_are_those_of_the_schemas() {
    assert_eq!(FRAME_FINGERPRINT, fingerprint(FRAME_SCHEMA));
    assert_eq!(FRAME_1_FINGERPRINT, fingerprint(FIRST));
    assert_eq!(COUNTS_FINGERPRINT, fingerprint(COUNTS_SCHEMA));
    // Defaults are no part of the canonical form.
    assert_eq!(FRAME_FINGERPRINT, fingerprint(&with_defaults(FRAME_SCHEMA)));
}

#[test]
fn each_version_is_compatible_with_each() {
    for writer in &versions() {
        for reader in &versions() {
            apache_avro::schema_compatibility::SchemaCompatibility::can_read(
                &parse(writer),
                &parse(reader),
            )
            .unwrap_or_else(|error| panic!("{writer}\n{reader}\n{error}"));
        }
    }
}

#[test]
fn an_unknown_schema_is_named_and_readable_once_registered() {
    let frame = Frame {
        id: FrameId {
            source: SourceId::try_from(3).unwrap(),
            session: SessionId::derived_from(b"x"),
            seq: 9,
        },
        captured_at: UnixMillis::new(1_772_408_970_000),
        produced_at: UnixMillis::new(1_772_408_970_001),
        seen: Seen::Detections(Picture {
            width: 1,
            height: 1,
            model: Model { name: "m".into(), hash: "h".into() },
            detections: Vec::new(),
            image: Some(Jpeg::try_from(&[0xFF, 0xD8, 0xFF][..]).unwrap()),
        }),
    };
    let newer = newer();
    let bytes = write(read(&encoded(&frame), FRAME_SCHEMA, &newer), &newer);
    let unknown = decode(&bytes, &Schemas::builtin()).unwrap_err();
    assert_eq!(unknown, Undecodable::UnknownSchema(u64::from_le_bytes(fingerprint(&newer))));
    assert_eq!(decode(&bytes, &schemas()), Ok(frame));
}

#[test]
fn an_image_that_is_none_or_too_long_is_a_fault_of_the_frame_in_every_version() {
    let frame = |image: &[u8]| {
        let mut bytes = Vec::new();
        let id = FrameId {
            source: SourceId::try_from(3).unwrap(),
            session: SessionId::derived_from(b"x"),
            seq: 9,
        };
        let at = UnixMillis::new(0);
        write_header(
            FRAME_FINGERPRINT,
            &Header { id, captured_at: at, produced_at: at },
            &mut bytes,
        );
        // No size, no model, no box.
        bytes.extend([0; 5]);
        wire::write_optional_bytes(Some(image), &mut bytes);
        bytes
    };
    let long = vec![0xFF; crate::frame::IMAGE_BYTES_MAX + 1];
    for (image, fault) in [
        (&b"GIF89a"[..], FrameFault::ImageFormat),
        (b"", FrameFault::ImageFormat),
        (&long, FrameFault::ImageBytes(long.len())),
    ] {
        let ours = frame(image);
        let theirs = write(read(&ours, FRAME_SCHEMA, &newer()), &newer());
        for bytes in [ours, theirs] {
            let fault = Undecodable::Invalid(fault.clone());
            assert_eq!(decode(&bytes, &schemas()), Err(fault.clone()));
            assert_eq!(observe(&bytes, &schemas(), &mut Tolerant), Err(fault));
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(frame in frame()) {
        let bytes = encoded(&frame);
        prop_assert_eq!(decode(&bytes, &Schemas::builtin()), Ok(frame.clone()));

        let mut told = Tally::default();
        let observed = observe(&bytes, &Schemas::builtin(), &mut told).unwrap();
        prop_assert_eq!(header(&bytes, &Schemas::builtin()), Ok(observed));
        let Frame { id, captured_at, produced_at, seen } = &frame;
        prop_assert_eq!(observed, Header { id: *id, captured_at: *captured_at, produced_at: *produced_at });
        prop_assert_eq!(told, tally(seen));

        let mut two = [bytes.clone(), bytes].concat();
        let mut rest = two.as_slice();
        prop_assert_eq!(decode_prefix(&mut rest, &Schemas::builtin()), Ok(frame.clone()));
        prop_assert_eq!(decode_prefix(&mut rest, &Schemas::builtin()), Ok(frame.clone()));
        prop_assert!(rest.is_empty());
        two.pop();
        prop_assert!(decode(&two, &Schemas::builtin()).is_err());
    }

    #[test]
    fn apache_avro_reads_and_writes_the_same_bytes(frame in frame()) {
        let schema = match frame.seen {
            Seen::Detections(_) => FRAME_SCHEMA,
            Seen::Counts(_) => COUNTS_SCHEMA,
        };
        let bytes = encoded(&frame);
        let again = write(read(&bytes, schema, schema), schema);
        let mut theirs = decode(&again, &Schemas::builtin()).unwrap();
        match &mut theirs.seen {
            Seen::Detections(_) => prop_assert_eq!(again, bytes),
            // A map has no order of its own; the generator's is ascending.
            Seen::Counts(counts) => counts.sort(),
        }
        prop_assert_eq!(theirs, frame);
    }

    #[test]
    fn every_version_reads_every_version(frame in frame()) {
        prop_assume!(matches!(frame.seen, Seen::Detections(_)));
        let ours = encoded(&frame);
        for writer in versions() {
            let mut expected = frame.clone();
            let Seen::Detections(picture) = &mut expected.seen else { unreachable!() };
            if [OLDER, &with_defaults(FIRST)].contains(&&*writer) {
                picture.image = None;
            }
            if writer == OLDER {
                let unnamed = Model { name: "".into(), hash: "".into() };
                let detections = std::mem::take(&mut picture.detections);
                *picture = Picture { width: 0, height: 0, model: unnamed, detections, image: None };
                expected.produced_at = expected.captured_at;
            }
            let bytes = write(read(&ours, FRAME_SCHEMA, &writer), &writer);
            let mut told = Tally::default();
            let observed = observe(&bytes, &schemas(), &mut told).unwrap();
            prop_assert_eq!(told, tally(&expected.seen));
            prop_assert_eq!(decode(&bytes, &schemas()), Ok(expected));
            prop_assert_eq!(header(&bytes, &schemas()), Ok(observed));
            // A program of that other version, reading through apache-avro.
            for reader in versions() {
                let Value::Record(fields) = read(&bytes, &writer, &reader) else { unreachable!() };
                let seq = fields.iter().find(|(name, _)| name == "seq").unwrap();
                prop_assert_eq!(&seq.1, &Value::Long(frame.id.seq.try_into().unwrap()));
            }
        }
    }

    #[test]
    fn cut_or_changed_bytes_are_read_or_refused_and_never_panic(
        frame in frame(),
        cut in any::<prop::sample::Index>(),
        flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let bytes = encoded(&frame);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())], &schemas()).is_err());
        let mut changed = bytes.clone();
        changed[flip.0.index(bytes.len())] ^= flip.1;
        let decoded = decode(&changed, &schemas());
        let observed = observe(&changed, &schemas(), &mut Tolerant);
        // Class names, and classes named twice, are the observer's to judge.
        prop_assert!(decoded.is_err() || observed.is_ok());
        prop_assert!(observed.is_err() || header(&changed, &schemas()) == observed);
    }

    #[test]
    fn any_bytes_end_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200), which in 0_usize..5) {
        let fingerprints =
            [FRAME_FINGERPRINT, FRAME_1_FINGERPRINT, COUNTS_FINGERPRINT, fingerprint(OLDER), [0; 8]];
        let bytes = [&MARKER[..], &fingerprints[which], &bytes].concat();
        _ = decode(&bytes, &schemas());
        _ = observe(&bytes, &schemas(), &mut Tolerant);
        _ = header(&bytes, &schemas());
    }
}

struct Tolerant;

impl Observer for Tolerant {
    fn box_of(&mut self, _: &[u8]) -> Result<(), FrameFault> {
        Ok(())
    }

    fn count_of(&mut self, _: &[u8], _: u32) -> Result<(), FrameFault> {
        Ok(())
    }
}
