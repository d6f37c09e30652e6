//! Eight packets looked up at a time, by gathers.

use super::OutputId;
use super::port_map::{ENTRIES, PLACES};
use crate::batch::{self, Lanes, Summary};
use std::arch::x86_64::*;

/// Appends the outputs of `packets`, as many as come in eights, where [batches](crate::batch) are read in lanes; else none.
///
/// # Panics
/// When there are not [`ENTRIES`] of them in `tables`.
pub(super) fn route(tables: &[u16], rest: OutputId, packets: &[Summary], outputs: &mut Vec<OutputId>) {
    if batch::lanes() == Some(Lanes::Avx512) {
        // SAFETY: these lanes are there only where the CPU has AVX-512 F, BW and VL, and more.
        unsafe { route_eights(tables, rest, packets, outputs) }
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
