#![doc = include_str!("../README.md")]

pub mod accuracy;
pub mod avro;
pub mod bugs;
pub mod commit;
mod digest;
pub mod frame;
pub mod imported;
pub mod intervals;
pub mod log;
pub mod metric;
pub mod picture;
pub mod snapshot;
pub mod source;
pub mod stats;
pub mod stop;
pub mod time;
pub mod users;
pub mod window;
