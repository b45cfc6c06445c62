//! A site on servers, counted by several processes that come, die, hang and go:
//! what was acknowledged is counted once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::crash::{Ends, feed};
use crate::oracle;
use crate::servers::{SESSION, Servers};
use crate::support::{Counted, PATIENCE, Random, Running, Site, free_port, succeeded, within};

/// Waits until so many more frames are acknowledged.
fn await_more(acknowledged: &Mutex<Vec<Counted>>, frames: usize) {
    let before = acknowledged.lock().unwrap().len();
    within(PATIENCE, "some more frames", || {
        (before + frames < acknowledged.lock().unwrap().len()).then_some(())
    });
}

/// Waits until every acknowledged frame is counted.
fn await_the_rest(site: &Site, acknowledged: &Mutex<Vec<Counted>>) {
    let frames = acknowledged.lock().unwrap().len();
    site.wait_accepted(frames.try_into().unwrap());
}

#[test]
fn processes_that_come_die_hang_and_go_count_everything_once() {
    let Some(servers) = Servers::new() else { return };
    let site = servers.site(4);
    println!("{}", succeeded(site.animov(&["migrate"])));
    let (stop, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let (mut died, mut refused) = (0, 0);
    let api = site.start_role("api", site.port);
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&site, 11, &stop, &acknowledged));
        let _end_with_the_test = Ends(&stop);
        let member = || site.start_role("pipeline", free_port());
        let mut members: Vec<Running> = (0..2).map(|_| member()).collect();
        let mut random = Random(11);
        for round in 0..6 {
            await_more(&acknowledged, 400);
            match round % 3 {
                0 => {
                    members.remove(0).kill();
                    died += 1;
                }
                1 => members[0].signal(Signal::SIGSTOP),
                _ => members[0].signal(Signal::SIGCONT),
            }
            members.push(member());
            // Longer than a session: others take over.
            std::thread::sleep(SESSION + Duration::from_millis(500 + random.below(1500)));
            // Who was refused ends with an error, and is started again.
            members.retain_mut(|member| match member.child.try_wait().unwrap() {
                None => true,
                Some(ended) => {
                    assert!(!ended.success(), "{ended}");
                    refused += 1;
                    false
                }
            });
        }
        stop.store(true, Ordering::SeqCst);
        feeder.join().unwrap();
        await_the_rest(&site, &acknowledged);
        members.into_iter().for_each(Running::terminate);
    });
    api.terminate();
    let frames: Vec<Counted> = acknowledged.into_inner().unwrap();
    println!("{} frames, {died} killed, {refused} refused", frames.len());
    println!("{}", succeeded(site.animov(&["audit"])));
    oracle::check(&site, &frames, "Europe/Paris");
}

#[test]
fn a_source_whose_partition_changes_while_it_is_counted_keeps_one_history() {
    let Some(servers) = Servers::new() else { return };
    let site = servers.site(1);
    println!("{}", succeeded(site.animov(&["migrate"])));
    let (stop, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let api = site.start_role("api", site.port);
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&site, 23, &stop, &acknowledged));
        let _end_with_the_test = Ends(&stop);
        let members: Vec<Running> =
            (0..2).map(|_| site.start_role("pipeline", free_port())).collect();
        await_more(&acknowledged, 400);
        within(PATIENCE, "frames to be counted", || (counted_in(&site) == [0]).then_some(()));
        // Twice: the second time, a source leaves a partition that both may know.
        for (before, partitions) in [(1, 3), (3, 8)] {
            site.configure(&servers.settings(partitions));
            println!("{}", succeeded(site.animov(&["migrate"])));
            within(PATIENCE, "frames of a new partition to be counted", || {
                await_more(&acknowledged, 40);
                counted_in(&site).iter().any(|partition| before <= *partition).then_some(())
            });
            await_more(&acknowledged, 400);
        }
        stop.store(true, Ordering::SeqCst);
        feeder.join().unwrap();
        await_the_rest(&site, &acknowledged);
        members.into_iter().for_each(Running::terminate);
    });
    api.terminate();
    let frames: Vec<Counted> = acknowledged.into_inner().unwrap();
    let moved = site.said().matches("begins again from what is committed").count();
    println!("{} frames, {moved} times a source was found written by the other", frames.len());
    println!("{}", succeeded(site.animov(&["audit"])));
    oracle::check(&site, &frames, "Europe/Paris");
}

/// The partitions of which something was counted.
fn counted_in(site: &Site) -> Vec<u32> {
    let audit = site.get("/v1/audit");
    let accounts = audit["partitions"].as_array().unwrap().iter();
    let counted = accounts.filter(|account| 0 < account["accepted"].as_u64().unwrap());
    counted.map(|at| at["partition"].as_u64().unwrap().try_into().unwrap()).collect()
}
