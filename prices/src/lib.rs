#![doc = include_str!("../README.md")]

pub mod config;
pub mod extract;
mod fetch;
mod robots;
mod text;
pub mod visit;
