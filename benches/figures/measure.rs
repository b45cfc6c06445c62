//! What a child process costs: processor time by the kernel's own account, and
//! its peak memory.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// What one run of a command cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// User and system time, seconds.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
    /// Peak resident set, bytes; 0 if it ended before it could be asked.
    pub(crate) memory: u64,
}

/// Runs `command` to its end, which must be a good one.
pub(crate) fn cost(command: &mut Command) -> io::Result<Cost> {
    let before = children_cpu()?;
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let memory = watch(&mut child)?;
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("{command:?} ended with {status}")));
    }
    let cpu = children_cpu()? - before;
    Ok(Cost { cpu, wall: begun.elapsed().as_secs_f64(), memory })
}

/// The highest peak seen until the child ended.
fn watch(child: &mut Child) -> io::Result<u64> {
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    while child.try_wait()?.is_none() {
        let told = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        memory = memory.max(kilobytes.unwrap_or(0_u64) * 1024);
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(memory)
}

fn children_cpu() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec().try_into().unwrap_or(0)).as_secs_f64()
            + Duration::from_micros(time.tv_usec().try_into().unwrap_or(0)).as_secs_f64()
    };
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// The middle one of an odd number of figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Two commands in turn, `runs` times, so that both meet the same noise; their
/// costs by pairs.
pub(crate) fn in_turn(
    runs: usize,
    mut ours: impl FnMut() -> Command,
    mut reference: impl FnMut() -> Command,
) -> io::Result<Vec<(Cost, Cost)>> {
    // Once unmeasured, to warm caches.
    cost(&mut reference())?;
    (0..runs).map(|_| Ok((cost(&mut ours())?, cost(&mut reference())?))).collect()
}
