//! Hints to the processor that a cache line will be needed.
//!
//! As instructions, since the compiler's own prefetch for writing falls back to one for reading on the oldest x86-64
//! it must assume.

#![expect(clippy::pointers_in_nomem_asm_block, reason = "a hint reads and writes no memory")]

/// Bytes in a cache line.
pub(crate) const LINE: usize = 64;

/// Asks for the line at `address`, to be written: it comes in owned, not merely shared.
#[inline(always)]
pub(crate) fn for_writing<T>(address: *const T) {
    // SAFETY: a hint, which touches neither memory, registers nor flags; a processor without the instruction treats
    // it as no operation, and no address can fault.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, nomem, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) address, options(nostack, nomem, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = address;
}

/// Asks for the line at `address`, to be read.
#[inline(always)]
pub(crate) fn for_reading<T>(address: *const T) {
    // SAFETY: as above.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        std::arch::asm!("prefetcht0 [{}]", in(reg) address, options(nostack, nomem, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, nomem, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = address;
}

/// Asks for the line at `address`, to be read a good while later: it need not come nearer than the second cache.
#[inline(always)]
pub(crate) fn for_reading_later<T>(address: *const T) {
    // SAFETY: as above.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        std::arch::asm!("prefetcht1 [{}]", in(reg) address, options(nostack, nomem, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{}]", in(reg) address, options(nostack, nomem, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = address;
}
