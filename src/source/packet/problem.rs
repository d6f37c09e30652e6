//! What can go wrong with an interface, in words that say what to do.

pub(in crate::source) use crate::sys::problem::{GONE, Problem, WENT_DOWN, down_at_start, find};

pub(super) use crate::sys::problem::open;

use crate::sys::packet_abi::RingRequest;
use std::io;

pub(super) fn ring(error: &io::Error, request: &RingRequest) -> String {
    let bytes = u64::from(request.block_size) * u64::from(request.block_count);
    let size = format!("a ring of {} MiB", bytes.div_ceil(1 << 20));
    match error.raw_os_error() {
        Some(libc::ENOMEM) => format!("no memory for {size}: ask for a smaller one (-B)"),
        _ => format!("cannot set up {size}: {error}"),
    }
}
