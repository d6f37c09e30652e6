//! A queue being read: its frames, and what the kernel tells of it.

use super::loss::Losses;
use crate::sys::xdp::umem::{Damage, Lease};
use crate::sys::xdp::{Receiver, XdpSocket};
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
}

impl Queue {
    pub(super) fn new(receiver: Receiver) -> Self {
        Self { receiver, losses: Losses::default(), taken: 0, read: Instant::now() }
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
        self.look_if_starved();
        let limit = self.losses.until(self.taken, limit);
        let count = self.receiver.take(limit, each)?;
        if count == 0 {
            return Ok(0);
        }
        let lost = self.losses.before(self.taken);
        self.taken += count as u64;
        if self.read.elapsed() >= READING {
            self.look();
        }
        Ok(lost)
    }

    /// Lets the kernel have all that is free.
    pub(super) fn release(&mut self) {
        self.look_if_starved();
        self.receiver.release();
    }

    /// Reads the kernel's counters where what they have come to by now has a place in the stream.
    fn look_if_starved(&mut self) {
        if self.receiver.fillable() == 0 {
            self.look();
        }
    }

    /// Reads the kernel's counters. Where that fails, the next reading has it all.
    pub(super) fn look(&mut self) {
        self.read = Instant::now();
        if let Ok(counted) = self.receiver.socket().statistics() {
            let came = self.taken + u64::from(self.receiver.pending());
            self.losses.count(counted.lost(), came);
        }
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
