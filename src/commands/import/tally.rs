//! What was found in one file, for the person who imports it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::line::Refusal;

/// Refused lines that are told in full, of each file.
const TOLD_MAX: usize = 20;

/// Counts lines. The pipeline may read some twice; they count once.
pub(super) struct Tally {
    path: PathBuf,
    /// Bytes of the file.
    length: u64,
    bytes: AtomicU64,
    found: Mutex<Found>,
}

/// What is known of the lines so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Lines that an earlier import had read.
    pub(super) before: Option<u64>,
    /// Lines read by this import.
    pub(super) lines: u64,
    /// The first line that has not been read.
    next: u64,
    /// Why lines were refused, and how many.
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// The first ones in full.
    pub(super) told: Vec<String>,
}

impl Found {
    /// Lines that were refused.
    pub(super) fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }
}

impl Tally {
    pub(super) fn new(path: PathBuf, length: u64) -> Tally {
        Tally { path, length, bytes: AtomicU64::new(0), found: Mutex::default() }
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A copy of what is known.
    pub(super) fn found(&self) -> Found {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn begin_at(&self, line: u64, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.before.is_none() {
            found.before = Some(line);
            found.next = line;
        }
    }

    /// The lines `[from, to)` were read.
    pub(super) fn read(&self, from: u64, to: u64, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let new = to.saturating_sub(from.max(found.next));
        found.lines += new;
        found.next = found.next.max(to);
    }

    /// The line numbered `number`, which editors show as `line`, is refused.
    /// Called before it is [`read`](Tally::read).
    #[cold]
    pub(super) fn refused(&self, number: u64, line: u64, refusal: Refusal) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if number < found.next {
            return;
        }
        let Refusal { kind, detail } = refusal;
        *found.refused.entry(kind).or_default() += 1;
        if found.told.len() < TOLD_MAX {
            found.told.push(format!("{}:{line}: {detail}", self.path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_read_again_count_once() {
        let tally = Tally::new("herd.csv".into(), 100);
        let refuse = |number| tally.refused(number, number + 2, Refusal::new("a kind", "why"));
        tally.begin_at(3, 30);
        refuse(4);
        tally.read(3, 6, 60);
        tally.begin_at(3, 30);
        refuse(4);
        refuse(7);
        tally.read(3, 8, 80);
        let found = tally.found();
        assert_eq!((found.before, found.lines, found.refused_total()), (Some(3), 5, 2));
        assert_eq!(found.told, ["herd.csv:6: why", "herd.csv:9: why"]);
    }

    #[test]
    fn a_file_of_nonsense_tells_only_its_beginning() {
        let tally = Tally::new("herd.csv".into(), 100);
        (0..1000).for_each(|line| tally.refused(line, line, Refusal::new("a kind", "why")));
        assert_eq!(tally.found().told.len(), TOLD_MAX);
        assert_eq!(tally.found().refused_total(), 1000);
    }
}
