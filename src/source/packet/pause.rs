//! How long to let blocks gather where they come faster than anybody waits for them.
//!
//! To be woken costs some 20 us of CPU, until caches and tables are warm again: as much as reading 500 frames. At a million a
//! second a block is full in 7 ms, and who sleeps until the next one is full is woken as often; frames may be as old as
//! the retire timeout all the same. So whoever has read all there was sleeps for what is left of that time,
//! whatever comes. The ring has room for it many times over.

use std::time::{Duration, Instant};

/// The part of a ring that may fill up in a pause, at the pace of the blocks before it.
const SHARE: u32 = 8;

/// The pace of blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    /// When there was nothing to read the last time.
    since: Option<Instant>,
    /// Blocks since.
    blocks: u32,
}

impl Pause {
    /// A block has come.
    pub(super) fn count(&mut self) {
        self.blocks += 1;
    }

    /// There is nothing to read `now`: so long is to be slept whatever comes; zero where blocks do not come fast, or none
    /// has come since this was asked last. They come from so many `rings`, of `length` blocks at least, each of which
    /// hands over a block after `retire`.
    pub(super) fn at(&mut self, now: Instant, rings: u32, length: u32, retire: Duration) -> Duration {
        let blocks = std::mem::take(&mut self.blocks);
        let Some(since) = self.since.replace(now).filter(|_| blocks > 0) else { return Duration::ZERO };
        let each = now.duration_since(since) / blocks;
        let left = retire.saturating_sub(each.saturating_mul(rings));
        left.min(each.saturating_mul(length / SHARE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETIRE: Duration = Duration::from_millis(50);

    /// The pause after so many blocks in so many milliseconds.
    fn after(blocks: u32, time: u64, rings: u32, length: u32) -> u128 {
        let (mut pause, now) = (Pause::default(), Instant::now());
        assert_eq!(pause.at(now, rings, length, RETIRE), Duration::ZERO, "nothing is known yet");
        (0..blocks).for_each(|_| pause.count());
        let then = now + Duration::from_millis(time);
        let found = pause.at(then, rings, length, RETIRE);
        assert_eq!(pause.at(then + found, rings, length, RETIRE), Duration::ZERO, "nothing has come since");
        found.as_millis()
    }

    #[test]
    fn frames_get_no_older_than_the_retire_timeout() {
        assert_eq!(after(1, 7, 1, 64), 43);
        assert_eq!(after(6, 42, 1, 64), 43);
        assert_eq!(after(1, 50, 1, 64), 0);
        assert_eq!(after(1, 10_000, 1, 64), 0);
        assert_eq!(after(0, 7, 1, 64), 0);
        // Each of two rings may fill its blocks at half that pace.
        assert_eq!(after(1, 7, 2, 64), 36);
    }

    #[test]
    fn no_more_than_a_part_of_the_ring_fills_up() {
        assert_eq!(after(10, 10, 1, 64), 8);
        assert_eq!(after(10, 10, 1, 16), 2);
        assert_eq!(after(10, 10, 1, 4), 0);
    }
}
