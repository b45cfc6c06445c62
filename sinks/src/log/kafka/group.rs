//! Membership in the group whose members share out the partitions.
//!
//! The group only says whose each partition is. What is read is read by a
//! [`KafkaReader`](super::reader), from where the tables say; the group's own
//! offsets are written for whoever watches the group, and never read.
//!
//! # Invariants
//!
//! - A partition that is to go to another member is let go of here first: the
//!   member waits until whoever [holds](Held) it drops it, or until
//!   `release_timeout` has passed. One that was lost is not waited for: another
//!   may have it already.
//! - The group's client is used by the member's own thread alone, in which its
//!   callbacks run too; what others want of it they leave in [`Members`].
//! - Nothing of the partitions is fetched: they are paused as soon as they are
//!   assigned, and begin at their end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use schemas::log::{Held, LogError, Offset, Ownership, Partition};
use schemas::stop::Stop;

use super::client::{Context, Role, Told, cannot_begin, properties};
use super::cluster::Cluster;
use super::native::remind;
use crate::log::reading::WAIT_MAX;

/// How long one poll of the group's client takes: a stop is seen this late.
const POLL_WAIT: Duration = Duration::from_millis(100);

/// How often a member that has no partitions is told again where the brokers are.
const REMIND_EVERY: Duration = Duration::from_secs(5);

/// How often offsets are shown to the group.
const SHOW_EVERY: Duration = Duration::from_secs(1);

type GroupClient = BaseConsumer<Context<Arc<Members>>>;

/// This process's membership; dropping it leaves the group, so that others need
/// not wait for the session's end, unless the process has a name in it
/// (`instance_id`) under which it may come back.
pub struct KafkaGroup {
    members: Arc<Members>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

/// What the member's thread and the rest of the process tell each other.
pub(super) struct Members {
    topic: String,
    release_timeout: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What the group has given to this process.
    assigned: BTreeSet<Partition>,
    /// What was handed out last.
    out: Option<Out>,
    /// Up to where each partition is committed, and not shown yet.
    unshown: BTreeMap<Partition, Offset>,
    /// Why there will be no partitions any more.
    shut_out: Option<(Code, String)>,
}

/// What was handed out, from the side of the one who did.
struct Out {
    partitions: BTreeSet<Partition>,
    changed: Stop,
    released: Stop,
}

impl KafkaGroup {
    /// Joins the group of `cluster`'s configuration. Which partitions it gives to
    /// this process shows a moment later, by [`Ownership::hold`].
    ///
    /// # Errors
    ///
    /// The configuration has a property that librdkafka does not take.
    pub(super) fn join(cluster: &Cluster) -> Result<KafkaGroup, LogError> {
        let config = &cluster.config;
        let members = Arc::new(Members {
            topic: config.topic.clone(),
            release_timeout: config.release_timeout.min(WAIT_MAX),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let told = &cluster.told;
        let more = Arc::clone(&members);
        let context = Context { role: Role::Group, told: Arc::clone(told), more };
        let client: GroupClient = properties(config, &cluster.secrets, Role::Group)
            .create_with_context(context)
            .map_err(|error| cannot_begin(told, &error))?;
        client
            .subscribe(&[&config.topic])
            .map_err(|error| told.failed("join the group of", cluster.at(), &error))?;
        let stop = Stop::default();
        let member = Member { client, members: Arc::clone(&members), stop: stop.clone() };
        let thread = thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || member.run())
            .map_err(|source| LogError::Io {
                doing: "begin a thread for the group of",
                at: cluster.at(),
                source,
            })?;
        Ok(KafkaGroup { members, stop, thread: Some(thread) })
    }
}

impl Ownership for KafkaGroup {
    fn hold(&mut self, wait: Duration) -> Result<Option<Held>, LogError> {
        self.members.hold(wait)
    }

    fn committed(&self, next: &BTreeMap<Partition, Offset>) {
        self.members.state().unshown.extend(next);
    }
}

impl Drop for KafkaGroup {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the group has panicked");
        }
    }
}

impl Members {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, wait: Duration) -> Result<Option<Held>, LogError> {
        let state = self.state();
        let nothing = |state: &mut State| !state.can_hand_out() && state.shut_out.is_none();
        let wait = wait.min(WAIT_MAX);
        let waited = self.changed.wait_timeout_while(state, wait, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some((code, reason)) = &state.shut_out {
            return Err(LogError::Refused {
                doing: "be a member of the group of",
                at: format!("topic {}", self.topic),
                hint: format!("{reason} ({code})"),
            });
        }
        Ok(state.can_hand_out().then(|| state.hand_out()))
    }

