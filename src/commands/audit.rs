//! `animov audit`: whether every frame was counted once, by the ledger.

use std::io::{self, Write};

use schemas::commit::{Audit, Ledger, PartitionAccount, SourceAccount};
use schemas::window::WindowSize;
use serde_json::json;

use crate::config::Place;
use crate::exit::Exit;
use crate::{output, parts};

/// Proves that no frame was lost and none counted twice.
///
/// Reads the ledger in one transaction and checks its equations: what was read
/// of each partition is accepted + duplicate + parked; the windows of every
/// size show as many frames as their source had accepted; and so on. Works
/// beside a running `animov run`.
///
/// Ends with code 3 if an equation does not hold.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov audit
  animov audit --state /var/lib/animov --json | jq .sources")]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,

    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Prints the ledger.
///
/// # Errors
///
/// The tables cannot be read.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let config = args.place.load()?;
    let audit = parts::tables_to_read(&config)?.state.audit()?;
    let imbalances = audit.imbalances();
    let mut out = output::open(None)?;
    let written = match args.json {
        true => write_json(&audit, &imbalances, &mut out),
        false => write_table(&audit, &imbalances, &mut out),
    };
    output::unless_closed(written.and_then(|()| out.flush()))?;
    Ok(if imbalances.is_empty() { Exit::Ok } else { Exit::Wrong })
}

fn write_table(audit: &Audit, imbalances: &[String], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "records by partition")?;
    writeln!(
        out,
        "{:>12} {:>12} {:>12} {:>10} {:>10} {:>8}  log",
        "next offset", "read", "accepted", "duplicate", "parked", "gap"
    )?;
    for account in &audit.partitions {
        let PartitionAccount { log, partition, next_offset, ledger, .. } = account;
        let Ledger { read, accepted, duplicate, parked, gap } = ledger;
        let next = next_offset.0;
        writeln!(
            out,
            "{next:>12} {read:>12} {accepted:>12} {duplicate:>10} {parked:>10} {gap:>8}  {log}/{partition}"
        )?;
    }
    writeln!(out, "\nframes by source")?;
    write!(out, "{:>12} {:>12} {:>12}", "source", "accepted", "remembered")?;
    for size in WindowSize::ALL {
        write!(out, " {:>12}", format!("in {size}"))?;
    }
    writeln!(out)?;
    for account in &audit.sources {
        let SourceAccount { source, accepted, remembered, frames, uneven_windows: _ } = account;
        write!(out, "{:>12} {accepted:>12} {remembered:>12}", source.get())?;
        for frames in frames {
            write!(out, " {frames:>12}")?;
        }
        writeln!(out)?;
    }
    if !audit.parked.is_empty() {
        writeln!(out, "\nparked records by reason")?;
        for (reason, records) in &audit.parked {
            writeln!(out, "{records:>12}  {}", reason.name())?;
        }
    }
    writeln!(out)?;
    match imbalances {
        [] => writeln!(out, "balanced: every record is accounted for, none twice"),
        _ => {
            for imbalance in imbalances {
                writeln!(out, "IMBALANCE: {imbalance}")?;
            }
            Ok(())
        }
    }
}

fn write_json(audit: &Audit, imbalances: &[String], out: &mut impl Write) -> io::Result<()> {
    let partitions = audit.partitions.iter().map(|account| {
        json!({
            "log": &*account.log.0,
            "partition": account.partition.0,
            "owner_epoch": account.owner_epoch,
            "first_offset": account.first_offset.0,
            "next_offset": account.next_offset.0,
            "read": account.ledger.read,
            "accepted": account.ledger.accepted,
            "duplicate": account.ledger.duplicate,
            "parked": account.ledger.parked,
            "gap": account.ledger.gap,
            "parked_rows": account.parked_rows,
        })
    });
    let sources = audit.sources.iter().map(|account| {
        let frames: serde_json::Map<_, _> = WindowSize::ALL
            .iter()
            .zip(account.frames)
            .map(|(size, frames)| (size.name().to_owned(), frames.into()))
            .collect();
        json!({
            "source": account.source.get(),
            "accepted": account.accepted,
            "remembered": account.remembered,
            "frames": frames,
            "uneven_windows": account.uneven_windows,
        })
    });
    let parked: serde_json::Map<_, _> =
        audit.parked.iter().map(|(r, records)| (r.name().to_owned(), (*records).into())).collect();
    let whole = json!({
        "balanced": imbalances.is_empty(),
        "imbalances": imbalances,
        "partitions": partitions.collect::<Vec<_>>(),
        "sources": sources.collect::<Vec<_>>(),
        "parked": parked,
    });
    serde_json::to_writer_pretty(&mut *out, &whole)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use schemas::commit::ParkReason;
    use schemas::log::{LogId, Offset, Partition};

    use super::*;

    fn audit() -> Audit {
        Audit {
            partitions: vec![PartitionAccount {
                log: LogId("herd-log".into()),
                partition: Partition(0),
                owner_epoch: 2,
                first_offset: Offset(0),
                next_offset: Offset(105),
                ledger: Ledger { read: 104, accepted: 100, duplicate: 3, parked: 1, gap: 1 },
                parked_rows: 1,
            }],
            sources: vec![SourceAccount {
                source: 7.try_into().unwrap(),
                accepted: 100,
                remembered: 100,
                frames: [100; 5],
                uneven_windows: 0,
            }],
            parked: vec![(ParkReason::ClockAhead, 1)],
        }
    }

    fn table(audit: &Audit) -> String {
        let mut out = Vec::new();
        write_table(audit, &audit.imbalances(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_balanced_ledger_says_so() {
        insta::assert_snapshot!(table(&audit()));
    }

    #[test]
    fn an_imbalance_is_named() {
        let mut audit = audit();
        audit.sources[0].frames[2] = 99;
        let table = table(&audit);
        insta::assert_snapshot!(
            table.lines().last().unwrap(),
            @"IMBALANCE: source 7: 99 frames in its 15m windows, but accepted 100"
        );
    }

    #[test]
    fn json_has_the_same_numbers() {
        let mut out = Vec::new();
        write_json(&audit(), &[], &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
