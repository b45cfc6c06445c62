//! The API as a client meets it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, and say aloud what they skip"
)]

#[path = "../support/mod.rs"]
#[expect(unreachable_pub, reason = "the example takes the same files in")]
mod support;

mod access;
mod accuracy;
mod animov;
mod attacks;
mod cors;
mod frames;
mod herd;
mod imported;
mod limits;
mod login;
mod openapi;
mod page;
mod page_login;
mod page_views;
mod reading;
mod rhythm;
mod scopes;
mod site;
mod slow;
mod snapshots;
mod tls;
mod typist;
mod world;
