//! The blocks that wait to be written, in order.

use std::collections::VecDeque;

use knock_engine::time::Timestamp;

use crate::report::block::{Block, BlockId, Lone};

/// Blocks in the order in which they were made. The first waits for what may explain it, and the
/// others wait behind it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    blocks: VecDeque<Block>,
    /// The number of the first block.
    first: BlockId,
    /// How many blocks at the end have nothing to tell but a first knock.
    lone_run: u64,
}

impl Queue {
    /// The most blocks that wait.
    const CAPACITY: usize = 1_024;
    /// Of attempts in a row with nothing to tell, so many get a line of their own. The rest share
    /// one: a flood of a million first knocks is one line, not a million.
    const MAX_LONE_LINES: u64 = 3;

    /// Adds a block.
    pub(super) fn push(&mut self, block: Block) -> BlockId {
        self.lone_run = if block.lone.is_some() { self.lone_run + 1 } else { 0 };
        self.blocks.push_back(block);
        self.last()
    }

    /// Adds a block, or counts it with the last one where both have nothing to tell.
    pub(super) fn push_or_fold(&mut self, block: Block) -> BlockId {
        let folds = self.lone_run > Self::MAX_LONE_LINES;
        if let Some(last) = self.blocks.back_mut().filter(|_| folds)
            && let Some(sum) = fold(last, &block)
        {
            last.lone = Some(sum);
            last.at = block.at;
            last.hold_until = block.hold_until;
            return self.last();
        }
        self.push(block)
    }

    /// Returns a block that still waits.
    pub(super) fn get_mut(&mut self, id: BlockId) -> Option<&mut Block> {
        let index = usize::try_from(id.checked_sub(self.first)?).ok()?;
        self.blocks.get_mut(index)
    }

    /// Tells whether more blocks wait than should.
    pub(super) fn is_full(&self) -> bool {
        self.blocks.len() > Self::CAPACITY
    }

    /// Takes the first block if it need not wait beyond `now`, or if too many wait behind it.
    pub(super) fn pop_ready(&mut self, now: Timestamp) -> Option<Block> {
        if !self.is_full() && self.blocks.front()?.hold_until > now {
            return None;
        }
        let block = self.blocks.pop_front()?;
        self.first += 1;
        Some(block)
    }

    fn last(&self) -> BlockId {
        self.first + self.blocks.len() as u64 - 1
    }
}

/// Returns what two blocks come to together, where both stand for attempts of one kind at one door.
fn fold(last: &Block, block: &Block) -> Option<Lone> {
    let (sum, more) = (last.lone?, block.lone?);
    let same = sum.end == more.end && last.door == block.door && last.verdict == block.verdict;
    same.then_some(Lone { attempts: sum.attempts + more.attempts, ..sum })
}
