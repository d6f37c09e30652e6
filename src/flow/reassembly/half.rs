//! One direction of a connection.

use super::pieces::{Overlapped, Pieces};
use super::{Counters, Gap, Overlap, What};

/// As far ahead as the largest window reaches (RFC 7323 2.3): what is further is of another connection, or made up.
const MOST_AHEAD: i64 = 1 << 30;

/// Where one side is: what it said up to `next` has been handed on.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Its first sequence number is known.
    begun: bool,
    /// Sequence number of offset 0.
    first: u32,
    /// Offset of the first byte not handed on.
    next: u64,
    /// Segments that began before `next` were said to go on up to here. What is missing between the two was not captured.
    declared: u64,
    /// The peer has acknowledged everything before this offset, as far as it said so plausibly.
    acknowledged: u64,
    /// Offset of its FIN.
    fin: Option<u64>,
    pieces: Pieces,
}

impl Half {
    /// Takes the sequence number of the first byte, unless it is known.
    pub(super) fn begin(&mut self, sequence: u32) {
        if !self.begun {
            (self.begun, self.first) = (true, sequence);
        }
    }

    /// Whether a SYN before this first byte is another connection's.
    pub(super) fn began_elsewhere(&self, sequence: u32) -> bool {
        self.begun && self.first != sequence
    }

    /// Whether that is the byte which comes next.
    pub(super) fn expects(&self, sequence: u32) -> bool {
        self.begun && self.offset(sequence) == self.next as i64
    }

    /// Bytes of memory that wait.
    pub(super) fn memory(&self) -> usize {
        self.pieces.memory()
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.pieces.steps
    }

    /// The offset that a sequence number stands for: the nearest to `next`, be it before offset 0.
    fn offset(&self, sequence: u32) -> i64 {
        let next = self.first.wrapping_add(self.next as u32);
        (self.next as i64).saturating_add(i64::from(sequence.wrapping_sub(next) as i32))
    }

    fn is_outside(&self, offset: i64) -> bool {
        offset.saturating_sub(self.next as i64) > MOST_AHEAD
    }

    /// A FIN with this sequence number.
    pub(super) fn finish_at(&mut self, sequence: u32) {
        let offset = self.offset(sequence);
        if !self.is_outside(offset) {
            self.fin = u64::try_from(offset).ok();
        }
    }

