//! `animov replay` of a simulated log against a plain loop over the same bytes.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::measure::{cost, in_turn, median};
use crate::{ANIMOV, Figure, folder, frames, say};

/// How often each of the 64 sources gives a frame. The more frames a window has,
/// the less its rows cost each of them.
const CADENCES: [&str; 2] = ["100ms", "1s"];

const RUNS: usize = 3;

pub(crate) fn figures() -> io::Result<Vec<Figure>> {
    let figures: Vec<Vec<Figure>> = CADENCES.into_iter().map(figure).collect::<Result<_, _>>()?;
    Ok(figures.into_iter().flatten().collect())
}

fn figure(every: &'static str) -> io::Result<Vec<Figure>> {
    let folder = folder()?;
    let (state, tables) = (folder.path().join("state"), folder.path().join("tables"));
    let count = frames();
    say(&format!("simulating {count} frames of 64 sources, one each {every}"))?;
    cost(
        Command::new(ANIMOV)
            .args(["simulate", "--counts-only", "--sources", "64", "--every", every])
            .args(["--frames", &count.to_string(), "--seed", "1", "--state"])
            .arg(&state),
    )?;
    let per_second = |cpu: f64| as_float(count) / cpu;
    let against = |what: &str, reference: &'static str, goal: &'static str| {
        let pairs = in_turn(RUNS, || replay(&state, &tables), || plain(&state, reference))?;
        let ours = median(pairs.iter().map(|(ours, _)| per_second(ours.cpu)).collect());
        let theirs = median(pairs.iter().map(|(_, plain)| per_second(plain.cpu)).collect());
        let memory = pairs.iter().map(|(ours, _)| ours.memory).max().unwrap_or(0) >> 20;
        let wall = median(pairs.iter().map(|(ours, _)| ours.wall).collect());
        Ok::<_, io::Error>(Figure {
            what: format!(
                "replay of {count} counts-only frames, 64 sources, one each {every}: frames per CPU second"
            ),
            ours: format!(
                "{ours:.0} (wall {wall:.1} s, peak memory {memory} MiB, goal at most 150)"
            ),
            reference: format!(
                "{theirs:.0} (plain loop: the same bytes into dense histograms of {what})"
            ),
            ratio: median(pairs.iter().map(|(ours, plain)| plain.cpu / ours.cpu).collect()),
            goal,
        })
    };
    Ok(vec![
        against("all five sizes", "plain-all-sizes", "at least 0.5")?,
        against("minutes alone", "plain-minutes", "none, a lower bound of any reader")?,
    ])
}

fn replay(state: &Path, tables: &Path) -> Command {
    _ = std::fs::remove_dir_all(tables);
    let mut command = Command::new(ANIMOV);
    command.arg("replay").arg("--state").arg(state).arg("--into").arg(tables);
    command.stderr(std::process::Stdio::null());
    command
}

fn plain(state: &Path, which: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.arg(which).arg(state.join("log"));
    command
}

#[expect(clippy::as_conversions, reason = "a count of frames is far below 2^53")]
pub(crate) fn as_float(count: u64) -> f64 {
    count as f64
}
