//! Asking for frames before they are read, where they lie in memory.

use crate::frame::{Batch, Record};
use crate::sys::prefetch::{self, LINE};

/// Bytes between what is read and what is asked for: as much as memory brings while it takes to answer, several times over,
/// and a fraction of the first cache.
const DISTANCE: usize = 8 << 10;

/// The most lines of a frame that are asked for: a full one.
const LINES: usize = 24;

/// How far ahead frames of a batch are asked for.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    groups: usize,
}

impl Ahead {
    pub(super) fn of(batch: Batch<'_>) -> Self {
        let mean = batch.captured() as usize / batch.len().max(1);
        Self { groups: (DISTANCE / (8 * mean.max(LINE))).clamp(1, 16) }
    }

    /// Asks for what will be read after the group with this number. Behind the last group that is what lies there in
    /// the slab, for the next batch to be sure, as much as if this one went on.
    #[inline]
    pub(super) fn ask(self, slab: &[u8], groups: &[[Record; 8]], group: usize) {
        if let Some(later) = groups.get(group + self.groups) {
            later.iter().for_each(|record| ask_for(slab, record.offset, record.captured));
        } else if let (Some(from), Some(last)) =
            (groups.get(groups.len().wrapping_sub(self.groups)), groups.last())
        {
            let shift = (last[7].offset.wrapping_add(last[7].captured)).wrapping_sub(from[0].offset);
            let beyond = |record: &Record| ask_for(slab, record.offset.wrapping_add(shift), record.captured);
            groups[group].iter().for_each(beyond);
        }
    }
}

#[inline]
fn ask_for(slab: &[u8], offset: u32, length: u32) {
    let start = slab.as_ptr().wrapping_add(offset as usize);
    let lines = (start.addr() % LINE + length as usize).div_ceil(LINE).min(LINES);
    (0..lines).for_each(|line| prefetch::for_reading(start.wrapping_add(line * LINE)));
}
