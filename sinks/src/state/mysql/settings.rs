//! What the server is set up like, as far as it matters.

use schemas::commit::StoreError;
use sqlx::{Error, Row};

use crate::state::mysql::batch::BYTES_MAX;
use crate::state::mysql::connection::{Link, Server};

/// Refuses a server that takes too little in one statement, and warns of one
/// that may forget what it has acknowledged.
pub(super) async fn check(link: &mut Link, server: &Server) -> Result<(), StoreError> {
    let settings = sqlx::query("SELECT @@max_allowed_packet, @@innodb_flush_log_at_trx_commit");
    // Signed or not: that depends on the server.
    let read = |row: &sqlx::mysql::MySqlRow| {
        Ok((row.try_get_unchecked::<u64, _>(0)?, row.try_get_unchecked::<u64, _>(1)?))
    };
    let settings = link.row(settings, read).await.and_then(|row| row.ok_or(Error::RowNotFound));
    let (packet, flush) = settings.map_err(|error| server.failed("read the settings of", error))?;
    if usize::try_from(packet).is_ok_and(|packet| packet < 2 * BYTES_MAX) {
        return Err(StoreError::Refused {
            at: server.at(),
            what: format!("the server takes only {packet} bytes in one statement"),
            hint: "give it max_allowed_packet = 16M or more".to_owned(),
        });
    }
    if flush != 1 {
        tracing::warn!(
            innodb_flush_log_at_trx_commit = flush,
            "a power cut of the database server may undo the last commits; they are counted \
             again as long as the log keeps them"
        );
    }
    Ok(())
}
