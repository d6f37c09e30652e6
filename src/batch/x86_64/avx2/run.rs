//! A whole batch.

use super::lanes::Lanes;
use super::ports::tunnels;
use super::shape::{Rare, Shapes};
use super::sums::{HELD, Sums};
use crate::batch::x86_64::ahead::{Ahead, Ask, Followed, Hot, Later};
use crate::batch::x86_64::seen::{Found, SEGMENT, Seen};
use crate::batch::x86_64::wrong::{self, Wrong};
use crate::batch::{Findings, Summary};
use crate::checksum::Kernel;
use crate::frame::{Batch, Record};
use crate::parse::Transport;
use std::arch::x86_64::*;

/// Reads the frames of `batch` into `findings`, which have room for them: those of a common shape. The others are walked.
#[target_feature(enable = "avx2")]
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
#[target_feature(enable = "avx2")]
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
            unsafe { store(eight.fours.map(|four| four.summaries), summaries.as_mut_ptr().cast()) };
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
struct Eight {
    fours: [Four; 2],
    /// But for `sound`.
    found: Found,
    /// Lanes in which a port may be a tunnel's.
    odd: u8,
}

/// What was found in four.
#[derive(Clone, Copy)]
struct Four {
    /// A summary in each lane, right where `Found` says so.
    summaries: __m256i,
    /// 0 in lanes of a common shape, unless this is below 0.
    faults: __m256i,
    below: __m256i,
    rare: Option<Rare>,
    /// Where word 0 begins in the frame, and where the packet ends, from there.
    start: __m256i,
    end: __m256i,
    sums: Sums,
    /// Those, [folded](Sums::fold).
    folded: __m256i,
}

impl Eight {
    /// What shape they have, and nothing of their checksums: all are right, and no verdict is told.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn parse(slab: &[u8], records: &[Record; 8], later: impl Later) -> Self {
        later.ask_for_headers();
        later.ask_for_what_follows();
        let mut eight = Self::of(slab, records);
        let others = _mm256_set1_epi64x(!Summary::VERDICTS as i64);
        for four in &mut eight.fours {
            four.summaries = _mm256_and_si256(four.summaries, others);
        }
        eight.found.right = eight.sound();
        eight
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn read<K: Kernel>(kernel: K, slab: &[u8], records: &[Record; 8], later: impl Later) -> Self {
        later.ask_for_headers();
        let mut eight = Self::of(slab, records);
        let mut longer = eight.each(|four| four.longer());
        if longer != 0 {
            longer &= eight.sound() & !(eight.found.absent | eight.found.vouched | eight.found.cut);
        }
        later.ask_for_rests(!longer);
        if longer != 0 {
            eight.beyond(kernel, slab, records, longer, later);
        }
        eight.fours.iter_mut().for_each(|four| four.fold());
        eight.found.right = eight.each(|four| four.right()) & !eight.odd;
        eight
    }

