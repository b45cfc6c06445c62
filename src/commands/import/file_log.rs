//! A file of counts as a log: one partition, a record a line.
//!
//! # Invariants
//!
//! - The offset of a line is its number, from 0, without a CSV's header; blank
//!   lines are gaps.
//! - The same bytes, read with the same options, are the same log: what was
//!   imported once begins where it ended. Other bytes are another log, whose
//!   frames the pipeline compares with those that it has counted.
//! - A line that is no frame is a record all the same, of its own bytes: the
//!   pipeline parks it, and the ledger counts it.
//! - A record's time is the moment it was captured, so a history is judged by
//!   its own clock.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemas::avro;
use schemas::log::{
    Batch, Bounds, FrameLog, LogError, LogId, LogReader, Offset, Partition, ReadEnd, Record,
};
use schemas::source::{SessionId, SourceId};
use schemas::time::UnixMillis;

use super::columns::Columns;
use super::csv::Csv;
use super::line::{Givens, Refusal};
use super::lines::Lines;
use super::ndjson::Ndjson;
use super::tally::Tally;

/// Lines of the beginning that are tried before anything is written.
const TRIED_LINES: u64 = 1000;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Ndjson,
    Csv,
}

/// How files are read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) columns: Columns,
    /// By the file's name, or its first byte, if not given.
    pub(super) format: Option<Format>,
    /// Of lines that name none.
    pub(super) source: Option<SourceId>,
    /// Of lines that name none; by the first line if not given.
    pub(super) session: Option<SessionId>,
    pub(super) now: UnixMillis,
    pub(super) captured_before: UnixMillis,
}

/// Why a file cannot be imported at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("could not {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} holds no line", path.display())]
    Empty { path: PathBuf },
    #[error("{}: {what}", path.display())]
    Header { path: PathBuf, what: String },
    #[error(
        "{}: none of the first {tried} lines is a frame, so nothing of it was imported; line {line}: {what}",
        path.display()
    )]
    NoFrame { path: PathBuf, tried: u64, line: u64, what: String },
}

/// A file of counts; see the [module](self).
pub(super) struct FileLog {
    path: PathBuf,
    id: LogId,
    /// Bytes that count: what is appended later belongs to the next import.
    length: u64,
    /// Lines without the header.
    lines: u64,
    format: Format,
    reading: Reading,
    givens: Givens,
    tally: Arc<Tally>,
}

impl FileLog {
    /// Looks through the file once, and tries to read its beginning.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its beginning holds no frame.
    pub(super) fn open(path: &Path, reading: &Reading) -> Result<FileLog, FileError> {
        let failed = |doing| move |source| FileError::Io { doing, path: path.to_owned(), source };
        let file = File::open(path).map_err(failed("open"))?;
        let length = file.metadata().map_err(failed("look at"))?.len();
        let content = Content::of(file, length).map_err(failed("read"))?;
        let format = match (reading.format, path.extension().and_then(|e| e.to_str())) {
            (Some(format), _) => format,
            (None, Some("csv" | "tsv")) => Format::Csv,
            (None, Some("ndjson" | "jsonl" | "json")) => Format::Ndjson,
            (None, _) if content.first.starts_with(b"{") => Format::Ndjson,
            (None, _) => Format::Csv,
        };
        let (first, lines) = match format {
            Format::Ndjson => (&content.first, content.lines),
            Format::Csv => (&content.second, content.lines.saturating_sub(1)),
        };
        if first.is_empty() {
            return Err(FileError::Empty { path: path.to_owned() });
        }
        let session = reading.session.unwrap_or_else(|| SessionId::derived_from(first));
        let Reading { columns, source, .. } = reading;
        let text = format!(
            "{session} {length} {:08x} {format:?} {source:?} {}",
            content.crc,
            columns.fingerprint()
        );
        let id = LogId(format!("import:{}", SessionId::derived_from(text.as_bytes())).into());
        let givens = Givens {
            source: *source,
            session,
            numbered: false,
            captured_before: reading.captured_before,
        };
        let tally = Arc::new(Tally::new(path.to_owned(), length));
        let reading = reading.clone();
        let mut log =
            FileLog { path: path.to_owned(), id, length, lines, format, reading, givens, tally };
        log.try_beginning()?;
        Ok(log)
    }

