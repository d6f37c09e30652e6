//! IP packets put together from their fragments (RFC 791 3.2, RFC 8200 4.5), ahead of whatever looks into packets.
//!
//! A [`Defragmenter`] takes packets as they were captured. One that is no fragment passes; of the others each is kept until
//! all of its packet are there. What it may keep is bounded in memory and in time: when there is no room, the packet that was
//! begun first is given up; so is one that is not whole 30 seconds after its first fragment came. Both are counted.
//!
//! Overlapping fragments make an IPv6 packet void, and all of it that is still to come (RFC 5722; an exact repetition may be
//! ignored, RFC 8200 4.5). In IPv4 [`Options::overlap`] says which bytes are taken.

mod datagram;
mod fragment;
#[cfg(test)]
mod tests;

use super::reassembly::Overlap;
use crate::frame::Timestamp;
use crate::parse::{Carried, Packet};
use crate::recency::Recency;
use datagram::{Datagram, Verdict};
pub(crate) use fragment::layer;
use fragment::{Fragment, Key};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What a defragmenter may use, and how it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Of bytes that came twice, in IPv4.
    pub overlap: Overlap,
    /// Most bytes of memory for fragments that wait.
    pub memory: usize,
    /// Most packets that may be incomplete at a time.
    pub packets: usize,
    /// How long after its first fragment a packet must be whole, by the packets' own time.
    pub timeout: Duration,
}

impl Default for Options {
    /// First come, first taken; 16 MiB, 65,536 packets, 30 seconds (as Linux has it for IPv4).
    fn default() -> Self {
        Self { overlap: Overlap::First, memory: 16 << 20, packets: 1 << 16, timeout: Duration::from_secs(30) }
    }
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is no fragment.
    Whole,
    /// It is one, and waits for others; or was thrown away, as the [`Counters`] say.
    Kept,
    /// It was the last: here is the packet, from its IP header on, as if it had never been cut.
    Complete(Carried),
}

/// What became of all fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Fragments seen.
    pub fragments: u64,
    /// Packets put together.
    pub complete: u64,
    /// Fragments that had come already, byte for byte.
    pub repeated: u64,
    /// Fragments that overlapped others otherwise.
    pub overlapping: u64,
    /// Fragments thrown away because they cannot be right: an odd length, an end beyond 65,535 bytes or beyond the
    /// packet's, another end than before.
    pub malformed: u64,
    /// Fragments thrown away because they were not captured whole.
    pub snapped: u64,
    /// IPv6 packets given up because fragments overlapped.
    pub voided: u64,
    /// Fragments of those that came later.
    pub of_voided: u64,
    /// Packets given up because they were not whole in time, or at the [end](Defragmenter::finish).
    pub timed_out: u64,
    /// Packets given up to make room for others.
    pub evicted: u64,
}

/// Puts IP packets together. See the [module](self).
///
/// ```
/// use wharf::build::{Ipv4, Stack, Udp, fragments};
/// use wharf::flow::fragments::{Defragmenter, Options, Outcome};
/// use wharf::frame::{Frame, LinkType};
/// use wharf::parse::{Packet, parse};
///
/// let mut stack = Stack::new();
/// stack.message(&[7; 3000]).wrap(Udp::new(1, 2)).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
/// let mut defragmenter = Defragmenter::new(Options::default());
/// let mut complete = Vec::new();
/// for fragment in fragments(&stack, 1500, 7).iter().rev() {
///     let frame = Frame::new(LinkType::RAW, fragment);
///     let layers = parse(&frame);
///     if let Outcome::Complete(packet) = defragmenter.packet(&Packet::new(frame, &layers)) {
///         complete.push(packet);
///     }
/// }
/// assert_eq!(complete.len(), 1);
/// assert_eq!(complete[0].data, stack.bytes());
/// ```
#[derive(Debug)]
pub struct Defragmenter {
    options: Options,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_key: HashMap<Key, u32>,
    /// By when they were begun.
    begun: Recency,
    memory: usize,
    counters: Counters,
    /// What there was of those given up, if it is [wanted](Defragmenter::keeping_beginnings).
    given_up: Option<VecDeque<Beginning>>,
}

/// When the first fragment of a packet came, and what there is of the packet up to the first gap.
type Beginning = (Option<Timestamp>, Carried);

#[derive(Debug)]
struct Entry {
    key: Key,
    begun: Option<Timestamp>,
    datagram: Datagram,
}

/// What an incomplete packet costs beside its bytes.
const ENTRY: usize = 256;

