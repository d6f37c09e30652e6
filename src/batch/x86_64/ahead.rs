//! Asking for frames before they are read, where they lie in memory.

use crate::frame::{Batch, Record};
use crate::sys::prefetch::{self, LINE};

/// Bytes between what is read and what is asked for: as much as memory brings while it takes to answer, several times over,
/// and a fraction of the first cache.
const DISTANCE: usize = 8 << 10;

/// The same where lines are asked for in the order of their addresses, to which what the processor fetches by itself adds:
/// of 2 to 64 KiB, 6 to 8 were fastest on Zen 3, by a fifth, and half of that for short frames, by a little.
const IN_ORDER: u32 = 8 << 10;

/// The most lines of a frame that are asked for: a full one.
const LINES: usize = 24;

/// The lines of a frame in which its headers are.
const HEADERS: usize = 2;

/// Bytes of a file between two frames, about.
const RECORD_HEADER: usize = 16;

/// Whether and what to ask for.
pub(super) trait Ask: Copy {
    /// What will be read a while after the group with this number.
    fn later<'r>(self, slab: &'r [u8], groups: &'r [[Record; 8]], group: usize)
    -> impl Later + use<'r, Self>;
}

/// Frames to be asked for, or none.
pub(super) trait Later: Copy {
    /// Asks for where the headers are of all.
    fn ask_for_headers(self);

    /// Asks for the rest of one. Asked for all at once they would hold each other up, and the processor with them: it
    /// has room for about one frame's lines on their way.
    fn ask_for_rest(self, lane: usize);

    /// Asks for what is behind these frames, of which no more than the headers is wanted.
    #[inline(always)]
    fn ask_for_what_follows(self) {}

    /// Asks for the rest of those in `lanes`.
    #[inline(always)]
    fn ask_for_rests(self, lanes: u8) {
        (0..8).filter(|lane| lanes >> lane & 1 != 0).for_each(|lane| self.ask_for_rest(lane));
    }
}

/// Frames that are in a cache.
#[derive(Clone, Copy)]
pub(super) struct Hot;

impl Ask for Hot {
    #[inline(always)]
    fn later<'r>(self, _: &'r [u8], _: &'r [[Record; 8]], _: usize) -> impl Later + use<'r> {
        Self
    }
}

impl Later for Hot {
    #[inline(always)]
    fn ask_for_headers(self) {}

    #[inline(always)]
    fn ask_for_rest(self, _: usize) {}

    #[inline(always)]
    fn ask_for_rests(self, _: u8) {}
}

/// How far ahead frames of a batch are asked for that lie in memory.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    groups: usize,
    /// There is more of a frame than where its headers are, as a rule.
    long: bool,
}

impl Ahead {
    pub(super) fn of(batch: Batch<'_>) -> Self {
        let mean = batch.captured() as usize / batch.len().max(1);
        Self { groups: (DISTANCE / (8 * mean.max(LINE))).clamp(1, 16), long: mean > HEADERS * LINE }
    }
}

impl Ask for Ahead {
    #[inline(always)]
    fn later<'r>(self, slab: &'r [u8], groups: &'r [[Record; 8]], group: usize) -> impl Later + use<'r> {
        self.frames(slab, groups, group)
    }
}

impl Ahead {
    /// Behind the last group that is what lies there in the slab, for the next batch to be sure, as much as if this one
    /// went on.
    #[inline(always)]
    fn frames<'r>(self, slab: &'r [u8], groups: &'r [[Record; 8]], group: usize) -> Option<Frames<'r>> {
        let Self { long, .. } = self;
        if let Some(records) = groups.get(group + self.groups) {
            return Some(Frames { slab, records, shift: 0, long });
        }
        let from = groups.get(groups.len().checked_sub(self.groups)?)?;
        let last = &groups.last()?[7];
        let shift = (last.offset.wrapping_add(last.captured)).wrapping_sub(from[0].offset);
        Some(Frames { slab, records: &groups[group], shift, long })
    }
}

/// Frames that are in a cache; behind them lies what is not, and will be read next.
#[derive(Clone, Copy)]
pub(super) struct Followed {
    distance: u32,
}

impl Followed {
    pub(super) fn of(batch: Batch<'_>) -> Self {
        Self { distance: batch.ahead() }
    }

    /// Frames that lie in memory as well, all of which will be read: asked for in the order of their addresses, headers and
    /// all, they come faster to a processor that fetches by itself what follows than when some lines are asked for sooner.
    pub(super) fn in_order() -> Self {
        Self { distance: IN_ORDER }
    }
}

