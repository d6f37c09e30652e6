//! Eight packets looked up at a time: by gathers with AVX-512; with AVX2, whose gathers are no faster than loads, by those.

use super::OutputId;
use super::port_map::{ENTRIES, PLACES};
use crate::batch::{self, Lanes, Summary};
use std::arch::x86_64::*;

/// Appends the outputs of `packets`, as many as come in eights, where [batches](crate::batch) are read in lanes; else none.
///
/// # Panics
/// When there are not [`ENTRIES`] of them in `tables`.
pub(super) fn route(tables: &[u16], rest: OutputId, packets: &[Summary], outputs: &mut Vec<OutputId>) {
    match batch::lanes() {
        // SAFETY: these lanes are there only where the CPU has AVX-512 F, BW and VL, and more.
        Some(Lanes::Avx512) => unsafe { route_eights(tables, rest, packets, outputs) },
        // SAFETY: and these only where it has AVX2.
        Some(Lanes::Avx2) => unsafe { route_eights_by_avx2(tables, rest, packets, outputs) },
        None => {}
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn route_eights(tables: &[u16], rest: OutputId, packets: &[Summary], outputs: &mut Vec<OutputId>) {
    assert!(tables.len() == ENTRIES, "one entry for each port");
    let (eights, _) = packets.as_chunks::<8>();
    outputs.reserve(packets.len());
    for eight in eights {
        // SAFETY: summaries are eight bytes each. No alignment is asked for.
        let summaries = unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) };
        // Source ports in the lower eight lanes, destination ports in the upper ones.
        let fields = _mm512_cvtepi64_epi32(summaries);
        let sources = _mm256_and_si256(fields, _mm256_set1_epi32(0xffff));
        let destinations = _mm256_srli_epi32::<16>(fields);
        let ports = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(sources), destinations);
        let transports = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<32>(summaries));
        let transports = _mm512_broadcast_i64x4(transports);
        // Permutations take the lowest four bits of each lane, which are the transport's number.
        let place = |table: &[u32; 16]| {
            // SAFETY: the reference is to 64 bytes. No alignment is asked for.
            _mm512_permutexvar_epi32(transports, unsafe { _mm512_loadu_si512(table.as_ptr().cast()) })
        };
        let entries = _mm512_add_epi32(place(&TABLES), _mm512_and_si512(ports, place(&MASKS)));
        // SAFETY: a table's beginning and a port under its mask are below `ENTRIES` - 1 together, `TABLES` and `MASKS`
        // are checked for it below, so that there are four bytes from each entry on.
        let named = unsafe { _mm512_i32gather_epi32::<2>(entries, tables.as_ptr().cast()) };
        let named = _mm512_and_si512(named, _mm512_set1_epi32(0xffff));
        let (by_source, by_destination) =
            (_mm512_castsi512_si256(named), _mm512_extracti64x4_epi64::<1>(named));
        let nothing = _mm256_testn_epi32_mask(by_destination, by_destination);
        let named = _mm256_mask_mov_epi32(by_destination, nothing, by_source);
        // Numbers stand one too high, with 0 for none.
        let none = _mm256_testn_epi32_mask(named, named);
        let numbers = _mm256_sub_epi32(named, _mm256_set1_epi32(1));
        let numbers = _mm256_mask_mov_epi32(numbers, none, _mm256_set1_epi32(rest.0.into()));
        let mut eight = [OutputId::default(); 8];
        // SAFETY: eight numbers of two bytes, any of which is one. No alignment is asked for.
        unsafe { _mm_storeu_si128(eight.as_mut_ptr().cast(), _mm256_cvtepi32_epi16(numbers)) };
        outputs.extend_from_slice(&eight);
    }
}

