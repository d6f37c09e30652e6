//! What has come ahead of what is still missing.

use super::Overlap;
use std::collections::BTreeMap;

/// What a piece costs beside its bytes: its place in the tree, the allocator's own.
const PIECE: usize = 80;
/// Bytes up to which a piece grows at its end rather than having another behind it.
const GROWS_TO: usize = 64 << 10;

/// Bytes in a row, the last of which may not have been captured.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Those captured.
    pub(super) bytes: Vec<u8>,
    /// How many there were; at least as many.
    pub(super) length: u64,
}

impl Piece {
    fn memory(&self) -> usize {
        self.bytes.capacity() + PIECE
    }

    /// Its end may have more put behind it.
    fn grows(&self) -> bool {
        self.bytes.len() as u64 == self.length && self.bytes.len() < GROWS_TO
    }
}

/// What an insertion found in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::flow) struct Overlapped {
    /// Captured bytes whose place was taken.
    pub(in crate::flow) bytes: u64,
    /// Of those, bytes that differed from what was there.
    pub(in crate::flow) conflicting: u64,
    /// Places that were taken, captured or not.
    pub(in crate::flow) places: u64,
}

/// Pieces by the offset of their first byte; no two overlap. Nothing is ever split or moved, so that each byte inserted
/// costs as much whatever is there: an overlap is written over in its place or left alone.
#[derive(Debug, Default)]
pub(in crate::flow) struct Pieces {
    by_offset: BTreeMap<u64, Piece>,
    memory: usize,
    /// Steps of the walk in [`Pieces::insert`].
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
        self.by_offset.last_key_value().map_or(0, |(offset, piece)| offset + piece.length)
    }

    /// Takes out the first.
    pub(super) fn pop(&mut self) -> Option<(u64, Piece)> {
        let (offset, piece) = self.by_offset.pop_first()?;
        #[cfg(test)]
        {
            self.steps += 1;
        }
        self.memory -= piece.memory();
        if self.by_offset.is_empty() {
            self.by_offset = BTreeMap::new();
        }
        Some((offset, piece))
    }

    /// The bytes from offset 0 on in one, if there is one piece without a gap up to `end`.
    pub(in crate::flow) fn joined(&self, end: u64) -> Option<Vec<u8>> {
        let mut all = Vec::with_capacity(usize::try_from(end).ok()?);
        for (offset, piece) in &self.by_offset {
            if *offset != all.len() as u64 || piece.bytes.len() as u64 != piece.length {
                return None;
            }
            all.extend_from_slice(&piece.bytes);
        }
        (all.len() as u64 == end).then_some(all)
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

    /// Puts in `length` bytes, of which the first are `bytes`.
    pub(in crate::flow) fn insert(
        &mut self,
        start: u64,
        bytes: &[u8],
        length: u64,
        overlap: Overlap,
    ) -> Overlapped {
        let mut overlapped = Overlapped::default();
        let end = start + length;
        let cut = |from: u64, to: u64| {
            let last =
                |offset: u64| usize::try_from(offset - start).map_or(bytes.len(), |at| at.min(bytes.len()));
            &bytes[last(from)..last(to)]
        };
        let mut at = start;
        while at < end {
            #[cfg(test)]
            {
                self.steps += 1;
            }
            let before = self.by_offset.range_mut(..=at).next_back();
            if let Some((offset, piece)) = before.filter(|(offset, piece)| *offset + piece.length > at) {
                let until = end.min(offset + piece.length);
                let new = cut(at, until);
                overlapped.bytes += new.len() as u64;
                overlapped.places += until - at;
                let there = usize::try_from(at - offset).ok().and_then(|from| piece.bytes.get_mut(from..));
                for (old, new) in there.unwrap_or_default().iter_mut().zip(new) {
                    overlapped.conflicting += u64::from(old != new);
                    if overlap == Overlap::Last {
                        *old = *new;
                    }
                }
                at = until;
            } else {
                let until = self.by_offset.range(at..).next().map_or(end, |(offset, _)| end.min(*offset));
                self.put(at, cut(at, until), until - at);
                at = until;
            }
        }
        overlapped
    }

    /// Into a hole.
    fn put(&mut self, at: u64, bytes: &[u8], length: u64) {
        let before = self.by_offset.range_mut(..at).next_back();
        match before.filter(|(offset, piece)| *offset + piece.length == at && piece.grows()) {
            Some((_, piece)) => {
                self.memory -= piece.memory();
                piece.bytes.extend_from_slice(bytes);
                piece.length += length;
                self.memory += piece.memory();
            }
            None => {
                let piece = Piece { bytes: bytes.to_vec(), length };
                self.memory += piece.memory();
                self.by_offset.insert(at, piece);
            }
        }
    }
}