impl Ask for Followed {
    #[inline(always)]
    fn later<'r>(self, slab: &'r [u8], groups: &'r [[Record; 8]], group: usize) -> impl Later + use<'r> {
        Stretch { start: slab.as_ptr().wrapping_add(self.distance as usize), records: &groups[group] }
    }
}

/// The memory some way behind frames, whatever is in it: what lies between frames is asked for with them.
#[derive(Clone, Copy)]
struct Stretch<'r> {
    start: *const u8,
    records: &'r [Record; 8],
}

impl Later for Stretch<'_> {
    #[inline(always)]
    fn ask_for_headers(self) {}

    /// All of it: where headers are in what follows nobody knows yet.
    #[inline(always)]
    fn ask_for_what_follows(self) {
        self.ask_for_rests(0xff);
    }

    #[inline(always)]
    fn ask_for_rest(self, lane: usize) {
        let Record { offset, captured, .. } = self.records[lane];
        // From the line behind the one in which the frame before ended, as a rule.
        let start = self.start.wrapping_add(offset as usize);
        let end = start.addr() + captured as usize;
        let mut line = start.wrapping_sub(RECORD_HEADER).map_addr(|address| address.next_multiple_of(LINE));
        while line.addr() < end {
            prefetch::for_reading_later(line);
            line = line.wrapping_add(LINE);
        }
    }
}

/// Frames of which hardly one is longer than its headers, so that they lie close together, as a rule.
#[derive(Clone, Copy)]
pub(super) struct Short(Ahead);

impl Short {
    /// Unless there are longer ones.
    pub(super) fn of(batch: Batch<'_>) -> Option<Self> {
        let Ahead { groups, long } = Ahead::of(batch);
        (!long).then_some(Self(Ahead { groups: groups.div_ceil(2), long }))
    }
}

impl Ask for Short {
    #[inline(always)]
    fn later<'r>(self, slab: &'r [u8], groups: &'r [[Record; 8]], group: usize) -> impl Later + use<'r> {
        Close(self.0.frames(slab, groups, group))
    }
}

#[derive(Clone, Copy)]
struct Close<'r>(Option<Frames<'r>>);

impl Later for Close<'_> {
    /// Line by line from the first frame to the last, in fewer steps than frame by frame.
    #[inline(always)]
    fn ask_for_headers(self) {
        let Some(Frames { slab, records, shift, .. }) = self.0 else { return };
        let (first, last) = (&records[0], &records[7]);
        let bytes = last.offset.wrapping_add(last.captured).wrapping_sub(first.offset) as usize;
        if bytes > 8 * HEADERS * LINE {
            return self.0.ask_for_headers();
        }
        let start = slab.as_ptr().wrapping_add(first.offset.wrapping_add(shift) as usize);
        let end = start.addr() + bytes;
        let mut line = start.map_addr(|address| address & !(LINE - 1));
        while line.addr() < end {
            prefetch::for_reading(line);
            line = line.wrapping_add(LINE);
        }
    }

    #[inline(always)]
    fn ask_for_rest(self, _: usize) {}

    #[inline(always)]
    fn ask_for_rests(self, _: u8) {}
}

#[derive(Clone, Copy)]
struct Frames<'r> {
    slab: &'r [u8],
    records: &'r [Record; 8],
    /// How much further on they lie than the records say.
    shift: u32,
    long: bool,
}

impl Frames<'_> {
    #[inline(always)]
    fn ask(self, lane: usize, from: usize, to: usize) {
        let Record { offset, captured, .. } = self.records[lane];
        let start = self.slab.as_ptr().wrapping_add(offset.wrapping_add(self.shift) as usize);
        let lines = (start.addr() % LINE + captured as usize).div_ceil(LINE).min(to);
        (from..lines).for_each(|line| prefetch::for_reading(start.wrapping_add(line * LINE)));
    }
}

impl Later for Option<Frames<'_>> {
    #[inline(always)]
    fn ask_for_headers(self) {
        let Some(frames) = self else { return };
        (0..8).for_each(|lane| frames.ask(lane, 0, HEADERS));
    }

    #[inline(always)]
    fn ask_for_rest(self, lane: usize) {
        if let Some(frames) = self.filter(|frames| frames.long) {
            frames.ask(lane, HEADERS, LINES);
        }
    }
}
