//! How many still read a block that will go back to the kernel: the count behind a
//! [lease](super::block_ring::Lease).
//!
//! ```text
//!        begin        share / leave           leave, the last          settled
//! FREE ---------> 1 reader <---> n readers ----------------> RETURNING --------> FREE
//!                                            give_back runs
//! ```
//!
//! Two things have to come in order. The last reader gives the block back, and by then what all the others have read
//! must be over. And whoever looks for the next block must not meet one that has no reader any more but is not given
//! back either: it would take the same frames again. Hence the step between.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib sys::readers` runs the models: the kernel that writes to what
//! it was given, readers that go in any order, and each memory ordering taken away once to see that the models
//! notice.

use std::sync::atomic::Ordering;

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, fence};

/// Nobody holds the block.
const FREE: u32 = 0;
/// The last reader has gone and is giving the block back. One reader is one more than this, and so on.
const RETURNING: u32 = 1;
/// So many readers and no more: far beyond any number of outputs, and far from where the count would overflow.
const MOST: u32 = 1 << 30;

/// A place where one thread's accesses have to come before another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// A reader leaves: Release, so that its reads of the block come before.
    Leave,
    /// The last one sees that all others have left: Acquire, pairs with `Leave`, so that their reads come before
    /// the block is given back.
    SeeLeft,
    /// The block is free: Release, so that it has been given back before.
    Settle,
    /// Somebody sees that it is free: Acquire, pairs with `Settle`; without it the mark in the block itself
    /// could be seen as it was before it was given back.
    SeeSettled,
}

impl Edge {
    fn ordering(self) -> Ordering {
        #[cfg(loom)]
        if models::is_weakened(self) {
            return Ordering::Relaxed;
        }
        match self {
            Self::Leave | Self::Settle => Ordering::Release,
            Self::SeeLeft | Self::SeeSettled => Ordering::Acquire,
        }
    }
}

/// The readers of one block.
#[derive(Debug)]
pub(super) struct Readers {
    count: AtomicU32,
}

impl Readers {
    pub(super) fn none() -> Self {
        Self { count: AtomicU32::new(FREE) }
    }

    /// True once the block has been given back for good. What was done to give it back is then visible.
    pub(super) fn is_free(&self) -> bool {
        self.count.load(Edge::SeeSettled.ordering()) == FREE
    }

    /// The first reader. Only for who found the block free, and is the only one to look.
    pub(super) fn begin(&self) {
        // Relaxed: nobody else knows of the block yet; those who will are told by whatever hands them their share.
        self.count.store(RETURNING + 1, Ordering::Relaxed);
    }

    /// One reader more, beside the one who asks.
    pub(super) fn share(&self) {
        // Relaxed: as for `begin`. The one who asks is a reader himself, so the count does not fall to none meanwhile.
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        assert!(before < MOST, "a block with so many readers");
    }

    /// One reader less. The last one runs `give_back`; true if it did.
    pub(super) fn leave(&self, give_back: impl FnOnce()) -> bool {
        if self.count.fetch_sub(1, Edge::Leave.ordering()) != RETURNING + 1 {
            return false;
        }
        fence_of(Edge::SeeLeft);
        give_back();
        self.count.store(FREE, Edge::Settle.ordering());
        true
    }
}

