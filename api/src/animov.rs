//! The routes of the original system, at their paths: its clients go on unchanged.
//!
//! Here, and in the SQL of `sql/animov`, are its French names. Every answer is a
//! JSON array of flat records, as `pandas.DataFrame(response.json())` takes them;
//! a number is a number, and what is not known is null.
//!
//! # Invariants
//!
//! - The same on every store: rows are read through the seams, and computed here
//!   from exact histograms.
//! - Rows come by time, then by source. An answer has a bounded number of rows;
//!   where there are more, the header `Link` leads to them.
//! - "The last hour" and "the last day" end now; "the last recorded" ones end with
//!   each source's own newest minute.

mod criteria;
mod hour;
mod lists;
mod measured;
mod minutes;
mod receive;
mod records;
mod scan;
mod series;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// All fourteen.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(receive::receive_data_animov))
        .routes(routes!(records::get_data_animov))
        .routes(routes!(records::get_data_animov_ch))
        .routes(routes!(minutes::get_data_animov_ch_minutes))
        .routes(routes!(minutes::chevres_heures))
        .routes(routes!(minutes::chevres_minutes))
        .routes(routes!(lists::sources))
        .routes(routes!(lists::dates))
        .routes(routes!(minutes::stats_minute))
        .routes(routes!(hour::stats_heure))
        .routes(routes!(series::get_serie_heure))
        .routes(routes!(series::get_serie_jour))
        .routes(routes!(series::get_serie_last_heure))
        .routes(routes!(series::get_serie_last_jour))
}
