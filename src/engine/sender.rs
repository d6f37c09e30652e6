//! A worker's way to an output: the one place in the program where a packet may be dropped.

use super::Policy;
use super::lanes::Gaps;
use super::load::Parcel;
use crate::ring::{Producer, PushError};
use std::collections::VecDeque;

/// The writing end of a ring, and what to do when it is full.
pub(super) struct Sender<'g> {
    ring: Producer<Parcel>,
    policy: Policy,
    /// Where other workers' chunks may be waited for beside ours.
    gaps: Option<&'g Gaps>,
    /// Packets lost that the output has not been told of.
    pub(super) lost: u64,
    /// Where it drops: bytes of memory that may be under way, however many parcels that is.
    most: u64,
    /// Bytes that each of the parcels in the ring keeps, and perhaps of some that were there before them; and the sum.
    kept: VecDeque<u64>,
    sum: u64,
    /// What went into the ring last asks for no more than what is to be asked for next.
    flushing: bool,
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
    /// Where it drops, it does so too when more than `most` bytes would be under way.
    pub(super) fn new(ring: Producer<Parcel>, policy: Policy, gaps: Option<&'g Gaps>, most: u64) -> Self {
        Self { ring, policy, gaps, lost: 0, most, kept: VecDeque::new(), sum: 0, flushing: false }
    }

    /// Hands over what the chunk with that number has for the output.
    pub(super) fn send(&mut self, number: u64, parcel: Parcel) -> Sent {
        let bytes = parcel.bytes();
        let mut parcel = parcel;
        if self.policy == Policy::Wait || self.has_room_for(bytes) {
            loop {
                parcel = match self.ring.push(parcel) {
                    Ok(()) => {
                        self.note(bytes);
                        return Sent::Taken;
                    }
                    Err(PushError::Closed(_)) => return Sent::Closed,
                    Err(PushError::Full(parcel)) => parcel,
                };
                match self.policy {
                    Policy::Wait if self.ring.wait().is_ok() => {}
                    Policy::Wait => return Sent::Closed,
                    Policy::Drop => break,
                }
            }
        } else if self.ring.is_closed() {
            return Sent::Closed;
        }
        // What was leased goes back before anything else.
        drop(parcel);
        if let Some(gaps) = self.gaps {
            gaps.add(number);
            // In this order: the output is woken and sees the gap; or the ring is full, and it will look once it has
            // emptied it.
            if self.ring.push(Parcel::Nudge).is_ok() {
                self.note(0);
            }
        }
        Sent::Dropped
    }

    /// Asks the output to show what it has. Where the ring is full it is at work, and busy enough; where it has been asked,
    /// and has not come to that yet, once will do.
    pub(super) fn flush(&mut self) {
        if self.flushing && !self.ring.is_empty() {
            return;
        }
        if self.ring.push(Parcel::Flush).is_ok() {
            self.note(0);
            self.flushing = true;
        }
    }

    /// Takes in that a parcel with so many bytes has gone into the ring.
    fn note(&mut self, bytes: u64) {
        self.flushing = false;
        if self.policy == Policy::Drop {
            self.kept.push_back(bytes);
            self.sum += bytes;
            self.forget();
        }
    }

    /// Whether so many bytes more may be under way: they may where nothing else is.
    fn has_room_for(&mut self, bytes: u64) -> bool {
        if self.sum + bytes <= self.most {
            return true;
        }
        self.forget();
        self.sum == 0 || self.sum + bytes <= self.most
    }

    /// Forgets what is not in the ring any more.
    fn forget(&mut self) {
        let gone = self.kept.len().saturating_sub(self.ring.len());
        self.sum -= self.kept.drain(..gone).sum::<u64>();
    }

    /// Parcels in the ring.
    pub(super) fn queued(&self) -> usize {
        self.ring.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::{Load, Shared};
    use super::super::{MOST_BYTES, MOST_CHUNKS};
    use super::*;
    use crate::frame::{Batch, Frame, Interface, LinkType};
    use crate::ring::spsc;
    use crate::source::BATCH;
    use crossbeam::utils::CachePadded;

    fn send(sender: &mut Sender<'_>, number: u64) -> Sent {
        sender.send(number, Parcel::Nothing { number })
    }

    #[test]
    fn a_full_ring_drops_and_says_so_to_whoever_waits_for_the_number() {
        let gaps = Gaps::default();
        let (ring, mut consumer) = spsc(2);
        let mut sender = Sender::new(ring, Policy::Drop, Some(&gaps), u64::MAX);
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
        let mut sender = Sender::new(ring, Policy::Wait, None, 0);
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

    /// A chunk of so many packets, copied.
    fn load(number: u64, packets: usize) -> Parcel {
        let data = [0; 60];
        let frame = Frame::new(LinkType::ETHERNET, &data);
        let interfaces = [Interface { link_type: LinkType::ETHERNET, ..Interface::default() }];
        let records = vec![frame.record; packets.min(BATCH)];
        let mut load = Load::default();
        (0..packets.div_ceil(BATCH)).for_each(|_| load.chunk.push(Batch::new(&data, &records, &interfaces)));
        load.number = number;
        Parcel::Load { load: Shared::new(CachePadded::new(load)), lease: None, lost: 0 }
    }

    /// What has waited for a process that was stopped: as many chunks as the kernel's rings have blocks, nearly empty.
    #[test]
    fn a_backlog_of_small_chunks_is_not_dropped() {
        let (ring, mut consumer) = spsc(MOST_CHUNKS);
        let mut sender = Sender::new(ring, Policy::Drop, None, MOST_BYTES);
        for number in 0..2_000 {
            assert_eq!(sender.send(number, load(number, 1)), Sent::Taken, "{number}");
            (0..20).for_each(|_| sender.flush());
        }
        assert_eq!(sender.queued(), 4_000, "each chunk, and one request to show it");
        assert_eq!(consumer.drain(9_999).filter_map(|parcel| parcel.number()).count(), 2_000);
    }

    #[test]
    fn of_large_chunks_no_more_are_under_way_than_memory_is_for_them() {
        let (ring, mut consumer) = spsc(MOST_CHUNKS);
        let most = 4 * load(0, 2 * BATCH).bytes();
        let mut sender = Sender::new(ring, Policy::Drop, None, most);
        for round in 0..5 {
            for number in 0..6 {
                let expected = if number < 4 { Sent::Taken } else { Sent::Dropped };
                assert_eq!(sender.send(number, load(number, 2 * BATCH)), expected, "{round} {number}");
            }
            assert_eq!(consumer.drain(9).count(), 4);
        }
        // One that is larger than that by itself goes where there is nothing else.
        assert_eq!(sender.send(6, load(6, 100 * BATCH)), Sent::Taken);
        assert_eq!(sender.send(7, load(7, 1)), Sent::Dropped);
        drop(consumer);
        assert_eq!(sender.send(8, load(8, 1)), Sent::Closed);
    }
}
