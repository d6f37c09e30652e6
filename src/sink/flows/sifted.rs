//! How far a source has been read without a gap, by several threads together.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Looks at the counter before a thread sleeps: the others are mostly as good as there, and to be woken takes longer.
const PATIENCE: u32 = 4_000;

/// Chunks by number.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// All below have been read.
    below: AtomicU64,
    /// Those that have been besides.
    beyond: Mutex<BTreeSet<u64>>,
    changed: Condvar,
}

impl Sifted {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.beyond.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_all_below(&self, number: u64) -> bool {
        // Acquire: with what the others have left before they said so.
        self.below.load(Ordering::Acquire) >= number
    }

    /// This chunk has been read.
    pub(super) fn pass(&self, number: u64) {
        let mut beyond = self.lock();
        let mut below = self.below.load(Ordering::Relaxed);
        if number >= below {
            beyond.insert(number);
        }
        while beyond.remove(&below) {
            below += 1;
        }
        self.below.store(below, Ordering::Release);
        drop(beyond);
        self.changed.notify_all();
    }

    /// Waits until all chunks before this one have been read, too.
    pub(super) fn wait_for_all_before(&self, number: u64) {
        for _ in 0..PATIENCE {
            if self.has_all_below(number) {
                return;
            }
            std::hint::spin_loop();
        }
        let early = |_: &mut BTreeSet<u64>| !self.has_all_below(number);
        drop(self.changed.wait_while(self.lock(), early));
    }

    /// Nobody is to wait any more.
    pub(super) fn abandon(&self) {
        let beyond = self.lock();
        self.below.store(u64::MAX, Ordering::Release);
        drop(beyond);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn who_is_ahead_waits_for_those_before() {
        let sifted = Sifted::default();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                sifted.pass(2);
                sifted.wait_for_all_before(2);
                sifted.below.load(Ordering::Relaxed)
            });
            sifted.pass(1);
            assert!(!sifted.has_all_below(1));
            sifted.pass(0);
            assert!((2..=3).contains(&waiting.join().unwrap()));
        });
        assert!(sifted.has_all_below(3) && !sifted.has_all_below(4));
        sifted.abandon();
        sifted.wait_for_all_before(9);
    }
}