    /// What its readers found.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Finds out whether lines have numbers, and refuses a file that would be
    /// parked line by line: a wrong option is the cause, not the file.
    fn try_beginning(&mut self) -> Result<(), FileError> {
        let (mut lines, mut parser) = self.begin()?;
        let mut refused = None;
        for number in 0..TRIED_LINES {
            let line = lines.next().map_err(self.failed("read"))?;
            let Some(line) = line else { break };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let read = parser.read(line).and_then(|()| {
                self.givens.numbered = parser.is_numbered();
                parser.encode(number, &self.givens, &mut Vec::new())
            });
            match read {
                Ok(_) => return Ok(()),
                Err(refusal) => {
                    refused.get_or_insert((number, refusal));
                }
            }
        }
        let path = self.path.clone();
        let Some((number, Refusal { detail, .. })) = refused else {
            return Err(FileError::Empty { path });
        };
        let (tried, line) = (self.lines.min(TRIED_LINES), self.line_in_file(number));
        Err(FileError::NoFrame { path, tried, line, what: detail })
    }

    /// The lines behind the header, and who reads them.
    fn begin(&self) -> Result<(Lines, Parser), FileError> {
        let file = File::open(&self.path).map_err(self.failed("open"))?;
        let mut lines = Lines::new(file, self.length);
        let columns = &self.reading.columns;
        let parser = match self.format {
            Format::Ndjson => Parser::Ndjson(Ndjson::new(columns.clone())),
            Format::Csv => {
                let header = lines.next().map_err(self.failed("read"))?.unwrap_or_default();
                let header = Csv::with_header(header, columns);
                let failed = |what| FileError::Header { path: self.path.clone(), what };
                Parser::Csv(header.map_err(failed)?)
            }
        };
        Ok((lines, parser))
    }

    /// The line's number as editors count.
    fn line_in_file(&self, number: u64) -> u64 {
        number + 1 + u64::from(self.format == Format::Csv)
    }

