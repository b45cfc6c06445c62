//! Snapshots as documents, and documents of all kinds as records.
//!
//! Numbers are read whatever their width: some servers give back a small 64-bit
//! number as one of 32 bits.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mongodb::bson::{Bson, DateTime, Document, RawDocument, doc};
use schemas::frame::{Detection, FrameFault, InvalidFrameId, Jpeg, Model};
use schemas::snapshot::{Foreign, Record, Snapshot, Unreadable};
use schemas::time::UnixMillis;
use serde_json::Value;

/// A moment as the server orders it. Beyond what its clock can say, which nothing
/// of ours is, it is held at the end.
pub(super) fn date(moment: UnixMillis) -> DateTime {
    /// 100 million days from 1970, where the calendars of most programs end.
    const END: i64 = 8_640_000_000_000_000;
    DateTime::from_millis(moment.get().clamp(-END, END))
}

/// A whole number of any width.
pub(super) fn number(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

/// The document of a snapshot: our fields, and beside them one element in `data`,
/// where the original system's readers look for `detect` and `frame`.
pub(super) fn of(snapshot: &Snapshot) -> Document {
    let Snapshot { id, captured_at, width, height, model, detections, image } = snapshot;
    let detect: Vec<Bson> = detections.iter().map(|found| Bson::Document(boxed(found))).collect();
    let mut element = doc! {"source": id.source.get(), "detect": detect};
    if let Some(image) = image {
        element.insert("frame", STANDARD.encode(image.bytes()));
    }
    doc! {
        "_id": id.to_string(),
        "source": id.source.get(),
        "session": id.session.to_string(),
        "seq": whole(id.seq),
        "captured_at": DateTime::from_millis(captured_at.get()),
        "width": i64::from(*width),
        "height": i64::from(*height),
        "model": {"name": &*model.name, "hash": &*model.hash},
        "bytes": whole(snapshot.bytes()),
        "data": [element],
    }
}

fn boxed(detection: &Detection) -> Document {
    let Detection { class, confidence, x, y, w, h } = detection;
    doc! {
        "class": &**class,
        "confidence": f64::from(*confidence),
        "x": f64::from(*x),
        "y": f64::from(*y),
        "w": f64::from(*w),
        "h": f64::from(*h),
    }
}

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// What is wrong with a document that looks like ours.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("its {0} is missing, or is not what it should be")]
    Field(&'static str),
    #[error(transparent)]
    Id(#[from] InvalidFrameId),
    #[error("its frame is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error(transparent)]
    Image(#[from] FrameFault),
}

/// Reads a document, whoever wrote it.
pub(super) fn read(raw: &RawDocument) -> Record {
    let document = match Document::try_from(raw) {
        Ok(document) => document,
        Err(error) => {
            let id = raw.get("_id").ok().flatten();
            let id = id.map_or_else(String::new, |id| format!("{id:?}"));
            return Record::Unreadable(Unreadable { id, what: error.to_string() });
        }
    };
    let id = document.get("_id").map_or_else(String::new, |id| match json(id) {
        Value::String(text) => text,
        other => other.to_string(),
    });
    if document.contains_key("session") {
        return match snapshot(&document, &id) {
            Ok(snapshot) => Record::Snapshot(snapshot),
            Err(wrong) => Record::Unreadable(Unreadable { id, what: wrong.to_string() }),
        };
    }
    match document.get_array("data") {
        Ok(data) => Record::Foreign(Foreign { id, data: data.iter().map(json).collect() }),
        Err(_) => Record::Unreadable(Unreadable { id, what: "it has no array data".to_owned() }),
    }
}

fn snapshot(document: &Document, id: &str) -> Result<Snapshot, Wrong> {
    let field = |name| document.get(name).ok_or(Wrong::Field(name));
    let side = |name| {
        let side = number(field(name)?).and_then(|side| u32::try_from(side).ok());
        side.ok_or(Wrong::Field(name))
    };
    let captured_at = document.get_datetime("captured_at");
    let captured_at = captured_at.map_err(|_| Wrong::Field("captured_at"))?;
    let model = document.get_document("model").map_err(|_| Wrong::Field("model"))?;
    let data = document.get_array("data").ok().and_then(|data| data.first()?.as_document());
    let data = data.ok_or(Wrong::Field("data"))?;
    let detect = data.get_array("detect").map_err(|_| Wrong::Field("detect"))?;
    let boxes = detect.iter().map(|found| detection(found).ok_or(Wrong::Field("detect")));
    let image = match data.get("frame") {
        None | Some(Bson::Null) => None,
        Some(Bson::String(text)) => Some(Jpeg::try_from(STANDARD.decode(text)?.as_slice())?),
        Some(_) => return Err(Wrong::Field("frame")),
    };
    Ok(Snapshot {
        id: id.parse()?,
        captured_at: UnixMillis::new(captured_at.timestamp_millis()),
        width: side("width")?,
        height: side("height")?,
        model: Model {
            name: text(model, "name").ok_or(Wrong::Field("model"))?,
            hash: text(model, "hash").ok_or(Wrong::Field("model"))?,
        },
        detections: boxes.collect::<Result<_, _>>()?,
        image,
    })
}

fn text(document: &Document, name: &str) -> Option<Arc<str>> {
    document.get_str(name).ok().map(Arc::from)
}

fn detection(found: &Bson) -> Option<Detection> {
    let found = found.as_document()?;
    let fraction = |name| {
        #[expect(clippy::as_conversions, reason = "it was one before it was widened")]
        match found.get(name)? {
            Bson::Double(wide) => Some(*wide as f32),
            other => number(other).map(|number| number as f32),
        }
    };
    Some(Detection {
        class: text(found, "class")?,
        confidence: fraction("confidence")?,
        x: fraction("x")?,
        y: fraction("y")?,
        w: fraction("w")?,
        h: fraction("h")?,
    })
}

/// A value of another program's, for people and for whoever reads JSON.
fn json(value: &Bson) -> Value {
    match value {
        Bson::Null | Bson::Undefined => Value::Null,
        Bson::Boolean(yes) => Value::Bool(*yes),
        Bson::Int32(number) => Value::from(*number),
        Bson::Int64(number) => Value::from(*number),
        Bson::Double(number) => Value::from(*number),
        Bson::String(text) | Bson::Symbol(text) => Value::from(text.as_str()),
        Bson::Array(values) => values.iter().map(json).collect(),
        Bson::Document(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
        Bson::ObjectId(id) => Value::from(id.to_hex()),
        Bson::DateTime(moment) => {
            Value::from(UnixMillis::new(moment.timestamp_millis()).to_string())
        }
        // Pictures, where somebody kept them as they are.
        Bson::Binary(binary) => Value::from(STANDARD.encode(&binary.bytes)),
        other => Value::from(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;
    use mongodb::bson::{Binary, RawDocumentBuf, spec::BinarySubtype};
    use schemas::frame::FrameId;
    use schemas::source::{SessionId, SourceId};

    use super::*;

    fn kept() -> Snapshot {
        let session = SessionId::derived_from(b"a run");
        let goat = |confidence| Detection {
            class: "chèvre".into(),
            confidence,
            x: 0.1,
            y: 0.0,
            w: 1.0 / 3.0,
            h: 1.0,
        };
        Snapshot {
            id: FrameId { source: SourceId::try_from(3).unwrap(), session, seq: 42 },
            captured_at: UnixMillis::new(1_772_323_200_250),
            width: 640,
            height: 480,
            model: Model { name: "goats.onnx".into(), hash: "0123456789abcdef".into() },
            detections: vec![goat(0.7), goat(f32::MIN_POSITIVE)],
            image: Some(Jpeg::try_from(&[0xFF, 0xD8, 0xFF, 0xD9][..]).unwrap()),
        }
    }

    fn read_back(document: &Document) -> Record {
        read(&RawDocumentBuf::try_from(document).unwrap())
    }

    #[test]
    fn the_original_systems_readers_find_what_they_look_for() {
        let document = of(&kept());
        let element = document.get_array("data").unwrap()[0].as_document().unwrap();
        assert_eq!(element.get_str("frame").unwrap(), "/9j/2Q==");
        let detect = element.get_array("detect").unwrap();
        assert_eq!(detect.len(), 2);
        assert_eq!(detect[0].as_document().unwrap().get_str("class").unwrap(), "chèvre");
        assert_eq!(
            document.get_str("_id").unwrap(),
            format!("3/{}/42", SessionId::derived_from(b"a run"))
        );
    }

    #[test]
    fn a_document_reads_back_also_where_the_server_narrowed_its_numbers() {
        let mut document = of(&kept());
        assert_eq!(read_back(&document), Record::Snapshot(kept()));
        for name in ["seq", "width", "height", "bytes"] {
            let narrow = i32::try_from(document.get_i64(name).unwrap()).unwrap();
            document.insert(name, narrow);
        }
        assert_eq!(read_back(&document), Record::Snapshot(kept()));
    }

    #[test]
    fn what_is_wrong_with_a_document_of_ours_is_named() {
        for (name, value, told) in [
            ("_id", Bson::Int32(7), "\"7\" is not a frame's id"),
            ("width", Bson::Int64(-1), "its width is missing"),
            ("captured_at", Bson::Int64(0), "its captured_at is missing"),
            ("model", Bson::Null, "its model is missing"),
            ("data", Bson::Array(vec![]), "its data is missing"),
            ("data", Bson::from(vec![doc! {"detect": [7]}]), "its detect is missing"),
            ("data", Bson::from(vec![doc! {"detect": [], "frame": "???"}]), "not base64"),
            ("data", Bson::from(vec![doc! {"detect": [], "frame": "AAAA"}]), "no JPEG"),
        ] {
            let mut document = of(&kept());
            document.insert(name, value);
            let Record::Unreadable(unreadable) = read_back(&document) else { panic!("{name}") };
            assert!(unreadable.what.contains(told), "{unreadable}");
        }
    }

    #[test]
    fn the_original_systems_documents_are_told_as_they_are() {
        let id = ObjectId::from_bytes([7; 12]);
        let picture = Binary { subtype: BinarySubtype::Generic, bytes: vec![0xFF, 0xD8] };
        let document = doc! {
            "_id": id,
            "data": [
                {"source": 1, "detect": [{"class": "couche", "conf": 0.5}], "frame": "/9j/"},
                {"source": 2_i64, "at": DateTime::from_millis(0), "frame": picture},
                7,
            ],
        };
        let Record::Foreign(Foreign { id, data }) = read_back(&document) else { panic!() };
        assert_eq!(id, "070707070707070707070707");
        assert_eq!(
            Value::from(data),
            serde_json::json!([
                {"source": 1, "detect": [{"class": "couche", "conf": 0.5}], "frame": "/9j/"},
                {"source": 2, "at": "1970-01-01T00:00:00Z", "frame": "/9g="},
                7,
            ])
        );
        let Record::Unreadable(unreadable) = read_back(&doc! {"_id": 5, "data": "lost"}) else {
            panic!()
        };
        assert_eq!(unreadable.to_string(), "snapshot 5 cannot be read: it has no array data");
    }
}
