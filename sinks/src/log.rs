//! The log of frames: implementations of [`FrameLog`](schemas::log::FrameLog).

pub mod kafka;
mod reading;
pub mod segments;
