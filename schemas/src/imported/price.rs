//! Prices that a web page showed.

use crate::time::UnixMillis;

/// Longest name of a product, and longest text beside it, in characters; what a
/// page has more is cut off.
pub const TEXT_CHARS_MAX: usize = 255;

/// Longest address of a page, in bytes.
pub const URL_BYTES_MAX: usize = 2000;

/// One row of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    pub product: String,
    /// None where the page shows no number. Invariant: finite.
    pub price: Option<f64>,
    /// How it changed, in the page's own words.
    pub variation: Option<String>,
}

/// What a page showed at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    pub url: String,
    pub taken_at: UnixMillis,
    /// In the page's order; there may be none.
    pub prices: Vec<Price>,
}

/// Names a price: which visit, and which row of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PriceId {
    pub visit: u64,
    pub row: u32,
}

/// A price that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPrice {
    pub id: PriceId,
    pub url: String,
    pub taken_at: UnixMillis,
    pub price: Price,
}

/// Which prices to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricesQuery {
    pub which: Which,
    /// Of this product, by its whole name; or of all.
    pub product: Option<String>,
    /// Only what comes behind this one.
    pub after: Option<PriceId>,
    pub limit: u32,
}

/// Of which visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest visit of each page.
    Latest,
    /// Every visit in `[from, to)`.
    Between { from: UnixMillis, to: UnixMillis },
}
