//! A whole batch.

use super::lanes::Lanes;
use super::shape::Shapes;
use super::sums::{self, HELD};
use crate::batch::x86_64::ahead::{Ahead, Ask, Followed, Hot, Later};
use crate::batch::x86_64::seen::{Found, SEGMENT, Seen};
use crate::batch::x86_64::wrong::{self, Wrong};
use crate::batch::{Findings, Summary};
use crate::checksum::Kernel;
use crate::frame::{Batch, Record};
use std::arch::x86_64::*;

/// Reads the frames of `batch` into `findings`, which have room for them: those of a common shape. The others are walked.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
pub(in crate::batch) fn read<K: Kernel>(kernel: K, findings: &mut Findings, batch: Batch<'_>) {
    if batch.is_cold() {
        read_groups(kernel, findings, batch, Ahead::of(batch));
    } else if batch.ahead() > 0 {
        read_groups(kernel, findings, batch, Followed::of(batch));
    } else {
        read_groups(kernel, findings, batch, Hot);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn read_groups<K: Kernel, A: Ask>(kernel: K, findings: &mut Findings, batch: Batch<'_>, ahead: A) {
    let segments = batch.records().chunks(SEGMENT);
    for (number, records) in segments.enumerate() {
        let (groups, rest) = records.as_chunks::<8>();
        let mut seen = Seen::default();
        let first = number * SEGMENT;
        for (group, records) in groups.iter().enumerate() {
            let later = ahead.later(batch.slab(), groups, group);
            let eight = if findings.unverified {
                Eight::parse(batch.slab(), records, later)
            } else {
                Eight::read(kernel, batch.slab(), records, later)
            };
            let start = first + 8 * group;
            let summaries = &mut findings.summaries[start..start + 8];
            // SAFETY: there are 64 bytes; a summary is a number, and any will do. No alignment is asked for.
            unsafe { _mm512_storeu_si512(summaries.as_mut_ptr().cast(), eight.summaries) };
            seen.add(group, &eight.found);
            let wrong = if findings.unverified { None } else { eight.wrong() };
            wrong::settle(kernel, findings, batch, start, records, !eight.found.right, wrong.as_ref());
        }
        if !findings.unverified {
            seen.settle(findings);
        }
        let done = first + records.len() - rest.len();
        (done..done + rest.len()).for_each(|index| findings.walk(kernel, batch, index));
    }
}

/// What was found in eight frames.
#[derive(Clone, Copy)]
struct Eight {
    /// A summary in each lane, right where `found` says so.
    summaries: __m512i,
    found: Found,
    /// Where word 0 begins in the frame.
    start: __m512i,
    /// Both sums, folded: in the upper 16 bits, which are ones where the checksum is not wrong.
    headers: __m512i,
    upper: __m512i,
}

impl Eight {
    /// What shape they have, and nothing of their checksums: all are right, and no verdict is told.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn parse(slab: &[u8], records: &[Record; 8], later: impl Later) -> Self {
        later.ask_for_headers();
        later.ask_for_what_follows();
        let Some(lanes) = Lanes::load(slab, records) else { return Self::default() };
        let Shapes { faults, odd, summaries, v6, .. } = Shapes::of(&lanes);
        let sound = _mm512_testn_epi64_mask(faults, faults) & !odd;
        let others = _mm512_set1_epi64(!Summary::VERDICTS as i64);
        let summaries = _mm512_and_si512(summaries, others);
        Self { summaries, found: Found { sound, right: sound, v6, ..Found::default() }, ..Self::default() }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn read<K: Kernel>(kernel: K, slab: &[u8], records: &[Record; 8], later: impl Later) -> Self {
        later.ask_for_headers();
        let Some(lanes) = Lanes::load(slab, records) else { return Self::default() };
        let shapes = Shapes::of(&lanes);
        let mut upper = sums::upper(&lanes, &shapes);
        let longer = _mm512_cmpgt_epi64_mask(shapes.end, _mm512_set1_epi64(HELD));
        let Shapes { v6, absent, vouched, cut, odd, faults, .. } = shapes;
        let sound = _mm512_testn_epi64_mask(faults, faults) & !odd;
        let unsummed = absent | vouched | cut;
        let longer = longer & sound & !unsummed;
        later.ask_for_rests(!longer);
        if longer != 0 {
            upper = _mm512_add_epi64(upper, beyond(kernel, slab, records, &lanes, &shapes, longer, later));
        }
        let (mut headers, mut upper) = (sums::headers(&lanes), sums::fold(upper));
        if v6 | unsummed != 0 {
            let ones = _mm512_set1_epi64(-1);
            headers = _mm512_mask_mov_epi64(headers, v6, ones);
            upper = _mm512_mask_mov_epi64(upper, unsummed, ones);
        }
        // Both folded to ones, and no fault: ~(a & b), of which the upper bits count.
        let wrong = _mm512_ternarylogic_epi64::<{ !(0xf0 & 0xcc) & 0xff }>(headers, upper, upper);
        let wrong = _mm512_or_si512(_mm512_srli_epi64::<48>(wrong), faults);
        Self {
            summaries: shapes.summaries,
            found: Found {
                sound,
                right: _mm512_testn_epi64_mask(wrong, wrong) & !odd,
                v6,
                absent,
                vouched,
                cut,
            },
            start: lanes.start,
            headers,
            upper,
        }
    }

    /// What there is to say of those with a wrong checksum, if there are any.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    fn wrong(&self) -> Option<Wrong> {
        let &Self { found: Found { sound, right, v6, .. }, summaries, start, headers, upper } = self;
        (sound & !right != 0).then(|| Wrong {
            sound,
            v6,
            summaries: numbers(summaries),
            start: numbers(start),
            headers: numbers(headers),
            upper: numbers(upper),
        })
    }
}

/// The sums over what the words do not hold of the packets in `lanes`; below 2^33.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn beyond<K: Kernel>(
    kernel: K,
    slab: &[u8],
    records: &[Record; 8],
    lanes: &Lanes,
    shapes: &Shapes,
    mut longer: __mmask8,
    later: impl Later,
) -> __m512i {
    let (mut first, mut end, mut sums) = ([0; 8], [0; 8], [0_u64; 8]);
    // SAFETY: each is 64 bytes. No alignment is asked for.
    unsafe {
        _mm512_storeu_si512((&raw mut first).cast(), _mm512_add_epi64(lanes.start, _mm512_set1_epi64(HELD)));
        _mm512_storeu_si512((&raw mut end).cast(), _mm512_add_epi64(lanes.start, shapes.end));
    }
    let (first, end): ([u64; 8], [u64; 8]) = (first, end);
    while longer != 0 {
        let lane = longer.trailing_zeros() as usize;
        longer &= longer - 1;
        later.ask_for_rest(lane);
        let offset = records[lane].offset as usize;
        // The packet ends within its frame, and the frame within the slab.
        let bytes = slab.get(offset + first[lane] as usize..offset + end[lane] as usize);
        sums[lane] = kernel.sum(bytes.unwrap_or_default()).halves();
    }
    // SAFETY: 64 bytes. No alignment is asked for.
    unsafe { _mm512_loadu_si512((&raw const sums).cast()) }
}

impl Default for Eight {
    /// Nothing, in frames that are to be walked.
    fn default() -> Self {
        // SAFETY: 64 bytes without padding, and any bytes are a vector.
        let zero = const { unsafe { std::mem::transmute::<[u64; 8], __m512i>([0; 8]) } };
        Self { summaries: zero, found: Found::default(), start: zero, headers: zero, upper: zero }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn numbers(lanes: __m512i) -> [u64; 8] {
    let mut numbers = [0; 8];
    // SAFETY: 64 writable bytes. No alignment is asked for.
    unsafe { _mm512_storeu_si512((&raw mut numbers).cast(), lanes) };
    numbers
}
