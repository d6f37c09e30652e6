//! Large pages for memory that is read here and there: one entry of the processor's table of addresses then reaches as far
//! as 512 of them otherwise do.

use rustix::mm::{Advice, madvise};
use std::mem::MaybeUninit;

/// Bytes of a huge page (x86-64 and aarch64 with pages of 4 KiB; elsewhere the kernel rounds).
const SIZE: usize = 2 << 20;

/// Asks the kernel to back as much as it can of some memory, not yet touched, with huge pages. Where it will not, nothing
/// is lost.
pub(crate) fn ask_for<T>(memory: &mut [MaybeUninit<T>]) {
    let range = memory.as_mut_ptr_range();
    let start = range.start.addr().next_multiple_of(SIZE);
    let Some(length) = (range.end.addr() & !(SIZE - 1)).checked_sub(start).filter(|&length| length > 0)
    else {
        return;
    };
    let start = range.start.with_addr(start);
    // SAFETY: the whole pages lie within `memory`, which is borrowed for writing; `MADV_HUGEPAGE` changes what backs
    // them and nothing of what they hold.
    let _ = unsafe { madvise(start.cast(), length, Advice::LinuxHugepage) };
}
