use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn members(release_timeout: Duration) -> Arc<Members> {
    let topic = "animov.frames".to_owned();
    Arc::new(Members { topic, release_timeout, state: Mutex::default(), changed: Condvar::new() })
}

fn set(partitions: impl IntoIterator<Item = u32>) -> BTreeSet<Partition> {
    partitions.into_iter().map(Partition).collect()
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn what_the_group_gives_can_be_held_until_it_changes() {
    let members = members(PATIENCE);
    assert!(members.hold(Duration::ZERO).unwrap().is_none());
    members.gain(set([0, 1]));
    let held = members.hold(PATIENCE).unwrap().unwrap();
    assert_eq!(held.partitions, set([0, 1]));
    members.gain(set([]));
    assert!(!held.changed.is_stopped(), "nothing has changed");
    members.gain(set([5]));
    assert!(held.changed.is_stopped());
    // What is out is not handed out twice.
    assert!(members.hold(Duration::ZERO).unwrap().is_none());
    drop(held);
    assert_eq!(members.hold(PATIENCE).unwrap().unwrap().partitions, set([0, 1, 5]));
}

#[test]
fn taking_a_partition_back_waits_until_it_is_let_go_of() {
    let members = members(PATIENCE);
    members.gain(set([0, 1]));
    let held = members.hold(PATIENCE).unwrap().unwrap();
    let let_go = Arc::new(AtomicBool::new(false));
    let taking = {
        let (members, let_go) = (Arc::clone(&members), Arc::clone(&let_go));
        thread::spawn(move || {
            members.lose(&set([1]), true);
            let_go.load(Ordering::SeqCst)
        })
    };
    assert!(held.changed.wait(PATIENCE));
    let_go.store(true, Ordering::SeqCst);
    drop(held);
    assert!(taking.join().unwrap(), "it was not waited for");
    assert_eq!(members.hold(PATIENCE).unwrap().unwrap().partitions, set([0]));
}

#[test]
fn nobody_waits_for_what_nobody_holds_or_what_is_lost_or_too_long() {
    let waits_short = members(Duration::from_millis(20));
    waits_short.gain(set([0, 1, 2]));
    let held = waits_short.hold(PATIENCE).unwrap().unwrap();
    waits_short.lose(&set([0]), true);
    assert!(held.changed.is_stopped());
    drop(held);
    let waits_long = members(PATIENCE);
    waits_long.gain(set([0, 1]));
    waits_long.lose(&set([0]), true);
    let held = waits_long.hold(PATIENCE).unwrap().unwrap();
    assert_eq!(held.partitions, set([1]));
    let began = Instant::now();
    waits_long.lose(&set([1]), false);
    assert!(held.changed.is_stopped() && began.elapsed() < PATIENCE / 2);
    drop(held);
    assert!(waits_long.hold(Duration::ZERO).unwrap().is_none());
}

#[test]
fn who_is_shut_out_is_told_why() {
    let members = members(PATIENCE);
    members.gain(set([0]));
    let held = members.hold(PATIENCE).unwrap().unwrap();
    members.shut_out(Code::FencedInstanceId, "another has the name".to_owned());
    assert!(held.changed.is_stopped());
    drop(held);
    let error = members.hold(PATIENCE).unwrap_err();
    assert!(!error.may_succeed_later());
    assert!(error.to_string().contains("another has the name"), "{error}");
}

#[test]
fn offsets_of_partitions_that_are_gone_are_not_shown() {
    let members = members(PATIENCE);
    members.gain(set([0, 1]));
    let next = BTreeMap::from([(Partition(0), Offset(7)), (Partition(1), Offset(9))]);
    members.state().unshown.extend(&next);
    members.lose(&set([1]), true);
    assert!(members.state().unshown.keys().copied().eq([Partition(0)]));
}
