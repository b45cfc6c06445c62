//! `animov user token`: what producers append frames with.

use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use schemas::time::{Clock, SystemClock};
use schemas::users::{IngestToken, Scope, UserName};

use super::{Listed, Named, Site, list, tell, to_read};
use crate::exit::Exit;
use crate::output;

/// The tokens of producers: each is presented as `Authorization: Bearer …`, and appends
/// frames, and nothing else.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Adds a token, and shows it this one time
    Add(Add),
    /// Lists tokens
    List(Listed),
    /// Has a token not taken any more
    Revoke(Named),
}

#[derive(clap::Args, Debug)]
struct Add {
    #[command(flatten)]
    of: Named,

    /// The sources that frames may come from: numbers with commas between, or `all`
    #[arg(long, value_name = "SOURCES", default_value = "all")]
    sources: Scope,

    /// After so many days it is not taken any more [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        What::Add(add) => add_token(add),
        What::List(Listed { place, json }) => list::tokens(&*to_read(place)?, *json),
        What::Revoke(Named { place, name }) => revoke(&Site::open(place)?, name),
    }
}

fn add_token(add: &Add) -> anyhow::Result<Exit> {
    let site = Site::open(&add.of.place)?;
    let name = &add.of.name;
    let (text, digest) = api::new_ingest_token()?;
    let created_at = SystemClock.now();
    let days = |days: u32| created_at.plus(Duration::from_hours(24 * u64::from(days)));
    let token = IngestToken {
        name: name.clone(),
        scope: add.sources.clone(),
        digest,
        created_at,
        expires_at: add.days.map(days),
    };
    if !site.users.add_token(&token)? {
        bail!("there is a token {name} already; `animov user token revoke {name}` makes room");
    }
    site.note(&format!("token add {}", add.sources), name)?;
    output::tell(&format!("the token {name}, which is shown only now:"));
    tell(&text)
}

fn revoke(site: &Site, name: &UserName) -> anyhow::Result<Exit> {
    if !site.users.revoke_token(name)? {
        bail!("there is no token {name}; `animov user token list` lists all");
    }
    site.note("token revoke", name)?;
    tell(&format!("the token {name} is not taken any more"))
}
