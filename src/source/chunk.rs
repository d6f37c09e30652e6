//! Frames that leave their source, memory and all: how several workers share it, and how outputs read on other threads.

use super::capture_file::{Fetched, ReadAhead};
use super::synthetic::Claim;
use super::{BATCH, Error, Lease, Source};
use crate::frame::{Annotation, Batch, Frame, Interface, Record, Timestamp};

/// Frames together with the memory they lie in, to be sent to another thread and, emptied, to be filled again.
///
/// The memory is the chunk's own, or [leased](Lease).
///
/// It is cut into the same batches that [`Source::fill`] would have handed out, each with the interfaces known by
/// then: what is made of them does not depend on how many threads there were.
///
/// ```
/// use wharf::frame::{Batch, Record};
/// use wharf::source::Chunk;
///
/// let records = [Record { offset: 1, captured: 2, ..Record::default() }];
/// let mut chunk = Chunk::default();
/// chunk.push(Batch::new(&[0, 1, 2], &records, &[]));
/// chunk.push(Batch::new(&[0, 3, 4], &records, &[]));
/// let frames: Vec<_> = chunk.batches().map(|batch| batch.frame(0).data).collect();
/// assert_eq!((chunk.len(), frames), (2, vec![&[1, 2][..], &[3, 4]]));
/// ```
#[derive(Debug, Default)]
pub struct Chunk {
    /// Memory of its own.
    pub(super) slab: Vec<u8>,
    /// Where the frames lie if not there.
    lease: Option<Lease>,
    /// What [`ReadAhead`] has put into the slab, until the chunk is filled.
    pub(super) fetched: Option<Fetched>,
    /// What [`Chunk::finish`] is to write behind the records.
    claim: Option<Claim>,
    pub(super) records: Vec<Record>,
    pub(super) annotations: Vec<Annotation>,
    /// Those of the source, kept from one filling to the next: only new ones are copied.
    interfaces: Vec<Interface>,
    cuts: Vec<Cut>,
    /// Frames lost before the first.
    lost: u64,
}

/// Where a batch ends, as lengths of the chunk's lists.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    records: usize,
    annotations: usize,
    interfaces: usize,
}