    fn failed(&self, doing: &'static str) -> impl Fn(io::Error) -> FileError + '_ {
        move |source| FileError::Io { doing, path: self.path.clone(), source }
    }
}

impl From<FileError> for LogError {
    fn from(error: FileError) -> LogError {
        match error {
            FileError::Io { doing, path, source } => {
                LogError::Io { doing, at: path.display().to_string(), source }
            }
            FileError::Empty { path }
            | FileError::Header { path, what: _ }
            | FileError::NoFrame { path, .. } => LogError::Damaged {
                at: path.display().to_string(),
                what: "it changed while it was imported; import it again".to_owned(),
            },
        }
    }
}

impl FrameLog for FileLog {
    fn identity(&self) -> LogId {
        self.id.clone()
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn append(&self, _: &[(SourceId, &[u8])]) -> Result<(), LogError> {
        Err(LogError::ReadOnly)
    }

    fn bounds(&self, _: Partition) -> Result<Bounds, LogError> {
        Ok(Bounds { low: Offset(0), high: Offset(self.lines) })
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn LogReader>, LogError> {
        let bounds = self.bounds(partition)?;
        if bounds.high < from {
            let hint = "the file has fewer lines than were imported of it";
            return Err(LogError::OutOfBounds { partition, wanted: from, bounds, hint });
        }
        let (mut lines, parser) = self.begin()?;
        for _ in 0..from.0 {
            lines.next().map_err(self.failed("read"))?;
        }
        self.tally.begin_at(from.0, lines.bytes());
        Ok(Box::new(FileReader {
            path: self.path.clone(),
            lines,
            parser,
            givens: self.givens,
            number: from.0,
            header_lines: self.line_in_file(0),
            value: Vec::new(),
            now: self.reading.now,
            tally: Arc::clone(&self.tally),
        }))
    }

    fn schemas(&self) -> Result<Vec<String>, LogError> {
        Ok(vec![avro::COUNTS_SCHEMA.to_owned()])
    }
}

/// Either format's reader of lines.
enum Parser {
    Ndjson(Ndjson),
    Csv(Csv),
}

impl Parser {
    #[inline]
    fn read(&mut self, line: &[u8]) -> Result<(), Refusal> {
        match self {
            Parser::Ndjson(ndjson) => ndjson.read(line),
            Parser::Csv(csv) => csv.read(line),
        }
    }

    fn is_numbered(&self) -> bool {
        match self {
            Parser::Ndjson(ndjson) => ndjson.line().is_numbered(),
            Parser::Csv(csv) => csv.line().is_numbered(),
        }
    }

    /// Appends the frame that the last line told of; when it was captured.
    #[inline]
    fn encode(
        &self,
        number: u64,
        givens: &Givens,
        out: &mut Vec<u8>,
    ) -> Result<UnixMillis, Refusal> {
        let header = match self {
            Parser::Ndjson(ndjson) => {
                let header = ndjson.header(number, givens)?;
                avro::encode_counts(&header, ndjson.counts(), out);
                header
            }
            Parser::Csv(csv) => {
                let header = csv.header(number, givens)?;
                avro::encode_counts(&header, csv.counts(), out);
                header
            }
        };
        Ok(header.captured_at)
    }
}

/// A place in a file.
struct FileReader {
    path: PathBuf,
    lines: Lines,
    parser: Parser,
    givens: Givens,
    /// Of the next line.
    number: u64,
    /// What is added to a line's number for a person.
    header_lines: u64,
    /// Used again for each frame.
    value: Vec<u8>,
    now: UnixMillis,
    tally: Arc<Tally>,
}

impl LogReader for FileReader {
    fn read(
        &mut self,
        batch: &mut Batch,
        records_max: usize,
        _: Duration,
    ) -> Result<ReadEnd, LogError> {
        let begun_at = self.number;
        let mut end = ReadEnd::More;
        while batch.len() < records_max {
            let failed = |source| LogError::Io {
                doing: "read",
                at: self.path.display().to_string(),
                source,
            };
            let Some(line) = self.lines.next().map_err(failed)? else {
                end = ReadEnd::CaughtUp(self.now);
                break;
            };
            let offset = Offset(self.number);
            self.number += 1;
            if line.trim_ascii_start().is_empty() {
                continue;
            }
            self.value.clear();
            let (parser, givens, value) = (&mut self.parser, &self.givens, &mut self.value);
            let taken = parser.read(line).and_then(|()| parser.encode(offset.0, givens, value));
            match taken {
                Ok(appended_at) => batch.push(Record { offset, appended_at, value: &self.value }),
                Err(refusal) => {
                    batch.push(Record { offset, appended_at: self.now, value: line });
                    self.tally.refused(offset.0, offset.0 + self.header_lines, refusal);
                }
            }
        }
        self.tally.read(begun_at, self.number, self.lines.bytes());
        Ok(end)
    }
}

/// What a first look through a file finds.
struct Content {
    crc: u32,
    lines: u64,
    /// The first two lines that are not blank.
    first: Vec<u8>,
    second: Vec<u8>,
}

impl Content {
    fn of(file: File, length: u64) -> io::Result<Content> {
        let mut content = Content { crc: 0, lines: 0, first: Vec::new(), second: Vec::new() };
        let mut lines = Lines::new(&file, length);
        while content.second.is_empty() {
            let Some(line) = lines.next()? else { break };
            let line = line.trim_ascii();
            match content.first.is_empty() {
                true => content.first = line.to_vec(),
                false => content.second = line.to_vec(),
            }
        }
        drop(lines);
        io::Seek::rewind(&mut &file)?;
        let (mut chunk, mut left, mut last) = (vec![0; 1 << 18], length, b'\n');
        while 0 < left {
            let wanted = usize::try_from(left).unwrap_or(chunk.len()).min(chunk.len());
            let read = io::Read::read(&mut &file, &mut chunk[..wanted])?;
            let Some(newest) = chunk[..read].last() else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            last = *newest;
            content.crc = crc32c::crc32c_append(content.crc, &chunk[..read]);
            let ends = memchr::memchr_iter(b'\n', &chunk[..read]).count();
            content.lines += u64::try_from(ends).unwrap_or(0);
            left -= u64::try_from(read).unwrap_or(left);
        }
        content.lines += u64::from(last != b'\n');
        Ok(content)
    }
}