    /// Takes note of partitions that are this process's now.
    fn gain(&self, gained: BTreeSet<Partition>) {
        let mut state = self.state();
        state.assigned.extend(gained);
        if let Some(out) = state.out.as_ref().filter(|out| out.partitions != state.assigned) {
            out.changed.stop();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Takes partitions back, and waits, if `waits`, until nobody here holds any
    /// of them.
    fn lose(&self, lost: &BTreeSet<Partition>, waits: bool) {
        let mut state = self.state();
        state.assigned.retain(|partition| !lost.contains(partition));
        state.unshown.retain(|partition, _| !lost.contains(partition));
        let held = state.out.as_ref().filter(|out| !out.partitions.is_disjoint(lost));
        let released = held.map(|out| {
            out.changed.stop();
            out.released.clone()
        });
        drop(state);
        let Some(released) = released.filter(|_| waits) else { return };
        let began = Instant::now();
        if released.wait(self.release_timeout) {
            let waited_ms = began.elapsed().as_millis();
            tracing::debug!(?lost, waited_ms, "partitions were let go of");
        } else {
            tracing::warn!(
                ?lost,
                release_timeout = ?self.release_timeout,
                "partitions were not let go of in time; what is read of them from now on is not \
                 committed"
            );
        }
    }

    fn shut_out(&self, code: Code, reason: String) {
        let mut state = self.state();
        state.shut_out.get_or_insert((code, reason));
        state.assigned.clear();
        if let Some(out) = &state.out {
            out.changed.stop();
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    /// Whether there is something, and nothing is out.
    fn can_hand_out(&self) -> bool {
        let out = self.out.as_ref().is_some_and(|out| !out.released.is_stopped());
        !self.assigned.is_empty() && !out
    }

    fn hand_out(&mut self) -> Held {
        let (changed, released) = (Stop::default(), Stop::default());
        let partitions = self.assigned.clone();
        let held = Held::new(partitions.clone(), changed.clone(), released.clone());
        self.out = Some(Out { partitions, changed, released });
        held
    }
}

/// The member's thread.
struct Member {
    client: GroupClient,
    members: Arc<Members>,
    stop: Stop,
}

impl Member {
    /// Runs until it is told to stop; dropping the client then leaves the group.
    fn run(self) {
        let (mut shown, mut reminded) = (Instant::now(), Instant::now());
        while !self.stop.is_stopped() {
            match self.client.poll(POLL_WAIT) {
                // A record that was under way when its partition was paused is
                // nobody's: it is read from the tables' offset.
                None | Some(Ok(_)) => {}
                Some(Err(error)) => self.meet(&error),
            }
            if SHOW_EVERY <= shown.elapsed() {
                self.show();
                shown = Instant::now();
            }
            if REMIND_EVERY <= reminded.elapsed() {
                self.remind();
                reminded = Instant::now();
            }
        }
        self.show();
    }

    fn meet(&self, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        let told = &self.client.context().told;
        match (error, code) {
            (KafkaError::MessageConsumptionFatal(code), _) => {
                let reason = self.client.client().fatal_error().map(|(_, reason)| reason);
                tracing::error!(%code, ?reason, "shut out of the group");
                self.members.shut_out(*code, reason.unwrap_or_else(|| error.to_string()));
            }
            (_, Some(code)) if is_for_good(told, error) => {
                tracing::error!(%code, "not allowed in the group");
                self.members.shut_out(code, error.to_string());
            }
            _ => tracing::debug!(%error, "the group's client met an error"),
        }
    }

    /// A member without partitions may have nothing to do, or may have lost the
    /// brokers.
    fn remind(&self) {
        if self.members.state().assigned.is_empty() {
            remind(self.client.client(), &self.client.context().told.brokers);
        }
    }

    /// Shows the group what was committed since it was last shown.
    fn show(&self) {
        let unshown = {
            let mut state = self.members.state();
            let State { assigned, unshown, .. } = &mut *state;
            unshown.retain(|partition, _| assigned.contains(partition));
            std::mem::take(unshown)
        };
        if unshown.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(unshown.len());
        for (partition, next) in unshown {
            let place = Place::Offset(i64::try_from(next.0).unwrap_or(i64::MAX));
            let added = list.add_partition_offset(&self.members.topic, number(partition), place);
            if let Err(error) = added {
                tracing::debug!(%error, %partition, "could not show an offset to the group");
            }
        }
        // Not waited for: a commit during a change of members may take as long
        // as the change.
        if let Err(error) = self.client.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "could not show offsets to the group");
        }
    }
}

/// Whether an error will be the same however often it is tried.
fn is_for_good(told: &Told, error: &KafkaError) -> bool {
    !told.failed("join", String::new(), error).may_succeed_later()
}

impl ConsumerContext for Context<Arc<Members>> {
    fn rebalance(&self, client: &GroupClient, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions(list, &self.more.topic);
        let metrics = &self.told.metrics;
        if !partitions.is_empty() {
            metrics.rebalances_total.inc();
        }
        let done = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let assigned = assign(client, list);
                if !partitions.is_empty() {
                    tracing::info!(?partitions, "the group gives partitions to this process");
                }
                self.more.gain(partitions);
                assigned
            }
            _ => {
                let lost = client.assignment_lost();
                if !partitions.is_empty() {
                    tracing::info!(?partitions, lost, "the group takes partitions back");
                }
                self.more.lose(&partitions, !lost);
                unassign(client, list)
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "could not take note of what the group says");
        }
        let held = self.more.state().assigned.len();
        metrics.partitions_held.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "the group did not take offsets");
        }
    }
}

fn partitions(list: &TopicPartitionList, topic: &str) -> BTreeSet<Partition> {
    let elements = list.elements_for_topic(topic);
    elements.iter().filter_map(|e| u32::try_from(e.partition()).ok().map(Partition)).collect()
}

fn number(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

/// Accepts what the group assigns, without reading it.
fn assign(client: &GroupClient, list: &mut TopicPartitionList) -> KafkaResult<()> {
    // An offset that the group has committed, or has not, plays no part.
    list.set_all_offsets(Place::End)?;
    match client.rebalance_protocol() {
        RebalanceProtocol::Cooperative => client.incremental_assign(list)?,
        RebalanceProtocol::Eager | RebalanceProtocol::None => client.assign(list)?,
    }
    if list.count() == 0 { Ok(()) } else { client.pause(list) }
}

fn unassign(client: &GroupClient, list: &TopicPartitionList) -> KafkaResult<()> {
    match client.rebalance_protocol() {
        RebalanceProtocol::Cooperative => client.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => client.unassign(),
    }
}

#[cfg(test)]
mod tests;
