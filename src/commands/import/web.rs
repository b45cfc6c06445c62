//! `animov import web`: what a page shows now.

use std::io::Write;

use prices::config::{PageConfig, PageUrl};
use prices::extract::{Extracted, Selector};
use prices::visit::Visitor;
use prometheus::Registry;
use schemas::imported::{Price, Visit};
use schemas::time::{Clock, SystemClock};

use crate::config::Place;
use crate::exit::Exit;
use crate::{output, parts};

const ABOUT: &str = r#"Reads the prices that a web page shows now, and keeps them.

Each element that matches --row is one row; in it, the text of the first element that matches
--product is the product, of --price the price (1,85 or 1.85; anything else is no price, and
the row is kept without), and of --variation how it changed. A page that stands in the
configuration is read as it says there; otherwise the selectors are those of the original
system.

A page is asked for only as its host's robots.txt allows, within the limits of the section
[prices]: time, bytes and redirects; and nothing on this machine or in a private network is
asked for, unless prices.allow_private says so.

What was kept is served at GET /v1/prices. To visit pages regularly, name them in
[[prices.page]]."#;

/// Reads the prices that a web page shows now, and keeps them.
#[derive(clap::Args, Debug)]
#[command(
    long_about = ABOUT,
    after_help = "\
Examples:
  animov import web https://market.example/prices
  animov import web https://market.example/prices --row 'tr.price' --price 'td:nth-child(2)' --dry-run"
)]
pub(super) struct Args {
    /// The page; http or https.
    #[arg(value_name = "URL")]
    url: PageUrl,

    /// CSS selector of the rows
    #[arg(long, value_name = "CSS")]
    row: Option<Selector>,

    /// CSS selector of the product within a row
    #[arg(long, value_name = "CSS")]
    product: Option<Selector>,

    /// CSS selector of the price within a row
    #[arg(long, value_name = "CSS")]
    price: Option<Selector>,

    /// CSS selector of what is said of the price's change within a row
    #[arg(long, value_name = "CSS")]
    variation: Option<Selector>,

    /// Show the rows as NDJSON, and keep none
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    place: Place,
}

/// Reads the page.
///
/// # Errors
///
/// It cannot be read, or shows no row; or the tables cannot be written.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let known = config.prices.page.iter().find(|page| page.url == args.url);
    let mut page = known.cloned().unwrap_or_else(|| PageConfig::at(args.url.clone()));
    for (asked, place) in [
        (&args.row, &mut page.row),
        (&args.product, &mut page.product),
        (&args.price, &mut page.price),
        (&args.variation, &mut page.variation),
    ] {
        if let Some(asked) = asked {
            place.clone_from(asked);
        }
    }
    // Opened first: a visit that cannot be kept is none.
    let store = match args.dry_run {
        true => None,
        false => Some(parts::tables(&config, &Registry::new())?.imported),
    };
    let taken_at = SystemClock.now();
    let Extracted { prices, passed_over } = Visitor::new(&config.prices).visit(&page)?;
    let mut out = output::open(None)?;
    let rows = prices.len();
    let without = prices.iter().filter(|price| price.price.is_none()).count();
    match store {
        Some(store) => {
            let url = page.url.as_str().to_owned();
            store.put_prices(&Visit { url, taken_at, prices })?;
        }
        None => {
            for Price { product, price, variation } in &prices {
                let row = serde_json::json!({
                    "product": product, "price": price, "variation": variation,
                });
                output::unless_closed(writeln!(out, "{row}"))?;
            }
        }
    }
    if !args.dry_run {
        let written =
            writeln!(out, "rows={rows} without_price={without} passed_over={passed_over}");
        output::unless_closed(written)?;
    }
    output::unless_closed(out.flush())?;
    Ok(Exit::Ok)
}
