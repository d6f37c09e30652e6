//! Several frames in the lanes of a vector, by gathers.

mod avx2;
mod avx512;

use super::flat::Flat;
use super::plan::Plan;
use crate::batch::{self, Lanes};
use crate::frame::Batch;

/// Chooses the wanted frames where the CPU has the vectors for it, unless `WHARF_CHECKSUM` asks for another way to sum.
/// Whether it has.
pub(super) fn choose(plan: &Plan, flat: &Flat, batch: Batch<'_>, wanted: &mut Vec<u16>) -> bool {
    // Gathers take signed offsets.
    if i32::try_from(batch.slab().len()).is_err() {
        return false;
    }
    match batch::lanes() {
        Some(Lanes::Avx512) => {
            // SAFETY: these lanes are there only where the CPU has AVX-512 F, BW and VL, BMI2, and more; the slab's length
            // was checked.
            unsafe { avx512::choose(plan, flat, batch, wanted) };
            true
        }
        Some(Lanes::Avx2) => choose_by_avx2(plan, flat, batch, wanted),
        None => false,
    }
}

/// The same by AVX2, where the CPU has it and the slab is not too long.
pub(super) fn choose_by_avx2(plan: &Plan, flat: &Flat, batch: Batch<'_>, wanted: &mut Vec<u16>) -> bool {
    let can = is_x86_feature_detected!("avx2") && i32::try_from(batch.slab().len()).is_ok();
    if can {
        // SAFETY: both were just asked.
        unsafe { avx2::choose(plan, flat, batch, wanted) };
    }
    can
}
