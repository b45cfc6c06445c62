//! `animov label`: what people label is made here.

mod export;

use clap::Subcommand;

use crate::exit::Exit;

/// Prepares pictures for people who label them.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Export(export::Args),
}

/// Does what was asked for.
///
/// # Errors
///
/// An input cannot be read, or the folder not be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        What::Export(args) => export::run(args),
    }
}
