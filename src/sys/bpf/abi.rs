//! `union bpf_attr` of `linux/bpf.h`, Linux 6.1, a structure for each command, and numbers from there.
//!
//! The kernel takes what is missing at the end of one for 0, so each ends with the last field that wharf uses.

use std::mem::offset_of;
use zerocopy::{FromBytes, IntoBytes};

/// `enum bpf_cmd`.
pub(super) mod command {
    pub(crate) const MAP_CREATE: u32 = 0;
    pub(crate) const MAP_LOOKUP_ELEM: u32 = 1;
    pub(crate) const MAP_UPDATE_ELEM: u32 = 2;
    pub(crate) const MAP_DELETE_ELEM: u32 = 3;
    pub(crate) const PROG_LOAD: u32 = 5;
    pub(crate) const PROG_TEST_RUN: u32 = 10;
    pub(crate) const LINK_CREATE: u32 = 28;
    pub(crate) const LINK_DETACH: u32 = 34;
}

/// `BPF_PROG_TYPE_XDP`.
pub(super) const PROGRAM_XDP: u32 = 6;
/// `BPF_PROG_TYPE_SK_LOOKUP` (Linux 5.9).
pub(super) const PROGRAM_SK_LOOKUP: u32 = 30;
/// `BPF_SK_LOOKUP` of `enum bpf_attach_type`.
pub(super) const ATTACH_SK_LOOKUP: u32 = 36;
/// `BPF_XDP` of `enum bpf_attach_type`.
pub(super) const ATTACH_XDP: u32 = 37;
/// `BPF_F_TEST_XDP_LIVE_FRAMES` (Linux 5.18).
pub(super) const LIVE_FRAMES: u32 = 1 << 1;
/// `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_DRV_MODE` of `linux/if_link.h`.
pub(super) const FLAG_GENERIC: u32 = 1 << 1;
pub(super) const FLAG_NATIVE: u32 = 1 << 2;
/// Most bytes of an object's name, its final 0 among them (`BPF_OBJ_NAME_LEN`).
pub(super) const NAME: usize = 16;

/// For `BPF_MAP_CREATE`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub(super) struct MapCreate {
    pub(super) kind: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
    pub(super) inner_map: u32,
    pub(super) numa_node: u32,
    pub(super) name: [u8; NAME],
}

/// For `BPF_MAP_*_ELEM`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub(super) struct Element {
    pub(super) map: u32,
    pub(super) padding: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}

/// For `BPF_PROG_LOAD`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub(super) struct ProgramLoad {
    pub(super) kind: u32,
    pub(super) instructions: u32,
    pub(super) code: u64,
    pub(super) license: u64,
    pub(super) log_level: u32,
    pub(super) log_size: u32,
    pub(super) log: u64,
    pub(super) kernel_version: u32,
    pub(super) flags: u32,
    pub(super) name: [u8; NAME],
    pub(super) interface: u32,
    pub(super) attach_type: u32,
}

/// For `BPF_PROG_TEST_RUN`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub(super) struct ProgramTestRun {
    pub(super) program: u32,
    pub(super) returned: u32,
    pub(super) data_size_in: u32,
    pub(super) data_size_out: u32,
    pub(super) data_in: u64,
    pub(super) data_out: u64,
    pub(super) repeat: u32,
    pub(super) duration: u32,
    pub(super) context_size_in: u32,
    pub(super) context_size_out: u32,
    pub(super) context_in: u64,
    pub(super) context_out: u64,
    pub(super) flags: u32,
    pub(super) cpu: u32,
    pub(super) batch_size: u32,
    pub(super) padding: u32,
}

/// For `BPF_LINK_CREATE`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub(super) struct LinkCreate {
    pub(super) program: u32,
    /// The number of an interface, or the descriptor of what else it is attached to.
    pub(super) interface: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
}

/// For `BPF_LINK_DETACH`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes)]
#[repr(C)]
pub(super) struct LinkDetach {
    pub(super) link: u32,
}

// Offsets as in the header, counted there by hand: libc has no `bpf_attr`.
const _: () = {
    assert!(size_of::<MapCreate>() == 44 && offset_of!(MapCreate, name) == 28);
    assert!(size_of::<Element>() == 32 && offset_of!(Element, value) == 16);
    assert!(size_of::<ProgramLoad>() == 72 && offset_of!(ProgramLoad, log) == 32);
    assert!(offset_of!(ProgramLoad, name) == 48 && offset_of!(ProgramLoad, attach_type) == 68);
    assert!(size_of::<ProgramTestRun>() == 80 && offset_of!(ProgramTestRun, context_in) == 48);
    assert!(offset_of!(ProgramTestRun, flags) == 64 && offset_of!(ProgramTestRun, batch_size) == 72);
    assert!(size_of::<LinkCreate>() == 16);
};

/// A name as the kernel takes it: cut to what fits, only letters, digits, `_` and `.`.
pub(super) fn name(text: &str) -> [u8; NAME] {
    let mut name = [0; NAME];
    let clean = text.bytes().map(|b| if b.is_ascii_alphanumeric() || b == b'.' { b } else { b'_' });
    name[..NAME - 1].iter_mut().zip(clean).for_each(|(to, from)| *to = from);
    name
}
