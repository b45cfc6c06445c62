//! Which frames of a source were counted already.

use rustc_hash::FxHashMap;
use schemas::commit::SeqBlock;
use schemas::intervals::{Intervals, block_of};
use schemas::source::{SessionId, SourceId};

/// Epochs without a frame of it after which a block of sequence numbers is let
/// go of; the store still has it.
const QUIET_EPOCHS: u64 = 64;

/// The sequence numbers of one source that were counted, as far as they are
/// held; the rest is in the store.
#[derive(Debug, Default)]
pub(crate) struct Dedup {
    blocks: Vec<Block>,
    at: FxHashMap<(SessionId, u64), usize>,
    /// Where the last frame's block is: the next one's, nearly always.
    last: usize,
    /// Places in `blocks` that changed in the current epoch.
    changed: Vec<usize>,
}

#[derive(Debug)]
struct Block {
    session: SessionId,
    block: u64,
    seqs: Intervals,
    /// Epoch of its newest number.
    changed_in: u64,
}

impl Dedup {
    /// Whether the frame is new; it is remembered. `load` answers what the store
    /// has of a block that is not held.
    #[inline]
    pub(crate) fn first_seen(
        &mut self,
        session: SessionId,
        seq: u64,
        epoch: u64,
        load: impl FnOnce(u64) -> Intervals,
    ) -> bool {
        let number = block_of(seq);
        let at = match self.blocks.get(self.last) {
            Some(held) if held.block == number && held.session == session => self.last,
            _ => self.find(session, number, load),
        };
        self.last = at;
        let held = &mut self.blocks[at];
        let new = held.seqs.insert(seq);
        if new && held.changed_in != epoch {
            held.changed_in = epoch;
            self.changed.push(at);
        }
        new
    }

    #[cold]
    fn find(
        &mut self,
        session: SessionId,
        block: u64,
        load: impl FnOnce(u64) -> Intervals,
    ) -> usize {
        if let Some(at) = self.at.get(&(session, block)) {
            return *at;
        }
        // Epochs count from 1, so 0 is before every one.
        self.blocks.push(Block { session, block, seqs: load(block), changed_in: 0 });
        self.at.insert((session, block), self.blocks.len() - 1);
        self.blocks.len() - 1
    }

    /// The blocks that changed since the last call.
    pub(crate) fn take_changed(&mut self, source: SourceId) -> Vec<SeqBlock> {
        let blocks = &self.blocks;
        let changed = self.changed.drain(..).map(|at| {
            let Block { session, block, seqs, changed_in: _ } = &blocks[at];
            SeqBlock { source, session: *session, block: *block, seqs: seqs.clone() }
        });
        changed.collect()
    }

    /// Lets go of what is committed and quiet.
    pub(crate) fn evict(&mut self, epoch: u64, committed: u64) {
        let quiet = |held: &Block| {
            held.changed_in <= committed && held.changed_in.saturating_add(QUIET_EPOCHS) < epoch
        };
        if !self.blocks.iter().any(quiet) {
            return;
        }
        self.blocks.retain(|held| !quiet(held));
        self.last = 0;
        let places = self.blocks.iter().enumerate();
        self.at = places.map(|(at, held)| ((held.session, held.block), at)).collect();
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_new_once_also_after_its_block_was_let_go_of() {
        let session = SessionId::derived_from(b"camera 1");
        let source = SourceId::try_from(1).unwrap();
        let mut dedup = Dedup::default();
        let nothing = |_| Intervals::default();
        assert!(dedup.first_seen(session, 7, 1, nothing));
        assert!(!dedup.first_seen(session, 7, 1, nothing));
        let stored = dedup.take_changed(source).remove(0).seqs;
        assert!(dedup.take_changed(source).is_empty());

        dedup.evict(1000, 0);
        assert!(!dedup.is_empty(), "not committed");
        dedup.evict(1000, 1);
        assert!(dedup.is_empty());
        assert!(!dedup.first_seen(session, 7, 1001, |_| stored.clone()));
        assert!(dedup.first_seen(session, 8, 1001, |_| unreachable!("the block is held")));
    }

    #[test]
    fn sessions_and_blocks_are_told_apart() {
        let (a, b) = (SessionId::derived_from(b"a"), SessionId::derived_from(b"b"));
        let mut dedup = Dedup::default();
        for seq in [0, 1, 65_535, 65_536, 1 << 40] {
            for session in [a, b] {
                assert!(dedup.first_seen(session, seq, 1, |_| Intervals::default()));
                assert!(!dedup.first_seen(session, seq, 1, |_| Intervals::default()));
            }
        }
        let changed = dedup.take_changed(SourceId::try_from(1).unwrap());
        assert_eq!(changed.iter().map(|block| block.seqs.count()).sum::<u64>(), 10);
    }
}
