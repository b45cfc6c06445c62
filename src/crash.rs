//! Ends the process where a test wants it ended: `ANIMOV_CRASH_AT=NAME:N` aborts
//! when the N-th pass comes to the failpoint NAME. Only in a build with the
//! feature `failpoints`; no release has it.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

/// Sets the point that the environment names, if any.
///
/// # Panics
///
/// If the environment names none in the right form: the test is wrong.
pub(crate) fn set_point() {
    let Ok(point) = std::env::var("ANIMOV_CRASH_AT") else { return };
    let (name, number) = point.split_once(':').expect("NAME:N");
    let number: u32 = number.parse().expect("a number of passes");
    let passes = AtomicU32::new(0);
    let told = point.clone();
    fail::cfg_callback(name, move || {
        if passes.fetch_add(1, Ordering::SeqCst) + 1 == number {
            _ = writeln!(std::io::stderr(), "crashes at {told}, as it was told");
            std::process::abort();
        }
    })
    .expect("a failpoint");
}
