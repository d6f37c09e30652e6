//! The memory orderings of the ring, each with its reason, in one table.
//!
//! The models in `models.rs` weaken the edges one at a time and expect loom to object, so a reason given here is
//! one that has been tested: take the ordering away and something breaks.

use super::shim::Ordering;

/// A place where one thread's writes have to become visible to the other in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// The producer stores `tail`: Release, so that the items it wrote into the slots come before it.
    PublishItems,
    /// The consumer loads `tail`: Acquire, pairs with `PublishItems`; without it a slot could be read before its
    /// item has arrived.
    SeeItems,
    /// The consumer stores `head`: Release, so that its reads of the slots are over before they are given back.
    ReleaseSlots,
    /// The producer loads `head`: Acquire, pairs with `ReleaseSlots`; without it a slot could be overwritten while
    /// the consumer still reads the item before.
    SeeSlots,
    /// An end raises its `GONE` flag: Release, so that its last index comes before it.
    Leave,
    /// The other end reads that flag: Acquire, pairs with `Leave`. Who has seen `GONE` sees the final index, hence
    /// "gone and empty" means drained and not merely empty so far.
    SeeLeft,
    /// Between storing an index and looking whether the other end sleeps (and, at the sleeper, between saying so
    /// and looking at the index once more) stands a full barrier, because neither Release nor Acquire keeps a
    /// store before a later load. Without it both look too early and the wake-up is lost.
    StoreThenLook,
}

impl Edge {
    #[cfg(loom)]
    pub(super) const ALL: [Self; 7] = [
        Self::PublishItems,
        Self::SeeItems,
        Self::ReleaseSlots,
        Self::SeeSlots,
        Self::Leave,
        Self::SeeLeft,
        Self::StoreThenLook,
    ];

    /// The ordering to use at this edge.
    #[inline(always)]
    pub(super) fn ordering(self) -> Ordering {
        #[cfg(loom)]
        if super::shim::is_weakened(self) {
            return Ordering::Relaxed;
        }
        match self {
            Self::PublishItems | Self::ReleaseSlots | Self::Leave => Ordering::Release,
            Self::SeeItems | Self::SeeSlots | Self::SeeLeft => Ordering::Acquire,
            Self::StoreThenLook => Ordering::SeqCst,
        }
    }
}
