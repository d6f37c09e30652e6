//! What has come ahead of what is still missing.

use super::Overlap;
use std::collections::BTreeMap;

/// What a piece costs beside its bytes: its place in the tree, the allocator's own.
const PIECE: usize = 80;
/// Bytes up to which a piece grows at its end rather than having another behind it.
const GROWS_TO: usize = 64 << 10;

/// Bytes in a row, all of them captured. There may be none: then it stands for what was not.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// How many there were on the wire from its start on, as the segments said that begin or end in it; at least as many.
    /// Other pieces may lie in the rest of them.
    pub(super) declared: u64,
}

impl Piece {
    fn memory(&self) -> usize {
        self.bytes.capacity() + PIECE
    }
}

/// What an insertion found in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::flow) struct Overlapped {
    /// Captured bytes whose place was taken.
    pub(in crate::flow) bytes: u64,
    /// Of those, bytes that differed from what was there.
    pub(in crate::flow) conflicting: u64,
}

/// Pieces by the offset of their first byte; no two have bytes of one place, and none begins within another's bytes. Nothing is
/// ever split or moved, so that each byte inserted costs as much whatever is there: an overlap is written over in its place or
/// left alone. What was not captured costs a step, however long it is said to be.
#[derive(Debug, Default)]
pub(in crate::flow) struct Pieces {
    by_offset: BTreeMap<u64, Piece>,
    memory: usize,
    /// Pieces looked at.
    #[cfg(test)]
    pub(super) steps: u64,
}

impl Pieces {
    pub(in crate::flow) fn is_empty(&self) -> bool {
        self.by_offset.is_empty()
    }

    /// Bytes of memory in use.
    pub(in crate::flow) fn memory(&self) -> usize {
        self.memory
    }

    /// Where the first begins.
    pub(in crate::flow) fn first(&self) -> Option<u64> {
        self.by_offset.first_key_value().map(|(offset, _)| *offset)
    }

    /// Where the last ends; 0 where there is none.
    pub(in crate::flow) fn end(&self) -> u64 {
        self.by_offset.last_key_value().map_or(0, |(offset, piece)| offset + piece.bytes.len() as u64)
    }

    /// Takes out the first.
    pub(super) fn pop(&mut self) -> Option<(u64, Piece)> {
        let (offset, piece) = self.by_offset.pop_first()?;
        self.step();
        self.memory -= piece.memory();
        if self.by_offset.is_empty() {
            self.by_offset = BTreeMap::new();
        }
        Some((offset, piece))
    }

    /// The bytes from offset 0 on in one, if there is one piece without a gap up to `end`.
    pub(in crate::flow) fn joined(&self, end: u64) -> Option<Vec<u8>> {
        (self.end() == end).then(|| self.beginning()).filter(|all| all.len() as u64 == end)
    }

    /// The bytes from offset 0 on in one, up to the first gap.
    pub(in crate::flow) fn beginning(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(usize::try_from(self.end()).unwrap_or(0));
        for (offset, piece) in &self.by_offset {
            if *offset != all.len() as u64 {
                break;
            }
            all.extend_from_slice(&piece.bytes);
        }
        all
    }

    /// How many of these bytes differ from what waits in their place, where nothing waits before them.
    pub(super) fn conflicting(&self, start: u64, bytes: &[u8]) -> u64 {
        let overlapping = self.by_offset.range(start..start + bytes.len() as u64);
        let differences = overlapping.map(|(offset, piece)| {
            let new = usize::try_from(offset - start).ok().and_then(|from| bytes.get(from..));
            let pairs = piece.bytes.iter().zip(new.unwrap_or_default());
            pairs.filter(|(old, new)| old != new).count() as u64
        });
        differences.sum()
    }

    /// Puts in bytes, the first of `length` that there were on the wire.
    pub(in crate::flow) fn insert(
        &mut self,
        start: u64,
        bytes: &[u8],
        length: u64,
        overlap: Overlap,
    ) -> Overlapped {
        let mut overlapped = Overlapped::default();
        let mut rest = bytes;
        let mut at = start;
        while !rest.is_empty() {
            self.step();
            let before = self.by_offset.range_mut(..=at).next_back();
            let there = before.and_then(|(offset, piece)| {
                let from = usize::try_from(at - offset).ok()?;
                piece.bytes.get_mut(from..).filter(|there| !there.is_empty())
            });
            let count;
            if let Some(there) = there {
                count = there.len().min(rest.len());
                overlapped.bytes += count as u64;
                for (old, new) in there.iter_mut().zip(rest) {
                    overlapped.conflicting += u64::from(old != new);
                    if overlap == Overlap::Last {
                        *old = *new;
                    }
                }
            } else {
                let next = self.by_offset.range(at + 1..).next();
                let room = next.and_then(|(offset, _)| usize::try_from(offset - at).ok());
                count = room.map_or(rest.len(), |room| room.min(rest.len()));
                self.put(at, &rest[..count]);
            }
            rest = &rest[count..];
            at += count as u64;
        }
        if length > bytes.len() as u64 {
            self.declare(at, start + length);
        }
        overlapped
    }

    /// Into a hole.
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let before = self.by_offset.range_mut(..=at).next_back();
        let grows = |offset: u64, piece: &Piece| {
            let length = piece.bytes.len();
            offset + length as u64 == at && length < GROWS_TO
        };
        match before.filter(|(offset, piece)| **offset == at || grows(**offset, piece)) {
            Some((_, piece)) => {
                self.memory -= piece.memory();
                piece.bytes.extend_from_slice(bytes);
                piece.declared = piece.declared.max(piece.bytes.len() as u64);
                self.memory += piece.memory();
            }
            None => self.add(at, Piece { bytes: bytes.to_vec(), declared: bytes.len() as u64 }),
        }
    }

    /// From one offset to another there were bytes that were not captured then.
    fn declare(&mut self, at: u64, end: u64) {
        self.step();
        match self.by_offset.range_mut(..=at).next_back() {
            Some((offset, piece)) if *offset + piece.declared >= at => {
                piece.declared = piece.declared.max(end - offset);
            }
            _ => self.add(at, Piece { bytes: Vec::new(), declared: end - at }),
        }
    }

    fn add(&mut self, at: u64, piece: Piece) {
        self.memory += piece.memory();
        self.by_offset.insert(at, piece);
    }

    #[inline]
    fn step(&mut self) {
        #[cfg(test)]
        {
            self.steps += 1;
        }
    }
}