    /// But for what is right.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(slab: &[u8], records: &[Record; 8]) -> Self {
        let [low, high] = records.as_chunks::<4>().0 else { unreachable!("eight records are two fours") };
        let fours = [Four::of(slab, low), Four::of(slab, high)];
        let mut eight = Self { fours, found: Found::default(), odd: 0 };
        let [low, high] = eight.fours.map(|four| four.summaries);
        let tunnels = tunnels(low, high);
        if tunnels != 0 {
            let udp = |four: &Four| {
                let udp = _mm256_set1_epi8(Transport::Udp as i8);
                // Its sign is that of the transport's byte.
                _mm256_slli_epi64::<24>(_mm256_cmpeq_epi8(four.summaries, udp))
            };
            eight.odd = tunnels & eight.each(udp);
        }
        if eight.fours.iter().any(|four| four.rare.is_some()) {
            let none = _mm256_setzero_si256();
            let lanes = |of: fn(&Rare) -> __m256i| eight.each(|four| four.rare.as_ref().map_or(none, of));
            eight.found = Found {
                v6: lanes(|rare| rare.v6),
                absent: lanes(|rare| rare.absent),
                vouched: lanes(|rare| rare.vouched),
                cut: lanes(|rare| rare.cut),
                ..Found::default()
            };
        }
        eight
    }

    /// The signs of something in all lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn each(&self, number: impl Fn(&Four) -> __m256i) -> u8 {
        let [low, high] =
            [0, 1].map(|at| _mm256_movemask_pd(_mm256_castsi256_pd(number(&self.fours[at]))) as u8);
        low | high << 4
    }

    /// Lanes of a common shape.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn sound(&self) -> u8 {
        self.each(|four| four.without(four.faults)) & !self.odd
    }

    /// Adds the sums over what the words do not hold of the packets in `lanes`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn beyond<K: Kernel>(
        &mut self,
        kernel: K,
        slab: &[u8],
        records: &[Record; 8],
        mut longer: u8,
        later: impl Later,
    ) {
        let first = numbers(self.fours.map(|four| four.start));
        let end = numbers(self.fours.map(|four| _mm256_add_epi64(four.start, four.end)));
        let mut sums = [0_u64; 8];
        while longer != 0 {
            let lane = longer.trailing_zeros() as usize;
            longer &= longer - 1;
            later.ask_for_rest(lane);
            let offset = records[lane].offset as usize;
            // The packet ends within its frame, and the frame within the slab.
            let bytes = slab.get(offset + first[lane] as usize + HELD as usize..offset + end[lane] as usize);
            sums[lane] = kernel.sum(bytes.unwrap_or_default()).halves();
        }
        let (sums, _) = sums.as_chunks::<4>();
        for (four, sums) in self.fours.iter_mut().zip(sums) {
            // SAFETY: 32 bytes. No alignment is asked for.
            four.sums.add(unsafe { _mm256_loadu_si256(sums.as_ptr().cast()) });
        }
    }

    /// What there is to say of those with a wrong checksum, if there are any.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn wrong(&self) -> Option<Wrong> {
        if self.found.right == u8::MAX {
            return None;
        }
        let sound = self.sound();
        (sound & !self.found.right != 0).then(|| Wrong {
            sound,
            v6: self.found.v6,
            summaries: numbers(self.fours.map(|four| four.summaries)),
            start: numbers(self.fours.map(|four| four.start)),
            headers: numbers(self.fours.map(|four| _mm256_slli_epi64::<32>(four.folded))),
            upper: numbers(self.fours.map(|four| four.folded)),
        })
    }
}

impl Four {
    /// All but what its sums fold to.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(slab: &[u8], records: &[Record; 4]) -> Self {
        let Some(lanes) = Lanes::load(slab, records) else { return Self::strange() };
        let shapes = Shapes::of(&lanes);
        let sums = Sums::of(&lanes, &shapes);
        let Shapes { faults, below, rare, end, summaries, .. } = shapes;
        Self { summaries, faults, below, rare, start: lanes.start, end, sums, folded: summaries }
    }

    /// Nothing, in frames that are to be walked.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn strange() -> Self {
        let zero = _mm256_setzero_si256();
        let (faults, sums) = (_mm256_set1_epi64x(-1), Sums::zero());
        Self { summaries: zero, faults, below: zero, rare: None, start: zero, end: zero, sums, folded: zero }
    }

    /// Lanes of a packet of which the words do not hold all.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn longer(&self) -> __m256i {
        _mm256_cmpgt_epi64(self.end, _mm256_set1_epi64x(HELD))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn fold(&mut self) {
        self.folded = self.sums.fold();
        if let Some(Rare { v6, absent, vouched, cut, .. }) = self.rare {
            let unsummed = _mm256_or_si256(absent, _mm256_or_si256(vouched, cut));
            // There is no header's sum over IPv6.
            self.folded = _mm256_or_si256(self.folded, _mm256_blend_epi32::<0b1010_1010>(v6, unsummed));
        }
    }

    /// Lanes of a common shape whose checksums are not wrong.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn right(&self) -> __m256i {
        const SUMS: i64 = 0xffff_0000_ffff_0000_u64 as i64;
        let wrong = _mm256_andnot_si256(self.folded, _mm256_set1_epi64x(SUMS));
        self.without(_mm256_or_si256(self.faults, wrong))
    }

    /// Lanes that are 0 here, by their sign.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn without(&self, faults: __m256i) -> __m256i {
        _mm256_andnot_si256(self.below, _mm256_cmpeq_epi64(faults, _mm256_setzero_si256()))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn numbers(lanes: [__m256i; 2]) -> [u64; 8] {
    let mut numbers = [0; 8];
    // SAFETY: there are 64 bytes.
    unsafe { store(lanes, (&raw mut numbers).cast()) };
    numbers
}

/// # Safety
/// There must be 64 writable bytes. No alignment is asked for.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(lanes: [__m256i; 2], to: *mut __m256i) {
    let [low, high] = lanes;
    // SAFETY: as asked for.
    unsafe {
        _mm256_storeu_si256(to, low);
        _mm256_storeu_si256(to.add(1), high);
    }
}
