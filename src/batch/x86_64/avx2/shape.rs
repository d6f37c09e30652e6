//! Which lanes have a common shape: Ethernet with at most one VLAN tag, IPv4 without options or IPv6 without extension
//! headers, TCP, UDP or (over IPv4) ICMP, no fragment, nothing in it that may be a tunnel.
//!
//! Every condition here is one under which the general walk passes the frame without a complaint and goes on to nothing
//! else; `tests/batch.rs` holds both against each other. What few packets are is asked for four at once, and looked into
//! only where one of them is.

use super::lanes::Lanes;
use crate::batch::Summary;
use crate::parse::Transport;
use crate::verify::Verdict;
use std::arch::x86_64::*;

/// What four lanes are. But for ports: [`tunnels`](super::ports::tunnels) are looked for in eight at once.
pub(super) struct Shapes {
    /// 0 in lanes of a common shape, whatever their checksums say.
    pub(super) faults: __m256i,
    /// Nor are lanes of a common shape in which this is below 0.
    pub(super) below: __m256i,
    /// What some lanes may be, if any is.
    pub(super) rare: Option<Rare>,
    /// Where the packet ends, in bytes from word 0.
    pub(super) end: __m256i,
    /// Bytes of TCP, UDP or ICMP.
    pub(super) l4_length: __m256i,
    /// Its protocol, 40 bits up.
    pub(super) protocol: __m256i,
    /// A [`Summary`] in each lane, right if the checksums are.
    pub(super) summaries: __m256i,
}

/// Lanes that are something, by ones in all of their bits.
#[derive(Clone, Copy)]
pub(super) struct Rare {
    /// IPv6; the others are taken for IPv4.
    pub(super) v6: __m256i,
    pub(super) icmp: __m256i,
    /// UDP over IPv4 without a checksum.
    pub(super) absent: __m256i,
    /// Others whose upper checksum the kernel has found right.
    pub(super) vouched: __m256i,
    /// Others whose packet was captured to behind its headers, and not to its end.
    pub(super) cut: __m256i,
}

/// Bytes from word 0 to the network layer.
const BEFORE: i64 = 4;

/// A protocol, as lanes have it.
const fn protocol(number: i64) -> i64 {
    number << 40
}

impl Shapes {
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) fn of(lanes: &Lanes) -> Self {
        let [w0, w1, _, w3, w4, w5, w6, w7] = lanes.words;
        let zero = _mm256_setzero_si256();
        let is = |a, value| _mm256_cmpeq_epi64(a, set(value));
        let negative = |a| _mm256_cmpgt_epi64(zero, a);

        // IPv4: EtherType, version and header length in bytes 2 to 4, total length in bytes 6 and 7; flags, offset and
        // protocol in bytes 10, 11 and 13.
        let mut faults = zero;
        let mut v6 = zero;
        let mut length = big_endian::<6>(w0);
        let mut header = set(20);
        let (mut first, mut second) = (w3, w4);
        let mut protocols = _mm256_and_si256(w1, set(0xff00_ff3f_0000));
        let mut rare = lanes.unusual;
        if !lanes.all_v4 {
            // IPv6: the version in byte 4, payload length in bytes 8 and 9, next header in byte 10. Addresses up to byte 43.
            v6 = is(_mm256_and_si256(w0, set(0xf0_ffff_0000)), 0x60_dd86_0000);
            let v4 = is(_mm256_and_si256(w0, set(0xff_ffff_0000)), 0x45_0008_0000);
            faults = _mm256_xor_si256(_mm256_or_si256(v4, v6), set(-1));
            length = pick(length, _mm256_add_epi64(big_endian::<0>(w1), set(40)), v6);
            header = pick(header, set(40), v6);
            first = pick(first, straddle(w5, w6), v6);
            second = pick(second, straddle(w6, w7), v6);
            let upper = _mm256_slli_epi64::<24>(_mm256_and_si256(w1, set(0xff_0000)));
            protocols = pick(protocols, upper, v6);
            rare = true;
        }
        let end = _mm256_add_epi64(length, set(BEFORE));
        let l4_length = _mm256_sub_epi64(length, header);
        let udp = is(protocols, protocol(17));
        let mut others = _mm256_xor_si256(protocols, pick(set(protocol(6)), set(protocol(17)), udp));
        let mut icmp = zero;
        if _mm256_testz_si256(others, others) == 0 {
            icmp = _mm256_andnot_si256(v6, is(protocols, protocol(1)));
            others = _mm256_andnot_si256(icmp, others);
            // What stands where others have ports is none.
            first = _mm256_andnot_si256(icmp, first);
            faults = _mm256_or_si256(faults, others);
            rare = true;
        }

        // TCP's header length, in byte 12 of the header, is at least 20; the others' is 8. It is within the packet.
        let fixed = _mm256_or_si256(udp, icmp);
        let data_offset = _mm256_and_si256(_mm256_srli_epi64::<34>(second), set(0x3c));
        let upper = pick(data_offset, set(8), fixed);
        let short = _mm256_andnot_si256(fixed, _mm256_sub_epi64(data_offset, set(20)));
        let mut below = _mm256_or_si256(_mm256_sub_epi64(l4_length, upper), short);

        // UDP's length is all there is, and nothing in it suggests a tunnel: no IPv6 packet that fits, by the upper half of
        // its first byte and its length.
        let udp_length = _mm256_xor_si256(big_endian::<4>(first), l4_length);
        let inside = _mm256_shuffle_epi8(second, set4(0xffff_ff08, 0xffff_0c0d, 0xffff_ff00, 0xffff_0405));
        let inside = _mm256_and_si256(inside, set(0xf0_ffff_ffff));
        let teredo = _mm256_cmpeq_epi64(inside, _mm256_add_epi64(l4_length, set((0x60 << 32) - 48)));
        let in_udp = _mm256_and_si256(udp, _mm256_or_si256(udp_length, teredo));
        faults = _mm256_or_si256(faults, in_udp);

        let summaries = pick(set(TCP), set(UDP), udp);
        // Source port, destination port: numbers.
        let swap = set4(0xffff_ffff, 0x0a0b_0809, 0xffff_ffff, 0x0203_0001);
        // Ports below, all else above.
        let mut summaries = _mm256_or_si256(summaries, _mm256_shuffle_epi8(first, swap));

        // Negative where UDP has no checksum, and where the packet was not captured to its end.
        let no_sum = _mm256_and_si256(udp, _mm256_cmpeq_epi16(first, zero));
        let missing = _mm256_sub_epi64(lanes.room, end);
        rare |= _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_or_si256(no_sum, missing))) != 0;
        let rare = rare.then(|| {
            let (no_sum, missing) = (negative(no_sum), negative(missing));
            // Its headers were.
            let headers = _mm256_add_epi64(_mm256_add_epi64(header, set(BEFORE)), upper);
            let cut_off = _mm256_and_si256(missing, _mm256_sub_epi64(lanes.room, headers));
            below = _mm256_or_si256(below, cut_off);
            faults = _mm256_or_si256(faults, _mm256_or_si256(lanes.foreign, _mm256_and_si256(no_sum, v6)));
            let absent = _mm256_andnot_si256(v6, no_sum);
            let vouched = _mm256_andnot_si256(_mm256_or_si256(absent, icmp), lanes.vouched);
            let cut = _mm256_andnot_si256(_mm256_or_si256(absent, vouched), missing);
            for (lanes, bits) in [(v6, NO_IP), (absent, ABSENT), (vouched, VOUCHED), (cut, CUT), (icmp, ICMP)]
            {
                summaries = _mm256_xor_si256(summaries, _mm256_and_si256(lanes, set(bits)));
            }
            Rare { v6, icmp, absent, vouched, cut }
        });
        Self { faults, below, rare, end, l4_length, protocol: protocols, summaries }
    }
}

