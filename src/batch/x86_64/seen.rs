//! What was found in eight frames, and in many.

use crate::batch::{Findings, common};

/// Frames read before what was found in them is added up.
pub(super) const SEGMENT: usize = 256;

/// What was found in eight frames: a bit for each.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    /// Frames of a common shape.
    pub(super) sound: u8,
    /// Those with no wrong checksum.
    pub(super) right: u8,
    pub(super) v6: u8,
    pub(super) absent: u8,
    pub(super) vouched: u8,
    pub(super) cut: u8,
}

/// What was found in the groups of a segment: a bit for each frame.
#[derive(Default)]
pub(super) struct Seen {
    right: [u8; SEGMENT / 8],
    v6: [u8; SEGMENT / 8],
    absent: [u8; SEGMENT / 8],
    vouched: [u8; SEGMENT / 8],
    cut: [u8; SEGMENT / 8],
}

impl Seen {
    #[inline]
    pub(super) fn add(&mut self, group: usize, found: &Found) {
        self.right[group] = found.right;
        self.v6[group] = found.right & found.v6;
        self.absent[group] = found.right & found.absent;
        self.vouched[group] = found.right & found.vouched;
        self.cut[group] = found.right & found.cut;
    }

    pub(super) fn settle(&self, findings: &mut Findings) {
        let count = |bits: &[u8; SEGMENT / 8]| -> u64 {
            let words = bits.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
            words.map(|word| u64::from(word.count_ones())).sum()
        };
        let (packets, v6) = (count(&self.right), count(&self.v6));
        let (absent, vouched, cut) = (count(&self.absent), count(&self.vouched), count(&self.cut));
        let seen = common::Seen { frames: packets, v6, absent, vouched, cut };
        seen.settle(&mut findings.checksums);
    }
}
