//! The pipeline as a whole: records in, rows out, against rows computed
//! otherwise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod incidents;
mod oracle;
mod pictures;
mod properties;
mod stories;
mod support;
mod tail;
