//! A table of frames sent round and round by the kernel itself, no socket in between.

use super::{Error, Refusal, Sent};
use crate::frame::Record;
use crate::sys::interfaces::InterfaceInfo;
use crate::sys::problem::Problem;
use crate::sys::xdp::LiveFrames;
use crate::sys::{LinkCounters, link_counters};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Frames asked for at first, to see whether any go out, and then to see how fast.
const PROBE: u32 = 64;
const TRIAL: u32 = 1 << 16;
/// After that so many seconds' worth at a time: beginning and ending a run takes the kernel some 30 ms, most of it for
/// an RCU grace period. A signal ends one before.
const PORTION: f64 = 1.0;

/// Sends the distinct frames of a table out of an interface by [`LiveFrames`]: millions a second, into what can take
/// frames without an `sk_buff` (a veth whose other end has an XDP program or GRO on, many network cards).
///
/// There is no pace but flat out. Frames that cannot be handed over are gone: the interface's counters tell how many.
#[derive(Debug)]
pub struct TransmitLive {
    device: InterfaceInfo,
    frames: LiveFrames,
    /// Lengths in the table.
    lengths: Vec<u32>,
    /// Where in the table the next frame stands.
    next: usize,
    duration: Option<Duration>,
    stop: Arc<AtomicBool>,
}

impl TransmitLive {
    pub(super) fn new(
        device: InterfaceInfo,
        frames: LiveFrames,
        table: &[Record],
        duration: Option<Duration>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let lengths = table.iter().map(|record| record.captured).collect();
        Self { device, frames, lengths, next: 0, duration, stop }
    }

    /// Has so many frames made, or as many as until the end comes; gives the account, and what the interface counted
    /// meanwhile. Frames that it dropped are refused.
    ///
    /// # Errors
    /// [`Error::Interface`] when the kernel cannot do it, or nothing of the first frames went out.
    pub fn run(&mut self, count: u64) -> Result<(Sent, LinkCounters), Error> {
        let before = link_counters(self.device.index).map_err(|error| self.failed(error))?;
        let mut sent = Sent::default();
        let start = Instant::now();
        let mut portion = PROBE;
        while sent.frames < count && !self.stop.load(Ordering::Relaxed) {
            let left = self.duration.map(|duration| duration.saturating_sub(start.elapsed()));
            if left == Some(Duration::ZERO) {
                break;
            }
            let began = Instant::now();
            let wanted = u32::try_from(count - sent.frames).unwrap_or(u32::MAX).min(portion);
            let made = self.frames.send(wanted);
            let made =
                made.map_err(|error| self.failed(Problem::with("the kernel makes no live frames")(error)))?;
            sent.frames += u64::from(made);
            sent.bytes += (0..made).map(|_| self.length_of_next()).sum::<u64>();
            portion = if portion == PROBE {
                self.check(before)?;
                TRIAL
            } else {
                let rate = f64::from(made) / began.elapsed().as_secs_f64();
                let left = self.duration.map(|duration| duration.saturating_sub(start.elapsed()));
                let seconds = left.map_or(PORTION, |left| left.as_secs_f64().min(PORTION));
                // A cast saturates.
                ((rate * seconds) as u32).max(TRIAL)
            };
        }
        sent.elapsed = start.elapsed();
        let after = link_counters(self.device.index).map_err(|error| self.failed(error))?;
        let counted = after - before;
        sent.offered = sent.frames;
        if counted.tx_dropped > 0 {
            let dropped = counted.tx_dropped.min(sent.frames);
            sent.frames -= dropped;
            sent.bytes = sent.bytes.min(counted.tx_bytes);
            sent.refused.insert(Refusal::Dropped, dropped);
        }
        Ok((sent, counted))
    }

    fn length_of_next(&mut self) -> u64 {
        let length = self.lengths[self.next];
        self.next = if self.next + 1 == self.lengths.len() { 0 } else { self.next + 1 };
        u64::from(length)
    }

    /// Whether frames go out at all: redirecting into a device that cannot take them fails without a word.
    fn check(&self, before: LinkCounters) -> Result<(), Error> {
        // Counted by the other end of a veth pair as it takes them, which another CPU may do.
        for _ in 0..100 {
            let counted = link_counters(self.device.index).unwrap_or_default() - before;
            if counted.tx_packets + counted.tx_dropped + counted.tx_errors > 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(self.failed(
            "no live frame goes out: the device cannot be redirected to; the other end of a veth pair must be up and \
             have GRO on (ethtool -K PEER gro on) or an XDP program",
        ))
    }

    fn failed(&self, problem: impl Into<Problem>) -> Error {
        Error::of_interface(self.device.name.clone(), problem)
    }
}
