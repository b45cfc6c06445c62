//! What the tests and the example share: tables and a log in memory, a herd to
//! fill them, and a browser.

pub mod album;
pub mod browser;
pub mod herd;
pub mod imported;
pub mod measured;
pub mod memory;
pub mod people;
