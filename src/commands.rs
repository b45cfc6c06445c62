//! One file a command. Each has its arguments and one function, `run`.

pub(crate) mod accuracy;
pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod camera;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod detect;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod label;
pub(crate) mod log;
pub(crate) mod migrate;
mod model;
mod pace;
pub(crate) mod pipeline;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod user;