const fn bits(transport: Transport, ip: Verdict, l4: Verdict) -> i64 {
    Summary::common(transport, ip, l4).bits() as i64
}
const TCP: i64 = bits(Transport::Tcp, Verdict::Good, Verdict::Good);
const UDP: i64 = bits(Transport::Udp, Verdict::Good, Verdict::Good);
/// What turns the summary of TCP into that of ICMP, and good verdicts into others.
const ICMP: i64 = TCP ^ bits(Transport::Icmp, Verdict::Good, Verdict::Good);
const GOOD: i64 = bits(Transport::None, Verdict::Good, Verdict::Good);
const NO_IP: i64 = GOOD ^ bits(Transport::None, Verdict::NotApplicable, Verdict::Good);
const ABSENT: i64 = GOOD ^ bits(Transport::None, Verdict::Good, Verdict::Absent);
const VOUCHED: i64 = GOOD ^ bits(Transport::None, Verdict::Good, Verdict::Vouched);
const CUT: i64 = GOOD ^ bits(Transport::None, Verdict::Good, Verdict::Truncated);

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn set(value: i64) -> __m256i {
    _mm256_set1_epi64x(value)
}

/// The same 16 bytes twice, of four numbers, the highest one first: a shuffle's control.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn set4(d: u32, c: u32, b: u32, a: u32) -> __m256i {
    let [a, b, c, d] = [a, b, c, d].map(|number| number as i32);
    _mm256_set_epi32(d, c, b, a, d, c, b, a)
}

/// `b` in those lanes, and `a` in the others.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn pick(a: __m256i, b: __m256i, lanes: __m256i) -> __m256i {
    _mm256_blendv_epi8(a, b, lanes)
}

/// The 16-bit number that begins at byte `AT` of each lane.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn big_endian<const AT: u32>(word: __m256i) -> __m256i {
    // Per lane the byte's places within 16 bytes, lower one first; the highest bit asks for a 0.
    let control = |at: u32| 0xffff_0000 | at << 8 | (at + 1);
    _mm256_shuffle_epi8(word, set4(u32::MAX, control(AT + 8), u32::MAX, control(AT)))
}

/// The last four bytes of one word and the first four of the next.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn straddle(word: __m256i, next: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_srli_epi64::<32>(word), _mm256_slli_epi64::<32>(next))
}
