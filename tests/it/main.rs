//! The program as a user meets it: processes, crashes, bad input, real video, a
//! browser.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "seeds and figures are shown when a test fails")]

mod accuracy;
mod animov_client;
mod animov_sql;
mod bad_input;
mod commands;
mod contract;
mod crash;
mod golden;
mod imported;
mod incidents;
mod oracle;
mod page;
mod pens;
mod scale_out;
mod servers;
mod spool;
mod support;
mod tidy;
mod training;
mod users;
mod video;
