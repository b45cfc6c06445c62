//! The log book of the tables in memory.

use schemas::commit::logbook::{LogBook, Rewound, Standing, closed};
use schemas::commit::{Ledger, PartitionAccount, StoreError};
use schemas::log::{LogId, LogName, Offset, Partition};

use super::MemoryStore;

impl LogBook for MemoryStore {
    fn counted(&self, name: &LogName, log: &LogId) -> Result<LogId, StoreError> {
        let mut tables = self.tables.lock().unwrap();
        Ok(tables.logs.entry(name.clone()).or_insert_with(|| log.clone()).clone())
    }

    fn accept(&self, name: &LogName, was: &LogId, now: &LogId) -> Result<LogId, StoreError> {
        let mut tables = self.tables.lock().unwrap();
        let counted = tables.logs.get_mut(name).unwrap();
        if counted == was {
            *counted = now.clone();
        }
        Ok(counted.clone())
    }

    fn standing(&self, log: &LogId, partition: Partition) -> Result<Option<Standing>, StoreError> {
        let tables = self.tables.lock().unwrap();
        let key = (log.clone(), partition);
        let lost_end = tables.lost_ends.get(&key).copied();
        let account = tables.partitions.get(&key);
        Ok(account.map(|account| Standing { next_offset: account.next_offset, lost_end }))
    }

    fn lost_end(&self, log: &LogId, partition: Partition, end: Offset) -> Result<(), StoreError> {
        let mut tables = self.tables.lock().unwrap();
        let key = (log.clone(), partition);
        if tables.partitions.get(&key).is_some_and(|account| end < account.next_offset) {
            let lowest = tables.lost_ends.entry(key).or_insert(end);
            *lowest = end.min(*lowest);
        }
        Ok(())
    }

    fn rewind(&self, log: &LogId, partition: Partition) -> Result<Option<Rewound>, StoreError> {
        let mut tables = self.tables.lock().unwrap();
        let key = (log.clone(), partition);
        let Some(to) = tables.lost_ends.remove(&key) else { return Ok(None) };
        let old = tables.partitions.remove(&key).unwrap();
        let (from, closed) = (old.next_offset, closed(log, old.owner_epoch));
        for parked in &mut tables.parked {
            if (&parked.log, parked.partition) == (log, partition) {
                parked.log = closed.clone();
            }
        }
        let new = PartitionAccount {
            owner_epoch: old.owner_epoch + 1,
            first_offset: to,
            next_offset: to,
            ledger: Ledger::default(),
            parked_rows: 0,
            ..old.clone()
        };
        let old = PartitionAccount { log: closed.clone(), ..old };
        tables.partitions.extend([((closed.clone(), partition), old), (key, new)]);
        Ok(Some(Rewound { from, to, closed }))
    }
}
