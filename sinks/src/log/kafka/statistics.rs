//! What librdkafka counts of itself, as far as the metrics show it.

use rdkafka::statistics::{Broker, Partition as Counted, Statistics};
use schemas::log::Partition;

use super::client::{Role, Told};

/// A broker's state while nothing has been asked of it.
const NEVER_NEEDED: &str = "INIT";
const CONNECTED: &str = "UP";

/// Shows in the metrics what a client that is `role` has counted.
pub(super) fn show(told: &Told, role: Role, statistics: &Statistics) {
    statistics.brokers.values().for_each(|broker| show_broker(told, role, broker));
    match role {
        Role::Append => {
            let queued = i64::try_from(statistics.msg_cnt).unwrap_or(i64::MAX);
            told.metrics.queued_records.set(queued);
        }
        Role::Read => {
            if let Some(topic) = statistics.topics.get(&told.topic) {
                topic.partitions.values().for_each(|partition| show_partition(told, partition));
            }
        }
        Role::Ask | Role::Group => {}
    }
}

fn show_broker(told: &Told, role: Role, broker: &Broker) {
    // Without a number: an address from the configuration, which is known under
    // its number too as soon as it has answered.
    if broker.nodeid < 0 || broker.state == NEVER_NEEDED {
        return;
    }
    let labels = [role.name(), &broker.nodename];
    told.metrics.broker_up.with_label_values(&labels).set((broker.state == CONNECTED).into());
    if let Some(rtt) = broker.rtt.as_ref().filter(|rtt| 0 < rtt.cnt) {
        let micros = u32::try_from(rtt.avg).unwrap_or(u32::MAX);
        let seconds = f64::from(micros) / 1e6;
        told.metrics.broker_rtt_seconds.with_label_values(&labels).set(seconds);
    }
}

fn show_partition(told: &Told, counted: &Counted) {
    // The statistics also list a partition -1, and those that others read.
    let Ok(partition) = u32::try_from(counted.partition) else { return };
    if !counted.desired {
        return;
    }
    let bytes = i64::try_from(counted.fetchq_size).unwrap_or(i64::MAX);
    // Negative where it is not known yet.
    let known = 0 <= counted.ls_offset && 0 <= counted.app_offset;
    let lag = known.then(|| (counted.ls_offset - counted.app_offset).max(0));
    told.metrics.stands(Partition(partition), bytes, lag);
}
