//! One packet on its way to being whole.

use super::Counters;
use super::fragment::{Fragment, LONGEST};
use crate::checksum;
use crate::flow::reassembly::Overlap;
use crate::flow::reassembly::pieces::Pieces;
use crate::frame::LinkType;
use crate::parse::{Carried, IpVersion};

/// The fragments of one packet.
#[derive(Debug, Default)]
pub(super) struct Datagram {
    pieces: Pieces,
    /// Different places filled.
    filled: u64,
    /// Where the last fragment ends.
    end: Option<u64>,
    /// What stands before the bytes, with the number of what follows set; empty until the first fragment came.
    head: Vec<u8>,
    version: IpVersion,
    /// Fragments overlapped where they must not: nothing more is taken.
    void: bool,
}

/// What a fragment has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Waits,
    Whole,
}

impl Datagram {
    pub(super) fn memory(&self) -> usize {
        self.pieces.memory() + self.head.capacity()
    }

    pub(super) fn is_void(&self) -> bool {
        self.void
    }

    pub(super) fn take(
        &mut self,
        fragment: &Fragment<'_>,
        overlap: Overlap,
        counters: &mut Counters,
    ) -> Verdict {
        if self.void {
            counters.of_voided += 1;
            return Verdict::Waits;
        }
        let length = fragment.bytes.len() as u64;
        let end = fragment.offset + length;
        // No byte lies behind the end, wherever that was said first.
        let beyond = self.end.is_some_and(|known| if fragment.more { end > known } else { end != known });
        if beyond || !fragment.more && self.pieces.end() > end {
            counters.malformed += 1;
            return Verdict::Waits;
        }
        let overlap = if fragment.version == IpVersion::V6 { Overlap::First } else { overlap };
        let found = self.pieces.insert(fragment.offset, fragment.bytes, length, overlap);
        if found.bytes == length && found.conflicting == 0 {
            counters.repeated += 1;
        } else if found.bytes > 0 {
            counters.overlapping += 1;
            if fragment.version == IpVersion::V6 {
                counters.voided += 1;
                *self = Self { void: true, ..Self::default() };
                return Verdict::Waits;
            }
        }
        self.filled += length - found.bytes;
        if !fragment.more {
            self.end = Some(end);
        }
        if fragment.offset == 0 && (self.head.is_empty() || overlap == Overlap::Last) {
            self.keep_head(fragment);
        }
        if self.end == Some(self.filled) && !self.head.is_empty() { Verdict::Whole } else { Verdict::Waits }
    }

    fn keep_head(&mut self, fragment: &Fragment<'_>) {
        self.head = fragment.head.to_vec();
        self.version = fragment.version;
        let (at, number) = fragment.next_header;
        if let Some(field) = self.head.get_mut(at) {
            *field = number;
        }
    }

    /// The packet, if its length can be written.
    pub(super) fn join(self) -> Option<Carried> {
        let data = self.pieces.joined(self.end?)?;
        self.with(&data)
    }

    /// As much of the packet as there is up to the first gap, as if that were all, if its beginning is there.
    pub(super) fn beginning(self) -> Option<Carried> {
        let data = self.pieces.beginning();
        if self.head.is_empty() { None } else { self.with(&data) }
    }

    /// A packet of these bytes.
    fn with(mut self, data: &[u8]) -> Option<Carried> {
        match self.version {
            IpVersion::V4 => {
                let total = self.head.len() as u64 + data.len() as u64;
                let total = u16::try_from(total).ok()?;
                self.head.get_mut(2..4)?.copy_from_slice(&total.to_be_bytes());
                // Neither "more fragments" nor an offset.
                let flags = self.head.get_mut(6..8)?;
                flags.copy_from_slice(&[flags[0] & 0xc0, 0]);
                self.head.get_mut(10..12)?.fill(0);
                let sum = checksum::internet(&self.head);
                self.head.get_mut(10..12)?.copy_from_slice(&sum.to_be_bytes());
            }
            IpVersion::V6 => {
                let length = (self.head.len() as u64).checked_sub(40)? + data.len() as u64;
                let length = u16::try_from(length.min(LONGEST + 1)).ok()?;
                self.head.get_mut(4..6)?.copy_from_slice(&length.to_be_bytes());
            }
        }
        self.head.extend_from_slice(data);
        let wire_length = self.head.len() as u32;
        Some(Carried { link_type: LinkType::RAW, data: self.head, wire_length })
    }
}
