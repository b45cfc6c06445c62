//! One visit of a page: asked for, over its redirects, as far as each host's
//! `robots.txt` allows, and read.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use url::{Origin, Url};

use crate::config::{InvalidPageUrl, PageConfig, PageUrl, PricesConfig};
use crate::extract::{Extracted, extract};
pub use crate::fetch::FetchError;
use crate::fetch::{Answer, Fetcher};
use crate::robots::{NAME, Robots};
use crate::text::decoded;

/// So much of a `robots.txt` is read (RFC 9309 asks for 500 KiB at least).
const ROBOTS_BYTES_MAX: u64 = 512 << 10;

/// Redirects of a `robots.txt` that are followed (RFC 9309 asks for five at least).
const ROBOTS_REDIRECTS_MAX: u32 = 5;

/// Visits pages.
pub struct Visitor {
    fetcher: Fetcher,
    timeout: Duration,
    bytes_max: u64,
    redirects_max: u32,
}

/// Why a visit has shown nothing.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    #[error("could not read {url}")]
    Fetch { url: Url, source: FetchError },

    #[error("{url} answers with status {status}; expected 200")]
    Status { url: Url, status: u16 },

    #[error("{url} leads on, but not to a page: {location:?}")]
    Redirect { url: Url, location: String, source: InvalidPageUrl },

    #[error(
        "{url} leads on more than {max} times; prices.redirects_max says how often it may, and a \
         browser where it ends"
    )]
    TooManyRedirects { url: Url, max: u32 },

    #[error("the robots.txt of {url} asks {NAME} to leave it alone")]
    Unwelcome { url: Url },

    #[error("could not ask {robots} whether {NAME} is welcome, so it stays away")]
    Robots { robots: Url, source: Box<VisitError> },

    #[error(
        "{url} has no row that matches {css:?} and names a product; has the page changed? The \
         selectors are row, product, price and variation in [[prices.page]]"
    )]
    NoRow { url: Url, css: String },
}

impl Visitor {
    /// One that keeps to these limits.
    pub fn new(config: &PricesConfig) -> Visitor {
        Visitor {
            fetcher: Fetcher::new(config.allow_private),
            timeout: config.timeout,
            bytes_max: config.bytes_max.get(),
            redirects_max: config.redirects_max,
        }
    }

    /// What the page shows now; at least one row.
    ///
    /// # Errors
    ///
    /// It could not be read within the limits, we are not welcome, or it shows no
    /// row.
    pub fn visit(&self, page: &PageConfig) -> Result<Extracted, VisitError> {
        let mut visit =
            Visit { visitor: self, until: Instant::now() + self.timeout, robots: HashMap::new() };
        let (url, answer) = visit.page(&page.url)?;
        let content_type = answer.content_type.clone();
        let body = answer.whole(self.bytes_max);
        let body = body.map_err(|source| VisitError::Fetch { url: url.clone(), source })?;
        let extracted = extract(&decoded(&body, content_type.as_deref()), page);
        match extracted.prices.is_empty() {
            true => Err(VisitError::NoRow { url, css: page.row.css().to_owned() }),
            false => Ok(extracted),
        }
    }
}

/// A visit that is under way.
struct Visit<'v> {
    visitor: &'v Visitor,
    until: Instant,
    /// What was asked of whom already.
    robots: HashMap<Origin, Robots>,
}

impl Visit<'_> {
    /// Where the page is, and its answer.
    fn page(&mut self, page: &PageUrl) -> Result<(Url, Answer), VisitError> {
        let max = self.visitor.redirects_max;
        let mut url = page.url().clone();
        for _ in 0..=max {
            self.welcome(&url)?;
            let answer = self.get(&url)?;
            match led_on(&url, &answer)? {
                Some(next) => url = next,
                None if answer.status == 200 => return Ok((url, answer)),
                None => return Err(VisitError::Status { url, status: answer.status }),
            }
        }
        Err(VisitError::TooManyRedirects { url: page.url().clone(), max })
    }

    fn get(&self, url: &Url) -> Result<Answer, VisitError> {
        let left = self.until.saturating_duration_since(Instant::now());
        let answer = match left.is_zero() {
            true => Err(FetchError::TooSlow),
            false => self.visitor.fetcher.get(url, left),
        };
        answer.map_err(|source| VisitError::Fetch { url: url.clone(), source })
    }

    /// Whether the host of `url` lets us ask for it.
    fn welcome(&mut self, url: &Url) -> Result<(), VisitError> {
        let origin = url.origin();
        if !self.robots.contains_key(&origin) {
            let mut robots = url.clone();
            robots.set_path("/robots.txt");
            robots.set_query(None);
            let read = self.read_robots(&robots).map_err(|source| match source {
                // Nobody was asked anything: that is the news.
                private @ VisitError::Fetch { source: FetchError::Private { .. }, .. } => private,
                source => VisitError::Robots { robots, source: Box::new(source) },
            })?;
            self.robots.insert(origin.clone(), read);
        }
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        match self.robots.get(&origin).is_none_or(|robots| robots.allow(&path)) {
            true => Ok(()),
            false => Err(VisitError::Unwelcome { url: url.clone() }),
        }
    }

    /// The rules of a host: without a file there are none, and while it cannot be
    /// read everything is forbidden.
    fn read_robots(&self, robots: &Url) -> Result<Robots, VisitError> {
        let mut url = robots.clone();
        for _ in 0..=ROBOTS_REDIRECTS_MAX {
            let answer = self.get(&url)?;
            if let Some(next) = led_on(&url, &answer)? {
                url = next;
                continue;
            }
            return match answer.status {
                200..300 => {
                    let text = answer.beginning(ROBOTS_BYTES_MAX);
                    let text = text.map_err(|source| VisitError::Fetch { url, source })?;
                    Ok(Robots::read(&String::from_utf8_lossy(&text)))
                }
                400..500 => Ok(Robots::default()),
                status => Err(VisitError::Status { url, status }),
            };
        }
        Err(VisitError::TooManyRedirects { url: robots.clone(), max: ROBOTS_REDIRECTS_MAX })
    }
}

/// Where an answer leads on to, if it does.
fn led_on(url: &Url, answer: &Answer) -> Result<Option<Url>, VisitError> {
    let (301 | 302 | 303 | 307 | 308, Some(location)) = (answer.status, &answer.location) else {
        return Ok(None);
    };
    let invalid = |source| VisitError::Redirect {
        url: url.clone(),
        location: location.chars().take(200).collect(),
        source,
    };
    let next = url.join(location).map_err(|_| invalid(InvalidPageUrl::Shape))?;
    let next = PageUrl::try_from(next).map_err(invalid)?;
    Ok(Some(next.url().clone()))
}
