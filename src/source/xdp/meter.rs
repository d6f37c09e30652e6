//! What a running capture shows to others: how full its memory is, and what the kernel has counted.

use crate::source::packet::RingState;
use crossbeam::utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A look at a capture from outside, while it runs. A chunk is what a [`RingState`] calls a block; all of it is as of
/// the last reading, a hundredth of a second ago or so, a tenth where nothing came since.
///
/// ```no_run
/// use wharf::source::xdp::Capture;
///
/// let capture = Capture::on("eth1").open()?;
/// let meter = capture.meter();
/// // ... the capture goes to an engine; anywhere else, now and then:
/// let state = meter.read();
/// println!("memory: {} of {} chunks in use, {} frames dropped", state.in_use, state.blocks, state.dropped);
/// # Ok::<(), wharf::source::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Meter(pub(super) Vec<Arc<Shared>>);

/// What is shown of a queue.
#[derive(Debug, Default)]
pub(super) struct Shared {
    chunks: u64,
    counts: CachePadded<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    in_use: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
    overflows: AtomicU64,
}

impl Shared {
    /// Of a queue with so many chunks.
    pub(super) fn new(chunks: usize) -> Self {
        Self { chunks: chunks as u64, counts: CachePadded::default() }
    }

    /// The queue's reader has looked: so many chunks are not the kernel's to fill, and so many frames had come and were
    /// dropped in all.
    pub(super) fn show(&self, in_use: u64, received: u64, dropped: u64, overflows: u64) {
        // Relaxed: each is a figure of its own.
        self.counts.in_use.store(in_use, Ordering::Relaxed);
        self.counts.received.store(received, Ordering::Relaxed);
        self.counts.dropped.store(dropped, Ordering::Relaxed);
        self.counts.overflows.store(overflows, Ordering::Relaxed);
    }
}

impl Meter {
    /// As it is now. `freezes` are the readings by which frames had been dropped since the one before.
    #[must_use]
    pub fn read(&self) -> RingState {
        let sum = |of: fn(&Counts) -> &AtomicU64| -> u64 {
            self.0.iter().map(|queue| of(&queue.counts).load(Ordering::Relaxed)).sum()
        };
        RingState {
            blocks: self.0.iter().map(|queue| queue.chunks as usize).sum(),
            in_use: sum(|counts| &counts.in_use) as usize,
            received: sum(|counts| &counts.received),
            dropped: sum(|counts| &counts.dropped),
            freezes: sum(|counts| &counts.overflows),
            raised: 0,
        }
    }
}
