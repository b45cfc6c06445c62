//! What a process can be: parts of a site that run for ever, or one job that ends.

pub(crate) mod batch;
pub(crate) mod serve;
pub(crate) mod site;
