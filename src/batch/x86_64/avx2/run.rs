//! A whole batch.

use super::lanes::Lanes;
use super::ports::tunnels;
use super::shape::{Rare, Shapes};
use super::sums::{HELD, Sums};
use crate::batch::x86_64::ahead::{Ahead, Ask, Followed, Hot, Later, Short};
use crate::batch::x86_64::seen::{Found, SEGMENT, Seen};
use crate::batch::x86_64::wrong::{self, Wrong};
use crate::batch::{Findings, Summary};
use crate::checksum::Kernel;
use crate::frame::{Batch, Record};
use std::arch::x86_64::*;

/// Reads the frames of `batch` into `findings`, which have room for them: those of a common shape. The others are walked.
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(in crate::batch) fn read<K: Kernel>(kernel: K, findings: &mut Findings, batch: Batch<'_>) {
    if batch.is_cold() {
        if let Some(short) = Short::of(batch) {
            read_by(kernel, findings, batch, short);
        } else if findings.unverified {
            read_groups::<K, _, false>(kernel, findings, batch, Ahead::of(batch));
        } else {
            read_groups::<K, _, true>(kernel, findings, batch, Followed::in_order());
        }
    } else if batch.ahead() > 0 {
        read_by(kernel, findings, batch, Followed::of(batch));
    } else {
        read_by(kernel, findings, batch, Hot);
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn read_by<K: Kernel, A: Ask>(kernel: K, findings: &mut Findings, batch: Batch<'_>, ahead: A) {
    if findings.unverified {
        read_groups::<K, A, false>(kernel, findings, batch, ahead);
    } else {
        read_groups::<K, A, true>(kernel, findings, batch, ahead);
    }
}

/// Unless it is to `VERIFY`, all of a common shape are right, and no verdict is told.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn read_groups<K: Kernel, A: Ask, const VERIFY: bool>(
    kernel: K,
    findings: &mut Findings,
    batch: Batch<'_>,
    ahead: A,
) {
    let segments = batch.records().chunks(SEGMENT);
    let mut wrong = Wrong::default();
    for (number, records) in segments.enumerate() {
        let (groups, rest) = records.as_chunks::<8>();
        let mut seen = Seen::default();
        let first = number * SEGMENT;
        for (group, records) in groups.iter().enumerate() {
            let later = ahead.later(batch.slab(), groups, group);
            later.ask_for_headers();
            if !VERIFY {
                later.ask_for_what_follows();
            }
            let start = first + 8 * group;
            let mut found = Found::default();
            // One four after the other: more than one does not fit the registers.
            for (four, records) in records.as_chunks::<4>().0.iter().enumerate() {
                let frames = Four { slab: batch.slab(), records, at: 4 * four };
                let summaries = frames.read::<K, _, VERIFY>(kernel, later, &mut found, &mut wrong);
                let place = &mut findings.summaries[start + 4 * four..][..4];
                // SAFETY: there are 32 bytes; a summary is a number, and any will do. No alignment is asked for.
                unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), summaries) };
            }
            let tunnels = findings.summaries[start..].first_chunk().map_or(0, |packets| tunnels(packets));
            found.right &= !tunnels;
            seen.add(group, &found);
            if found.right != u8::MAX {
                (wrong.sound, wrong.v6) = (found.sound & !tunnels, found.v6);
                wrong::settle(kernel, findings, batch, start, records, !found.right, Some(&wrong));
            }
        }
        if VERIFY {
            seen.settle(findings);
        }
        let done = first + records.len() - rest.len();
        (done..done + rest.len()).for_each(|index| findings.walk(kernel, batch, index));
    }
}

/// Four frames of eight.
#[derive(Clone, Copy)]
struct Four<'b> {
    slab: &'b [u8],
    records: &'b [Record; 4],
    /// The first one's place among the eight.
    at: usize,
}

