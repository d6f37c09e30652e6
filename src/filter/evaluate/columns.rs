//! Up to 64 frames side by side, and a word of each in a column.

use super::flat::Frame;
use super::plan::Word;
use crate::frame::{Batch, Record};

/// Frames at once.
pub(super) const LANES: usize = u64::BITS as usize;
pub(super) const ALL: u64 = u64::MAX;

/// A number of each frame.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Numbers(pub(super) [u32; LANES]);

impl Numbers {
    pub(super) const NONE: Self = Self([0; LANES]);
}

/// A word of each frame.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) numbers: Numbers,
    /// Frames of which it has been loaded.
    pub(super) loaded: u64,
    /// Those that had all four bytes, of the loaded ones.
    pub(super) whole: u64,
}

impl Column {
    pub(super) const NONE: Self = Self { numbers: Numbers::NONE, loaded: 0, whole: 0 };
}

/// How columns are filled and compared: by any instructions, or by vectors'.
pub(super) trait Machine: Copy {
    /// Puts where each of [`LANES`] records' frames begins in the slab, and how long it is, in its place.
    fn places(self, records: &[Record; LANES], starts: &mut Numbers, lengths: &mut Numbers);

    /// Loads the word of those of `lanes` that have all of it; gives them.
    fn load(self, frames: &Frames<'_>, word: Word, lanes: u64, numbers: &mut Numbers) -> u64;

    /// Where `low <= (number & mask) <= low + span`.
    fn in_range(self, numbers: &Numbers, mask: u32, low: u32, span: u32) -> u64;
}

/// The frames.
pub(super) struct Frames<'f> {
    pub(super) slab: &'f [u8],
    pub(super) records: &'f [Record],
    /// Where each begins in the slab, and its length: within the slab, as every batch promises. 0 for those that are not there, and
    /// for all where nobody asks for bytes.
    pub(super) starts: Numbers,
    pub(super) lengths: Numbers,
}

impl<'f> Frames<'f> {
    /// Those of a batch from `first` on, which must be one.
    #[inline(always)]
    pub(super) fn new(machine: impl Machine, batch: Batch<'f>, first: usize, with_places: bool) -> Self {
        let records = &batch.records()[first..];
        let records = records.get(..LANES).unwrap_or(records);
        let mut frames =
            Frames { slab: batch.slab(), records, starts: Numbers::NONE, lengths: Numbers::NONE };
        if with_places {
            match records.first_chunk() {
                Some(records) => machine.places(records, &mut frames.starts, &mut frames.lengths),
                None => (0..).zip(records).for_each(|(lane, record)| frames.place(lane, record)),
            }
        }
        frames
    }

    #[inline(always)]
    fn place(&mut self, lane: usize, record: &Record) {
        (self.starts.0[lane], self.lengths.0[lane]) = (record.offset, record.captured);
    }

    /// All that there are.
    pub(super) fn all(&self) -> u64 {
        ALL >> (LANES - self.records.len())
    }

    #[inline(always)]
    pub(super) fn frame(&self, lane: usize) -> Frame<'f> {
        let (start, length) = (self.starts.0[lane] as usize, self.lengths.0[lane] as usize);
        Frame { data: self.slab.get(start..start + length).unwrap_or_default(), record: &self.records[lane] }
    }

    #[inline(always)]
    pub(super) fn wire_lengths(&self, numbers: &mut Numbers) {
        let lengths = self.records.iter().map(|record| record.wire_length);
        numbers.0.iter_mut().zip(lengths).for_each(|(number, length)| *number = length);
    }

    /// Loads the word of `lanes` into a column.
    #[inline(always)]
    pub(super) fn load(&self, machine: impl Machine, word: Word, lanes: u64, column: &mut Column) {
        let whole = machine.load(self, word, lanes, &mut column.numbers);
        if whole != lanes {
            self.load_parts(word, lanes & !whole, &mut column.numbers);
        }
        column.whole = if column.loaded == 0 { whole } else { column.whole | whole };
        column.loaded |= lanes;
    }

    /// The same for what is cut short: what there is, and zeros.
    #[cold]
    pub(super) fn load_parts(&self, word: Word, lanes: u64, numbers: &mut Numbers) {
        for lane in each(lanes) {
            let frame = self.frame(lane);
            let number = frame.place(word).and_then(|at| frame.bytes(at, 0));
            numbers.0[lane] = number.unwrap_or_default();
        }
    }

    /// Those of `lanes` that have the first `bytes` bytes of a word.
    #[cold]
    pub(super) fn have(&self, word: Word, bytes: u8, lanes: u64) -> u64 {
        lanes_where(lanes, |lane| {
            let frame = self.frame(lane);
            let end = frame.place(word).and_then(|at| at.checked_add(bytes.into()));
            end.is_some_and(|end| end <= frame.data.len())
        })
    }
}

/// By whatever instructions there are.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Machine for Portable {
    #[inline(always)]
    fn places(self, records: &[Record; LANES], starts: &mut Numbers, lengths: &mut Numbers) {
        for (lane, record) in records.iter().enumerate() {
            (starts.0[lane], lengths.0[lane]) = (record.offset, record.captured);
        }
    }

    #[inline(always)]
    fn load(self, frames: &Frames<'_>, word: Word, lanes: u64, numbers: &mut Numbers) -> u64 {
        lanes_where(lanes, |lane| {
            let frame = frames.frame(lane);
            let place = frame.place(word);
            let bytes = place.and_then(|at| frame.data.get(at..)).and_then(<[u8]>::first_chunk);
            numbers.0[lane] = bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes));
            bytes.is_some()
        })
    }

    #[inline(always)]
    fn in_range(self, numbers: &Numbers, mask: u32, low: u32, span: u32) -> u64 {
        bits(|lane| (numbers.0[lane] & mask).wrapping_sub(low) <= span)
    }
}

/// Those of `lanes` where it holds.
#[inline(always)]
pub(super) fn lanes_where(lanes: u64, mut holds: impl FnMut(usize) -> bool) -> u64 {
    each(lanes).fold(0, |all, lane| all | u64::from(holds(lane)) << lane)
}

/// The numbers of the bits that are set.
#[inline(always)]
pub(super) fn each(mut lanes: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = (lanes != 0).then(|| lanes.trailing_zeros() as usize)?;
        lanes &= lanes - 1;
        Some(lane)
    })
}

/// A bit for each lane: whether it holds there. Written so that it becomes vector instructions.
#[inline(always)]
pub(super) fn bits(holds: impl Fn(usize) -> bool) -> u64 {
    let mut flags = [0_u8; LANES];
    flags.iter_mut().enumerate().for_each(|(lane, flag)| *flag = u8::from(holds(lane)));
    // Eight flags, of which each is moved to its place in the highest byte: no two meet on the way.
    let packed = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let (eights, _) = flags.as_chunks::<8>();
    eights.iter().enumerate().fold(0, |all, (place, eight)| all | packed(eight) << (8 * place))
}
