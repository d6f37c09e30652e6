//! What one step over the bytes of a capture file brings, whatever its format.

use crate::frame::{Annotation, LinkType, Record};
use std::ops::Range;

/// The thing at the front of the unread bytes.
pub(super) enum Step {
    /// A whole packet. Offsets in the record count from the first unread byte; `number` is not set.
    Packet {
        record: Record,
        /// Bytes it takes up in the file.
        length: usize,
    },
    /// A block that a copy should keep.
    Annotation { annotation: Annotation, length: usize },
    /// A header or block that holds no packet, dealt with.
    Skip { length: usize },
    /// More bytes are needed: this many in all, from the first unread one.
    Need(usize),
    /// What is here is not what the format asks for.
    Damaged(String),
}

/// What a read brought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Bytes,
    /// Nothing for a while; more may come.
    Silence,
    End,
}

/// Where a walk in bulk takes records from: what it finds there it takes as [`Step`] would, and the first thing that is not
/// an ordinary packet it leaves.
pub(super) struct Stretch<'s> {
    /// All memory; records count their offsets from its first byte.
    pub(super) slab: &'s [u8],
    /// Where in the slab records may begin: the first one at its start.
    pub(super) range: Range<usize>,
    /// Most records to take.
    pub(super) room: usize,
    /// Records before the first.
    pub(super) number: u64,
}

/// Largest packet of an ordinary link type, as in libpcap and Wireshark.
const MAXIMUM: u32 = 262_144;
/// D-Bus messages and USB transfers are larger: 128 MiB.
const MAXIMUM_LARGE: u32 = 128 << 20;

/// The most bytes a packet of this link type can have; a length field beyond is damage.
pub(super) fn maximum(link_type: LinkType) -> u32 {
    const DBUS: u16 = 231;
    const USB_LINUX_MMAPPED: u16 = 220;
    const USBPCAP: u16 = 249;
    const EBHSCR: u16 = 279;
    match link_type.0 {
        DBUS | USB_LINUX_MMAPPED | USBPCAP => MAXIMUM_LARGE,
        EBHSCR => 32 << 20,
        _ => MAXIMUM,
    }
}

/// Reads numbers in the byte order of a file or section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) big_endian: bool,
}

impl Order {
    /// 16 bits at `at`; 0 beyond the end, which callers have excluded.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let Some(&field) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return 0 };
        if self.big_endian { u16::from_be_bytes(field) } else { u16::from_le_bytes(field) }
    }

    /// 32 bits, likewise.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let Some(&field) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return 0 };
        if self.big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) }
    }

    /// 64 bits, likewise.
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let Some(&field) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return 0 };
        if self.big_endian { u64::from_be_bytes(field) } else { u64::from_le_bytes(field) }
    }
}
