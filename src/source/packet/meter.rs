//! What a running capture shows to others: how full its ring is, and what the kernel has counted.

use super::counts::{Counts, Totals};
use crate::sys::block_ring::{BlockRing, Watch};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
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
    rings: Mutex<Vec<(Watch, Arc<Counts>)>>,
    /// Its rings were raised.
    raised: AtomicBool,
    news: Mutex<Vec<String>>,
}

/// State of a capture at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RingState {
    /// Blocks of its rings.
    pub blocks: usize,
    /// Of these, how many are not the kernel's to fill: waiting to be read, or being read.
    pub in_use: usize,
    /// Frames the kernel had for it, those dropped among them; as of the last reading, a tenth of a second ago or so
    /// while frames come and are read, and some two seconds at most.
    pub received: u64,
    /// Frames the kernel dropped because a ring was full; likewise.
    pub dropped: u64,
    /// Times a ring was full; likewise.
    pub freezes: u64,
    /// Interfaces whose rings have been raised by now. Those of AF_XDP never are.
    pub raised: usize,
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
    pub(super) fn add_ring(&self, ring: &BlockRing, counts: &Arc<Counts>) {
        self.0.iter().for_each(|shared| shared.rings().push((ring.watch(), Arc::clone(counts))));
    }

    /// The counters of its rings.
    pub(super) fn counts(&self) -> Vec<Arc<Counts>> {
        let of = |shared: &Arc<Shared>| -> Vec<_> {
            shared.rings().iter().map(|(_, counts)| Arc::clone(counts)).collect()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// What became of raising the rings, a sentence each as it happened: that they were, or why they could not be.
    #[must_use]
    pub fn news(&self) -> Vec<String> {
        let news = |shared: &Arc<Shared>| shared.news.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.iter().flat_map(news).collect()
    }

    /// Has it be known.
    pub(super) fn tell(&self, raised: bool, what: &str) {
        for shared in &self.0 {
            shared.news.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
            // Relaxed: a flag of its own.
            shared.raised.fetch_or(raised, Ordering::Relaxed);
        }
    }

    /// As it is now.
    #[must_use]
    pub fn read(&self) -> RingState {
        let mut state = RingState::default();
        for shared in &self.0 {
            state.raised += usize::from(shared.raised.load(Ordering::Relaxed));
            for (watch, counts) in shared.rings().iter() {
                let Totals { packets, drops, freezes, .. } = counts.last();
                state.blocks += watch.blocks();
                state.in_use += watch.in_use();
                state.received += packets;
                state.dropped += drops;
                state.freezes += freezes;
            }
        }
        state
    }
}

impl Shared {
    fn rings(&self) -> MutexGuard<'_, Vec<(Watch, Arc<Counts>)>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
