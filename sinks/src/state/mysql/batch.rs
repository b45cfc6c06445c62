//! Many rows in few statements.
//!
//! A statement is as long as the number of its rows says, and the server
//! prepares it once. So there are few numbers of rows, and what is left over
//! goes into smaller statements.

use std::sync::{Arc, OnceLock};

use schemas::bugs::Bug;
use sqlx::AssertSqlSafe;

use crate::state::mysql::connection::{Ask, Link};
use crate::state::mysql::row::Values;

/// Rows of one statement, descending. The largest is about where MariaDB is
/// fastest; beyond 500 it slows down again.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// Bytes of one statement's values, at most; a row longer than that goes alone.
/// The server takes 16 MiB (`max_allowed_packet`) unless it was told otherwise.
pub(super) const BYTES_MAX: usize = 4 << 20;

/// A statement for each number of rows.
pub(super) struct Statement {
    write: fn(rows: usize) -> String,
    /// In the order of [`SIZES`].
    texts: [OnceLock<Arc<str>>; SIZES.len()],
}

impl Statement {
    /// `write` gives the text for a number of rows.
    pub(super) const fn new(write: fn(rows: usize) -> String) -> Statement {
        Statement { write, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// The text for `size` rows.
    pub(super) fn text(&self, size: usize) -> Arc<str> {
        let text = || (self.write)(size).into();
        match SIZES.iter().position(|other| *other == size) {
            Some(at) => Arc::clone(self.texts[at].get_or_init(text)),
            None => text(),
        }
    }

    fn with<'q>(&self, size: usize, values: Values) -> Ask<'q> {
        // Made of our own constants and question marks.
        sqlx::query_with(AssertSqlSafe(self.text(size)), values.into_arguments())
    }
}

/// `INSERT INTO table (columns) VALUES (?, ?), (?, ?) …` with `rows` rows, and
/// what to do with a row whose key is there.
pub(super) fn insert(table: &str, columns: &[&str], rows: usize, on_duplicate: &str) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    let rows = vec![row; rows].join(", ");
    format!("INSERT INTO {table} ({}) VALUES {rows} {on_duplicate}", columns.join(", "))
}

/// The same, where a row whose key is there is written over. `key` counts the
/// columns that are the key; they come first.
pub(super) fn upsert(table: &str, columns: &[&str], key: usize, rows: usize) -> String {
    // The newer way to name the new row is unknown to MariaDB.
    let set = |column: &&str| match *column {
        "frames" if Bug::Increment.is_planted() => "frames = frames + VALUES(frames)".to_owned(),
        column => format!("{column} = VALUES({column})"),
    };
    let set: Vec<String> = columns.iter().skip(key).map(set).collect();
    let on_duplicate = format!("ON DUPLICATE KEY UPDATE {}", set.join(", "));
    insert(table, columns, rows, &on_duplicate)
}

/// Runs `statement` for all `rows`, in their order. `bind` adds a row's values;
/// `room` says how many bytes they have at most.
pub(super) async fn write<R, E: From<sqlx::Error>>(
    link: &mut Link,
    statement: &Statement,
    rows: &[R],
    room: impl Fn(&R) -> usize,
    mut bind: impl FnMut(&R, &mut Values) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = rows;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(next_size(rest, &room));
        let mut values = Values::default();
        now.iter().try_for_each(|row| bind(row, &mut values))?;
        link.execute(statement.with(now.len(), values)).await?;
        rest = later;
    }
    Ok(())
}

/// Asks `statement` for all `keys`, which stand in a list of its text: the last
/// key fills the places that are left over. `bind` adds a key's value.
pub(super) async fn find<K, T: Send + Unpin>(
    link: &mut Link,
    statement: &Statement,
    keys: &[K],
    first: impl Fn(&mut Values) -> sqlx::Result<()>,
    bind: impl Fn(&K, &mut Values) -> sqlx::Result<()>,
    mut read: impl FnMut(&sqlx::mysql::MySqlRow) -> sqlx::Result<T> + Send,
) -> sqlx::Result<Vec<T>> {
    let mut found = Vec::new();
    for now in keys.chunks(SIZES[0]) {
        let Some(last) = now.last() else { continue };
        let fitting = SIZES.iter().rev().find(|size| now.len() <= **size);
        let size = fitting.copied().unwrap_or(SIZES[0]);
        let mut values = Values::default();
        first(&mut values)?;
        let padded = now.iter().chain(std::iter::repeat_n(last, size - now.len()));
        padded.into_iter().try_for_each(|key| bind(key, &mut values))?;
        found.extend(link.rows(statement.with(size, values), &mut read).await?);
    }
    Ok(found)
}

/// How many of `rows`, one at least, go into the next statement.
fn next_size<R>(rows: &[R], room: impl Fn(&R) -> usize) -> usize {
    let mut bytes = 0;
    let fit = rows.iter().take(SIZES[0]).take_while(|row| {
        bytes += room(row);
        bytes <= BYTES_MAX
    });
    let fit = fit.count();
    SIZES.into_iter().find(|size| *size <= fit).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_that_is_there_is_written_over_save_for_its_key() {
        assert_eq!(
            upsert("windows", &["source", "`read`", "rev"], 1, 2),
            "INSERT INTO windows (source, `read`, rev) VALUES (?, ?, ?), (?, ?, ?) \
             ON DUPLICATE KEY UPDATE `read` = VALUES(`read`), rev = VALUES(rev)"
        );
    }

    proptest! {
        #[test]
        fn every_row_goes_into_one_statement_of_a_known_size(
            rooms in prop::collection::vec(0_usize..2 * BYTES_MAX, 0..2000),
            divisor in 1_usize..100_000,
        ) {
            let rooms: Vec<usize> = rooms.iter().map(|room| room / divisor).collect();
            let mut rest = &rooms[..];
            let mut statements = 0;
            while !rest.is_empty() {
                let size = next_size(rest, |room| *room);
                prop_assert!(SIZES.contains(&size));
                let (now, later) = rest.split_at(size);
                prop_assert!(size == 1 || now.iter().sum::<usize>() <= BYTES_MAX);
                rest = later;
                statements += 1;
            }
            if rooms.iter().sum::<usize>() <= BYTES_MAX {
                prop_assert!(statements <= rooms.len() / 256 + 4 * 3);
            }
        }
    }
}