impl Defragmenter {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            begun: Recency::default(),
            memory: 0,
            counters: Counters::default(),
            given_up: None,
        }
    }

    /// Also keeps what there was of packets given up, to be [taken](Defragmenter::given_up) after each packet.
    #[must_use]
    pub fn keeping_beginnings(self) -> Self {
        Self { given_up: Some(VecDeque::new()), ..self }
    }

    /// The next packet that was given up although its first fragment had come, now that it is `now`: when the first of its
    /// fragments came, and what there was of it up to the first gap, from its IP header on, as if that were all. Nothing where these
    /// are not [kept](Defragmenter::keeping_beginnings).
    pub fn given_up(&mut self, now: Option<Timestamp>) -> Option<(Option<Timestamp>, Carried)> {
        self.give_up_late(now);
        self.given_up.as_mut()?.pop_front()
    }

    /// There is no more: gives up all that is not whole.
    pub fn finish(&mut self) {
        while let Some(oldest) = self.begun.oldest() {
            self.time_out(oldest);
        }
    }

    /// What became of all fragments so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Bytes of memory in use for packets that are not whole.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.memory
    }

    /// Packets that are not whole.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.by_key.len()
    }

    /// Takes a packet. Fragments are those of its outermost IP layer, or, where that one is whole, of the innermost.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Outcome {
        let Some(ip) = layer(packet) else { return Outcome::Whole };
        self.counters.fragments += 1;
        let now = packet.frame().record.time;
        self.give_up_late(now);
        let fragment = match Fragment::of(packet, ip) {
            Ok(fragment) => fragment,
            Err(fragment::Fault::Snapped) => {
                self.counters.snapped += 1;
                return Outcome::Kept;
            }
            Err(fragment::Fault::Malformed) => {
                self.counters.malformed += 1;
                return Outcome::Kept;
            }
        };
        let slot = self.slot(fragment.key, now);
        let Some(entry) = &mut self.slots[slot as usize] else { return Outcome::Kept };
        let before = entry.datagram.memory();
        let verdict = entry.datagram.take(&fragment, self.options.overlap, &mut self.counters);
        self.memory = self.memory - before + entry.datagram.memory();
        match verdict {
            Verdict::Waits => {
                self.keep_memory();
                Outcome::Kept
            }
            Verdict::Whole => match self.remove(slot).and_then(Datagram::join) {
                Some(carried) => {
                    self.counters.complete += 1;
                    Outcome::Complete(carried)
                }
                None => {
                    self.counters.malformed += 1;
                    Outcome::Kept
                }
            },
        }
    }

    /// The slot of the packet that a fragment is of, a new one if need be.
    fn slot(&mut self, key: Key, now: Option<Timestamp>) -> u32 {
        if let Some(&slot) = self.by_key.get(&key) {
            return slot;
        }
        while self.by_key.len() >= self.options.packets.max(1) && self.evict_oldest() {}
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.slots[slot as usize] = Some(Entry { key, begun: now, datagram: Datagram::default() });
        self.memory += ENTRY;
        self.by_key.insert(key, slot);
        self.begun.touch(slot);
        slot
    }

    fn remove(&mut self, slot: u32) -> Option<Datagram> {
        let Entry { key, datagram, .. } = self.slots[slot as usize].take()?;
        self.memory -= ENTRY + datagram.memory();
        self.by_key.remove(&key);
        self.begun.remove(slot);
        self.free.push(slot);
        Some(datagram)
    }

    fn evict_oldest(&mut self) -> bool {
        let Some(oldest) = self.begun.oldest() else { return false };
        self.counters.evicted += 1;
        self.give_up(oldest);
        true
    }

    fn keep_memory(&mut self) {
        while self.memory > self.options.memory && self.evict_oldest() {}
    }

    /// Gives up what should be whole by now.
    fn give_up_late(&mut self, now: Option<Timestamp>) {
        let Some(now) = now else { return };
        let most = i64::try_from(self.options.timeout.as_nanos()).unwrap_or(i64::MAX);
        while let Some(slot) = self.begun.oldest() {
            let entry = self.slots[slot as usize].as_ref();
            let begun = entry.and_then(|entry| entry.begun);
            if begun.is_none_or(|begun| now.nanos_since(begun) <= most) {
                return;
            }
            self.time_out(slot);
        }
    }

    fn time_out(&mut self, slot: u32) {
        // Of one that is void it is only forgotten that it was.
        let void = self.slots[slot as usize].as_ref().is_some_and(|entry| entry.datagram.is_void());
        self.counters.timed_out += u64::from(!void);
        self.give_up(slot);
    }

    fn give_up(&mut self, slot: u32) {
        let begun = self.slots[slot as usize].as_ref().and_then(|entry| entry.begun);
        let datagram = self.remove(slot);
        if let Some(given_up) = &mut self.given_up {
            given_up.extend(datagram.and_then(Datagram::beginning).map(|carried| (begun, carried)));
        }
    }
}
