//! Packets of a common shape with a wrong checksum: what was found in the field, and what would be right there.

use crate::batch::{Findings, Summary};
use crate::checksum::Kernel;
use crate::frame::{Batch, Record};
use crate::parse::Transport;
use crate::verify::{Verdict, Verdicts};

/// What eight lanes say, to be looked at one by one.
#[derive(Default)]
pub(super) struct Wrong {
    /// Lanes of a common shape.
    pub(super) sound: u8,
    pub(super) v6: u8,
    pub(super) summaries: [u64; 8],
    /// Where word 0 begins in the frame.
    pub(super) start: [u64; 8],
    /// Both sums, in the upper 16 bits.
    pub(super) headers: [u64; 8],
    pub(super) upper: [u64; 8],
}

/// Judges or walks those of eight frames, from `start` on in `batch`, that are in `others`.
#[inline(always)]
pub(super) fn settle<K: Kernel>(
    kernel: K,
    findings: &mut Findings,
    batch: Batch<'_>,
    start: usize,
    records: &[Record; 8],
    mut others: u8,
    wrong: Option<&Wrong>,
) {
    while others != 0 {
        // At once, while what the lanes have read of it is in the first cache.
        let lane = others.trailing_zeros() as usize;
        others &= others - 1;
        let judged = wrong.and_then(|wrong| wrong.judge(lane, batch.slab(), &records[lane]));
        match judged {
            Some((summary, verdicts)) => findings.judge(start + lane, summary, verdicts),
            None => findings.walk(kernel, batch, start + lane),
        }
    }
}

impl Wrong {
    /// The summary of the packet in `lane`, whose frame is `record` in `slab`, but for the verdicts over it; `None` where it
    /// is for the walk to find them.
    #[inline]
    fn judge(&self, lane: usize, slab: &[u8], record: &Record) -> Option<(Summary, Verdicts)> {
        let offload = record.offload;
        // Those may not be wrong at all.
        if self.sound >> lane & 1 == 0 || offload.checksum_not_ready || offload.checksum_unsure {
            return None;
        }
        let summary = Summary::of_bits(self.summaries[lane]);
        let ip = record.offset as usize + self.start[lane] as usize + 4;
        let (length, field) = match (self.v6 >> lane & 1, summary.transport()) {
            (0, Transport::Icmp) => (20, 2),
            (0, Transport::Udp) => (20, 6),
            (0, _) => (20, 16),
            (_, Transport::Udp) => (40, 6),
            _ => (40, 16),
        };
        let mut verdicts = summary.verdicts();
        for (verdict, sum, at) in [
            (&mut verdicts.ip, self.headers[lane], ip + 10),
            (&mut verdicts.l4, self.upper[lane], ip + length + field),
        ] {
            // In memory order.
            let sum = ((sum >> 48) as u16).to_be();
            if sum != u16::MAX {
                let found = u16::from_be_bytes(*slab.get(at..)?.first_chunk()?);
                *verdict = Verdict::Bad { found: found.into(), expected: expected(found, sum)?.into() };
            }
        }
        Some((summary, verdicts))
    }
}

/// What would be right in a field with `found` in it, `sum` being over all of it; `None` where this does not tell.
#[inline]
fn expected(found: u16, sum: u16) -> Option<u16> {
    // Without the field, as RFC 1624 updates a sum: by its complement, a carry coming in again.
    let (rest, carry) = sum.overflowing_add(!found);
    let rest = rest + u16::from(carry);
    // That is of nothing but zeros, or of what amounts to as much; and UDP has no checksum of 0.
    (rest != u16::MAX).then_some(!rest)
}