#[target_feature(enable = "avx2")]
fn route_eights_by_avx2(tables: &[u16], rest: OutputId, packets: &[Summary], outputs: &mut Vec<OutputId>) {
    assert!(tables.len() == ENTRIES, "one entry for each port");
    let (eights, _) = packets.as_chunks::<8>();
    outputs.reserve(packets.len());
    for eight in eights {
        // Of each packet the entry of its source port, and that of its destination port.
        let mut entries = [0_u32; 16];
        let (fours, _) = eight.as_chunks::<4>();
        for (packets, entries) in fours.iter().zip(entries.as_chunks_mut::<8>().0) {
            // SAFETY: summaries are eight bytes each, entries four; 32 each. No alignment is asked for.
            unsafe {
                let packets = _mm256_loadu_si256(packets.as_ptr().cast());
                _mm256_storeu_si256(entries.as_mut_ptr().cast(), entries_of(packets));
            }
        }
        let named = |at: usize| {
            let entry = entries[at] as usize;
            debug_assert!(entry < ENTRIES);
            // SAFETY: a table's number, times 2^16, and a port under its mask are below `ENTRIES` together: one index takes
            // both from `NUMBERS` and `BYTES`, which are checked for it below, or 0 from both where it is above 127.
            unsafe { *tables.get_unchecked(entry) }.cast_signed()
        };
        let (s, d) = (|packet: usize| named(2 * packet), |packet: usize| named(2 * packet + 1));
        let by_source = _mm_set_epi16(s(7), s(6), s(5), s(4), s(3), s(2), s(1), s(0));
        let by_destination = _mm_set_epi16(d(7), d(6), d(5), d(4), d(3), d(2), d(1), d(0));
        let zero = _mm_setzero_si128();
        let nothing = _mm_cmpeq_epi16(by_destination, zero);
        let named = _mm_or_si128(by_destination, _mm_and_si128(nothing, by_source));
        // Numbers stand one too high, with 0 for none.
        let none = _mm_cmpeq_epi16(named, zero);
        let numbers = _mm_sub_epi16(named, _mm_set1_epi16(1));
        let numbers = _mm_blendv_epi8(numbers, _mm_set1_epi16(rest.0.cast_signed()), none);
        let mut eight = [OutputId::default(); 8];
        // SAFETY: eight numbers of two bytes, any of which is one. No alignment is asked for.
        unsafe { _mm_storeu_si128(eight.as_mut_ptr().cast(), numbers) };
        outputs.extend_from_slice(&eight);
    }
}

/// Which entries four packets' ports have: in each lane that of the source below that of the destination.
#[inline]
#[target_feature(enable = "avx2")]
fn entries_of(packets: __m256i) -> __m256i {
    let twice = |high: i64, low: i64| _mm256_set_epi64x(high, low, high, low);
    let table = |bytes: u128| twice((bytes >> 64) as i64, bytes as i64);
    // Bytes 0 and 1, and 2 and 3, in halves of their own; byte 4 in all places.
    let apart = twice(0xffff_0b0a_ffff_0908_u64 as i64, 0xffff_0302_ffff_0100_u64 as i64);
    let ports = _mm256_shuffle_epi8(packets, apart);
    let transports = twice(0x0c0c_0c0c_0c0c_0c0c, 0x0404_0404_0404_0404);
    let transports = _mm256_shuffle_epi8(packets, transports);
    let masks = _mm256_shuffle_epi8(table(const { u128::from_le_bytes(BYTES) }), transports);
    let numbers = _mm256_shuffle_epi8(table(const { u128::from_le_bytes(NUMBERS) }), transports);
    let numbers = _mm256_and_si256(numbers, _mm256_set1_epi32(0xff_0000));
    _mm256_or_si256(_mm256_and_si256(ports, masks), numbers)
}

/// The first of [`PLACES`] in tables, of 2^16 entries.
const NUMBERS: [u8; 16] = {
    let mut numbers = [0; 16];
    let mut at = 0;
    while at < 16 {
        let (first, mask) = PLACES[at];
        numbers[at] = (first >> 16) as u8;
        assert!(first & 0xffff == 0 && first as usize + (mask as usize) < ENTRIES);
        at += 1;
    }
    numbers
};

/// The second of [`PLACES`]: of each mask one byte, which is both.
const BYTES: [u8; 16] = {
    let mut bytes = [0; 16];
    let mut at = 0;
    while at < 16 {
        bytes[at] = PLACES[at].1 as u8;
        assert!(PLACES[at].1 == u16::from_le_bytes([bytes[at]; 2]));
        at += 1;
    }
    bytes
};

/// The first of [`PLACES`].
const TABLES: [u32; 16] = {
    let mut tables = [0; 16];
    let mut at = 0;
    while at < 16 {
        tables[at] = PLACES[at].0;
        at += 1;
    }
    tables
};

/// The second of [`PLACES`].
const MASKS: [u32; 16] = {
    let mut masks = [0; 16];
    let mut at = 0;
    while at < 16 {
        masks[at] = PLACES[at].1 as u32;
        assert!(TABLES[at] as usize + (masks[at] as usize) < ENTRIES - 1);
        at += 1;
    }
    masks
};
