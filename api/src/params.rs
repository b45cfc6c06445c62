//! Reading what a URL asks for. Each refusal names the parameter, what was
//! given and what is expected.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use schemas::source::SourceId;
use schemas::time::UnixMillis;
use schemas::window::{Calendar, WindowSize};

use crate::error::ApiError;

/// The parameters of a query, each given at most once.
///
/// A handler takes those it knows, and ends with [`Params::end`]: a misspelt
/// parameter must not silently mean "everything".
pub(crate) struct Params {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(given) = pairs.map_err(|_| ApiError::UnknownParameter {
            given: parts.uri.query().unwrap_or_default().chars().take(200).collect(),
            known: "name=value, percent-encoded".to_owned(),
        })?;
        Ok(Params { given, known: Vec::new() })
    }
}

impl Params {
    /// The value of `name`, if it was given.
    pub(crate) fn take<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ApiError> {
        self.known.push(name);
        let Some(at) = self.given.iter().position(|(key, _)| key == name) else {
            return Ok(None);
        };
        let (_, given) = self.given.swap_remove(at);
        if self.given.iter().any(|(key, _)| key == name) {
            return Err(bad(name, &given, "it is given more than once".to_owned()));
        }
        parse(&given).map(Some).map_err(|expected| bad(name, &given, expected))
    }

    /// # Errors
    ///
    /// A parameter was given that nobody took.
    pub(crate) fn end(self) -> Result<(), ApiError> {
        let known = match self.known.is_empty() {
            true => "none here".to_owned(),
            false => self.known.join(", "),
        };
        match self.given.into_iter().next() {
            Some((given, _)) => Err(ApiError::UnknownParameter { given: shortened(&given), known }),
            None => Ok(()),
        }
    }
}

/// The refusal of `given` as `name`.
pub(crate) fn bad(name: &'static str, given: &str, expected: String) -> ApiError {
    ApiError::BadParameter { name, given: shortened(given), expected }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// A whole number from 1 to `max`.
pub(crate) fn count(max: u32) -> impl Fn(&str) -> Result<u32, String> {
    move |text| match text.parse() {
        Ok(count) if 0 < count && count <= max => Ok(count),
        _ => Err(format!("it is a whole number from 1 to {max}")),
    }
}

/// Whatever reads itself from text.
pub(crate) fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// The source in a path.
pub(crate) fn source(text: &str) -> Result<SourceId, ApiError> {
    text.parse()
        .map_err(|_| bad("source", text, "it is a whole number from 1 to 2147483647".into()))
}

/// The window size in a path.
pub(crate) fn size(text: &str) -> Result<WindowSize, ApiError> {
    text.parse().map_err(|_| bad("size", text, "it is 1m, 5m, 15m, 1h or 1d".into()))
}

/// A moment: RFC 3339, milliseconds since 1970, or a date, which is the
/// beginning of that day on the site's clocks.
pub(crate) fn moment(calendar: &Calendar, text: &str) -> Result<UnixMillis, String> {
    let date_only = text.len() == 10 && text.bytes().filter(|b| *b == b'-').count() == 2;
    // A `+` that was not percent-encoded arrives as a space.
    let parsed: Result<UnixMillis, _> = text.replace(' ', "+").parse();
    let moment = parsed.map_err(|_| EXPECTED_MOMENT.to_owned())?;
    if !date_only {
        return Ok(moment);
    }
    // Noon UTC lies within a day of the date's noon in every zone.
    let noon = moment.get().saturating_add(DAY_MS / 2);
    [0, -DAY_MS, DAY_MS]
        .into_iter()
        .filter_map(|shift| {
            let near = UnixMillis::new(noon.saturating_add(shift));
            calendar.window(WindowSize::Day, near).ok().map(|day| day.start)
        })
        .find(|start| calendar.local(*start).is_some_and(|local| local.date().to_string() == text))
        .ok_or_else(|| format!("there is no such day in {}", calendar.zone_name()))
}

const DAY_MS: i64 = 86_400_000;

const EXPECTED_MOMENT: &str = "it is RFC 3339 (2026-03-01T12:00:00Z), a date (2026-03-01, from \
     midnight on the site's clocks) or milliseconds since 1970";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(zone: &str, text: &str) -> String {
        match moment(&Calendar::in_zone(zone).unwrap(), text) {
            Ok(moment) => moment.to_string(),
            Err(expected) => expected,
        }
    }

    #[test]
    fn a_date_is_the_sites_day() {
        assert_eq!(read("UTC", "2026-03-01"), "2026-03-01T00:00:00Z");
        assert_eq!(read("Europe/Paris", "2026-03-01"), "2026-02-28T23:00:00Z");
        assert_eq!(read("Europe/Paris", "2026-07-01"), "2026-06-30T22:00:00Z");
        assert_eq!(read("Pacific/Kiritimati", "2026-03-01"), "2026-02-28T10:00:00Z");
        assert_eq!(read("Pacific/Pago_Pago", "2026-03-01"), "2026-03-01T11:00:00Z");
        // Samoa jumped over this day.
        assert_eq!(read("Pacific/Apia", "2011-12-30"), "there is no such day in Pacific/Apia");
        assert_eq!(read("Pacific/Apia", "2011-12-31"), "2011-12-30T10:00:00Z");
    }

    #[test]
    fn other_moments_are_what_they_say() {
        assert_eq!(read("Europe/Paris", "2026-03-01T00:00:00Z"), "2026-03-01T00:00:00Z");
        assert_eq!(read("Europe/Paris", "1772323200000"), "2026-03-01T00:00:00Z");
        // As a query delivers `+01:00` when the plus was not encoded.
        assert_eq!(read("UTC", "2026-03-01T01:00:00 01:00"), "2026-03-01T00:00:00Z");
        assert_eq!(read("UTC", "yesterday"), EXPECTED_MOMENT);
        assert_eq!(read("UTC", "2026-13-01"), EXPECTED_MOMENT);
        assert_eq!(read("UTC", ""), EXPECTED_MOMENT);
    }
}
