//! Where in a queue's stream of frames the kernel's losses belong.
//!
//! A queue loses when every chunk is ours: its frames wait in the rx ring, or are being read. So its counter is read each
//! time before chunks are given to a kernel that has none. What has been counted by then was lost after all that waits,
//! and before whatever comes in those chunks. It is read now and then besides: the kernel also drops frames that do not
//! fit a chunk, and may run out of chunks just after we have looked. Such losses are told before the first frame that
//! came after the reading: a little late. None is left out or told twice, but those after the last frame.

use std::collections::VecDeque;

/// Losses that have been counted and are yet to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// Counted in all.
    counted: u64,
    /// In order: how many frames of the queue came before the loss, and how many were lost. Places differ, and none is
    /// beyond what waits in the rx ring, so there are never more of them than entries of the ring, and one.
    untold: VecDeque<(u64, u64)>,
}

impl Losses {
    /// Takes in a reading of the kernel's counter, which has come to `drops`, after `frames` of the queue had come. Tells
    /// whether it had moved.
    pub(super) fn count(&mut self, drops: u64, frames: u64) -> bool {
        let lost = drops.saturating_sub(self.counted);
        if lost > 0 {
            self.counted = drops;
            match self.untold.back_mut() {
                Some((place, more)) if *place >= frames => *more += lost,
                _ => self.untold.push_back((frames, lost)),
            }
        }
        lost > 0
    }

    /// How many frames may be taken, at most `limit`, before the next loss is to be told, when so many have been.
    pub(super) fn until(&self, taken: u64, limit: usize) -> usize {
        let next = self.untold.iter().map(|(place, _)| *place).find(|place| *place > taken);
        next.map_or(limit, |next| usize::try_from(next - taken).unwrap_or(usize::MAX).min(limit))
    }

    /// How many frames were lost before the next one, when so many have been taken. It is told by this.
    pub(super) fn before(&mut self, taken: u64) -> u64 {
        let due = self.untold.partition_point(|(place, _)| *place <= taken);
        self.untold.drain(..due).map(|(_, lost)| lost).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_is_told_once_where_it_was_counted() {
        let mut losses = Losses::default();
        assert!(!losses.count(0, 10) && losses.count(5, 64), "only the second has moved");
        assert_eq!((losses.until(0, 256), losses.before(0)), (64, 0));
        assert!(losses.count(7, 64), "more at the same place");
        assert!(losses.count(8, 72));
        assert_eq!((losses.until(60, 256), losses.before(60)), (4, 0));
        assert_eq!((losses.until(64, 256), losses.until(64, 3), losses.before(64)), (8, 3, 7));
        assert_eq!((losses.before(64), losses.before(71)), (0, 0), "once");
        assert_eq!((losses.before(72), losses.until(72, 256)), (1, 256));
        assert!(!losses.count(8, 80));
        assert_eq!(losses.before(1000), 0);
    }
}
