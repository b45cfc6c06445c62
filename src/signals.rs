//! SIGINT and SIGTERM: the first asks everything to end well, the second ends
//! the process at once.

use anyhow::Context;
use schemas::stop::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A stop that the first signal asks for.
///
/// # Errors
///
/// The system does not let the process watch signals.
pub(crate) fn stop_on_signal() -> anyhow::Result<Stop> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("could not watch for signals")?;
    let stop = Stop::default();
    let asked = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if asked.is_stopped() {
                    // What was not committed is read again by the next start.
                    signal_hook::low_level::exit(128 + signal);
                }
                tracing::info!("ending; once more to end at once");
                asked.stop();
            }
        })
        .context("could not start the thread that watches for signals")?;
    Ok(stop)
}
