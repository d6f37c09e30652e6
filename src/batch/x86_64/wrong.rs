//! Packets of a common shape with a wrong checksum: what was found in the field, and what would be right there.

use super::run::Eight;
use crate::batch::Summary;
use crate::frame::Record;
use crate::parse::Transport;
use crate::verify::{Verdict, Verdicts};
use std::arch::x86_64::*;

/// What eight lanes say, to be looked at one by one.
pub(super) struct Wrong {
    /// Lanes of a common shape.
    sound: __mmask8,
    v6: __mmask8,
    summaries: [u64; 8],
    start: [u64; 8],
    headers: [u64; 8],
    upper: [u64; 8],
}

impl Wrong {
    /// `None` when no lane of a common shape has a wrong checksum.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    pub(super) fn of(eight: &Eight) -> Option<Self> {
        let &Eight { sound, right, v6, summaries, start, headers, upper, .. } = eight;
        (sound & !right != 0).then(|| Self {
            sound,
            v6,
            summaries: numbers(summaries),
            start: numbers(start),
            headers: numbers(headers),
            upper: numbers(upper),
        })
    }

    /// The summary of the packet in `lane`, whose frame is `record` in `slab`, but for the verdicts over it; `None` where it
    /// is for the walk to find them.
    #[inline]
    pub(super) fn judge(&self, lane: usize, slab: &[u8], record: &Record) -> Option<(Summary, Verdicts)> {
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

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn numbers(lanes: __m512i) -> [u64; 8] {
    let mut numbers = [0; 8];
    // SAFETY: 64 writable bytes. No alignment is asked for.
    unsafe { _mm512_storeu_si512((&raw mut numbers).cast(), lanes) };
    numbers
}
