//! Prices of web pages.

use std::time::Duration;

use schemas::imported::price::{PriceId, Which};
use schemas::imported::{Price, PricesQuery, StoredPrice, Visit};
use schemas::time::UnixMillis;
use sqlx::mysql::MySqlRow;
use sqlx::{Error, Row};

use crate::state::mysql::batch::{Statement, insert, write};
use crate::state::mysql::connection::Link;
use crate::state::mysql::row::{Values, int, text};

/// Visits that are deleted in one transaction.
const DELETED_TOGETHER: u32 = 100;

/// Bytes that a row's values have at most.
const ROW_BYTES: usize = 2100;

/// Either makes the row, or changes nothing, and locks it.
const KNOW: &str = "
    INSERT INTO price_pages (url, tried_at_ms) VALUES (?, ?) ON DUPLICATE KEY UPDATE url = url";

const TRIED: &str = "SELECT tried_at_ms FROM price_pages WHERE url = ? FOR UPDATE";

const CLAIM: &str = "UPDATE price_pages SET tried_at_ms = ? WHERE url = ?";

const VISIT: &str = "INSERT INTO price_visits (url, taken_at_ms) VALUES (?, ?)";

const KNOWN: &str = "SELECT visit FROM price_visits WHERE url = ? AND taken_at_ms = ? FOR UPDATE";

static PUT: Statement = Statement::new(|rows| {
    insert("prices", &["visit", "place", "product", "price", "variation"], rows, "")
});

// Behind a place: in an older visit, or further down in the same. What is asked of
// a product stands first, so that the others need no parameter.

const LATEST: &str = "
    SELECT v.visit, p.place, v.url, v.taken_at_ms, p.product, p.price, p.variation
    FROM price_visits AS v
    JOIN (SELECT MAX(visit) AS visit FROM price_visits GROUP BY url) AS newest
        ON newest.visit = v.visit
    JOIN prices AS p ON p.visit = v.visit
    WHERE (? OR p.product = ?)
      AND v.visit <= ? AND (v.visit < ? OR ? < p.place)
    ORDER BY v.visit DESC, p.place LIMIT ?";

const BETWEEN: &str = "
    SELECT v.visit, p.place, v.url, v.taken_at_ms, p.product, p.price, p.variation
    FROM price_visits AS v
    JOIN prices AS p ON p.visit = v.visit
    WHERE (? OR p.product = ?)
      AND v.visit <= ? AND (v.visit < ? OR ? < p.place)
      AND ? <= v.taken_at_ms AND v.taken_at_ms < ?
    ORDER BY v.visit DESC, p.place LIMIT ?";

const OLD: &str = "SELECT visit FROM price_visits WHERE taken_at_ms < ? LIMIT ? FOR UPDATE";

pub(super) async fn claim(
    link: &mut Link,
    url: &str,
    now: UnixMillis,
    every: Duration,
) -> sqlx::Result<bool> {
    let long_ago = UnixMillis::MIN.get();
    link.execute(sqlx::query(KNOW).bind(url).bind(long_ago)).await?;
    let tried = link.row(sqlx::query(TRIED).bind(url), |row| row.try_get::<i64, _>(0));
    let tried = tried.await?.ok_or(Error::RowNotFound)?;
    // A clock that was far ahead, when it was, holds nobody up.
    if now.minus(every).get() < tried && tried <= now.plus(every).get() {
        return Ok(false);
    }
    link.execute(sqlx::query(CLAIM).bind(now.get()).bind(url)).await?;
    Ok(true)
}

pub(super) async fn put(link: &mut Link, visit: &Visit) -> sqlx::Result<()> {
    let Visit { url, taken_at, prices } = visit;
    let known = sqlx::query(KNOWN).bind(url).bind(taken_at.get());
    if link.row(known, |row| int(row, 0)).await?.is_some() {
        // The same visit, put again.
        return Ok(());
    }
    link.execute(sqlx::query(VISIT).bind(url).bind(taken_at.get())).await?;
    let known = sqlx::query(KNOWN).bind(url).bind(taken_at.get());
    let number = link.row(known, |row| int(row, 0)).await?.ok_or(Error::RowNotFound)?;
    let rows: Vec<(u32, &Price)> = (0..).zip(prices).collect();
    write(
        link,
        &PUT,
        &rows,
        |_| ROW_BYTES,
        |(place, price), values| {
            let Price { product, price, variation } = price;
            values.int(number)?;
            values.small(*place)?;
            values.text(product)?;
            values.maybe_double(*price)?;
            values.maybe_text(variation.as_deref())
        },
    )
    .await
}

pub(super) async fn find(link: &mut Link, query: &PricesQuery) -> sqlx::Result<Vec<StoredPrice>> {
    let PricesQuery { which, product, after, limit } = query;
    let (visit, place) = match after {
        Some(PriceId { visit, row }) => (i64::try_from(*visit).unwrap_or(i64::MAX), *row),
        None => (i64::MAX, u32::MAX),
    };
    let mut values = Values::default();
    values.small(product.is_none().into())?;
    values.text(product.as_deref().unwrap_or_default())?;
    values.signed(visit)?;
    values.signed(visit)?;
    values.small(place)?;
    let sql = match which {
        Which::Latest => LATEST,
        Which::Between { from, to } => {
            values.signed(from.get())?;
            values.signed(to.get())?;
            BETWEEN
        }
    };
    values.small(*limit)?;
    link.rows(sqlx::query_with(sql, values.into_arguments()), stored).await
}

fn stored(row: &MySqlRow) -> sqlx::Result<StoredPrice> {
    let variation = match row.try_get_unchecked::<Option<&[u8]>, _>(6)? {
        Some(_) => Some(text(row, 6)?.to_owned()),
        None => None,
    };
    Ok(StoredPrice {
        id: PriceId { visit: int(row, 0)?, row: row.try_get(1)? },
        url: text(row, 2)?.to_owned(),
        taken_at: UnixMillis::new(row.try_get(3)?),
        price: Price { product: text(row, 4)?.to_owned(), price: row.try_get(5)?, variation },
    })
}

pub(super) async fn delete_before(link: &mut Link, moment: UnixMillis) -> sqlx::Result<u64> {
    let old = sqlx::query(OLD).bind(moment.get()).bind(DELETED_TOGETHER);
    let old: Vec<i64> = link.rows(old, |row| row.try_get(0)).await?;
    for visit in &old {
        link.execute(sqlx::query("DELETE FROM prices WHERE visit = ?").bind(visit)).await?;
        link.execute(sqlx::query("DELETE FROM price_visits WHERE visit = ?").bind(visit)).await?;
    }
    Ok(u64::try_from(old.len()).unwrap_or(u64::MAX))
}
