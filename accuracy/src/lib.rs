#![doc = include_str!("../README.md")]

pub mod agreement;
pub mod area;
pub mod bootstrap;
pub mod comparison;
pub mod dataset;
pub mod figures;
pub mod labels;
mod markdown;
pub mod matching;
mod number;
pub mod pairing;
pub mod picture;
pub mod plot;
pub mod posture;
pub mod report;
pub mod series;
pub mod tables;
