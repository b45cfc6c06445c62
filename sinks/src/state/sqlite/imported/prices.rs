//! Prices of web pages.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use schemas::imported::price::{PriceId, Which};
use schemas::imported::{Price, PricesQuery, StoredPrice, Visit};
use schemas::time::UnixMillis;

use crate::sqlite::row::{Int, from_int, to_int};

/// Visits that are deleted in one transaction.
const DELETED_TOGETHER: u32 = 100;

const CLAIM: &str = "
    INSERT INTO price_pages (url, tried_at_ms) VALUES (?1, ?2)
    ON CONFLICT DO UPDATE SET tried_at_ms = excluded.tried_at_ms
    WHERE tried_at_ms <= ?3 OR ?4 < tried_at_ms";

const VISIT: &str = "
    INSERT INTO price_visits (url, taken_at_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING
    RETURNING visit";

const PUT: &str = "
    INSERT INTO prices (visit, place, product, price, variation) VALUES (?1, ?2, ?3, ?4, ?5)";

// Behind a place: in an older visit, or further down in the same.

const LATEST: &str = "
    SELECT v.visit, p.place, v.url, v.taken_at_ms, p.product, p.price, p.variation
    FROM price_visits AS v JOIN prices AS p ON p.visit = v.visit
    WHERE v.visit IN (SELECT max(visit) FROM price_visits GROUP BY url)
      AND (?1 IS NULL OR p.product = ?1)
      AND v.visit <= ?2 AND (v.visit < ?2 OR ?3 < p.place)
    ORDER BY v.visit DESC, p.place LIMIT ?4";

const BETWEEN: &str = "
    SELECT v.visit, p.place, v.url, v.taken_at_ms, p.product, p.price, p.variation
    FROM price_visits AS v CROSS JOIN prices AS p ON p.visit = v.visit
    WHERE ?5 <= v.taken_at_ms AND v.taken_at_ms < ?6
      AND (?1 IS NULL OR p.product = ?1)
      AND v.visit <= ?2 AND (v.visit < ?2 OR ?3 < p.place)
    ORDER BY v.visit DESC, p.place LIMIT ?4";

const OLD: &str = "SELECT visit FROM price_visits WHERE taken_at_ms < ?1 LIMIT ?2";

pub(super) fn claim(
    connection: &Connection,
    url: &str,
    now: UnixMillis,
    every: Duration,
) -> rusqlite::Result<bool> {
    let mut claim = connection.prepare_cached(CLAIM)?;
    let (due, wrong) = (now.minus(every).get(), now.plus(every).get());
    Ok(claim.execute(params![url, now.get(), due, wrong])? == 1)
}

pub(super) fn put(connection: &Connection, visit: &Visit) -> rusqlite::Result<()> {
    let Visit { url, taken_at, prices } = visit;
    let mut begin = connection.prepare_cached(VISIT)?;
    let number = begin.query_row(params![url, taken_at.get()], |row| from_int(row, 0));
    // The same visit, put again.
    let Some(number) = number.optional()? else { return Ok(()) };
    let mut put = connection.prepare_cached(PUT)?;
    for (place, Price { product, price, variation }) in prices.iter().enumerate() {
        put.execute(params![Int(number), Int(to_int(place)), product, price, variation])?;
    }
    Ok(())
}

pub(super) fn find(
    connection: &Connection,
    query: &PricesQuery,
) -> rusqlite::Result<Vec<StoredPrice>> {
    let PricesQuery { which, product, after, limit } = query;
    let (visit, place) = match after {
        Some(PriceId { visit, row }) => (i64::try_from(*visit).unwrap_or(i64::MAX), *row),
        None => (i64::MAX, u32::MAX),
    };
    match which {
        Which::Latest => {
            let mut find = connection.prepare_cached(LATEST)?;
            find.query_map(params![product, visit, place, limit], stored)?.collect()
        }
        Which::Between { from, to } => {
            let mut find = connection.prepare_cached(BETWEEN)?;
            let values = params![product, visit, place, limit, from.get(), to.get()];
            find.query_map(values, stored)?.collect()
        }
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredPrice> {
    Ok(StoredPrice {
        id: PriceId { visit: from_int(row, 0)?, row: row.get(1)? },
        url: row.get(2)?,
        taken_at: UnixMillis::new(row.get(3)?),
        price: Price { product: row.get(4)?, price: row.get(5)?, variation: row.get(6)? },
    })
}

pub(super) fn delete_before(connection: &Connection, moment: UnixMillis) -> rusqlite::Result<u64> {
    let mut old = connection.prepare_cached(OLD)?;
    let old = old.query_map(params![moment.get(), DELETED_TOGETHER], |row| row.get(0))?;
    let old: Vec<i64> = old.collect::<rusqlite::Result<_>>()?;
    for visit in &old {
        connection.prepare_cached("DELETE FROM prices WHERE visit = ?1")?.execute([visit])?;
        connection.prepare_cached("DELETE FROM price_visits WHERE visit = ?1")?.execute([visit])?;
    }
    Ok(to_int(old.len()))
}
