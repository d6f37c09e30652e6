//! Structures and constants of `linux/if_xdp.h` as of Linux 6.1, beyond those that rustix has.
//!
//! Sizes and offsets are compared at compile time with the libc crate's own transcription.

use std::mem::offset_of;

/// An entry of the rx and of the tx ring: `struct xdp_desc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Descriptor {
    /// Where the frame begins, counted from the start of the UMEM.
    pub(crate) address: u64,
    /// Its length in bytes.
    pub(crate) length: u32,
    /// `XDP_PKT_CONTD` and so on.
    pub(crate) options: u32,
}

/// More of the frame is in the next entry (Linux 6.6; only of sockets that ask for it).
pub(super) const CONTINUED: u32 = libc::XDP_PKT_CONTD;
/// In a ring's flags: the kernel sleeps and has to be called before it goes on with the ring.
pub(super) const NEED_WAKEUP: u32 = libc::XDP_RING_NEED_WAKEUP;
/// Bytes that the kernel keeps free before each received frame (`XDP_PACKET_HEADROOM` of `linux/bpf.h`).
pub(crate) const HEADROOM: u32 = 256;
/// Least bytes of a chunk (`XDP_UMEM_MIN_CHUNK_SIZE` of the kernel's `include/net/xdp_sock.h`).
pub(crate) const LEAST_CHUNK: u32 = 2048;
/// Frames that one call may send in copy mode (`XDP_MAX_TX_SKB_BUDGET`, Linux 6.17; 32 before that and by default).
pub(super) const TX_BUDGET: libc::c_int = 9;

const _: () = {
    assert!(size_of::<Descriptor>() == size_of::<libc::xdp_desc>());
    assert!(offset_of!(Descriptor, length) == offset_of!(libc::xdp_desc, len));
    assert!(offset_of!(Descriptor, options) == offset_of!(libc::xdp_desc, options));
};
