//! Headcounts of an observer: CSV with a column `captured_at` (RFC 3339 or milliseconds
//! since 1970) or `t_ms` (milliseconds after the first picture), and one column a class,
//! with whole numbers of animals. Separated by commas, semicolons or tabs. Where there is a
//! column `source`, lines of other sources than the wanted one are passed over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use schemas::avro;
use schemas::frame::ANIMALS_MAX;
use schemas::source::SourceId;
use schemas::time::UnixMillis;

use super::{Form, Label, LabelError, Labels, Reading, Truth};
use crate::picture::PictureId;
use crate::series::TOTAL;

/// What may stand between two values; of equally many, the first.
const DELIMITERS: [u8; 3] = [b'\t', b';', b','];

/// Longest first line that is looked at for its separator, in bytes.
const HEADER_BYTES_MAX: usize = 1 << 16;

/// What a column says.
enum Column {
    CapturedAt,
    Time,
    Source,
    Class(Arc<str>),
    Ignored,
}

/// Reads the file `path`.
///
/// # Errors
///
/// It cannot be read, its first line names no time or no class, or a value is wrong.
pub fn read(path: &Path, reading: &Reading) -> Result<Labels, LabelError> {
    let unread = |source| LabelError::Read { path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(HEADER_BYTES_MAX, File::open(path).map_err(unread)?);
    let begins = file.fill_buf().map_err(unread)?;
    let first = begins.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let times = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
    let delimiter = DELIMITERS.into_iter().max_by_key(times).unwrap_or(b',');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(file);
    let wrong = |line: u64, what: String| LabelError::Line { path: path.to_owned(), line, what };
    let no_csv = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        wrong(line, format!("no CSV: {error}"))
    };
    let header = reader.headers().map_err(no_csv)?.clone();
    let columns = columns(&header, reading).map_err(|what| wrong(1, what))?;
    let classes: Vec<Arc<str>> = columns
        .iter()
        .filter_map(|column| match column {
            Column::Class(class) => Some(Arc::clone(class)),
            _ => None,
        })
        .collect();
    let mut pictures = Vec::new();
    for record in reader.records() {
        let record = record.map_err(no_csv)?;
        let line = record.position().map_or(0, csv::Position::line);
        let read = label(&record, &columns, reading.source).map_err(|what| wrong(line, what))?;
        if let Some((picture, counts)) = read {
            let origin = format!("{}, line {line}", path.display());
            let truth = Truth::Counts(counts);
            pictures.push(Label { picture, origin, truth, night: None, occluded: None });
        }
    }
    Ok(Labels { form: Form::Counts, classes, classes_guessed: false, pictures })
}

fn columns(header: &csv::StringRecord, reading: &Reading) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for (at, name) in header.iter().enumerate() {
        let name = if at == 0 { name.trim_start_matches('\u{feff}') } else { name };
        let ignored = reading.ignored_columns.iter().any(|ignored| ignored == name);
        columns.push(match name {
            _ if ignored => Column::Ignored,
            "captured_at" => Column::CapturedAt,
            "t_ms" => Column::Time,
            "source" => Column::Source,
            // A frame's own name, where the counts were exported from frames.
            "session" | "seq" => Column::Ignored,
            TOTAL => {
                return Err(format!(
                    "column {TOTAL:?} would be counted beside the classes that it is the sum of; \
                     leave it out with --ignore {TOTAL}"
                ));
            }
            class => {
                let named = avro::name(class.as_bytes());
                Column::Class(named.map_err(|fault| format!("column {class:?}: {fault}"))?)
            }
        });
        let again = header.iter().take(at).any(|before| before == name);
        if again && !ignored {
            return Err(format!("column {name:?} is there twice; leave it out with --ignore"));
        }
    }
    let all = || header.iter().collect::<Vec<_>>().join(", ");
    if !columns.iter().any(|column| matches!(column, Column::CapturedAt | Column::Time)) {
        return Err(format!("no column captured_at or t_ms among {}", all()));
    }
    if !columns.iter().any(|column| matches!(column, Column::Class(_))) {
        return Err(format!("no column for a class, such as lying, among {}", all()));
    }
    Ok(columns)
}

