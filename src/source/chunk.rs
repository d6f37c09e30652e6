//! Frames that own their memory: how several workers share one capture file.

use super::capture_file::{Fetched, ReadAhead};
use super::{Error, Source};
use crate::frame::{Annotation, Batch, Interface, Record};

/// Frames together with the memory they lie in, to be sent to another thread and, emptied, to be filled again.
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
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub(super) slab: Vec<u8>,
    /// What [`ReadAhead`] has put into the slab, until the chunk is filled.
    pub(super) fetched: Option<Fetched>,
    pub(super) records: Vec<Record>,
    pub(super) annotations: Vec<Annotation>,
    /// Those of the source, kept from one filling to the next: only new ones are copied.
    interfaces: Vec<Interface>,
    cuts: Vec<Cut>,
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
        self.records.len()
    }

    /// No frame and no annotation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// The frames in order, in batches.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Batch<'_>> {
        self.cuts.iter().enumerate().map(|(index, end)| {
            let start = index.checked_sub(1).map_or_else(Cut::default, |before| self.cuts[before]);
            let records = &self.records[start.records..end.records];
            let annotations = &self.annotations[start.annotations..end.annotations];
            Batch::new(&self.slab, records, &self.interfaces[..end.interfaces]).with_annotations(annotations)
        })
    }

    /// Copies a batch in, behind those that are there.
    ///
    /// # Panics
    /// When the chunk would grow beyond 4 GiB.
    pub fn push(&mut self, batch: Batch<'_>) {
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

    /// Empties it; its memory stays.
    pub fn clear(&mut self) {
        self.slab.clear();
        self.fetched = None;
        self.records.clear();
        self.annotations.clear();
        self.cuts.clear();
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
    /// Replaces what is in `chunk` by the next frames, at most `limit` (at least 1) of them; false at the end.
    /// A chunk is always of the same source. It may stay empty before the end.
    ///
    /// Chunks that [`ReadAhead`] has fetched are filled in the order of their pieces.
    ///
    /// # Errors
    /// As [`Source::fill`]; the chunk is then empty.
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, Error>;

    /// A way to fetch the bytes of the chunks that are still to come, beside the source; `None` where they come one after
    /// the other.
    fn ahead(&self) -> Option<ReadAhead> {
        None
    }
}
