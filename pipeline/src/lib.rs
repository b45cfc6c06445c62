#![doc = include_str!("../README.md")]

mod classes;
mod committer;
pub mod config;
mod dataflow;
mod dedup;
mod delta;
mod history;
mod ingest;
pub mod metrics;
mod progress;
mod retry;
mod run;
mod source;
mod watermark;
mod windows;
mod worker;

pub use progress::{Incident, Outage, Progress};
pub use run::{End, Input, Job, PipelineError, run};
