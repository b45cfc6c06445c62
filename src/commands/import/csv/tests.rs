use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::commands::import::line::tests::{Said, said};

const NAMES: [&str; 6] = ["source", "seq", "captured_at", "note", "lying", "standing"];

fn parser(delimiter: char) -> Csv {
    let columns = Columns::new(&[], &["note".to_owned()]);
    Csv::with_header(NAMES.join(&delimiter.to_string()).as_bytes(), &columns).unwrap()
}

fn read(parser: &mut Csv, line: &[u8]) -> Option<Said> {
    parser.read(line).ok()?;
    let counts: BTreeMap<String, u32> =
        parser.counts().map(|(class, animals)| (class.to_owned(), animals)).collect();
    Some(said(parser.line(), counts))
}

/// What a line says, by the rules as the manual has them.
fn by_the_rules(line: &str, delimiter: char) -> Option<Said> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(u8::try_from(delimiter).unwrap())
        .from_reader(line.as_bytes());
    let mut records = reader.records();
    let record = records.next()?.ok()?;
    if record.len() != NAMES.len() || records.next().is_some() {
        return None;
    }
    let value = |at: usize| record[at].trim_matches([' ', '\t']);
    let number = |at: usize| value(at).parse::<i64>().ok();
    let animals = |at: usize| number(at).filter(|n| (0..=1024).contains(n))?.try_into().ok();
    let moment = || value(2).parse::<jiff::Timestamp>().ok().map(|moment| moment.as_millisecond());
    Some(Said {
        source: Some(number(0)?),
        session: None,
        seq: Some(number(1)?),
        captured_at: Some(number(2).or_else(moment)?),
        counts: BTreeMap::from([
            ("lying".to_owned(), animals(4)?),
            ("standing".to_owned(), animals(5)?),
        ]),
    })
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (0_u64..2000).prop_map(|n| n.to_string()),
        6 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<u64>().prop_map(|n| n.to_string()),
        1 => (0_u32..99).prop_map(|n| format!("{n}.0")),
        1 => (0_u32..99).prop_map(|n| format!("0{n}")),
        3 => Just("2026-03-01T12:00:00.5Z".to_owned()),
        1 => Just("2026-03-01 12:00:00+01:00".to_owned()),
        1 => "[^\"\\r\\n]{0,5}",
        1 => Just(String::new()),
    ]
}

/// Written as files have it: plain, with spaces around, or in quotes.
fn written() -> impl Strategy<Value = String> {
    (values(), 0_u8..8).prop_map(|(value, how)| match how {
        0 => format!("\"{value}\""),
        1 => format!(" {value}\t"),
        2 => format!("\"{},\"\"{value}\"", value.len()),
        _ => value,
    })
}

proptest! {
    #[test]
    fn every_line_is_what_the_csv_crate_says(
        lines in prop::collection::vec(prop::collection::vec(written(), 5..8), 1..20),
        delimiter in prop::sample::select(vec![',', ';', '\t']),
    ) {
        let mut parser = parser(delimiter);
        for values in &lines {
            let line = values.join(&delimiter.to_string());
            prop_assert_eq!(
                read(&mut parser, line.as_bytes()),
                by_the_rules(&line, delimiter),
                "{}", line
            );
        }
    }

    #[test]
    fn a_damaged_line_is_what_the_csv_crate_says_or_refused(
        at in any::<prop::sample::Index>(),
        cut in 0_usize..4,
        put in "[-+0-9.,;\" \\tTZ:\\r]{0,3}",
    ) {
        let mut line = "1,17,1772408970000,x,3,4".to_owned();
        let at = at.index(line.len());
        line.replace_range(at..(at + cut).min(line.len()), &put);
        let found = read(&mut parser(','), line.as_bytes());
        // A lone quote and a carriage return inside are refused here.
        let strict = !line.contains(['"', '\r']);
        if found.is_some() || strict {
            prop_assert_eq!(found, by_the_rules(&line, ','), "{}", line);
        }
    }

    #[test]
    fn a_usual_line_needs_no_second_way(source in 1_i64..99, seq in any::<u32>(), at in 946_684_800_000_i64..4_000_000_000_000, animals in 0_u32..99) {
        let mut parser = parser(',');
        for note in ["", "a note"] {
            parser.line.clear();
            let line = format!("{source},{seq},{at},{note},{animals},{animals}");
            prop_assert!(parser.read_usual(line.as_bytes()).is_some(), "{}", line);
        }
    }
}

#[test]
fn a_header_that_cannot_be_says_what_to_do() {
    let columns = Columns::default();
    let mut told = String::new();
    for header in
        ["1,2,1772408970000,3", "source,ts,lying", "captured_at,lying,lying", "captured_at,,lying"]
    {
        told += &Csv::with_header(header.as_bytes(), &columns).err().unwrap();
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_refused_line_says_why() {
    let mut parser = parser(',');
    let mut told = String::new();
    for line in [
        "1,2,1772408970000,,3",
        "1,2,1772408970000,,3,",
        "1,2,1772408970000,,3,4.0",
        "1,2,noon,,3,4",
        "1,2,1772408970000,\"a,3,4",
    ] {
        told += &parser.read(line.as_bytes()).unwrap_err().detail;
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}
