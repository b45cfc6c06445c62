#![doc = include_str!("../README.md")]

pub mod config;
pub mod log;
pub mod metrics;
pub mod snapshots;
mod sqlite;
pub mod state;