type Read = Option<(PictureId, BTreeMap<Arc<str>, u32>)>;

fn label(
    record: &csv::StringRecord,
    columns: &[Column],
    wanted: Option<SourceId>,
) -> Result<Read, String> {
    let (mut picture, mut counts) = (PictureId::default(), BTreeMap::new());
    for (column, value) in columns.iter().zip(record) {
        match column {
            Column::Ignored => {}
            Column::CapturedAt => {
                let at: UnixMillis =
                    value.parse().map_err(|error| format!("captured_at: {error}"))?;
                picture.captured_at = Some(at);
            }
            Column::Time => {
                let millis: i64 = value
                    .parse()
                    .map_err(|_| format!("t_ms: {value:?} is no whole number of milliseconds"))?;
                picture.t_ms = Some(millis);
            }
            Column::Source => {
                let source: SourceId = value.parse().map_err(|error| format!("source: {error}"))?;
                if wanted.is_some_and(|wanted| wanted != source) {
                    return Ok(None);
                }
            }
            Column::Class(class) => {
                let animals: Option<u32> = value.parse().ok();
                let animals =
                    animals.filter(|animals| *animals <= ANIMALS_MAX).ok_or_else(|| {
                        format!(
                            "{class}: {value:?} is no whole number of animals up to {ANIMALS_MAX}"
                        )
                    })?;
                counts.insert(Arc::clone(class), animals);
            }
        }
    }
    Ok(Some((picture, counts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, reading: &Reading) -> Result<Labels, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seen.csv");
        std::fs::write(&path, text).unwrap();
        let told = |error: LabelError| error.to_string();
        read(&path, reading)
            .map_err(told)
            .map_err(|told| told.rsplit_once("seen.csv").unwrap().1.to_owned())
    }

    #[test]
    fn a_line_is_how_many_of_each_class() {
        let text = "\u{feff}captured_at;lying;standing;note\n\
                    2026-03-01T12:00:00Z;3;4;rain\n1772366401000; 0 ;7;\n";
        let reading = Reading { ignored_columns: vec!["note".to_owned()], ..Reading::default() };
        let labels = read_text(text, &reading).unwrap();
        assert_eq!(labels.classes.join(" "), "lying standing");
        let shown: Vec<String> = labels
            .pictures
            .iter()
            .map(|label| format!("{} {:?}", label.picture, label.truth))
            .collect();
        assert_eq!(
            shown,
            [
                "2026-03-01T12:00:00Z Counts({\"lying\": 3, \"standing\": 4})",
                "2026-03-01T12:00:01Z Counts({\"lying\": 0, \"standing\": 7})"
            ]
        );
    }

    #[test]
    fn lines_of_other_sources_are_passed_over() {
        let text = "source,t_ms,lying\n1,0,3\n2,0,4\n1,1000,5\n";
        let of = |source: Option<i64>| {
            let source = source.map(|id| SourceId::try_from(id).unwrap());
            read_text(text, &Reading { source, ..Reading::default() }).unwrap().pictures.len()
        };
        assert_eq!((of(Some(1)), of(Some(2)), of(Some(3)), of(None)), (2, 1, 0, 3));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let told = |text| read_text(text, &Reading::default()).unwrap_err();
        assert_eq!(
            told("time,lying\n"),
            ", line 1: no column captured_at or t_ms among time, lying"
        );
        assert_eq!(told("t_ms\n1\n"), ", line 1: no column for a class, such as lying, among t_ms");
        assert_eq!(
            told("t_ms,lying\n0,1\n1000,2.5\n"),
            ", line 3: lying: \"2.5\" is no whole number of animals up to 1024"
        );
        assert!(told("captured_at,lying\nsoon,1\n").starts_with(", line 2: captured_at: \"soon\""));
        assert!(told("t_ms,lying\n0\n").starts_with(", line 2: no CSV"));
        assert!(told("t_ms,lying,lying\n0,1,1\n").contains("twice"));
        assert!(told("t_ms,lying,total\n0,1,1\n").ends_with("leave it out with --ignore total"));
    }
}