impl Chunk {
    /// How many frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len() + self.claim.as_ref().map_or(0, Claim::len)
    }

    /// No frame and no annotation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Frames that are known to be [lost](Batch::lost) before the first of these.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// So many more frames were lost before the first of these.
    pub(super) fn lose(&mut self, frames: u64) {
        self.lost += frames;
    }

    /// The frames in order, in batches.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Batch<'_>> {
        self.batches_in(self.lease.as_ref())
    }

    /// Takes the lease of the frames' memory out, if they lie in such: then they are read by [`Self::batches_in`].
    pub(crate) fn take_lease(&mut self) -> Option<Lease> {
        self.lease.take()
    }

    /// Copies the frames' memory, of which `lease` is one that has been taken out: the chunk is then as if it had
    /// never been leased.
    pub(crate) fn keep(&mut self, lease: &Lease) {
        let end = |offset: u32, length: u32| offset as usize + length as usize;
        let ends = self.records.iter().map(|record| {
            let options = record.options_length;
            // A frame lies somewhere even if it has no bytes; options that there are not do not.
            let options = if options == 0 { 0 } else { end(record.options_offset, options) };
            options.max(end(record.offset, record.captured))
        });
        let end = ends.max().unwrap_or(0);
        self.slab.clear();
        self.slab.extend_from_slice(&lease.bytes()[..end]);
    }

    /// The frames in order, in batches; in memory of which `lease` is one, where it has been taken out.
    pub(crate) fn batches_in<'c>(
        &'c self,
        lease: Option<&'c Lease>,
    ) -> impl ExactSizeIterator<Item = Batch<'c>> {
        let slab = lease.map_or(&self.slab[..], Lease::bytes);
        let ahead = lease.map_or(0, Lease::ahead);
        self.cuts.iter().enumerate().map(move |(index, end)| {
            let start = index.checked_sub(1).map_or_else(Cut::default, |before| self.cuts[before]);
            let records = &self.records[start.records..end.records];
            let annotations = &self.annotations[start.annotations..end.annotations];
            let batch = Batch::new(slab, records, &self.interfaces[..end.interfaces]);
            batch.with_annotations(annotations).followed(ahead).after_loss(if index == 0 {
                self.lost
            } else {
                0
            })
        })
    }

    /// Copies a batch in, behind those that are there. What was lost before it counts as lost before the first of them.
    ///
    /// # Panics
    /// When the chunk would grow beyond 4 GiB, or what is there lies in leased memory.
    pub fn push(&mut self, batch: Batch<'_>) {
        assert!(self.lease.is_none(), "leased memory does not grow");
        self.lost += batch.lost();
        self.make_room(Self::room_for(batch));
        for frame in batch.frames() {
            let mut append = |bytes: &[u8]| {
                let offset = u32::try_from(self.slab.len()).expect("a chunk is smaller than 4 GiB");
                self.slab.extend_from_slice(bytes);
                offset
            };
            let (offset, options_offset) = (append(frame.data), append(frame.options.raw));
            self.records.push(Record { offset, options_offset, ..frame.record });
        }
        self.annotations.extend_from_slice(batch.annotations());
        self.cut((self.records.len(), self.annotations.len()), batch.interfaces());
    }

    /// Bytes that [`Self::push`] adds for this batch.
    pub(crate) fn room_for(batch: Batch<'_>) -> usize {
        let bytes = |record: &Record| record.captured as usize + record.options_length as usize;
        batch.records().iter().map(bytes).sum()
    }

    /// Makes room for a full batch more of so many bytes, with some to spare: not every batch a little larger than the last shall
    /// allocate.
    pub(crate) fn make_room(&mut self, bytes: usize) {
        self.records.reserve(BATCH);
        let wanted = self.slab.len() + bytes;
        if wanted > self.slab.capacity() {
            self.slab.reserve(wanted.next_power_of_two() - self.slab.len());
        }
    }

    /// Bytes of frames that were copied into it.
    pub(crate) fn copied_bytes(&self) -> usize {
        self.slab.len()
    }

    /// Keeps only the first so many frames.
    pub(crate) fn truncate(&mut self, frames: usize) {
        if frames >= self.records.len() {
            return;
        }
        self.records.truncate(frames);
        let whole = self.cuts.partition_point(|cut| cut.records < frames);
        self.cuts.truncate(if frames == 0 { 0 } else { whole + 1 });
        if let Some(last) = self.cuts.last_mut() {
            last.records = frames;
            self.annotations.truncate(last.annotations);
        }
    }

    /// Keeps only the frames for which `keep` says so.
    ///
    /// ```
    /// use wharf::frame::{Batch, Record};
    /// use wharf::source::Chunk;
    ///
    /// let records = [1, 2, 3].map(|offset| Record { offset, captured: 1, ..Record::default() });
    /// let mut chunk = Chunk::default();
    /// chunk.push(Batch::new(&[0, 1, 2, 3], &records, &[]));
    /// chunk.retain(|frame| frame.data != [2]);
    /// let frames: Vec<_> = chunk.batches().flat_map(|batch| batch.frames()).map(|frame| frame.data[0]).collect();
    /// assert_eq!(frames, [1, 3]);
    /// ```
    pub fn retain(&mut self, keep: impl FnMut(&Frame<'_>) -> bool) {
        let kept: Vec<bool> = self
            .batches()
            .flat_map(|batch| batch.frames())
            .map({
                let mut keep = keep;
                move |frame| keep(&frame)
            })
            .collect();
        let mut flags = kept.iter().copied();
        self.records.retain(|_| flags.next().unwrap_or(true));
        let (mut seen, mut left) = (0, 0);
        for cut in &mut self.cuts {
            left += kept[seen..cut.records].iter().filter(|kept| **kept).count();
            seen = std::mem::replace(&mut cut.records, left);
        }
        let mut before = Cut::default();
        self.cuts.retain(|cut| {
            let is_empty = cut.records == before.records && cut.annotations == before.annotations;
            before = *cut;
            !is_empty
        });
    }

    /// Numbers the frames, from this number on.
    pub(crate) fn number_from(&mut self, first: u64) {
        (first..).zip(&mut self.records).for_each(|(number, record)| record.number = number);
    }

    /// When its first frame was captured.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        self.records.first().and_then(|record| record.time)
    }

    /// Empties it; its own memory stays, leased memory goes back.
    pub fn clear(&mut self) {
        self.slab.clear();
        self.lease = None;
        self.fetched = None;
        self.claim = None;
        self.records.clear();
        self.annotations.clear();
        self.cuts.clear();
        self.lost = 0;
    }

    /// The frames lie in this memory.
    pub(super) fn lie_in(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// Its frames are these, once it is [finished](Self::finish).
    pub(super) fn hold(&mut self, claim: Claim, known: &[Interface]) {
        self.claim = Some(claim);
        self.cut_evenly(known);
    }

    /// Does what is left to do of a chunk that was [claimed](ChunkSource::claim_chunk): before its frames are looked at.
    pub fn finish(&mut self) {
        if let Some(claim) = self.claim.take() {
            claim.write(&mut self.records);
        }
    }

    /// Ends a batch after each [`BATCH`](super::BATCH) records; there are no annotations.
    pub(super) fn cut_evenly(&mut self, known: &[Interface]) {
        let records = self.len();
        (0..records).step_by(BATCH).for_each(|start| self.cut(((start + BATCH).min(records), 0), known));
    }

    /// Empties it and gives out its memory, kept at its length: emptied, it would have to be zeroed again.
    pub(super) fn take_memory(&mut self) -> Vec<u8> {
        let memory = std::mem::take(&mut self.slab);
        self.clear();
        memory
    }

    /// Ends a batch at these lengths of the two lists; `known` are the interfaces of the source by now.
    pub(super) fn cut(&mut self, (records, annotations): (usize, usize), known: &[Interface]) {
        self.interfaces.extend_from_slice(known.get(self.interfaces.len()..).unwrap_or_default());
        self.cuts.push(Cut { records, annotations, interfaces: known.len() });
    }
}