/// A fence of that edge's ordering; a relaxed one, which there is not, is none.
fn fence_of(edge: Edge) {
    match edge.ordering() {
        Ordering::Relaxed => {}
        ordering => fence(ordering),
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::LazyLock;

    const WEAKENED: &str = "WHARF_READERS_WEAKENED";
    const USER: u32 = 1;

    pub(super) fn is_weakened(edge: Edge) -> bool {
        static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(WEAKENED).ok());
        NAMED.as_deref() == Some(format!("{edge:?}").as_str())
    }

    /// A block as the kernel sees it: its owner in the status word, and what is in it.
    struct Block {
        readers: Readers,
        status: AtomicU32,
        filling: UnsafeCell<u32>,
    }

    impl Block {
        /// Filled once, and taken: one reader.
        fn taken() -> Arc<Self> {
            let block =
                Self { readers: Readers::none(), status: AtomicU32::new(USER), filling: UnsafeCell::new(1) };
            block.readers.begin();
            Arc::new(block)
        }

        fn read(&self) -> u32 {
            self.filling.with(|filling| {
                // SAFETY: loom, which runs this, reports it when a write is not ordered with it.
                unsafe { *filling }
            })
        }

        fn leave(&self) -> bool {
            self.readers.leave(|| self.status.store(0, Ordering::Release))
        }

        /// What the kernel does once the block is its own again: fills it and hands it over. False if it is not.
        fn refill(&self) -> bool {
            if self.status.load(Ordering::Acquire) == USER {
                return false;
            }
            self.filling.with_mut(|filling| {
                // SAFETY: as in `read`.
                unsafe {
                    *filling += 1;
                }
            });
            self.status.store(USER, Ordering::Release);
            true
        }

        /// What the owner of the ring does when it comes round to the block.
        fn take(&self) -> Option<u32> {
            (self.readers.is_free() && self.status.load(Ordering::Acquire) == USER).then(|| {
                self.readers.begin();
                self.read()
            })
        }
    }

    /// Two readers leave in any order while the kernel waits for the block: it never writes while one of them reads,
    /// and one of them, not both, gives it back.
    fn the_kernel_waits_for_the_last_reader() {
        let block = Block::taken();
        block.readers.share();
        let other = Arc::clone(&block);
        let reader = thread::spawn(move || {
            assert_eq!(other.read(), 1);
            other.leave()
        });
        let kernel = Arc::clone(&block);
        let kernel = thread::spawn(move || kernel.refill());
        assert_eq!(block.read(), 1);
        let last = block.leave();
        let others = reader.join().unwrap();
        assert!(last != others, "one of them gives it back");
        if kernel.join().unwrap() {
            assert_eq!(block.take(), Some(2));
        }
    }

    /// The ring comes round to a block while its reader leaves: it is not taken twice for the same filling.
    fn a_filling_is_taken_once() {
        let block = Block::taken();
        let reader = Arc::clone(&block);
        let reader = thread::spawn(move || {
            reader.leave();
            reader.refill();
        });
        assert_ne!(block.take(), Some(1), "taken already");
        reader.join().unwrap();
    }

    #[test]
    fn holds_for_the_kernel() {
        loom::model(the_kernel_waits_for_the_last_reader);
    }

    #[test]
    fn holds_for_the_ring() {
        loom::model(a_filling_is_taken_once);
    }

    /// Takes one ordering away, in a process of its own as loom may abort, and expects that to be noticed.
    fn finds(model: &str, without: Edge, expected: &str) {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args([&format!("sys::readers::models::{model}"), "--exact", "--nocapture"])
            .env(WEAKENED, format!("{without:?}"))
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success(), "{model} is blind to {without:?}, or it is not needed");
        assert!(said.contains(expected), "{model} without {without:?} found something else:\n{said}");
    }

    #[test]
    fn a_race_with_the_kernel_is_found_when_readers_leave_relaxed() {
        finds("holds_for_the_kernel", Edge::Leave, "Causality violation");
    }

    #[test]
    fn a_race_with_the_kernel_is_found_when_the_last_one_does_not_look() {
        finds("holds_for_the_kernel", Edge::SeeLeft, "Causality violation");
    }

    // Taken by its old mark, it is read while the kernel writes to it.

    #[test]
    fn a_filling_taken_twice_is_found_when_settling_is_relaxed() {
        finds("holds_for_the_ring", Edge::Settle, "Causality violation");
    }

    #[test]
    fn a_filling_taken_twice_is_found_when_it_is_seen_relaxed() {
        finds("holds_for_the_ring", Edge::SeeSettled, "Causality violation");
    }
}
