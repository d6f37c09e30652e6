//! What crosses a ring: a chunk with what was found in it, by counted reference.

use super::stats::Tally;
use crate::batch::Findings;
use crate::frame::Timestamp;
use crate::source::{BATCH, Chunk, Lease};
use crossbeam::utils::CachePadded;
use std::sync::Arc;

/// Bytes that a packet takes beside its own, about: its record and what was found in it.
const PER_PACKET: usize = 350;

/// A chunk, what a worker found in it, and which packets are for which output. Written by its worker while nobody
/// else has it, read by all outputs that get something of it, and written again when they are done.
#[derive(Default)]
pub(super) struct Load {
    pub(super) chunk: Chunk,
    /// Place in the source's order.
    pub(super) number: u64,
    /// Whose it is.
    pub(super) worker: usize,
    /// One for each batch, and perhaps more that are not in use.
    pub(super) findings: Vec<Findings>,
    /// One for each output behind a ring.
    pub(super) picks: Vec<Picks>,
    /// There are annotations, which are for every output.
    pub(super) annotated: bool,
    /// What the worker counted, where the output has to say how much of it counts.
    pub(super) tally: Tally,
}

impl Load {
    /// Forgets all but the chunk, which has been filled anew, and makes room for what will be found in it.
    pub(super) fn begin(&mut self, number: u64, worker: usize, rings: usize) {
        let batches = self.chunk.batches().len();
        (self.number, self.worker, self.annotated) = (number, worker, false);
        self.tally.clear();
        self.picks.resize_with(rings, Picks::default);
        // With some to spare: not every chunk with a few more packets than the last shall allocate.
        let room = self.chunk.len().next_power_of_two().max(BATCH);
        self.picks.iter_mut().for_each(|picks| picks.clear(room));
        if self.findings.len() < batches {
            self.findings.resize_with(batches, Findings::default);
        }
        // For full ones, as loads are used in turn: one that has had short ones so far would learn of it late.
        self.findings[..batches].iter_mut().for_each(|findings| findings.make_room(BATCH));
    }
}

/// The packets of a chunk that go to one output.
#[derive(Default)]
pub(super) struct Picks {
    /// Indices into their batches, one batch after the other.
    indices: Vec<u16>,
    /// Batches with any: the number within the chunk, and where their indices end.
    spans: Vec<(usize, usize)>,
    /// How many indices to make room for with the first one: none for outputs that get nothing.
    room: usize,
}

impl Picks {
    /// Forgets all, and will have room for so many packets.
    fn clear(&mut self, room: usize) {
        self.indices.clear();
        self.spans.clear();
        self.room = room;
    }

    /// The packets `chosen` from the batch with that number, which is higher than the last.
    pub(super) fn add(&mut self, batch: usize, chosen: &[u16]) {
        if self.spans.is_empty() {
            self.indices.reserve(self.room);
            self.spans.reserve(self.room.div_ceil(BATCH));
        }
        self.indices.extend_from_slice(chosen);
        self.spans.push((batch, self.indices.len()));
    }

    /// How many packets.
    pub(super) fn len(&self) -> usize {
        self.indices.len()
    }

    /// The batches with any, and the indices in each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[u16])> {
        let mut start = 0;
        self.spans
            .iter()
            .map(move |&(batch, end)| (batch, &self.indices[std::mem::replace(&mut start, end)..end]))
    }
}

/// A load as several threads have it. Its count of readers stands on lines of its own, apart from what they read.
pub(super) type Shared = Arc<CachePadded<Load>>;

/// What goes through a ring.
pub(super) enum Parcel {
    /// A chunk with packets or annotations for this output, and the lease of the memory if it is leased.
    /// So many packets were lost before it, on the way from the interface to here.
    Load { load: Shared, lease: Option<Lease>, lost: u64 },
    /// There is nothing for this output in the chunk with that number.
    Nothing { number: u64 },
    /// The source is idle: show what is buffered.
    Flush,
    /// There is a new gap to be seen.
    Nudge,
}

const _: () = assert!(size_of::<Parcel>() <= 64, "a parcel fits into a cache line");

impl Parcel {
    /// When the first of its packets was captured, of what has any.
    pub(super) fn time(&self) -> Option<Timestamp> {
        if let Self::Load { load, .. } = self { load.chunk.time() } else { None }
    }

    /// Memory that is its own as long as it is under way, in bytes. Leased memory is the source's.
    pub(super) fn bytes(&self) -> u64 {
        let Self::Load { load, .. } = self else { return 0 };
        let findings = load.chunk.batches().len() * BATCH * PER_PACKET;
        (findings + load.chunk.copied_bytes()) as u64
    }

    /// Place in the source's order, of what has one.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Load { load, .. } => Some(load.number),
            Self::Nothing { number } => Some(*number),
            Self::Flush | Self::Nudge => None,
        }
    }
}

/// A worker's loads. The rings bound how many there come to be: each output has a ringful and one in work.
#[derive(Default)]
pub(super) struct Pool {
    loads: Vec<Shared>,
}

impl Pool {
    /// A load that nobody reads any more, by its place: that with the lowest, whose memory is the likeliest to be in
    /// the cache still; a new one if all are out.
    pub(super) fn free(&mut self) -> usize {
        // By a look at each count alone: `get_mut` writes to the line that readers count in, and takes 10 ns a load
        // instead of 1, where a slow output keeps thousands. Who is alone with a load stays so, as there are no weak references to it.
        let free = self.loads.iter().position(|load| Arc::strong_count(load) == 1);
        free.unwrap_or_else(|| {
            self.loads.push(Shared::default());
            self.loads.len() - 1
        })
    }

    /// The load there, to be written to.
    pub(super) fn open(&mut self, place: usize) -> &mut Load {
        Arc::get_mut(&mut self.loads[place]).expect("a free load is the worker's alone until it is shared")
    }

    /// The load there, to be shared.
    pub(super) fn at(&self, place: usize) -> &Shared {
        &self.loads[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_come_back_by_batch() {
        let mut picks = Picks::default();
        picks.add(0, &[1, 5]);
        picks.add(3, &[0]);
        assert_eq!(picks.iter().collect::<Vec<_>>(), [(0, &[1, 5][..]), (3, &[0])]);
        assert_eq!(picks.len(), 3);
        picks.clear(0);
        assert!(picks.iter().next().is_none());
    }

    #[test]
    fn a_load_is_written_again_once_its_last_reader_has_gone() {
        let mut pool = Pool::default();
        let first = pool.free();
        let (one, other) = (Arc::clone(pool.at(first)), Arc::clone(pool.at(first)));
        let second = pool.free();
        assert_ne!(first, second, "the first is being read");
        pool.open(second).number = 2;
        drop(one);
        assert_eq!(pool.free(), second);
        drop(other);
        assert_eq!(pool.free(), first);
        assert_eq!(pool.loads.len(), 2);
    }
}