/// A source whose frames may leave it, memory and all.
pub trait ChunkSource: Source {
    /// Replaces what is in `chunk` by the next frames, at most `limit` (at least 1) of them; false at the end. Where a
    /// live source or a pipe waited a while (at most 100 ms) and nothing came, the chunk is empty; and also where a
    /// large record covers all that was to be looked at.
    /// A chunk is always of the same source.
    ///
    /// Chunks that [`ReadAhead`] has fetched are filled in the order of their pieces.
    ///
    /// # Errors
    /// As [`Source::fill`]; the chunk is then empty.
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error>;

    /// The same, but what can be done without the source is left to [`Chunk::finish`]: whoever shares a source does that while
    /// it is another's turn, unless the source [reads ahead](ReadAhead): such chunks have nothing left to do.
    ///
    /// # Errors
    /// As [`Self::fill_chunk`].
    fn claim_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error> {
        self.fill_chunk(chunk, limit)
    }

    /// A way to fetch the bytes of the chunks that are still to come, beside the source; `None` where they come one
    /// after the other.
    fn ahead(&self) -> Option<ReadAhead> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_chunk_is_cut_within_any_of_its_batches() {
        let memory: Arc<[u8]> = (0..100).collect();
        for frames in [0, 1, 255, 256, 257, 511, 512, 599, 600, 700] {
            let mut chunk = Chunk { records: vec![Record::default(); 600], ..Chunk::default() };
            chunk.cut_evenly(&[]);
            chunk.lie_in(Lease::of_table(&memory));
            chunk.truncate(frames);
            chunk.number_from(8);
            let lengths: Vec<_> = chunk.batches().map(|batch| batch.len()).collect();
            assert!(lengths.iter().all(|&length| length > 0), "{lengths:?}");
            assert_eq!((chunk.len(), lengths.iter().sum()), (frames.min(600), frames.min(600)));
            assert_eq!(chunk.is_empty(), frames == 0);
            let numbers = chunk.batches().flat_map(|batch| batch.frames()).map(|frame| frame.record.number);
            assert!(numbers.eq(8..8 + frames.min(600) as u64));
        }
    }

    #[test]
    fn frames_that_are_not_kept_leave_no_empty_batch() {
        let memory: Arc<[u8]> = (0..100).collect();
        for modulus in [1, 2, 300, 1_000] {
            let mut chunk = Chunk { records: vec![Record::default(); 600], ..Chunk::default() };
            chunk.cut_evenly(&[]);
            chunk.lie_in(Lease::of_table(&memory));
            chunk.number_from(1);
            chunk.retain(|frame| frame.record.number % modulus == 0);
            let lengths: Vec<_> = chunk.batches().map(|batch| batch.len()).collect();
            assert!(lengths.iter().all(|&length| length > 0), "{lengths:?}");
            let numbers: Vec<_> =
                chunk.batches().flat_map(|batch| batch.frames()).map(|frame| frame.record.number).collect();
            assert_eq!(numbers, (1..=600).filter(|number| number % modulus == 0).collect::<Vec<_>>());
            assert_eq!(chunk.is_empty(), numbers.is_empty());
        }
    }

    /// Even a frame of no bytes lies somewhere.
    #[test]
    fn what_is_kept_of_leased_memory_holds_every_record() {
        let memory: Arc<[u8]> = (0..100).collect();
        let place = |offset, captured| Record { offset, captured, ..Record::default() };
        for last in [place(90, 10), place(90, 0), place(100, 0)] {
            let mut chunk = Chunk { records: vec![place(3, 4), last], ..Chunk::default() };
            chunk.cut_evenly(&[]);
            chunk.lie_in(Lease::of_table(&memory));
            let lease = chunk.take_lease().expect("just given");
            chunk.keep(&lease);
            drop(lease);
            let batch = chunk.batches().next().expect("a batch");
            let frames: Vec<_> = batch.frames().map(|frame| frame.data).collect();
            assert_eq!(frames, [&memory[3..7], &memory[last.offset as usize..][..last.captured as usize]]);
        }
    }
}
