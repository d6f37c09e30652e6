//! A queue being read: its frames, and what the kernel tells of it.

use super::loss::Losses;
use super::meter::Shared;
use super::usage::Usage;
use crate::source::RingUse;
use crate::sys::xdp::{Damage, Lease, Receiver, XdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time between two readings of the kernel's counters while frames come.
const READING: Duration = Duration::from_millis(10);

/// A queue of the interface.
#[derive(Debug)]
pub(super) struct Queue {
    receiver: Receiver,
    losses: Losses,
    /// Frames taken.
    taken: u64,
    /// When the kernel's counters were last read.
    read: Instant,
    /// Frames dropped by then; and how many of them not for want of a chunk, but because they did not fit one.
    dropped: (u64, u64),
    /// Readings that had moved.
    overflows: u64,
    usage: Usage,
    shown: Arc<Shared>,
}

impl Queue {
    pub(super) fn new(receiver: Receiver) -> Self {
        Self {
            losses: Losses::default(),
            taken: 0,
            read: Instant::now(),
            dropped: (0, 0),
            overflows: 0,
            usage: Usage::default(),
            shown: Arc::new(Shared::new(receiver.chunks().0)),
            receiver,
        }
    }

    pub(super) fn socket(&self) -> &XdpSocket {
        self.receiver.socket()
    }

    /// Frames to be taken.
    pub(super) fn pending(&mut self) -> u32 {
        self.receiver.pending()
    }

    /// Takes the next run of frames, at most `limit` of them, as [`Receiver::take`] does. Gives how many were lost before
    /// the first of them.
    pub(super) fn take(&mut self, limit: usize, each: impl FnMut(u32, u32)) -> Result<u64, Damage> {
        let in_use = self.look_if_starved();
        let limit = self.losses.until(self.taken, limit);
        let count = self.receiver.take(limit, each)?;
        if count == 0 {
            return Ok(0);
        }
        let lost = self.losses.before(self.taken);
        self.taken += count as u64;
        let now = Instant::now();
        self.usage.in_use(in_use);
        self.usage.note(now, count as u64);
        if now.duration_since(self.read) >= READING {
            self.look();
        }
        Ok(lost)
    }

    /// Lets the kernel have all that is free.
    pub(super) fn release(&mut self) {
        self.look_if_starved();
        self.receiver.release();
    }

    /// Reads the kernel's counters where what they have come to by now has a place in the stream. Gives how many chunks
    /// are not the kernel's.
    fn look_if_starved(&mut self) -> u64 {
        let in_use = self.in_use();
        if in_use == self.receiver.chunks().0 as u64 {
            self.look();
        }
        in_use
    }

    fn in_use(&mut self) -> u64 {
        (self.receiver.chunks().0 as u64).saturating_sub(self.receiver.fillable().into())
    }

    /// Reads the kernel's counters. Where that fails, the next reading has it all.
    pub(super) fn look(&mut self) {
        self.read = Instant::now();
        if let Ok(counted) = self.receiver.socket().statistics() {
            let came = self.taken + u64::from(self.receiver.pending());
            let lost = counted.lost();
            self.overflows += u64::from(self.losses.count(lost, came));
            self.dropped = (lost, counted.rx_dropped.saturating_sub(counted.fill_ring_empty));
            let in_use = self.in_use();
            self.shown.show(in_use, came + lost, lost, self.overflows);
        }
    }

    /// What is shown of it, as of the last reading.
    pub(super) fn shown(&self) -> &Arc<Shared> {
        &self.shown
    }

    /// How its memory fared as of the last reading, with what to do where there was too little.
    pub(super) fn told(&self) -> RingUse {
        let (dropped, misfits) = self.dropped;
        let mut notes = Vec::new();
        if dropped > misfits {
            notes.push("memory was too small for how long nobody read: give it more (-B KIB)".to_owned());
        }
        if misfits > 0 {
            notes.push(
                "some of the dropped packets were too long for a chunk: see the interface's MTU, GRO and LRO"
                    .to_owned(),
            );
        }
        let chunks = self.receiver.chunks().0 as u64;
        let used = self.usage.told(chunks, self.receiver.chunk() as u64, dropped > misfits);
        RingUse { notes, ..used }
    }

    /// Bytes of the run taken last.
    pub(super) fn bytes(&self) -> &[u8] {
        self.receiver.bytes()
    }

    /// Chunks in all, and how many of them are leased out.
    pub(super) fn chunks(&self) -> (usize, usize) {
        self.receiver.chunks()
    }

    /// Lends the run taken last.
    pub(super) fn lease(&mut self) -> Option<Lease> {
        self.receiver.lease()
    }
}
