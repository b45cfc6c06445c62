//! The result, kept with the site's tables, where the API tells it.

use accuracy::report::Report;
use anyhow::Context;
use prometheus::Registry;
use schemas::time::{Clock, SystemClock};

use super::Args;
use crate::config::Config;
use crate::output::tell;
use crate::parts;

impl Args {
    /// Whether the result is that of a site's camera: it is said which, and where the
    /// site's tables are.
    fn names_a_camera(&self) -> bool {
        let site = self.place.config.is_some() || self.place.state.is_some();
        self.source.is_some() && (self.frames || site)
    }
}

/// Keeps `report`, if it is of a camera of a site and says all that a measurement has to.
///
/// # Errors
///
/// The tables cannot be opened or written.
pub(super) fn keep(args: &Args, config: &Config, report: &Report) -> anyhow::Result<()> {
    if !args.names_a_camera() {
        return Ok(());
    }
    let measurement = match report.measurement(SystemClock.now()) {
        Ok(measurement) => measurement,
        Err(why) => {
            tell(&format!("not kept in the site's tables: {why}"));
            return Ok(());
        }
    };
    let store = parts::tables(config, &Registry::new())?.accuracy;
    let id = store
        .keep(&measurement)
        .context("could not keep the result in the site's tables; measure again to keep it")?;
    tell(&format!("kept in the site's tables for source {} as {id}", measurement.source));
    Ok(())
}
