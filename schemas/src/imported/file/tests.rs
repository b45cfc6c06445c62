use super::*;

fn content(bytes: &[u8]) -> Result<Content, String> {
    let calendar = Calendar::in_zone("Europe/Paris").unwrap();
    let source = SourceId::try_from(3).unwrap();
    HeadcountFile::read("pen-1.csv", bytes, source, Table::First, &calendar, UnixMillis::new(7))
        .map_err(|error| error.to_string())
}

/// Each row in a line, then each refusal.
fn told(bytes: &[u8]) -> String {
    let content = match content(bytes) {
        Ok(content) => content,
        Err(error) => return error,
    };
    assert_eq!(content.file.rows_refused, content.refused.total());
    let kept = u64::try_from(content.rows.len()).unwrap();
    assert_eq!(content.file.rows_read, kept + content.file.rows_refused);
    let number = |number: Option<f64>| number.map_or("-".to_owned(), |number| number.to_string());
    let rows = content.rows.iter().map(|row| {
        let Headcount { wall, lying, standing, nth } = row;
        format!("{wall} {} {} {nth}", number(*lying), number(*standing))
    });
    let refusals = content.refused.told.iter();
    let refusals = refusals.map(|r| format!("line {}: {}: {}", r.line, r.reason, r.found));
    rows.chain(refusals).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_pandas_writes_is_read() {
    let text = ",date,Effectif couche,Effectif debout,note\n\
                0,2026-03-01 12:00:00,3,4.5,\"a, \"\"b\"\"\nand c\"\n\
                1,2026-03-01 12:00:00.250,,4,x\n\
                2,2026-03-01T12:00:01,NaN,nan,\n";
    insta::assert_snapshot!(told(text.as_bytes()), @r"
    2026-03-01 12:00:00.000 3 4.5 0
    2026-03-01 12:00:00.250 - 4 0
    2026-03-01 12:00:01.000 - - 0
    ");
}

#[test]
fn what_a_spreadsheet_in_france_writes_is_read() {
    let text = "date;Effectif debout;Effectif couche;Enclos \u{e9}t\u{e9}\r\n\
                01/03/2026 12:00;4,5;3;n\u{ba} 1\r\n\
                31/12/2026 23:59:59;0;0,25;\r\n\
                2026-03-01;1;2;\r\n\
                2026-06-01T12:00:00Z;1;2;\r\n";
    let expected = "2026-03-01 12:00:00.000 3 4.5 0\n\
                    2026-12-31 23:59:59.000 0.25 0 0\n\
                    2026-03-01 00:00:00.000 2 1 0\n\
                    2026-06-01 14:00:00.000 2 1 0";
    let utf8 = text.as_bytes().to_vec();
    let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
    let latin1 = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for bytes in [utf8, marked, latin1] {
        assert_eq!(told(&bytes), expected);
    }
}

#[test]
fn a_row_that_cannot_be_read_is_refused_with_its_line_and_the_others_are_kept() {
    let text = "date,Effectif couche,Effectif debout\n\
                2026-03-01 12:00:00,3,4\n\
                yesterday,3,4\n\
                \n\
                2026-02-30 12:00:00,3,4\n\
                2026-03-01 12:00:00,three,4\n\
                2026-03-01 12:00:00,3,-4\n\
                2026-03-01 12:00:00,3,inf\n\
                2026-03-01 12:00:00,\"3,4,5\",4\n\
                2026-03-01 12:00:00,3,4,5\n\
                2026-03-01 12:00:00,3,4,\n\
                2026-03-01 12:00:00,3\n\
                0999-03-01 12:00:00,3,4\n\
                01/13/2026,3,4\n\
                ,3,4\n";
    insta::assert_snapshot!(told(text.as_bytes()), @r"
    2026-03-01 12:00:00.000 3 4 0
    2026-03-01 12:00:00.000 3 4 1
    2026-03-01 12:00:00.000 3 - 0
    line 3: no date: yesterday
    line 5: no date: 2026-02-30 12:00:00
    line 6: no headcount: three
    line 7: no headcount: -4
    line 8: no headcount: inf
    line 9: no headcount: 3,4,5
    line 10: more values than columns: 5
    line 13: no date: 0999-03-01 12:00:00
    line 14: no date: 01/13/2026
    line 15: no date: 
    ");
}

#[test]
fn refusals_are_counted_and_only_the_first_told() {
    let rows = "yesterday,1,1\n".repeat(1000) + "2026-03-01,x,1\n";
    let text = format!("date,Effectif couche,Effectif debout\n{rows}");
    let refused = content(text.as_bytes()).unwrap().refused;
    assert_eq!(refused.told.len(), TOLD_MAX);
    assert_eq!(refused.reasons, BTreeMap::from([("no date", 1000), ("no headcount", 1)]));
}

#[test]
fn a_file_without_its_columns_is_refused() {
    insta::assert_snapshot!(told(b""), @"it is empty; its first line must name the columns");
    insta::assert_snapshot!(told(b"\xFF\xFEd\0a\0"), @"it is UTF-16; save it as UTF-8, or as Latin-1");
    insta::assert_snapshot!(told(b"date,couche\n1,2\n"), @r#"it has no column "Effectif couche" and none "Effectif debout"; its first line names "date", "couche""#);
    insta::assert_snapshot!(told(b"date,date,Effectif couche,Effectif debout\n"), @r#"it names the column "date" twice"#);
    assert_eq!(told(b"date,Effectif couche,Effectif debout\n"), "", "a file without rows");
}

#[test]
fn no_bytes_break_it() {
    proptest::proptest!(|(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200))| {
        let header = b"date;Effectif couche;Effectif debout\n";
        let _: String = told(&[&header[..], &bytes].concat());
        let _: String = told(&bytes);
    });
}
