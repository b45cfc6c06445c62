//! Prices that web pages showed.

use std::fmt;
use std::str::FromStr;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::imported::price::{PriceId, Which};
use schemas::imported::{Price, PricesQuery, StoredPrice};
use schemas::time::UnixMillis;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Viewer;
use crate::error::ApiError;
use crate::page::InvalidCursor;
use crate::params::{self, Params};
use crate::refusals::{Refusals, Unchanged};
use crate::state::Api;
use crate::tagged;

/// Most prices in one answer.
const LIMIT_MAX: u32 = 1000;

/// Prices in one answer if the client does not say.
const LIMIT_DEFAULT: u32 = 100;

/// A part of the prices.
#[derive(Serialize, ToSchema)]
pub(crate) struct Prices {
    /// The newest visit of a page first, and each in the page's order.
    items: Vec<PriceItem>,
    /// Asks for the prices that follow; null if there are none.
    next_cursor: Option<String>,
}

/// One row of a page.
#[derive(Serialize, ToSchema)]
pub(crate) struct PriceItem {
    /// When the page showed it.
    #[schema(example = "2026-03-01T06:00:00Z")]
    taken_at: String,
    /// Which page.
    #[schema(example = "https://market.example/prices")]
    page: String,
    #[schema(example = "Hay")]
    product: String,
    /// Null if the page shows no number.
    #[schema(example = 1.85)]
    price: Option<f64>,
    /// How it changed, in the page's words; null if it does not say.
    #[schema(example = "+0,5 %")]
    variation: Option<String>,
}

impl PriceItem {
    fn of(stored: StoredPrice) -> PriceItem {
        let StoredPrice { id: _, url, taken_at, price: Price { product, price, variation } } =
            stored;
        PriceItem { taken_at: taken_at.to_string(), page: url, product, price, variation }
    }
}

/// Lists prices that web pages showed.
///
/// Without `from` and `to`: what each page showed last.
#[utoipa::path(
    get,
    path = "/v1/prices",
    params(
        ("product" = Option<String>, Query, description = "Only this product, by its whole name."),
        ("from" = Option<String>, Query, example = "2026-03-01",
         description = "Shown at this moment or later: RFC 3339, milliseconds since 1970, or a \
                        date, which is the beginning of that day on the site's clocks."),
        ("to" = Option<String>, Query, description = "Shown before this moment, in the same forms."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000,
         description = "Prices in one answer; 100 if not given."),
        ("cursor" = Option<String>, Query,
         description = "The next_cursor of an earlier answer. It stands for from and to."),
    ),
    responses(
        (status = 200, description = "The prices, under an ETag.", body = Prices),
        Unchanged,
        Refusals,
    ),
    tag = "prices",
)]
pub(crate) async fn list_prices(
    _viewer: Viewer,
    State(api): State<Api>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut query = asked(&api, params)?;
    let (which, limit) = (query.which, query.limit);
    // One more than asked for tells whether there is a next page.
    query.limit += 1;
    let mut prices = api.imported(move |store| store.prices(&query)).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = limit < prices.len();
    prices.truncate(limit);
    let last = prices.last().filter(|_| more).map(|last| Cursor { which, after: last.id });
    let next_cursor = last.map(|cursor| cursor.to_string());
    let items = prices.into_iter().map(PriceItem::of).collect();
    Ok(tagged::json(&headers, &Prices { items, next_cursor }))
}

fn asked(api: &Api, mut params: Params) -> Result<PricesQuery, ApiError> {
    let calendar = &api.site().calendar;
    let moment =
        |text: &str| params::moment(calendar, text).map(|moment| (moment, text.to_owned()));
    let product = params.take("product", |text| Ok(text.to_owned()))?;
    let from = params.take("from", moment)?;
    let to = params.take("to", moment)?;
    let limit = params.take("limit", params::count(LIMIT_MAX))?.unwrap_or(LIMIT_DEFAULT);
    let cursor: Option<Cursor> = params.take("cursor", params::parsed)?;
    params.end()?;
    if let (Some((from, _)), Some((to, given))) = (&from, &to)
        && to <= from
    {
        let expected = format!("it must be later than from, which is {from}");
        return Err(params::bad("to", given, expected));
    }
    let which = match (from, to) {
        (None, None) => Which::Latest,
        (from, to) => Which::Between {
            from: from.map_or(UnixMillis::MIN, |(from, _)| from),
            to: to.map_or(UnixMillis::MAX, |(to, _)| to),
        },
    };
    Ok(match cursor {
        Some(Cursor { which, after }) => PricesQuery { which, product, after: Some(after), limit },
        None => PricesQuery { which, product, after: None, limit },
    })
}

/// Behind which price an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    which: Which,
    after: PriceId,
}

/// Changed whenever an old cursor would be read as another place.
const VERSION: &str = "p1";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { which, after: PriceId { visit, row } } = self;
        let text = match which {
            Which::Latest => format!("{VERSION} {visit} {row}"),
            Which::Between { from, to } => {
                format!("{VERSION} {visit} {row} {} {}", from.get(), to.get())
            }
        };
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Cursor, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidCursor)?;
        let fields: Vec<&str> = text.split(' ').collect();
        let (visit, row, which) = match fields[..] {
            [VERSION, visit, row] => (visit, row, Which::Latest),
            [VERSION, visit, row, from, to] => {
                let millis =
                    |text: &str| text.parse().map(UnixMillis::new).map_err(|_| InvalidCursor);
                (visit, row, Which::Between { from: millis(from)?, to: millis(to)? })
            }
            _ => return Err(InvalidCursor),
        };
        let visit = visit.parse().map_err(|_| InvalidCursor)?;
        let row = row.parse().map_err(|_| InvalidCursor)?;
        Ok(Cursor { which, after: PriceId { visit, row } })
    }
}
