//! Frames in memory: the distinct ones, once in a cache or over and over in more memory than caches hold.

use wharf::frame::{Batch, Interface, Record};
use wharf::source::{BATCH, Synthetic};

/// More bytes of frames than these are no first or second cache's: a source would say so of its batches.
const CACHE: usize = 8 << 20;

/// Bytes behind the last frame, so that whoever reads whole vectors need not stop short of it.
const SLACK: usize = 128;

/// Frames packed one behind the other: the same distinct ones again and again, so that the records of one pass
/// over them serve for every pass.
pub(super) struct Frames<'a> {
    slab: Vec<u8>,
    records: &'a [Record],
    interfaces: &'a [Interface],
    /// Bytes of the distinct frames.
    pass: usize,
    /// The length of every frame, where all are alike: then the records of one batch serve for all batches, as those do
    /// that a source writes into the same memory each time.
    even: Option<usize>,
    /// The pass to be handed out next.
    next: usize,
}

impl<'a> Frames<'a> {
    /// The distinct frames of `source`, as often as they fit into `bytes`, but once at least. What `slab` held is gone;
    /// its memory is used again.
    pub(super) fn new(source: &'a Synthetic, bytes: usize, mut slab: Vec<u8>) -> Self {
        let table = source.table();
        let records = table.records();
        let end = |record: &Record| (record.offset + record.captured) as usize;
        let pass = records.last().map_or(0, end);
        let first = records.first().map_or(0, |record| record.captured as usize);
        let even = records.iter().enumerate().all(|(index, record)| {
            record.captured as usize == first && record.offset as usize == index * first
        });
        slab.clear();
        slab.reserve_exact(bytes.max(pass) + SLACK);
        for _ in 0..(bytes / pass.max(1)).max(1) {
            slab.extend_from_slice(&table.slab()[..pass]);
        }
        slab.resize(slab.len() + SLACK, 0);
        Self { slab, records, interfaces: table.interfaces(), pass, even: even.then_some(first), next: 0 }
    }

    /// Bytes of all frames.
    pub(super) fn bytes(&self) -> usize {
        self.slab.len() - SLACK
    }

    /// Hands each batch of the next pass to `work`.
    #[inline(always)]
    pub(super) fn pass(&mut self, mut work: impl FnMut(Batch<'_>)) {
        let base = self.next;
        self.next += self.pass;
        if self.next + self.pass > self.bytes() {
            self.next = 0;
        }
        for (index, records) in self.records.chunks(BATCH).enumerate() {
            let (begin, records) = match self.even {
                Some(length) => (base + index * BATCH * length, &self.records[..records.len()]),
                None => (base, records),
            };
            let batch = Batch::new(&self.slab[begin..], records, self.interfaces);
            work(if self.slab.len() > CACHE { batch.cold() } else { batch });
        }
    }

    /// The memory, for other frames.
    pub(super) fn into_slab(self) -> Vec<u8> {
        self.slab
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::source::synthetic::{Sizes, Traffic};

    #[test]
    fn every_pass_hands_out_the_same_frames_from_the_next_place() {
        for (sizes, frames) in [(Sizes::Fixed(60), 600), (Sizes::Imix, 300)] {
            let source =
                Synthetic::new(&Traffic { frames, distinct: frames as usize, sizes, ..Traffic::default() });
            let distinct: Vec<Vec<u8>> = source.table().frames().map(|frame| frame.data.to_vec()).collect();
            let bytes: usize = distinct.iter().map(Vec::len).sum();
            let mut frames = Frames::new(&source, bytes * 3 + 10, vec![1; 5]);
            assert_eq!(frames.bytes(), bytes * 3);
            let mut places = Vec::new();
            for _ in 0..4 {
                let mut seen = Vec::new();
                places.push(frames.next / bytes);
                frames.pass(|batch| seen.extend(batch.frames().map(|frame| frame.data.to_vec())));
                assert!(seen == distinct);
            }
            assert_eq!(places, [0, 1, 2, 0]);
        }
    }

    #[test]
    fn once_at_least() {
        let source = Synthetic::new(&Traffic { frames: 10, distinct: 10, ..Traffic::default() });
        assert_eq!(Frames::new(&source, 0, Vec::new()).bytes(), 600);
    }
}
