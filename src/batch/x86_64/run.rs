//! A whole batch.

use super::ahead::{Ahead, Ask, Followed, Hot, Later};
use super::lanes::Lanes;
use super::shape::Shapes;
use super::sums::{self, HELD};
use super::wrong::Wrong;
use crate::batch::{Findings, Summary};
use crate::checksum::Kernel;
use crate::frame::{Batch, Record};
use crate::verify::{Checksums, Verdict};
use std::arch::x86_64::*;

/// Frames read before what was found in them is added up.
const SEGMENT: usize = 256;

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
            seen.add(group, &eight);
            let mut others = !eight.right;
            let wrong = if findings.unverified { None } else { Wrong::of(&eight) };
            while others != 0 {
                // At once, while what the lanes have read of it is in the first cache.
                let lane = others.trailing_zeros() as usize;
                others &= others - 1;
                let judged = wrong.as_ref().and_then(|wrong| wrong.judge(lane, batch.slab(), &records[lane]));
                match judged {
                    Some((summary, verdicts)) => findings.judge(start + lane, summary, verdicts),
                    None => findings.walk(kernel, batch, start + lane),
                }
            }
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
pub(super) struct Eight {
    /// A summary in each lane, right where `right` says so.
    pub(super) summaries: __m512i,
    /// Lanes of a common shape.
    pub(super) sound: __mmask8,
    /// Those with no wrong checksum.
    pub(super) right: __mmask8,
    pub(super) v6: __mmask8,
    absent: __mmask8,
    vouched: __mmask8,
    cut: __mmask8,
    /// Where word 0 begins in the frame.
    pub(super) start: __m512i,
    /// Both sums, folded: in the upper 16 bits, which are ones where the checksum is not wrong.
    pub(super) headers: __m512i,
    pub(super) upper: __m512i,
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
        Self { summaries, sound, right: sound, v6, ..Self::default() }
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
            sound,
            right: _mm512_testn_epi64_mask(wrong, wrong) & !odd,
            v6,
            absent,
            vouched,
            cut,
            start: lanes.start,
            headers,
            upper,
        }
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
        Self {
            summaries: zero,
            sound: 0,
            right: 0,
            v6: 0,
            absent: 0,
            vouched: 0,
            cut: 0,
            start: zero,
            headers: zero,
            upper: zero,
        }
    }
}

/// What was found in the groups of a segment: a bit for each frame.
#[derive(Default)]
struct Seen {
    right: [u8; SEGMENT / 8],
    v6: [u8; SEGMENT / 8],
    absent: [u8; SEGMENT / 8],
    vouched: [u8; SEGMENT / 8],
    cut: [u8; SEGMENT / 8],
}

impl Seen {
    #[inline]
    fn add(&mut self, group: usize, eight: &Eight) {
        self.right[group] = eight.right;
        self.v6[group] = eight.right & eight.v6;
        self.absent[group] = eight.right & eight.absent;
        self.vouched[group] = eight.right & eight.vouched;
        self.cut[group] = eight.right & eight.cut;
    }

    fn settle(&self, findings: &mut Findings) {
        let count = |bits: &[u8; SEGMENT / 8]| -> u64 {
            let words = bits.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
            words.map(|word| u64::from(word.count_ones())).sum()
        };
        let (packets, v6) = (count(&self.right), count(&self.v6));
        let (absent, vouched, cut) = (count(&self.absent), count(&self.vouched), count(&self.cut));
        let Checksums { ip, l4, inner_ip, inner_l4 } = &mut findings.checksums;
        ip.add_many(Verdict::NotApplicable, v6);
        ip.add_many(Verdict::Good, packets - v6);
        l4.add_many(Verdict::Absent, absent);
        l4.add_many(Verdict::Vouched, vouched);
        l4.add_many(Verdict::Truncated, cut);
        l4.add_many(Verdict::Good, packets - absent - vouched - cut);
        inner_ip.add_many(Verdict::NotApplicable, packets);
        inner_l4.add_many(Verdict::NotApplicable, packets);
    }
}
