//! Which lanes have a common shape: Ethernet with at most one VLAN tag, IPv4 without options or IPv6 without extension
//! headers, TCP, UDP or (over IPv4) ICMP, no fragment, nothing in it that may be a tunnel.
//!
//! Every condition here is one under which the general walk passes the frame without a complaint and goes on to nothing
//! else; `tests/batch.rs` holds both against each other. Conditions are gathered as vectors that must be 0, or not below
//! 0, and asked for once: a comparison costs more than the arithmetic it ends.

use super::lanes::Lanes;
use super::ports::tunnels;
use crate::batch::Summary;
use crate::parse::Transport;
use crate::verify::Verdict;
use std::arch::x86_64::*;

/// What eight lanes are.
pub(super) struct Shapes {
    /// 0 in lanes of a common shape, whatever their checksums say, unless they are in `odd`.
    pub(super) faults: __m512i,
    /// Lanes that are not of a common shape for another reason.
    pub(super) odd: __mmask8,
    /// Lanes with IPv6; the others are taken for IPv4.
    pub(super) v6: __mmask8,
    /// Lanes with UDP, and with ICMP; the others are taken for TCP.
    pub(super) udp: __mmask8,
    pub(super) icmp: __mmask8,
    /// Lanes with UDP over IPv4 without a checksum.
    pub(super) absent: __mmask8,
    /// Other lanes whose upper checksum the kernel has found right.
    pub(super) vouched: __mmask8,
    /// Other lanes whose packet was captured to behind its headers, and not to its end.
    pub(super) cut: __mmask8,
    /// Where the packet ends, in bytes from word 0.
    pub(super) end: __m512i,
    /// Bytes of TCP, UDP or ICMP.
    pub(super) l4_length: __m512i,
    /// A [`Summary`] in each lane, right if the checksums are.
    pub(super) summaries: __m512i,
}

/// Bytes from word 0 to the network layer.
const BEFORE: i64 = 4;

impl Shapes {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
    pub(super) fn of(lanes: &Lanes) -> Self {
        let [w0, w1, _, w3, w4, w5, w6, w7] = lanes.words;
        let set = |value: u64| _mm512_set1_epi64(value as i64);

        // IPv4: EtherType, version and header length in bytes 2 to 4, total length in bytes 6 and 7; flags, offset and
        // protocol in bytes 10, 11 and 13.
        let mut faults = unlike(w0, set(0x45_0008_0000), set(0xff_ffff_0000));
        let mut length = big_endian::<6>(w0);
        let mut header = set(20);
        let (mut first, mut second) = (w3, w4);
        let v4 = _mm512_testn_epi64_mask(faults, faults);
        let (protocols, v6);
        if v4 == 0xff {
            (protocols, v6) = (_mm512_and_si512(w1, set(0xff00_ff3f_0000)), 0);
        } else {
            // IPv6: the version in byte 4, payload length in bytes 8 and 9, next header in byte 10. Addresses up to byte 43.
            let other = unlike(w0, set(0x60_dd86_0000), set(0xf0_ffff_0000));
            v6 = _mm512_testn_epi64_mask(other, other);
            faults = _mm512_mask_mov_epi64(faults, v6, other);
            length = _mm512_mask_add_epi64(length, v6, big_endian::<0>(w1), set(40));
            header = _mm512_mask_mov_epi64(header, v6, set(40));
            first = _mm512_mask_mov_epi64(first, v6, straddle(w5, w6));
            second = _mm512_mask_mov_epi64(second, v6, straddle(w6, w7));
            let upper = _mm512_slli_epi64::<24>(_mm512_and_si512(w1, set(0xff_0000)));
            let v4 = _mm512_and_si512(w1, set(0xff00_ff3f_0000));
            protocols = _mm512_mask_mov_epi64(v4, v6, upper);
        }
        let end = _mm512_add_epi64(length, set(BEFORE as u64));
        let l4_length = _mm512_sub_epi64(length, header);
        let udp = _mm512_cmpeq_epi64_mask(protocols, set(17 << 40));
        let icmp = _mm512_mask_cmpeq_epi64_mask(!v6, protocols, set(1 << 40));
        let mut wanted = _mm512_mask_mov_epi64(set(6 << 40), udp, set(17 << 40));
        if icmp != 0 {
            wanted = _mm512_mask_mov_epi64(wanted, icmp, protocols);
            // What stands where others have ports is none.
            first = _mm512_mask_mov_epi64(first, icmp, set(0));
        }
        faults = _mm512_ternarylogic_epi64::<{ OR_XOR }>(faults, protocols, wanted);

        // Source port, destination port, UDP's length, UDP's checksum: numbers.
        let swap = _mm512_set4_epi32(0x0e0f_0c0d, 0x0a0b_0809, 0x0607_0405, 0x0203_0001);
        let numbers = _mm512_shuffle_epi8(first, swap);

        // TCP's header length, in byte 12 of the header, is at least 20 and within the packet.
        let data_offset = _mm512_and_si512(_mm512_srli_epi64::<34>(second), set(0x3c));
        let behind = _mm512_sub_epi64(l4_length, data_offset);
        let mut below = _mm512_or_si512(behind, _mm512_sub_epi64(data_offset, set(20)));
        // UDP's length is all there is, and at least 8.
        let udp_length = _mm512_and_si512(_mm512_srli_epi64::<32>(numbers), set(0xffff));
        faults = _mm512_mask_or_epi64(faults, udp, faults, _mm512_xor_si512(udp_length, l4_length));
        below = _mm512_mask_sub_epi64(below, udp | icmp, l4_length, set(8));
        // The whole packet was captured, or else its headers were.
        let missing = _mm512_test_epi64_mask(_mm512_sub_epi64(lanes.room, end), set(1 << 63));
        if missing != 0 {
            let upper = _mm512_mask_mov_epi64(data_offset, udp | icmp, set(8));
            let headers = _mm512_add_epi64(_mm512_add_epi64(header, set(BEFORE as u64)), upper);
            below = _mm512_or_si512(below, _mm512_sub_epi64(lanes.room, headers));
        }
        faults = _mm512_ternarylogic_epi64::<{ OR_AND }>(faults, below, set(1 << 63));

        // Nothing in UDP suggests a tunnel: no port, and no IPv6 packet that fits (its first byte, and its length).
        let inside = _mm512_add_epi64(big_endian::<4>(second), set(48));
        let unfit = _mm512_ternarylogic_epi64::<{ AND_XOR }>(set(0x60), second, set(0xf0));
        let unfit = _mm512_or_si512(unfit, _mm512_xor_si512(inside, l4_length));
        let teredo = _mm512_testn_epi64_mask(unfit, unfit);
        let zero = udp & _mm512_testn_epi64_mask(first, set(0xffff << 48));
        let odd = udp & (teredo | tunnels(numbers)) | zero & v6 | lanes.foreign;

        let absent = zero & !v6;
        let vouched = lanes.vouched & !(absent | icmp);
        let cut = missing & !(absent | vouched);
        Self {
            faults,
            odd,
            v6,
            udp,
            icmp,
            absent,
            vouched,
            cut,
            end,
            l4_length,
            summaries: summaries(numbers, [udp, icmp, v6, absent, vouched, cut]),
        }
    }
}