impl Four<'_> {
    /// A summary in each lane, right where `found`, to which theirs is added, says so. That does not look at ports.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn read<K: Kernel, L: Later, const VERIFY: bool>(
        self,
        kernel: K,
        later: L,
        found: &mut Found,
        wrong: &mut Wrong,
    ) -> __m256i {
        let Self { slab, records, at } = self;
        let Some(lanes) = Lanes::load(slab, records) else {
            later.ask_for_rests(0xf << at);
            return _mm256_setzero_si256();
        };
        let shapes = Shapes::of(&lanes);
        if !VERIFY {
            let sound = sound(&shapes) << at;
            (found.sound, found.right) = (found.sound | sound, found.right | sound);
            return _mm256_and_si256(shapes.summaries, _mm256_set1_epi64x(!Summary::VERDICTS as i64));
        }
        let mut sums = Sums::of(&lanes, &shapes);
        let mut unsummed = _mm256_setzero_si256();
        let mut v6 = unsummed;
        if let Some(rare) = &shapes.rare {
            let Rare { absent, vouched, cut, .. } = *rare;
            v6 = rare.v6;
            unsummed = _mm256_or_si256(_mm256_or_si256(absent, vouched), cut);
            found.v6 |= signs(v6) << at;
            found.absent |= signs(absent) << at;
            found.vouched |= signs(vouched) << at;
            found.cut |= signs(cut) << at;
        }
        let mut longer = signs(_mm256_cmpgt_epi64(shapes.end, _mm256_set1_epi64x(HELD)));
        if longer != 0 {
            longer &= sound(&shapes) & !signs(unsummed);
            later.ask_for_rests(!longer << at & 0xf << at);
            sums.add(self.beyond(kernel, &lanes, &shapes, longer, later));
        } else {
            later.ask_for_rests(0xf << at);
        }
        // There is no header's sum over IPv6.
        let none = _mm256_blend_epi32::<0b1010_1010>(v6, unsummed);
        let folded = _mm256_or_si256(sums.fold(), none);
        const SUMS: i64 = 0xffff_0000_ffff_0000_u64 as i64;
        let faults = _mm256_andnot_si256(folded, _mm256_set1_epi64x(SUMS));
        let right = common(&shapes, _mm256_or_si256(shapes.faults, faults));
        found.right |= right << at;
        if right != 0xf {
            found.sound |= sound(&shapes) << at;
            let keep = |numbers: &mut [u64; 8], lanes| {
                if let Some(numbers) = numbers[at..].first_chunk_mut() {
                    store(lanes, numbers);
                }
            };
            keep(&mut wrong.summaries, shapes.summaries);
            keep(&mut wrong.start, lanes.start);
            keep(&mut wrong.headers, _mm256_slli_epi64::<32>(folded));
            keep(&mut wrong.upper, folded);
        }
        shapes.summaries
    }

    /// The sums over what the words do not hold of the packets in `longer`; below 2^33.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn beyond<K: Kernel>(
        self,
        kernel: K,
        lanes: &Lanes,
        shapes: &Shapes,
        mut longer: u8,
        later: impl Later,
    ) -> __m256i {
        let (mut first, mut end, mut sums) = ([0; 4], [0; 4], [0_u64; 4]);
        store(_mm256_add_epi64(lanes.start, _mm256_set1_epi64x(HELD)), &mut first);
        store(_mm256_add_epi64(lanes.start, shapes.end), &mut end);
        while longer != 0 {
            let lane = longer.trailing_zeros() as usize & 3;
            longer &= longer - 1;
            later.ask_for_rest(self.at + lane);
            let offset = self.records[lane].offset as usize;
            // The packet ends within its frame, and the frame within the slab.
            let bytes = self.slab.get(offset + first[lane] as usize..offset + end[lane] as usize);
            sums[lane] = kernel.sum(bytes.unwrap_or_default()).halves();
        }
        // SAFETY: 32 bytes. No alignment is asked for.
        unsafe { _mm256_loadu_si256((&raw const sums).cast()) }
    }
}

/// Lanes of a common shape.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn sound(shapes: &Shapes) -> u8 {
    common(shapes, shapes.faults)
}

/// Those that are 0 in `faults`, which has all that the shapes have.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn common(shapes: &Shapes, faults: __m256i) -> u8 {
    let none = _mm256_cmpeq_epi64(faults, _mm256_setzero_si256());
    signs(_mm256_andnot_si256(shapes.below, none))
}

/// Lanes below 0: the lowest four bits.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn signs(lanes: __m256i) -> u8 {
    _mm256_movemask_pd(_mm256_castsi256_pd(lanes)) as u8
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn store(lanes: __m256i, numbers: &mut [u64; 4]) {
    // SAFETY: 32 writable bytes. No alignment is asked for.
    unsafe { _mm256_storeu_si256((&raw mut *numbers).cast(), lanes) };
}
