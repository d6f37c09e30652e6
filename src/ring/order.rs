//! The memory orderings of the ring, each with its reason, in one table.
//!
//! The models in `models.rs` weaken the edges one at a time and expect loom to object, so a reason given here is
//! one that has been tested: take the ordering away and something breaks. Half of one is beyond them, and says so
//! (`Wake`). What is Relaxed without an edge is ordered by one of these, or needs no order.

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
    /// An end raises its `WAITING` flag: Release, so that the index worth a wake-up, and the thread to wake, come before
    /// it. Its own look at what it waits for is kept behind by `StoreThenLook`.
    Arm,
    /// The other end, having stored its index, reads that flag: Acquire, pairs with `Arm`; without it an older index
    /// would count, and a sleeper be woken for less than it asked for.
    SeeArmed,
    /// The other end takes that flag away. Release, pairs with the barrier after `Arm`: of `Leave` and `Arm` whichever
    /// comes second sees the other, so that who waits for an end that has gone is woken or does not sleep. Acquire,
    /// pairs with `Arm`: the thread to wake is there. That second half no model shows, since loom's mutex, which guards
    /// the thread, is taken in the order of the run whatever the orderings around it.
    Wake,
    /// Between storing an index and looking whether the other end sleeps (and, at the sleeper, between saying so
    /// and looking at the index once more) stands a full barrier, because neither Release nor Acquire keeps a
    /// store before a later load. Without it both look too early and the wake-up is lost.
    StoreThenLook,
}

impl Edge {
    #[cfg(loom)]
    pub(super) const ALL: [Self; 10] = [
        Self::PublishItems,
        Self::SeeItems,
        Self::ReleaseSlots,
        Self::SeeSlots,
        Self::Leave,
        Self::SeeLeft,
        Self::Arm,
        Self::SeeArmed,
        Self::Wake,
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
            Self::PublishItems | Self::ReleaseSlots | Self::Leave | Self::Arm => Ordering::Release,
            Self::SeeItems | Self::SeeSlots | Self::SeeLeft | Self::SeeArmed => Ordering::Acquire,
            Self::Wake => Ordering::AcqRel,
            Self::StoreThenLook => Ordering::SeqCst,
        }
    }
}
