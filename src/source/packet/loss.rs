//! Where in the stream of frames the kernel's losses belong.
//!
//! A ring loses when it is full: all its blocks wait, and what comes then is counted and gone. What comes later is the
//! first frame of a new block. The kernel closes a block with the losing mark if it has lost anything since its counters
//! were read, so a marked block is the first after a loss, unless the counters were read between: then the first one opened
//! after that is. What was lost after a block was closed, and before it is looked at, cannot be told from what was lost
//! before it; it is put there too, a ringful early at the most. None is left out or told twice, but those after the last frame.

use crate::frame::Timestamp;
use crate::sys::packet_abi::{BlockDescriptor, STATUS_LOSING};

/// Losses that have been counted and are yet to be told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    /// Counted in all.
    counted: u64,
    /// Told in all.
    told: u64,
    /// When those that are not yet told were counted.
    counted_at: Timestamp,
}

/// Whether the kernel had lost something, and has not said so by its counters, when it closed this block.
pub(super) fn is_marked(block: &BlockDescriptor) -> bool {
    block.status & STATUS_LOSING != 0
}

impl Losses {
    /// Takes in the kernel's counters, which had come to `drops` when they last moved, `at` that time.
    pub(super) fn count(&mut self, drops: u64, at: Timestamp) {
        if drops > self.counted {
            (self.counted, self.counted_at) = (drops, at);
        }
    }

    /// How many frames were lost before the first of this block.
    pub(super) fn before(&mut self, block: &BlockDescriptor) -> u64 {
        let due = self.counted > self.told && (is_marked(block) || opened(block) > self.counted_at);
        if due { self.take() } else { 0 }
    }

    /// All that have been counted and not told.
    pub(super) fn take(&mut self) -> u64 {
        self.counted - std::mem::replace(&mut self.told, self.counted)
    }
}

fn opened(block: &BlockDescriptor) -> Timestamp {
    let [seconds, nanos] = block.first;
    Timestamp::new(seconds.into(), nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(status: u32, opened: u32) -> BlockDescriptor {
        BlockDescriptor { status, first: [opened, 0], ..BlockDescriptor::default() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    #[test]
    fn each_loss_is_told_once_at_the_first_block_after_it() {
        let mut losses = Losses::default();
        let (plain, marked) = (block(1, 0), block(1 | STATUS_LOSING, 0));
        assert_eq!(losses.before(&marked), 0, "nothing counted");
        losses.count(5, at(100));
        assert_eq!(losses.before(&plain), 0, "it had been closed before");
        assert_eq!(losses.before(&marked), 5);
        assert_eq!(losses.before(&marked), 0, "once");
        // Read while the ring was full: the next blocks have no mark.
        losses.count(12, at(200));
        losses.count(12, at(200));
        assert_eq!(losses.before(&block(1, 199)), 0);
        assert_eq!(losses.before(&block(1, 201)), 7);
        assert_eq!(losses.before(&block(1, 202)), 0);
        losses.count(14, at(300));
        assert_eq!((losses.take(), losses.take()), (2, 0));
    }
}
