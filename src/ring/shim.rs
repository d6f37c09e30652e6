//! What the ring takes from `std`, or from loom when it is being model-checked (`--cfg loom`).

pub(super) use imp::*;
pub(super) use std::sync::atomic::Ordering;

#[cfg(not(loom))]
mod imp {
    use std::hint::spin_loop;
    use std::ops::Range;
    use std::sync::OnceLock;
    use std::sync::atomic::{compiler_fence, fence};

    use rustix::thread::{MembarrierCommand, MembarrierQuery, membarrier, membarrier_query};

    use super::super::order::Edge;

    pub(in crate::ring) use std::sync::atomic::{AtomicU32, AtomicUsize};
    pub(in crate::ring) use std::sync::{Arc, Mutex};
    pub(in crate::ring) use std::thread::{Thread, current, park, park_timeout};

    /// loom's record of who touches which slot; nothing in an ordinary build.
    pub(in crate::ring) struct Track;

    impl Track {
        pub(in crate::ring) fn new(_capacity: usize) -> Self {
            Self
        }

        #[inline(always)]
        pub(in crate::ring) fn reading(&self, _slots: Range<usize>) {}

        #[inline(always)]
        pub(in crate::ring) fn writing(&self, _slots: Range<usize>) {}
    }

    /// The two halves of a full barrier: `light` for the side that runs on every batch, `heavy` for the side that
    /// is about to sleep.
    ///
    /// With membarrier(2) the light half costs nothing at run time: the heavy half makes the kernel run a full
    /// barrier on every core that runs a thread of this process. Where the call is missing both are plain fences.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::ring) struct Barrier {
        membarrier: bool,
    }

    impl Barrier {
        /// Asks the kernel, once per process.
        pub(in crate::ring) fn new() -> Self {
            static REGISTERED: OnceLock<bool> = OnceLock::new();
            let membarrier = *REGISTERED.get_or_init(|| {
                membarrier_query().contains(MembarrierQuery::PRIVATE_EXPEDITED)
                    && membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
            });
            Self { membarrier }
        }

        #[inline(always)]
        pub(in crate::ring) fn light(self) {
            let full = Edge::StoreThenLook.ordering();
            if self.membarrier { compiler_fence(full) } else { fence(full) }
        }

        /// Whether the barrier happened: a seccomp filter installed since may forbid the call.
        pub(in crate::ring) fn heavy(self) -> bool {
            fence(Edge::StoreThenLook.ordering());
            !self.membarrier || membarrier(MembarrierCommand::PrivateExpedited).is_ok()
        }
    }

    /// Spinning, up to a number of pauses, and looking after 8 of them at most: a small ring is full or empty within
    /// a microsecond.
    ///
    /// crossbeam's `Backoff` looks less often and yields to the scheduler before it gives up; between two busy threads
    /// that made the ends overshoot in turns, down to a tenth of the throughput.
    pub(in crate::ring) struct Spin {
        turn: u32,
        left: u32,
    }

    impl Spin {
        pub(in crate::ring) fn new(pauses: u32) -> Self {
            Self { turn: 1, left: pauses }
        }

        /// One turn; false once it is time to sleep.
        pub(in crate::ring) fn turn(&mut self) -> bool {
            (0..self.turn).for_each(|_| spin_loop());
            self.left = self.left.saturating_sub(self.turn);
            self.turn = (self.turn * 2).min(8);
            self.left > 0
        }
    }
}

#[cfg(loom)]
mod imp {
    use std::ops::Range;
    use std::sync::LazyLock;
    use std::time::Duration;

    use loom::cell::UnsafeCell;
    use loom::sync::atomic::fence;

    use super::super::order::Edge;

    pub(in crate::ring) use loom::sync::atomic::{AtomicU32, AtomicUsize};
    pub(in crate::ring) use loom::sync::{Arc, Mutex};
    pub(in crate::ring) use loom::thread::{Thread, current, park};

    /// loom knows no time: a nap that may end at once.
    pub(in crate::ring) fn park_timeout(_: Duration) {
        loom::thread::yield_now();
    }

    /// A checked cell beside each slot: loom reports accesses to it that nothing orders.
    pub(in crate::ring) struct Track(Box<[UnsafeCell<()>]>);

    impl Track {
        pub(in crate::ring) fn new(capacity: usize) -> Self {
            Self((0..capacity).map(|_| UnsafeCell::new(())).collect())
        }

        pub(in crate::ring) fn reading(&self, slots: Range<usize>) {
            self.0[slots].iter().for_each(|cell| cell.with(|_| ()));
        }

        pub(in crate::ring) fn writing(&self, slots: Range<usize>) {
            self.0[slots].iter().for_each(|cell| cell.with_mut(|_| ()));
        }
    }

    /// Plain fences: what membarrier gives, and what loom can follow.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::ring) struct Barrier;

    impl Barrier {
        pub(in crate::ring) fn new() -> Self {
            Self
        }

        pub(in crate::ring) fn light(self) {
            if !is_weakened(Edge::StoreThenLook) {
                fence(Edge::StoreThenLook.ordering());
            }
        }

        pub(in crate::ring) fn heavy(self) -> bool {
            self.light();
            true
        }
    }

    /// Spinning would only multiply the interleavings: sleep at once.
    pub(in crate::ring) struct Spin;

    impl Spin {
        pub(in crate::ring) fn new(_pauses: u32) -> Self {
            Self
        }

        pub(in crate::ring) fn turn(&mut self) -> bool {
            false
        }
    }

    /// The variable that names the edge to take away: a model that then fails has shown that it would notice.
    pub(in crate::ring) const WEAKENED: &str = "WHARF_RING_WEAKENED";

    pub(in crate::ring) fn is_weakened(edge: Edge) -> bool {
        static NAMED: LazyLock<Option<Edge>> = LazyLock::new(|| {
            let name = std::env::var(WEAKENED).ok()?;
            let edge = Edge::ALL.into_iter().find(|edge| format!("{edge:?}") == name);
            Some(edge.unwrap_or_else(|| panic!("{WEAKENED}={name} is not one of {:?}", Edge::ALL)))
        });
        *NAMED == Some(edge)
    }
}
