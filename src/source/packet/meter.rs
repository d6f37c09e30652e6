//! What a running capture shows to others: how full its ring is, and what the kernel has counted.

use crate::sys::block_ring::{BlockRing, Watch};
use crate::sys::packet_abi::Statistics;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A look at a capture from outside, while it runs. Looking costs the capture nothing.
///
/// ```no_run
/// use wharf::source::packet::Capture;
///
/// let capture = Capture::on("eth0").open()?;
/// let meter = capture.meter();
/// // ... the capture goes to an engine; anywhere else, now and then:
/// let state = meter.read();
/// println!("ring: {} of {} blocks in use, {} frames dropped", state.in_use, state.blocks, state.dropped);
/// # Ok::<(), wharf::source::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Meter(Vec<Arc<Shared>>);

/// Of one interface whose rings are still to come.
impl Default for Meter {
    fn default() -> Self {
        Self(vec![Arc::default()])
    }
}

#[derive(Debug, Default)]
struct Shared {
    rings: Mutex<Vec<Watch>>,
    received: AtomicU64,
    dropped: AtomicU64,
    freezes: AtomicU64,
}

/// State of a capture at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RingState {
    /// Blocks of its rings.
    pub blocks: usize,
    /// Of these, how many are not the kernel's to fill: waiting to be read, or being read.
    pub in_use: usize,
    /// Frames the kernel had for it, those dropped among them; as of the last reading, a tenth of a second ago or so,
    /// and as old as the last block where none came since.
    pub received: u64,
    /// Frames the kernel dropped because a ring was full; likewise.
    pub dropped: u64,
    /// Times a ring was full; likewise.
    pub freezes: u64,
}

impl Meter {
    /// Several together, each but once.
    pub(super) fn of<'m>(meters: impl Iterator<Item = &'m Self>) -> Self {
        let mut all: Vec<Arc<Shared>> = Vec::new();
        for shared in meters.flat_map(|meter| &meter.0) {
            if !all.iter().any(|known| Arc::ptr_eq(known, shared)) {
                all.push(Arc::clone(shared));
            }
        }
        Self(all)
    }

    /// One ring more.
    pub(super) fn add_ring(&self, ring: &BlockRing) {
        self.0.iter().for_each(|shared| shared.rings().push(ring.watch()));
    }

    /// What the kernel has counted since it was last asked, of one of the rings.
    pub(super) fn add(&self, counted: Statistics) {
        for shared in &self.0 {
            shared.received.fetch_add(counted.packets.into(), Ordering::Relaxed);
            shared.dropped.fetch_add(counted.drops.into(), Ordering::Relaxed);
            shared.freezes.fetch_add(counted.freezes.into(), Ordering::Relaxed);
        }
    }

    /// As it is now.
    #[must_use]
    pub fn read(&self) -> RingState {
        let sum = |of: fn(&Shared) -> u64| self.0.iter().map(|shared| of(shared)).sum();
        let blocks = |of: fn(&Watch) -> usize| -> usize {
            self.0.iter().map(|shared| shared.rings().iter().map(of).sum::<usize>()).sum()
        };
        RingState {
            blocks: blocks(Watch::blocks),
            in_use: blocks(Watch::in_use),
            received: sum(|shared| shared.received.load(Ordering::Relaxed)),
            dropped: sum(|shared| shared.dropped.load(Ordering::Relaxed)),
            freezes: sum(|shared| shared.freezes.load(Ordering::Relaxed)),
        }
    }
}

impl Shared {
    fn rings(&self) -> MutexGuard<'_, Vec<Watch>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
