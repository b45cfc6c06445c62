//! Which part of a series of headcounts is still to be listed: its cursor.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::imported::{Table, Wall};
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::window::Calendar;
use serde::Serialize;
use utoipa::ToSchema;

use crate::page::{InvalidCursor, Order};

/// Where headcounts are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    Final,
    #[serde(rename = "final_2")]
    Final2,
    Camera,
}

impl Origin {
    const ALL: [Origin; 3] = [Origin::Final, Origin::Final2, Origin::Camera];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Origin::Final => Table::First.name(),
            Origin::Final2 => Table::Second.name(),
            Origin::Camera => "camera",
        }
    }

    /// The table of files; a camera has none.
    pub(super) const fn table(self) -> Option<Table> {
        match self {
            Origin::Final => Some(Table::First),
            Origin::Final2 => Some(Table::Second),
            Origin::Camera => None,
        }
    }

    /// The first place at `moment` or later: the number of a quarter of an hour on
    /// the wall's clock, or of a camera the moment in milliseconds.
    pub(super) fn place(self, moment: UnixMillis, calendar: &Calendar) -> i64 {
        if self == Origin::Camera {
            return moment.get();
        }
        let Some(wall) = calendar.local(moment).and_then(|local| Wall::of(local.datetime())) else {
            return if moment.get() < 0 { i64::MIN } else { i64::MAX };
        };
        let quarter = wall.quarter();
        match Wall::beginning(quarter) {
            Some(beginning) if beginning < wall => quarter + 1,
            _ => quarter,
        }
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Origin, &'static str> {
        let named = Origin::ALL.into_iter().find(|origin| origin.name() == text);
        named.ok_or("it is final, final_2 or camera")
    }
}

/// What is still to be listed: the places in `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) source: SourceId,
    pub(super) origin: Origin,
    pub(super) order: Order,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Part {
    /// What remains once everything up to the place `last` is listed.
    pub(super) fn behind(self, last: i64) -> Part {
        match self.order {
            Order::Newest => Part { to: last, ..self },
            Order::Oldest => Part { from: last.saturating_add(1), ..self },
        }
    }
}

/// Changed whenever an old cursor would be read as another place.
const VERSION: &str = "h1";

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Part { source, origin, order, from, to } = self;
        let (origin, order) = (origin.name(), order.name());
        let text = format!("{VERSION} {source} {origin} {order} {from} {to}");
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Part {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Part, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidCursor)?;
        let fields: Vec<&str> = text.split(' ').collect();
        let [VERSION, source, origin, order, from, to] = fields[..] else {
            return Err(InvalidCursor);
        };
        Ok(Part {
            source: source.parse().map_err(|_| InvalidCursor)?,
            origin: origin.parse().map_err(|_| InvalidCursor)?,
            order: order.parse().map_err(|_| InvalidCursor)?,
            from: from.parse().map_err(|_| InvalidCursor)?,
            to: to.parse().map_err(|_| InvalidCursor)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_inside_a_quarter_is_the_place_of_the_next() {
        let calendar = Calendar::in_zone("Europe/Paris").unwrap();
        let place = |text: &str| {
            let quarter = Origin::Final.place(text.parse().unwrap(), &calendar);
            Wall::beginning(quarter).unwrap().to_string()
        };
        assert_eq!(place("2026-03-01T11:00:00Z"), "2026-03-01 12:00:00.000");
        assert_eq!(place("2026-03-01T11:00:00.001Z"), "2026-03-01 12:15:00.000");
        let far = |moment| Origin::Final2.place(moment, &calendar);
        assert_eq!((far(UnixMillis::MIN), far(UnixMillis::MAX)), (i64::MIN, i64::MAX));
        let moment = UnixMillis::new(-7);
        assert_eq!(Origin::Camera.place(moment, &calendar), -7);
    }

    #[test]
    fn a_cursor_survives_its_text_and_no_other_text_is_one() {
        let source = SourceId::try_from(7).unwrap();
        for origin in Origin::ALL {
            let part = Part { source, origin, order: Order::Oldest, from: i64::MIN, to: 9 };
            assert_eq!(part.to_string().parse(), Ok(part));
            assert_eq!(origin.name().parse(), Ok(origin));
        }
        for other in ["", "h1", "\u{e9}", &URL_SAFE_NO_PAD.encode("h1 0 final newest 1 2")] {
            assert_eq!(other.parse::<Part>(), Err(InvalidCursor), "{other}");
        }
    }
}
