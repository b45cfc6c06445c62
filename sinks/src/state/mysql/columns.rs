//! Which metrics the original system's columns show: its views read it here.

use schemas::metric::Postures;
use sqlx::Row;

use crate::state::mysql::connection::Link;

const NAMED: &str = "SELECT name, metric FROM column_metrics";

const NAME: &str = "UPDATE column_metrics SET metric = ? WHERE name = ?";

/// Has the columns show what `postures` says, in the transaction that `link` is in.
/// Where they do already, nothing is written.
pub(super) async fn name(link: &mut Link, postures: &Postures) -> sqlx::Result<()> {
    let Postures { total, lying, standing } = postures;
    let there = link.rows(sqlx::query(NAMED), |row| {
        Ok((row.try_get_unchecked::<String, _>(0)?, row.try_get::<Vec<u8>, _>(1)?))
    });
    let there = there.await?;
    for (column, metric) in [("total", total), ("couche", lying), ("debout", standing)] {
        let is_named = |(name, named): &(String, Vec<u8>)| {
            name == column && named.as_slice() == metric.as_bytes()
        };
        if !there.iter().any(is_named) {
            link.execute(sqlx::query(NAME).bind(metric.as_bytes()).bind(column)).await?;
        }
    }
    Ok(())
}