    /// Takes `length` bytes, of which the first are `payload`.
    pub(super) fn data(
        &mut self,
        (sequence, payload, length): (u32, &[u8], u32),
        overlap: Overlap,
        counters: &mut Counters,
        emit: &mut impl FnMut(u64, What<'_>),
    ) {
        let length = i64::from(length).max(payload.len() as i64);
        let start = self.offset(sequence);
        if self.is_outside(start) {
            counters.outside += payload.len() as u64;
            return;
        }
        // Never beyond the end of the segment, so it is at most 2^32.
        let behind = (self.next as i64 - start).clamp(0, length);
        let old = payload.len().min(behind as usize);
        counters.repeated += old as u64;
        let (start, payload, length) = ((start + behind) as u64, &payload[old..], (length - behind) as u64);
        if length == 0 {
            return;
        }
        if start > self.next {
            let found = self.pieces.insert(start, payload, length, overlap);
            found.count(counters);
            return;
        }
        counters.conflicting += self.pieces.conflicting(start, payload);
        self.declared = self.declared.max(start + length);
        self.in_order(payload, overlap, counters, emit);
        self.settle(counters, emit);
    }

    /// Hands on what begins at `next`, around what waits.
    fn in_order(
        &mut self,
        payload: &[u8],
        overlap: Overlap,
        counters: &mut Counters,
        emit: &mut impl FnMut(u64, What<'_>),
    ) {
        let (start, end) = (self.next, self.next + payload.len() as u64);
        let within =
            |offset: u64| usize::try_from(offset - start).map_or(payload.len(), |at| at.min(payload.len()));
        while self.next < end {
            let until = match (overlap, self.pieces.first()) {
                (Overlap::First, Some(first)) => end.min(first),
                _ => end,
            };
            self.hand_on(&payload[within(self.next)..within(until)], counters, emit);
            let before = self.next;
            self.drain(overlap == Overlap::Last, counters, emit);
            if overlap == Overlap::First {
                counters.repeated += (within(end.min(self.next)) - within(before)) as u64;
            }
        }
    }

    /// Hands on bytes at `next`.
    fn hand_on(&mut self, bytes: &[u8], counters: &mut Counters, emit: &mut impl FnMut(u64, What<'_>)) {
        if !bytes.is_empty() {
            counters.delivered += bytes.len() as u64;
            emit(self.next, What::Data(bytes));
            self.next += bytes.len() as u64;
        }
    }

    /// What is missing at `next` up to an offset is missing for good.
    fn pass_over(
        &mut self,
        until: u64,
        gap: Gap,
        counters: &mut Counters,
        emit: &mut impl FnMut(u64, What<'_>),
    ) {
        let missing = until.saturating_sub(self.next);
        if missing > 0 {
            counters.missing += missing;
            emit(self.next, What::Missing(missing, gap));
            self.next = until;
        }
    }

    /// Hands on what waits at `next`. `replaced`: what waits before it was taken from another segment instead.
    fn drain(&mut self, replaced: bool, counters: &mut Counters, emit: &mut impl FnMut(u64, What<'_>)) {
        while self.pieces.first().is_some_and(|first| first <= self.next) {
            let Some((offset, piece)) = self.pieces.pop() else { return };
            self.declared = self.declared.max(offset + piece.declared);
            let old = usize::try_from(self.next - offset)
                .map_or(piece.bytes.len(), |old| old.min(piece.bytes.len()));
            if replaced {
                counters.repeated += old as u64;
            }
            let bytes = &piece.bytes[old..];
            counters.waited += bytes.len() as u64;
            self.hand_on(bytes, counters, emit);
        }
    }

    /// Passes over what was sent and not captured at `next`, and hands on what waits behind it.
    fn settle(&mut self, counters: &mut Counters, emit: &mut impl FnMut(u64, What<'_>)) {
        while self.declared > self.next {
            let until = self.pieces.first().map_or(self.declared, |first| first.min(self.declared));
            self.pass_over(until, Gap::Snapped, counters, emit);
            self.drain(true, counters, emit);
        }
    }

    /// The peer has everything before this sequence number: gaps before it will not be filled.
    pub(super) fn acknowledge(
        &mut self,
        sequence: u32,
        counters: &mut Counters,
        emit: &mut impl FnMut(u64, What<'_>),
    ) {
        let offset = self.offset(sequence);
        if !self.begun || self.is_outside(offset) {
            return;
        }
        let Ok(offset) = u64::try_from(offset) else { return };
        self.acknowledged = self.acknowledged.max(offset);
        while self.pieces.first().is_some_and(|first| first < offset) {
            counters.acknowledged += 1;
            self.give_up_gap(Gap::Acknowledged, counters, emit);
        }
    }

    /// Waits no longer for what is missing at `next`.
    pub(super) fn give_up_gap(
        &mut self,
        gap: Gap,
        counters: &mut Counters,
        emit: &mut impl FnMut(u64, What<'_>),
    ) {
        if let Some(first) = self.pieces.first() {
            self.pass_over(first, gap, counters, emit);
            self.drain(true, counters, emit);
            self.settle(counters, emit);
        }
    }

    /// There is no more: hands on all that waits, and what is known to be missing after it.
    pub(super) fn end(&mut self, counters: &mut Counters, emit: &mut impl FnMut(u64, What<'_>)) -> u64 {
        while !self.pieces.is_empty() {
            self.give_up_gap(Gap::End, counters, emit);
        }
        // The last number acknowledged may be that of a FIN.
        let end = self.fin.unwrap_or(0).max(self.acknowledged.saturating_sub(1));
        self.pass_over(end, Gap::End, counters, emit);
        self.next
    }
}

impl Overlapped {
    fn count(self, counters: &mut Counters) {
        counters.repeated += self.bytes;
        counters.conflicting += self.conflicting;
    }
}
