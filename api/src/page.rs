//! Cursors: how a client walks a series that grows and changes meanwhile.
//!
//! A cursor says which part of event time is still to come, in which order. It
//! names a place by a window's start and not by a count, so each window that
//! was there all the time is met exactly once, whatever rows are added or
//! changed between two pages.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::window::WindowSize;
use serde::Serialize;
use utoipa::ToSchema;

/// In which order windows are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    Newest,
    Oldest,
}

impl Order {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Order::Newest => "newest",
            Order::Oldest => "oldest",
        }
    }
}

impl FromStr for Order {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Order, &'static str> {
        match text {
            "newest" => Ok(Order::Newest),
            "oldest" => Ok(Order::Oldest),
            _ => Err("it is newest (the newest window first) or oldest"),
        }
    }
}

/// What is still to be listed: the windows of one size that start in `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Whose; none for those of the herd.
    pub source: Option<SourceId>,
    pub size: WindowSize,
    pub order: Order,
    pub from: UnixMillis,
    pub to: UnixMillis,
}

impl Cursor {
    /// What remains once the windows up to the one that starts at `last` are
    /// listed.
    pub(crate) fn behind(self, last: UnixMillis) -> Cursor {
        match self.order {
            Order::Newest => Cursor { to: last, ..self },
            Order::Oldest => Cursor { from: UnixMillis::new(last.get().saturating_add(1)), ..self },
        }
    }
}

/// In place of a source's number.
const HERD: &str = "herd";

/// Changed whenever an old cursor would be read as another place.
const VERSION: &str = "1";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { source, size, order, from, to } = self;
        let (order, from, to) = (order.name(), from.get(), to.get());
        let source = source.map_or_else(|| HERD.to_owned(), |source| source.to_string());
        let text = format!("{VERSION} {source} {size} {order} {from} {to}");
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

/// A text that is no cursor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be the next_cursor of an earlier answer, unchanged")]
pub(crate) struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Cursor, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidCursor)?;
        let fields: Vec<&str> = text.split(' ').collect();
        let [VERSION, source, size, order, from, to] = fields[..] else {
            return Err(InvalidCursor);
        };
        let millis = |text: &str| text.parse().map(UnixMillis::new).map_err(|_| InvalidCursor);
        let source = match source {
            HERD => None,
            source => Some(source.parse().map_err(|_| InvalidCursor)?),
        };
        Ok(Cursor {
            source,
            size: size.parse().map_err(|_| InvalidCursor)?,
            order: order.parse().map_err(|_| InvalidCursor)?,
            from: millis(from)?,
            to: millis(to)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(
            source in prop::option::of(1..i64::from(i32::MAX)),
            size in prop::sample::select(WindowSize::ALL.to_vec()),
            order in prop::sample::select(vec![Order::Newest, Order::Oldest]),
            from in any::<i64>(),
            to in any::<i64>(),
        ) {
            let source = source.map(|source| SourceId::try_from(source).unwrap());
            let (from, to) = (UnixMillis::new(from), UnixMillis::new(to));
            let cursor = Cursor { source, size, order, from, to };
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(text.parse(), Ok(cursor));
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,60}") {
            let cursor: Result<Cursor, _> = text.parse();
            prop_assert!(cursor.is_err() || !text.is_empty());
        }
    }
}
