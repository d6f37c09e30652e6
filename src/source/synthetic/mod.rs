//! Frames made up: deterministic by seed, with the exact counts that any reader of them must find.

mod claim;
mod expected;
mod frames;
mod random;
mod traffic;

pub(super) use claim::Claim;
pub use expected::{Expected, Tally};
pub use traffic::{Addresses, Protocol, Sizes, Traffic};

use super::{BATCH, Chunk, ChunkSource, Counters, Error, Fill, Lease, Source};
use crate::frame::{Batch, Interface, LinkType, Record, Timestamp};
use frames::Fact;
use std::sync::Arc;
use std::time::Duration;

/// Most frames in a chunk.
const CHUNK: u64 = 4 * BATCH as u64;

/// A [`Source`] of Ethernet frames described by a [`Traffic`].
///
/// A table of distinct frames is built once and replayed with new numbers and times, so that handing out a
/// frame costs no more than writing its record.
///
/// ```
/// use wharf::source::synthetic::{Synthetic, Traffic};
/// use wharf::source::{Fill, Source};
///
/// let mut source = Synthetic::new(&Traffic { frames: 1000, ..Traffic::default() });
/// let (mut frames, mut bytes) = (0, 0);
/// while let Fill::Batch(batch) = source.fill(256)? {
///     frames += batch.len() as u64;
///     bytes += batch.frames().map(|frame| frame.data.len() as u64).sum::<u64>();
/// }
/// let expected = source.expected();
/// assert_eq!((frames, bytes), (expected.total.frames, expected.total.bytes));
/// # Ok::<(), wharf::source::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// The distinct frames one after the other, and some slack that no record covers.
    slab: Arc<[u8]>,
    /// Where each of them lies.
    table: Arc<[Record]>,
    /// What each of them is.
    facts: Vec<Fact>,
    interfaces: [Interface; 1],
    /// The records of the batch handed out last.
    records: Vec<Record>,
    /// Frames to hand out in all.
    frames: u64,
    /// Frames handed out.
    done: u64,
    /// Where in the table the next frame stands.
    next: usize,
    time: Timestamp,
    step: Duration,
    stopped: bool,
}

impl Synthetic {
    /// Builds the distinct frames.
    #[must_use]
    pub fn new(traffic: &Traffic) -> Self {
        let (slab, table, facts) = frames::build(traffic);
        let interface = Interface {
            name: Some("synthetic".to_owned()),
            link_type: LinkType::ETHERNET,
            ..Interface::default()
        };
        Self {
            slab: slab.into(),
            table: table.into(),
            facts,
            interfaces: [interface],
            records: Vec::with_capacity(BATCH),
            frames: traffic.frames,
            done: 0,
            next: 0,
            time: traffic.start,
            step: Duration::from_nanos(1_000_000_000 / traffic.rate.max(1)),
            stopped: false,
        }
    }

    /// What a reader of every frame must count.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let length = self.facts.len() as u64;
        let (rounds, rest) = (self.frames / length, (self.frames % length) as usize);
        let mut expected = Expected::default();
        for (index, fact) in self.facts.iter().enumerate() {
            expected.count(fact, rounds + u64::from(index < rest));
        }
        expected
    }

    /// The distinct frames as one batch, numbered from 1, all at the time of the first: for
    /// measurements that leave the source out.
    #[must_use]
    pub fn table(&self) -> Batch<'_> {
        Batch::new(&self.slab, &self.table, &self.interfaces)
    }
}

impl Source for Synthetic {
    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, Error> {
        self.records.clear();
        self.claim(limit.clamp(1, BATCH) as u64).write(&mut self.records);
        if self.records.is_empty() {
            return Ok(Fill::End);
        }
        Ok(Fill::Batch(Batch::new(&self.slab, &self.records, &self.interfaces)))
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.stopped = true;
        Ok(())
    }

    fn counters(&mut self) -> Counters {
        Counters { received: self.done, ..Counters::default() }
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        Some(self)
    }
}

impl ChunkSource for Synthetic {
    /// A few batches of records. The frames themselves stay in the table, which all chunks share.
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error> {
        let more = self.claim_chunk(chunk, limit)?;
        chunk.finish();
        Ok(more)
    }

    /// The records are written when the chunk is finished.
    fn claim_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error> {
        chunk.clear();
        chunk.hold(self.claim(limit.clamp(1, CHUNK)), &self.interfaces);
        chunk.lie_in(Lease::of_table(&self.slab));
        Ok(!chunk.is_empty())
    }
}

impl Synthetic {
    /// The next frames, at most `limit` (of a chunk's) of them.
    fn claim(&mut self, limit: u64) -> Claim {
        let left = if self.stopped { 0 } else { self.frames - self.done };
        let count = left.min(limit) as u32;
        let claim = Claim {
            table: Arc::clone(&self.table),
            count,
            place: self.next,
            number: self.done + 1,
            time: self.time,
            step: self.step,
        };
        self.done += u64::from(count);
        self.next = (self.next + count as usize) % self.table.len();
        self.time = self.time.plus(self.step * count);
        claim
    }
}

#[cfg(test)]
mod tests;
