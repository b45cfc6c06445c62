use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::commands::import::line::tests::{Said, said};

/// A line's keys and values as `serde_json` sees them, also those twice.
struct Pairs(Vec<(String, Json)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Pairs, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        from.deserialize_map(PairsVisitor)
    }
}

/// What a line says, by the rules as the manual has them.
fn by_the_rules(line: &[u8]) -> Option<Said> {
    let Pairs(pairs) = serde_json::from_slice(line).ok()?;
    let mut said = Said::default();
    for (name, value) in pairs {
        let again = match name.as_str() {
            "note" => None,
            "source" => said.source.replace(value.as_i64()?).map(|_| ()),
            "seq" => said.seq.replace(value.as_i64()?).map(|_| ()),
            "session" => said.session.replace(value.as_str()?.parse().ok()?).map(|_| ()),
            "captured_at" => {
                let millis = match value {
                    Json::String(text) => text.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
                    value => value.as_i64()?,
                };
                said.captured_at.replace(millis).map(|_| ())
            }
            class => {
                let named = !class.is_empty()
                    && class.len() <= schemas::frame::CLASS_BYTES_MAX
                    && !class.chars().any(char::is_control);
                let animals = value.as_u64().filter(|animals| named && *animals <= 1024)?;
                said.counts.insert(class.to_owned(), animals.try_into().ok()?).map(|_| ())
            }
        };
        if again.is_some() {
            return None;
        }
    }
    Some(said)
}

fn parser() -> Ndjson {
    Ndjson::new(Columns::new(&[], &["note".to_owned()]))
}

fn read(parser: &mut Ndjson, line: &[u8]) -> Option<Said> {
    parser.read(line).ok()?;
    let counts: BTreeMap<String, u32> =
        parser.counts().map(|(class, animals)| (class.to_owned(), animals)).collect();
    Some(said(parser.line(), counts))
}

fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "source", "seq", "captured_at", "lying", "standing", "session", "note", "chèvre", "goat kid",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,6}",
        1 => any::<String>(),
    ]
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (0_u64..2000).prop_map(|n| n.to_string()),
        6 => any::<i64>().prop_map(|n| n.to_string()),
        2 => any::<u64>().prop_map(|n| n.to_string()),
        2 => any::<f64>().prop_map(|n| Json::from(n).to_string()),
        2 => (0_u32..99).prop_map(|n| format!("{n}.0")),
        1 => (0_u32..99).prop_map(|n| format!("{n}e2")),
        1 => (0_u32..99).prop_map(|n| format!("0{n}")),
        2 => any::<String>().prop_map(|text| Json::from(text).to_string()),
        3 => Just("\"2026-03-01T12:00:00.5Z\"".to_owned()),
        1 => Just("\"\\u0032026-03-01T12:00:00Z\"".to_owned()),
        2 => any::<u128>().prop_map(|n| format!("\"{}\"", uuid::Uuid::from_u128(n))),
        1 => prop::sample::select(vec!["null", "true", "[]", "[1,{\"a\":2}]", "{\"lying\":3}", "-0", "-", ""])
            .prop_map(str::to_owned),
    ]
}

fn spaces() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", "", " ", "  ", "\t", "\r"])
}

fn pair() -> impl Strategy<Value = String> {
    (keys(), values(), any::<bool>(), [spaces(), spaces(), spaces(), spaces()]).prop_map(
        |(key, value, escaped, [a, b, c, d])| {
            let key = match escaped && key.is_ascii() {
                // Every character as its escape: another way to write the same.
                true => key.bytes().map(|byte| format!("\\u{:04x}", u32::from(byte))).collect(),
                false => Json::from(key).to_string().trim_matches('"').to_owned(),
            };
            format!("{a}\"{key}\"{b}:{c}{value}{d}")
        },
    )
}

fn lines() -> impl Strategy<Value = String> {
    (prop::collection::vec(pair(), 0..7), spaces(), spaces())
        .prop_map(|(pairs, a, b)| format!("{a}{{{}}}{b}", pairs.join(",")))
}

/// A line as files have them.
fn usual() -> impl Strategy<Value = String> {
    (1_i64..9, 0_i64..1_000_000, 1_700_000_000_000_i64..1_800_000_000_000, 0_u32..20, 0_u32..20)
        .prop_map(|(source, seq, at, lying, standing)| {
            format!(
                "{{\"source\":{source},\"seq\":{seq},\"captured_at\":{at},\"lying\":{lying},\"standing\":{standing}}}"
            )
        })
}

proptest! {
    #[test]
    fn every_line_is_what_serde_json_says(lines in prop::collection::vec(lines(), 1..20)) {
        // One parser over all of them: what it learnt must not mislead it.
        let mut parser = parser();
        for line in &lines {
            prop_assert_eq!(read(&mut parser, line.as_bytes()), by_the_rules(line.as_bytes()), "{}", line);
        }
    }

    #[test]
    fn a_damaged_line_is_what_serde_json_says(
        line in usual(),
        at in any::<prop::sample::Index>(),
        cut in 0_usize..4,
        put in prop_oneof!["[-0-9.eE{}\",: \\\\]{0,3}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..3)],
    ) {
        let mut parser = parser();
        prop_assert!(read(&mut parser, line.as_bytes()).is_some());
        let mut damaged = line.into_bytes();
        let at = at.index(damaged.len());
        let end = (at + cut).min(damaged.len());
        damaged.splice(at..end, put);
        let shown = String::from_utf8_lossy(&damaged).into_owned();
        prop_assert_eq!(read(&mut parser, &damaged), by_the_rules(&damaged), "{}", shown);
    }

    #[test]
    fn a_usual_line_needs_no_second_way(first in usual(), line in usual()) {
        let mut parser = parser();
        read(&mut parser, first.as_bytes());
        parser.line.clear();
        prop_assert!(parser.read_usual(line.as_bytes()).is_some());
    }

    #[test]
    fn digits_are_a_number(number in any::<u64>(), behind in "[^0-9]?[0-9]{0,3}") {
        let digits = number.to_string();
        let text = match behind.chars().next() {
            Some(first) if first.is_ascii_digit() => digits.clone(),
            _ => format!("{digits}{behind}"),
        };
        let fits = (digits.len() <= 18).then(|| (i64::try_from(number).unwrap(), digits.len()));
        prop_assert_eq!(natural(text.as_bytes()), fits);
    }
}

#[test]
fn a_refused_line_says_why() {
    let mut parser = parser();
    let mut told = String::new();
    for line in [
        r#"{"source":1,"captured_at":1772408970000,"lying":3.5}"#,
        r#"{"source":1,"captured_at":1772408970000,"lying":-3}"#,
        r#"{"source":1,"captured_at":1772408970000,"lying":2000}"#,
        r#"{"source":1,"captured_at":1772408970000,"lying":null}"#,
        r#"{"source":1,"captured_at":1772408970000,"lying":"3"}"#,
        r#"{"source":1,"source":1,"captured_at":1772408970000}"#,
        r#"{"source":1,"captured_at":"noon","lying":3}"#,
        r#"{"source":1,"captured_at":1772408970000,"":3}"#,
        r#"[1,1772408970000,3]"#,
        r#"{"source":1,"captured_at":1772408970000,"lying":3"#,
    ] {
        told += &parser.read(line.as_bytes()).unwrap_err().detail;
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}
