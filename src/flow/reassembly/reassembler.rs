//! Many connections, within bounds.

use super::half::Half;
use super::{Counters, End, Gap, Options, Segment, Side, Slice, What};
use crate::frame::Timestamp;
use crate::recency::Recency;
use std::collections::HashMap;
use std::hash::Hash;

/// Puts the segments of many connections in order. See the [module](super).
///
/// `K` is whatever tells connections apart, both directions of each under one key.
///
/// ```
/// use wharf::flow::reassembly::{Options, Reassembler, Segment, Side, What};
///
/// let mut said = Vec::new();
/// let mut reassembler = Reassembler::new(Options::default());
/// for (sequence, payload) in [(1_000, "he"), (1_004, "o"), (1_002, "ll"), (1_000, "hell")] {
///     let payload = payload.as_bytes();
///     let segment = Segment { sequence, payload, ..Segment::default() };
///     reassembler.segment(&"a to b", Side::First, &segment, None, |slice| {
///         if let What::Data(bytes) = slice.what {
///             said.extend_from_slice(bytes);
///         }
///     });
/// }
/// assert_eq!(said, b"hello");
/// assert_eq!(reassembler.counters().repeated, 4);
/// ```
#[derive(Debug)]
pub struct Reassembler<K> {
    options: Options,
    slots: Vec<Option<Connection<K>>>,
    free: Vec<u32>,
    by_key: HashMap<K, u32>,
    /// By their last packet.
    recent: Recency,
    /// By when they began to have something waiting.
    waiting: Recency,
    memory: usize,
    /// Connections so far.
    count: u64,
    counters: Counters,
}

#[derive(Debug)]
struct Connection<K> {
    key: K,
    number: u64,
    halves: [Half; 2],
    last: Option<Timestamp>,
}

impl<K> Connection<K> {
    fn memory(&self) -> usize {
        self.halves[0].memory() + self.halves[1].memory()
    }

    /// What acts on one half, with slices told to `handler`.
    fn with<R>(
        &mut self,
        side: Side,
        handler: &mut impl FnMut(Slice<'_, K>),
        act: impl FnOnce(&mut Half, &mut dyn FnMut(u64, What<'_>)) -> R,
    ) -> R {
        let Self { key, number, halves, last } = self;
        act(&mut halves[side.index()], &mut |offset, what| {
            handler(Slice { key, connection: *number, side, time: *last, offset, what });
        })
    }

    /// Ends both sides, the first first.
    fn end(&mut self, why: End, counters: &mut Counters, handler: &mut impl FnMut(Slice<'_, K>)) {
        for side in [Side::First, Side::Second] {
            self.with(side, handler, |half, mut emit| {
                let end = half.end(counters, &mut emit);
                emit(end, What::End(why));
            });
        }
    }
}

impl<K: Hash + Eq + Clone> Reassembler<K> {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            recent: Recency::default(),
            waiting: Recency::default(),
            memory: 0,
            count: 0,
            counters: Counters::default(),
        }
    }

    /// What became of everything so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Bytes of memory that wait, in all connections.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.memory
    }

    /// Connections at present.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.by_key.len()
    }

