//! Which records are asked for.

use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::users::Scope;
use schemas::window::Calendar;
use utoipa::IntoParams;

use crate::auth::Viewer;
use crate::error::ApiError;
use crate::params::{self, Params};

/// Most rows of minutes or hours in one answer, and as many if nobody says.
pub(super) const ROWS_MAX: u32 = 10_000;

/// The criteria as the document tells them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(super) struct Described {
    /// Only this camera.
    #[param(minimum = 1)]
    source: Option<i32>,
    /// At this moment or later: Unix seconds, RFC 3339, or a date, which is the
    /// beginning of that day on the site's clocks. Without it, the newest records.
    #[param(example = "2026-03-01T12:00:00Z")]
    from: Option<String>,
    /// Before this moment, in the same forms.
    #[param(example = "2026-03-02")]
    to: Option<String>,
    /// From the header Link of an earlier answer: where the rest begins.
    cursor: Option<String>,
}

/// How many minutes or hours.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(super) struct DescribedLimit {
    /// Minutes or hours of a camera in one answer; 10,000 if not given.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
}

/// One camera or all, for the routes that know no more.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(super) struct DescribedSource {
    /// Only this camera.
    #[param(minimum = 1)]
    source: Option<i32>,
}

/// Which records of time are asked for.
#[derive(Clone, Debug)]
pub(super) struct Criteria {
    pub(super) scope: Scope,
    /// At this moment or later.
    pub(super) from: UnixMillis,
    /// Before this moment.
    pub(super) to: UnixMillis,
    pub(super) limit: u32,
    /// From here on, in this direction.
    pub(super) cursor: Cursor,
}

impl Criteria {
    /// Takes the criteria from `params`, and leaves the rest; `max` bounds the
    /// limit, and is it if nobody says.
    pub(super) fn take(
        params: &mut Params,
        viewer: &Viewer,
        calendar: &Calendar,
        max: u32,
    ) -> Result<Criteria, ApiError> {
        let scope = scope(params, viewer)?;
        let given = |text: &str| moment(calendar, text).map(|moment| (moment, text.to_owned()));
        let from = params.take("from", given)?;
        let to = params.take("to", given)?;
        let limit = params.take("limit", params::count(max))?.unwrap_or(max);
        let cursor = params.take("cursor", params::parsed)?;
        if let (Some((from, _)), Some((to, text))) = (&from, &to)
            && to <= from
        {
            let expected = format!("it must be later than from, which is {from}");
            return Err(params::bad("to", text, expected));
        }
        // Whoever names no beginning wants what happened last.
        let first = if from.is_some() { Cursor::First } else { Cursor::Last };
        Ok(Criteria {
            scope,
            from: from.map_or(UnixMillis::MIN, |(from, _)| from),
            to: to.map_or(UnixMillis::MAX, |(to, _)| to),
            limit,
            cursor: cursor.unwrap_or(first),
        })
    }
}

/// The cameras to tell of: the one that is asked for, or all that the user may see.
pub(super) fn scope(params: &mut Params, viewer: &Viewer) -> Result<Scope, ApiError> {
    let asked = params.take("source", |text| {
        text.parse().map_err(|_| "it is a whole number from 1 to 2147483647".to_owned())
    })?;
    viewer.scope(asked)
}

/// A moment as `/v1` reads it; but a small number is Unix seconds, as in the
/// original's column `timestamp`.
fn moment(calendar: &Calendar, text: &str) -> Result<UnixMillis, String> {
    /// Seconds reach the year 5138 before they are this many; milliseconds had
    /// passed it in 1973.
    const MILLIS_FROM: i64 = 100_000_000_000;
    match text.parse::<i64>() {
        Ok(number) if -MILLIS_FROM < number && number < MILLIS_FROM => {
            Ok(UnixMillis::new(number * 1000))
        }
        _ => params::moment(calendar, text).map_err(|_| {
            "it is Unix seconds, RFC 3339 (2026-03-01T12:00:00Z), or a date".to_owned()
        }),
    }
}

/// Where an answer begins or ends: at one end, or beside a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// With the oldest.
    First,
    /// With the newest.
    Last,
    After(Row),
    Before(Row),
}

/// Names a row: rows are in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) start: UnixMillis,
    pub(super) source: SourceId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cursor::First => f.write_str("first"),
            Cursor::Last => f.write_str("last"),
            Cursor::After(row) => write!(f, "after.{}.{}", row.start.get(), row.source),
            Cursor::Before(row) => write!(f, "before.{}.{}", row.start.get(), row.source),
        }
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Cursor, &'static str> {
        let fields: Vec<&str> = text.split('.').collect();
        let row = |start: &str, source: &str| {
            Some(Row { start: UnixMillis::new(start.parse().ok()?), source: source.parse().ok()? })
        };
        let cursor = match fields[..] {
            ["first"] => Some(Cursor::First),
            ["last"] => Some(Cursor::Last),
            ["after", start, source] => row(start, source).map(Cursor::After),
            ["before", start, source] => row(start, source).map(Cursor::Before),
            _ => None,
        };
        cursor.ok_or("it is from the header Link of an earlier answer, unchanged")
    }
}

/// Tells in the header `Link` (RFC 8288) that `cursor` leads to more of what `uri`
/// asked for.
pub(super) fn link(response: &mut Response, uri: &Uri, cursor: &str, relation: &str) {
    let others = uri.query().unwrap_or_default().split('&');
    let others = others.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: Vec<&str> = others.collect();
    let path = uri.path();
    let joined = if query.is_empty() { String::new() } else { format!("{}&", query.join("&")) };
    let link = format!("<{path}?{joined}cursor={cursor}>; rel=\"{relation}\"");
    // A query came as a header's bytes, so it goes as one.
    if let Ok(link) = HeaderValue::try_from(link) {
        response.headers_mut().insert(header::LINK, link);
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let row = Row { start: UnixMillis::new(-5), source: "7".parse().unwrap() };
        for cursor in [Cursor::First, Cursor::Last, Cursor::After(row), Cursor::Before(row)] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "after", "after.1", "after.1.0", "before.x.1", "after.1.1.1", "middle"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_link_asks_the_same_from_there_on() {
        let told = |uri: &'static str| {
            let mut response = ().into_response();
            link(&mut response, &Uri::from_static(uri), "after.1.2", "next");
            response.headers()[header::LINK].to_str().unwrap().to_owned()
        };
        assert_eq!(told("/dates"), r#"</dates?cursor=after.1.2>; rel="next""#);
        assert_eq!(
            told("/dates?source=1&cursor=first&limit=3"),
            r#"</dates?source=1&limit=3&cursor=after.1.2>; rel="next""#
        );
    }

    #[test]
    fn a_small_number_is_seconds() {
        let calendar = Calendar::in_zone("Europe/Paris").unwrap();
        let read = |text| moment(&calendar, text).unwrap().to_string();
        assert_eq!(read("1772366400"), "2026-03-01T12:00:00Z");
        assert_eq!(read("1772366400000"), "2026-03-01T12:00:00Z");
        assert_eq!(read("2026-03-01T12:00:00Z"), "2026-03-01T12:00:00Z");
        assert_eq!(read("2026-03-01"), "2026-02-28T23:00:00Z");
        assert!(moment(&calendar, "12:00").is_err());
    }
}
