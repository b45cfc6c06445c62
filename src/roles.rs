//! What a process can be: everything at once, or one job that ends.

pub(crate) mod batch;
pub(crate) mod run;
