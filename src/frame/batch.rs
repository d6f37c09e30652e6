//! Frames as they are handed over: together.

use super::{Annotation, Frame, Interface, PacketOptions, Record};

/// Frames handed over together: one slab, one record each.
///
/// Every record lies within the slab: [`Batch::new`] checks, so that [`Batch::frames`] cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    slab: &'a [u8],
    records: &'a [Record],
    interfaces: &'a [Interface],
    annotations: &'a [Annotation],
    captured: u64,
    cold: bool,
    ahead: u32,
    lost: u64,
}

impl<'a> Batch<'a> {
    /// Frames that lie in `slab` where `records` say, of the `interfaces` their ids index.
    ///
    /// # Panics
    /// When a record does not lie within the slab: a defect of the source, never of its input.
    #[must_use]
    pub fn new(slab: &'a [u8], records: &'a [Record], interfaces: &'a [Interface]) -> Self {
        // Room left behind a range's end: below 0, which sets the highest bit, where there is none.
        let room = |offset: u32, length: u32| {
            (slab.len() as i64).wrapping_sub(i64::from(offset) + i64::from(length))
        };
        let (mut rooms, mut captured, mut options) = (0, 0, 0);
        for record in records {
            rooms |= room(record.offset, record.captured);
            captured += u64::from(record.captured);
            options |= record.options_length;
        }
        if options != 0 {
            for record in records.iter().filter(|record| record.options_length > 0) {
                rooms |= room(record.options_offset, record.options_length);
            }
        }
        assert!(rooms >= 0, "a record is not within its slab of {} bytes", slab.len());
        Self { slab, records, interfaces, annotations: &[], captured, cold: false, ahead: 0, lost: 0 }
    }

    /// The same batch with blocks that stood in the file before its first frame.
    #[must_use]
    pub fn with_annotations(self, annotations: &'a [Annotation]) -> Self {
        Self { annotations, ..self }
    }

    /// The same batch, before whose first frame so many were lost.
    #[must_use]
    pub fn after_loss(self, frames: u64) -> Self {
        Self { lost: frames, ..self }
    }

    /// Its first frames, at most so many; the blocks before them too.
    #[must_use]
    pub fn first(self, frames: usize) -> Self {
        let records = &self.records[..frames.min(self.len())];
        let captured = records.iter().map(|record| u64::from(record.captured)).sum();
        Self { records, captured, ..self }
    }

    /// How many frames are known to have been lost between the last frame before this batch and its first: there was no room for
    /// them. What a capture file says of its own past is not among them, it stands in the packets' options.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The same batch, said to lie in memory and not in this core's caches: whoever reads it asks for frames ahead. That
    /// costs a little where it is not so, and changes nothing of what is found.
    #[must_use]
    pub fn cold(self) -> Self {
        Self { cold: true, ..self }
    }

    /// Whether its frames are to be [asked for](Batch::cold) before they are read.
    #[must_use]
    pub fn is_cold(&self) -> bool {
        self.cold
    }

    /// The same batch, said to be followed by others in one stretch of memory: what lies so many bytes behind each of its frames
    /// will be read when its turn comes, and whoever reads this batch asks for it meanwhile; 0 for a batch that stands alone. That
    /// changes nothing of what is found.
    #[must_use]
    pub fn followed(self, ahead: u32) -> Self {
        Self { ahead, ..self }
    }

    /// How many bytes behind each frame lies what is to be [asked for](Batch::followed) while it is read; 0 for nothing.
    #[must_use]
    pub fn ahead(&self) -> u32 {
        self.ahead
    }

    /// How many frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Captured bytes of all frames.
    #[must_use]
    pub fn captured(&self) -> u64 {
        self.captured
    }

    /// No frame at all (there may be annotations).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Where each frame lies in [`Batch::slab`], and what is known of it.
    #[must_use]
    pub fn records(&self) -> &'a [Record] {
        self.records
    }

    /// The memory that all its frames lie in, and that may hold other things between and around them.
    #[must_use]
    pub fn slab(&self) -> &'a [u8] {
        self.slab
    }

    /// All interfaces the source has met so far; [`InterfaceId`](super::InterfaceId) indexes them.
    #[must_use]
    pub fn interfaces(&self) -> &'a [Interface] {
        self.interfaces
    }

    /// Blocks that stood in the file before the first frame of this batch.
    #[must_use]
    pub fn annotations(&self) -> &'a [Annotation] {
        self.annotations
    }

    /// The captured bytes of the frame with this record, which is one of [`Batch::records`].
    #[inline(always)]
    pub(crate) fn data(&self, record: &Record) -> &'a [u8] {
        self.slab
            .get(record.offset as usize..)
            .and_then(|rest| rest.get(..record.captured as usize))
            .unwrap_or_default()
    }

    /// The frame at `index`.
    ///
    /// # Panics
    /// When `index` is not below [`Batch::len`].
    #[must_use]
    // A call would return a hundred bytes in memory, to be copied before the stores have come through.
    #[inline(always)]
    pub fn frame(&self, index: usize) -> Frame<'a> {
        // By reference, so that it is copied in one piece.
        let record = &self.records[index];
        let cut = |offset: u32, length: u32| match length {
            0 => &[],
            length => &self.slab[offset as usize..][..length as usize],
        };
        Frame {
            data: cut(record.offset, record.captured),
            options: PacketOptions {
                raw: cut(record.options_offset, record.options_length),
                big_endian: record.options_big_endian,
            },
            record: *record,
        }
    }

    /// The frames in order.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = Frame<'a>> + use<'a> {
        let batch = *self;
        (0..self.len()).map(move |index| batch.frame(index))
    }
}
