//! `[prices]` in `animov.toml`. Every field but a page's address has a default.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use schemas::imported::price::URL_BYTES_MAX;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::extract::Selector;

/// `[prices]`: pages that are visited every now and then.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PricesConfig {
    /// `[[prices.page]]`
    pub page: Vec<PageConfig>,

    /// Prices that a page showed longer ago are deleted; a day at least. Default:
    /// 730days.
    #[serde(deserialize_with = "a_day_at_least")]
    pub retention_age: Duration,

    /// How long a visit may take, with all its redirects; a second at least.
    /// Default: 30s.
    #[serde(deserialize_with = "a_second_at_least")]
    pub timeout: Duration,

    /// Longest page that is read, in bytes. Default: 5242880 (5 MiB).
    pub bytes_max: NonZeroU64,

    /// Redirects that are followed. Default: 5.
    pub redirects_max: u32,

    /// Whether a page may be on this machine or in this network. Default: false.
    pub allow_private: bool,
}

impl Default for PricesConfig {
    fn default() -> PricesConfig {
        PricesConfig {
            page: Vec::new(),
            retention_age: Duration::from_hours(730 * 24),
            timeout: Duration::from_secs(30),
            bytes_max: NonZeroU64::new(5 << 20).expect("a default is not zero"),
            redirects_max: 5,
            allow_private: false,
        }
    }
}

/// `[[prices.page]]`: a page that shows prices, and where on it they stand. The
/// defaults are the original system's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageConfig {
    /// Its address; http or https.
    pub url: PageUrl,

    /// How often it is visited, a minute at least. Default: 1day.
    #[serde(default = "every_day", deserialize_with = "a_minute_at_least")]
    pub every: Duration,

    /// CSS selector of a row. Default: `.sta5`.
    #[serde(default = "usual_row")]
    pub row: Selector,

    /// CSS selector of the product within a row: the first that matches. Default: `a`.
    #[serde(default = "usual_product")]
    pub product: Selector,

    /// CSS selector of the price within a row. Default: `strong`.
    #[serde(default = "usual_price")]
    pub price: Selector,

    /// CSS selector of what is said of the price's change. Default: `td`.
    #[serde(default = "usual_variation")]
    pub variation: Selector,
}

impl PageConfig {
    /// A page that is as those of the original system.
    pub fn at(url: PageUrl) -> PageConfig {
        PageConfig {
            url,
            every: every_day(),
            row: usual_row(),
            product: usual_product(),
            price: usual_price(),
            variation: usual_variation(),
        }
    }
}

fn usual_row() -> Selector {
    usual(".sta5")
}

fn usual_product() -> Selector {
    usual("a")
}

fn usual_price() -> Selector {
    usual("strong")
}

fn usual_variation() -> Selector {
    usual("td")
}

fn usual(css: &str) -> Selector {
    css.parse().expect("a default is a selector")
}

/// The address of a page.
///
/// Invariant: http or https, with a host, without a user, a password or a fragment,
/// and not too long for the tables.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PageUrl(Url);

/// A text that is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPageUrl {
    #[error("expected https://host/path or http://host/path")]
    Shape,

    /// The text is not repeated: it holds a secret.
    #[error("a user or a password cannot be part of a page's address")]
    User,

    #[error("an address has {URL_BYTES_MAX} bytes at most")]
    Length,
}

impl PageUrl {
    /// The address itself.
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// The address, as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<Url> for PageUrl {
    type Error = InvalidPageUrl;

    fn try_from(mut url: Url) -> Result<PageUrl, InvalidPageUrl> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidPageUrl::Shape);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidPageUrl::User);
        }
        url.set_fragment(None);
        match url.as_str().len() <= URL_BYTES_MAX {
            true => Ok(PageUrl(url)),
            false => Err(InvalidPageUrl::Length),
        }
    }
}

impl std::str::FromStr for PageUrl {
    type Err = InvalidPageUrl;

    fn from_str(text: &str) -> Result<PageUrl, InvalidPageUrl> {
        text.parse::<Url>().map_err(|_| InvalidPageUrl::Shape)?.try_into()
    }
}

impl TryFrom<String> for PageUrl {
    type Error = InvalidPageUrl;

    fn try_from(text: String) -> Result<PageUrl, InvalidPageUrl> {
        text.parse()
    }
}

impl fmt::Display for PageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn every_day() -> Duration {
    Duration::from_hours(24)
}

fn at_least<'de, D: Deserializer<'de>>(
    least: Duration,
    expected: &str,
    from: D,
) -> Result<Duration, D::Error> {
    let given: Duration = humantime_serde::deserialize(from)?;
    match least <= given {
        true => Ok(given),
        false => Err(serde::de::Error::custom(expected)),
    }
}

fn a_second_at_least<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    at_least(Duration::from_secs(1), "expected a second at least, as in \"30s\"", from)
}

fn a_minute_at_least<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    at_least(Duration::from_mins(1), "expected a minute at least, as in \"1day\"", from)
}

fn a_day_at_least<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    at_least(Duration::from_hours(24), "expected a day at least, as in \"730days\"", from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PricesConfig, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_page_needs_an_address_and_nothing_else() {
        assert_eq!(read("").unwrap(), PricesConfig::default());
        let config = read("[[page]]\nurl = \"https://Market.example/a#b\"").unwrap();
        let page = PageConfig::at("https://market.example/a".parse().unwrap());
        assert_eq!(config.page, [page]);
        let config = read("[[page]]\nurl = \"http://m.example\"\nrow = \"tr.p\"\nevery = \"6h\"");
        let page = &config.unwrap().page[0];
        assert_eq!((page.row.css(), page.price.css()), ("tr.p", "strong"));
        assert!(read("[[page]]\n").is_err());
        assert!(read("[[page]]\nurl = \"http://m.example\"\nrows = \"tr\"").is_err());
        let told = read("[[page]]\nurl = \"http://m.example\"\nrow = \"..\"").unwrap_err();
        assert!(told.contains("no CSS selector"), "{told}");
    }

    #[test]
    fn an_address_is_http_and_holds_no_secret() {
        let told = |url: &str| url.parse::<PageUrl>().unwrap_err();
        for url in ["ftp://a.example", "file:///etc/passwd", "data:,a", "/prices", "http://", ""] {
            assert_eq!(told(url), InvalidPageUrl::Shape, "{url}");
        }
        assert_eq!(told("http://a:hunter2@b.example"), InvalidPageUrl::User);
        let long = format!("http://a.example/{}", "x".repeat(URL_BYTES_MAX));
        assert_eq!(told(&long), InvalidPageUrl::Length);
    }

    #[test]
    fn waits_have_a_least() {
        assert!(read("timeout = \"999ms\"").unwrap_err().contains("a second at least"));
        assert!(read("retention_age = \"23h\"").unwrap_err().contains("a day at least"));
        let often = "[[page]]\nurl = \"http://m.example\"\nevery = \"59s\"";
        assert!(read(often).unwrap_err().contains("a minute at least"));
    }
}
