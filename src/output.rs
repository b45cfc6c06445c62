//! Results go to standard output, everything else to standard error.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;

/// Where results go: buffered, to standard output or to a file.
pub(crate) type Output = BufWriter<Box<dyn Write>>;

/// Room for a few thousand lines between two writes.
const BUFFER_BYTES: usize = 1 << 16;

/// Opens `path`, which is made new, or standard output.
///
/// # Errors
///
/// The file cannot be made.
pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Output> {
    let to: Box<dyn Write> = match path {
        Some(path) => {
            let make = || format!("could not make {}", path.display());
            Box::new(File::create(path).with_context(make)?)
        }
        None => Box::new(io::stdout().lock()),
    };
    Ok(BufWriter::with_capacity(BUFFER_BYTES, to))
}

/// A reader that has had enough (`animov export … | head`) is no error.
///
/// # Errors
///
/// Every other error in writing.
pub(crate) fn unless_closed(written: io::Result<()>) -> anyhow::Result<Reader> {
    match written {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Left),
        Err(error) => Err(error).context("could not write the result"),
    }
}

/// Whether somebody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Listens,
    Left,
}

/// Tells the person at the terminal something, on standard error. If nobody
/// can be told, there is nobody to tell that.
pub(crate) fn tell(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// A number as people read it: `12,345,678`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> = [0, 999, 1000, 12_345_678].map(grouped).to_vec();
        assert_eq!(shown, ["0", "999", "1,000", "12,345,678"]);
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        let closed = Err(io::ErrorKind::BrokenPipe.into());
        assert_eq!(unless_closed(closed).unwrap(), Reader::Left);
        assert!(unless_closed(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
