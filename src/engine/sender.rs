//! A worker's way to an output: the one place in the program where a packet may be dropped.

use super::Policy;
use super::lanes::Gaps;
use super::load::Parcel;
use crate::ring::{Producer, PushError};

/// The writing end of a ring, and what to do when it is full.
pub(super) struct Sender<'g> {
    ring: Producer<Parcel>,
    policy: Policy,
    /// Where other workers' chunks may be waited for beside ours.
    gaps: Option<&'g Gaps>,
    /// Packets lost that the output has not been told of.
    pub(super) lost: u64,
}

/// What became of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is in the ring.
    Taken,
    /// The ring was full, and what does not fit is to be dropped.
    Dropped,
    /// The output has gone: it has panicked.
    Closed,
}

impl<'g> Sender<'g> {
    /// `gaps` are told of what is dropped; `None` for the only worker, whose ring is the order.
    pub(super) fn new(ring: Producer<Parcel>, policy: Policy, gaps: Option<&'g Gaps>) -> Self {
        Self { ring, policy, gaps, lost: 0 }
    }

    /// Hands over what the chunk with that number has for the output.
    pub(super) fn send(&mut self, number: u64, parcel: Parcel) -> Sent {
        let mut parcel = parcel;
        loop {
            parcel = match self.ring.push(parcel) {
                Ok(()) => return Sent::Taken,
                Err(PushError::Closed(_)) => return Sent::Closed,
                Err(PushError::Full(parcel)) => parcel,
            };
            match self.policy {
                Policy::Wait if self.ring.wait().is_ok() => {}
                Policy::Wait => return Sent::Closed,
                Policy::Drop => break,
            }
        }
        // What was leased goes back before anything else.
        drop(parcel);
        if let Some(gaps) = self.gaps {
            gaps.add(number);
            // In this order: the output is woken and sees the gap; or the ring is full, and it will look once it has
            // emptied it.
            let _ = self.ring.push(Parcel::Nudge);
        }
        Sent::Dropped
    }

    /// Asks the output to show what it has. Where the ring is full it is at work, and busy enough.
    pub(super) fn flush(&mut self) {
        let _ = self.ring.push(Parcel::Flush);
    }

    /// Parcels in the ring.
    pub(super) fn queued(&self) -> usize {
        self.ring.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::spsc;

    fn send(sender: &mut Sender<'_>, number: u64) -> Sent {
        sender.send(number, Parcel::Nothing { number })
    }

    #[test]
    fn a_full_ring_drops_and_says_so_to_whoever_waits_for_the_number() {
        let gaps = Gaps::default();
        let (ring, mut consumer) = spsc(2);
        let mut sender = Sender::new(ring, Policy::Drop, Some(&gaps));
        let sent: Vec<_> = (0..4).map(|number| send(&mut sender, number)).collect();
        assert_eq!(sent, [Sent::Taken, Sent::Taken, Sent::Dropped, Sent::Dropped]);
        assert_eq!(consumer.drain(9).filter_map(|parcel| parcel.number()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(send(&mut sender, 4), Sent::Taken);
        drop(consumer);
        assert_eq!(send(&mut sender, 5), Sent::Closed);
    }

    #[test]
    fn a_full_ring_waits_until_there_is_room_or_nobody_left() {
        let (ring, mut consumer) = spsc(1);
        let mut sender = Sender::new(ring, Policy::Wait, None);
        let reader = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while seen.len() < 3 && consumer.wait().is_ok() {
                seen.extend(consumer.drain(1).filter_map(|parcel| parcel.number()));
            }
            seen
        });
        let sent: Vec<_> = (0..3).map(|number| send(&mut sender, number)).collect();
        assert_eq!(reader.join().unwrap(), [0, 1, 2]);
        assert_eq!(sent, [Sent::Taken; 3]);
        assert_eq!(send(&mut sender, 3), Sent::Closed);
    }
}
