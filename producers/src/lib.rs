#![doc = include_str!("../README.md")]

pub mod annotate;
pub mod camera;
pub mod config;
pub mod decode;
pub mod detect;
pub mod encode;
pub mod error;
pub mod input;
pub mod inspect;
pub mod metrics;
pub mod pace;
pub mod picture;
pub mod pixels;
pub mod publish;
pub mod sample;
pub mod simulate;
pub mod spool;
pub mod timeline;
mod turn;