    /// Takes a segment that `side` of the connection `key` sent, and hands on all that is now in order. Gives the
    /// [number](Slice::connection) of its connection.
    ///
    /// Connections need not be seen from their start: a side's stream then begins with its first segment.
    pub fn segment(
        &mut self,
        key: &K,
        side: Side,
        segment: &Segment<'_>,
        time: Option<Timestamp>,
        mut handler: impl FnMut(Slice<'_, K>),
    ) -> u64 {
        let handler = &mut handler;
        self.end_idle(time, handler);
        let first = segment.sequence.wrapping_add(segment.syn.into());
        let slot = self.slot(key, handler);
        let Self { options, slots, counters, memory, count, .. } = self;
        let Some(connection) = &mut slots[slot as usize] else { return self.count };
        let before = connection.memory();
        if segment.syn && connection.halves[side.index()].began_elsewhere(first) {
            connection.end(End::Reused, counters, handler);
            (connection.halves, connection.number) = Default::default();
            connection.number = *count;
            *count += 1;
        }
        connection.last = time.or(connection.last);
        counters.segments += 1;
        counters.payload += segment.payload.len() as u64;
        if let Some(number) = segment.acknowledgment {
            let syn_ack = segment.syn;
            connection.with(side.other(), handler, |peer, mut emit| {
                if syn_ack {
                    // What answers a SYN tells where the peer began, be the SYN captured or not.
                    peer.begin(number);
                }
                peer.acknowledge(number, counters, &mut emit);
            });
        }
        if segment.rst {
            connection.with(side, handler, |half, mut emit| {
                if half.expects(first) {
                    half.data((first, segment.payload, segment.length), options.overlap, counters, &mut emit);
                } else {
                    counters.outside += segment.payload.len() as u64;
                }
            });
        } else {
            connection.with(side, handler, |half, mut emit| {
                half.begin(first);
                half.data((first, segment.payload, segment.length), options.overlap, counters, &mut emit);
                if segment.fin {
                    let length = segment.length.max(segment.payload.len() as u32);
                    half.finish_at(first.wrapping_add(length));
                }
            });
        }
        while connection.memory() > options.connection {
            counters.connection_full += 1;
            let most = connection.halves[0].memory() < connection.halves[1].memory();
            let side = if most { Side::Second } else { Side::First };
            connection.with(side, handler, |half, mut emit| half.give_up_gap(Gap::Full, counters, &mut emit));
        }
        let (number, after) = (connection.number, connection.memory());
        *memory = *memory - before + after;
        self.recent.touch(slot);
        self.note_waiting(slot, after);
        self.keep_total(handler);
        number
    }

    /// Ends a connection, if it is known: hands on all that waits, and [`What::End`] of both sides.
    pub fn end(&mut self, key: &K, mut handler: impl FnMut(Slice<'_, K>)) {
        if let Some(&slot) = self.by_key.get(key) {
            self.remove(slot, End::Asked, &mut handler);
        }
    }

    /// Ends all connections, in the order of their first packets.
    pub fn finish(&mut self, mut handler: impl FnMut(Slice<'_, K>)) {
        let numbered = |(slot, connection): (usize, &Option<Connection<K>>)| {
            connection.as_ref().map(|connection| (connection.number, slot as u32))
        };
        let mut open: Vec<_> = self.slots.iter().enumerate().filter_map(numbered).collect();
        open.sort_unstable();
        open.into_iter().for_each(|(_, slot)| self.remove(slot, End::Asked, &mut handler));
    }

    /// The slot of a connection, which is a new one if need be.
    fn slot(&mut self, key: &K, handler: &mut impl FnMut(Slice<'_, K>)) -> u32 {
        if let Some(&slot) = self.by_key.get(key) {
            return slot;
        }
        while self.by_key.len() >= self.options.connections.max(1) {
            let Some(oldest) = self.recent.oldest() else { break };
            self.counters.evicted += 1;
            self.remove(oldest, End::Room, handler);
        }
        let connection =
            Connection { key: key.clone(), number: self.count, halves: Default::default(), last: None };
        self.count += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.slots[slot as usize] = Some(connection);
        self.by_key.insert(key.clone(), slot);
        slot
    }

    fn remove(&mut self, slot: u32, why: End, handler: &mut impl FnMut(Slice<'_, K>)) {
        let Some(mut connection) = self.slots[slot as usize].take() else { return };
        self.memory -= connection.memory();
        self.by_key.remove(&connection.key);
        self.recent.remove(slot);
        self.waiting.remove(slot);
        self.free.push(slot);
        connection.end(why, &mut self.counters, handler);
    }

    /// Ends those without a packet for too long before `now`.
    fn end_idle(&mut self, now: Option<Timestamp>, handler: &mut impl FnMut(Slice<'_, K>)) {
        let (Some(now), Some(idle)) = (now, self.options.idle) else { return };
        let most = i64::try_from(idle.as_nanos()).unwrap_or(i64::MAX);
        while let Some(slot) = self.recent.oldest() {
            let last = self.slots[slot as usize].as_ref().and_then(|connection| connection.last);
            if last.is_none_or(|last| now.nanos_since(last) <= most) {
                return;
            }
            self.counters.idle += 1;
            self.remove(slot, End::Idle, handler);
        }
    }

    fn note_waiting(&mut self, slot: u32, memory: usize) {
        if memory == 0 {
            self.waiting.remove(slot);
        } else if !self.waiting.contains(slot) {
            self.waiting.touch(slot);
        }
    }

    /// Has those that have waited longest give up their gaps, until what waits in all is within its bound.
    fn keep_total(&mut self, handler: &mut impl FnMut(Slice<'_, K>)) {
        while self.memory > self.options.total {
            let Some(slot) = self.waiting.oldest() else { return };
            self.waiting.remove(slot);
            let Some(connection) = &mut self.slots[slot as usize] else { continue };
            let before = connection.memory();
            for side in [Side::First, Side::Second] {
                while connection.halves[side.index()].memory() > 0 {
                    self.counters.total_full += 1;
                    connection.with(side, handler, |half, mut emit| {
                        half.give_up_gap(Gap::Full, &mut self.counters, &mut emit);
                    });
                }
            }
            self.memory -= before;
        }
    }

    #[cfg(test)]
    pub(super) fn steps(&self, key: &K) -> u64 {
        let slot = self.by_key[key];
        self.slots[slot as usize]
            .as_ref()
            .map_or(0, |connection| connection.halves.iter().map(Half::steps).sum())
    }
}