/// `a | (b ^ c)`, as the truth table of [`_mm512_ternarylogic_epi64`].
const OR_XOR: i32 = 0xf0 | (0xcc ^ 0xaa);
/// `a | (b & c)`.
const OR_AND: i32 = 0xf0 | (0xcc & 0xaa);
/// `a ^ (b & c)`.
const AND_XOR: i32 = 0xf0 ^ (0xcc & 0xaa);
/// `(a ^ b) & c`.
const XOR_AND: i32 = (0xf0 ^ 0xcc) & 0xaa;

/// The bits of `mask` in which two differ.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn unlike(a: __m512i, b: __m512i, mask: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<{ XOR_AND }>(a, b, mask)
}

/// The 16-bit number that begins at byte `AT` of each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn big_endian<const AT: i32>(word: __m512i) -> __m512i {
    // Per lane the byte's places within 16 bytes, lower one first; the highest bit asks for a 0.
    let control = |at: i32| 0x8080_0000_u32 as i32 | at << 8 | (at + 1);
    const NOTHING: i32 = 0x8080_8080_u32 as i32;
    _mm512_shuffle_epi8(word, _mm512_set4_epi32(NOTHING, control(AT + 8), NOTHING, control(AT)))
}

/// The last four bytes of one word and the first four of the next.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn straddle(word: __m512i, next: __m512i) -> __m512i {
    _mm512_or_si512(_mm512_srli_epi64::<32>(word), _mm512_slli_epi64::<32>(next))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi2")]
fn summaries(numbers: __m512i, lanes: [__mmask8; 6]) -> __m512i {
    let [udp, icmp, v6, absent, vouched, cut] = lanes;
    const fn bits(transport: Transport, ip: Verdict, l4: Verdict) -> i64 {
        Summary::common(transport, ip, l4).bits() as i64
    }
    const GOOD: i64 = bits(Transport::None, Verdict::Good, Verdict::Good);
    const NO_IP: i64 = GOOD ^ bits(Transport::None, Verdict::NotApplicable, Verdict::Good);
    const ABSENT: i64 = GOOD ^ bits(Transport::None, Verdict::Good, Verdict::Absent);
    const VOUCHED: i64 = GOOD ^ bits(Transport::None, Verdict::Good, Verdict::Vouched);
    const CUT: i64 = GOOD ^ bits(Transport::None, Verdict::Good, Verdict::Truncated);
    const ICMP: i64 = bits(Transport::Tcp, Verdict::Good, Verdict::Good)
        ^ bits(Transport::Icmp, Verdict::Good, Verdict::Good);
    let set = |value| _mm512_set1_epi64(value);
    let tcp = set(bits(Transport::Tcp, Verdict::Good, Verdict::Good));
    let mut rest = _mm512_mask_mov_epi64(tcp, udp, set(bits(Transport::Udp, Verdict::Good, Verdict::Good)));
    if v6 | absent | vouched | cut | icmp != 0 {
        rest = _mm512_mask_xor_epi64(rest, v6, rest, set(NO_IP));
        rest = _mm512_mask_xor_epi64(rest, absent, rest, set(ABSENT));
        rest = _mm512_mask_xor_epi64(rest, vouched, rest, set(VOUCHED));
        rest = _mm512_mask_xor_epi64(rest, cut, rest, set(CUT));
        rest = _mm512_mask_xor_epi64(rest, icmp, rest, set(ICMP));
    }
    // Ports below, all else above.
    _mm512_mask_mov_epi32(rest, 0b0101_0101_0101_0101, numbers)
}
