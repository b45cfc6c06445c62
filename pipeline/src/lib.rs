#![doc = include_str!("../README.md")]

mod claim;
mod classes;
mod committer;
pub mod config;
mod dataflow;
mod dedup;
mod delta;
mod history;
mod incident;
mod ingest;
pub mod metrics;
mod progress;
mod retry;
mod run;
mod source;
mod watermark;
mod windows;
mod worker;

pub use incident::Incident;
pub use progress::{Outage, Progress};
pub use run::{End, Input, Job, PipelineError, run};
