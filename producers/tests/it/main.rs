//! Producers as a whole: real codecs, real models, real sockets.
//!
//! Clips are made by the ffmpeg command, and streamed by GStreamer's RTSP server. Tests that need the development assets of
//! `../shared` (beside the workspace) say that they are skipped where those are absent.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests: they panic, and say what they skip"
)]

mod agreement;
mod barn;
mod cameras;
mod clips;
mod models;
mod rtsp;
mod spool;
mod support;
