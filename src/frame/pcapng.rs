//! Numbers of the pcapng format that its reader and its writer share
//! (draft-ietf-opsawg-pcapng, <https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap/>).

use super::{Direction, Offload};

/// Block types (section 11.1).
pub mod block {
    /// Section header; the same in both byte orders.
    pub const SECTION: u32 = 0x0A0D_0D0A;
    /// Interface description.
    pub const INTERFACE: u32 = 1;
    /// Packet block, obsolete.
    pub const PACKET: u32 = 2;
    /// Simple packet.
    pub const SIMPLE_PACKET: u32 = 3;
    /// Name resolution.
    pub const NAMES: u32 = 4;
    /// Interface statistics.
    pub const STATISTICS: u32 = 5;
    /// Enhanced packet.
    pub const ENHANCED_PACKET: u32 = 6;
    /// Decryption secrets.
    pub const SECRETS: u32 = 10;
    /// Custom block that may be copied.
    pub const CUSTOM: u32 = 0x0000_0BAD;
}

/// Option codes (sections 3.5, 4.1 to 4.6).
pub mod option {
    /// End of the list.
    pub const END: u16 = 0;
    /// Comment, UTF-8.
    pub const COMMENT: u16 = 1;
    /// Section: operating system of the host that wrote it.
    pub const SHB_OS: u16 = 3;
    /// Section: program that wrote it.
    pub const SHB_USER_APPLICATION: u16 = 4;
    /// Interface: name.
    pub const IF_NAME: u16 = 2;
    /// Interface: description.
    pub const IF_DESCRIPTION: u16 = 3;
    /// Interface: time resolution, one byte.
    pub const IF_TSRESOL: u16 = 9;
    /// Interface: capture filter; the first byte is 0 for text.
    pub const IF_FILTER: u16 = 11;
    /// Interface: operating system.
    pub const IF_OS: u16 = 12;
    /// Interface: length of the frame check sequence in bits, one byte.
    pub const IF_FCSLEN: u16 = 13;
    /// Interface: seconds to add to every time, signed 64 bits.
    pub const IF_TSOFFSET: u16 = 14;
    /// Packet: flags, 32 bits.
    pub const EPB_FLAGS: u16 = 2;
    /// Packet: how many were lost since the one before, 64 bits.
    pub const EPB_DROPCOUNT: u16 = 4;
    /// Packet: identifier, 64 bits.
    pub const EPB_PACKETID: u16 = 5;
    /// Packet: queue, 32 bits.
    pub const EPB_QUEUE: u16 = 6;
    /// Packet: verdict, one byte of type and its value.
    pub const EPB_VERDICT: u16 = 7;
    /// Statistics: start of the capture.
    pub const ISB_START_TIME: u16 = 2;
    /// Statistics: end of the capture.
    pub const ISB_END_TIME: u16 = 3;
    /// Statistics: packets received.
    pub const ISB_RECEIVED: u16 = 4;
    /// Statistics: packets dropped by the interface.
    pub const ISB_DROPPED: u16 = 5;
    /// Statistics: packets that passed the filter.
    pub const ISB_ACCEPTED: u16 = 6;
    /// Statistics: packets dropped by the operating system.
    pub const ISB_DROPPED_BY_SYSTEM: u16 = 7;
    /// Statistics: packets delivered to the user.
    pub const ISB_DELIVERED: u16 = 8;
    /// Custom options: text and bytes that may be copied, text and bytes that may not.
    /// Each value begins with a private enterprise number of 32 bits.
    pub const CUSTOM: [u16; 4] = [2988, 2989, 19372, 19373];
    /// The two of [`CUSTOM`] that must not be copied.
    pub const CUSTOM_NOT_COPIED: [u16; 2] = [19372, 19373];
}

const NOT_READY: u32 = 1 << 9;
const VALID: u32 = 1 << 10;
const SEGMENTED: u32 = 1 << 11;

/// The bits of `epb_flags` that wharf understands: 0 and 1, 9 to 11.
pub const KNOWN_FLAGS: u32 = 3 | NOT_READY | VALID | SEGMENTED;

/// Direction and offload state of a packet as bits of `epb_flags` (section 4.3.1).
///
/// ```
/// use wharf::frame::{Direction, Offload, pcapng};
/// let flags = pcapng::flags(Direction::Out, Offload { checksum_not_ready: true, ..Offload::default() });
/// assert_eq!(flags, 0b10_0000_0010);
/// assert_eq!(pcapng::read_flags(flags).0, Direction::Out);
/// ```
#[must_use]
pub fn flags(direction: Direction, offload: Offload) -> u32 {
    let direction = match direction {
        Direction::Unknown => 0,
        Direction::In => 1,
        Direction::Out => 2,
    };
    let bit = |set, bit| if set { bit } else { 0 };
    direction
        | bit(offload.checksum_not_ready, NOT_READY)
        | bit(offload.checksum_valid, VALID)
        | bit(offload.segmented, SEGMENTED)
}

/// What `epb_flags` says of a packet: [`flags`] read back.
#[must_use]
pub fn read_flags(flags: u32) -> (Direction, Offload) {
    let direction = match flags & 3 {
        1 => Direction::In,
        2 => Direction::Out,
        _ => Direction::Unknown,
    };
    let offload = Offload {
        checksum_not_ready: flags & NOT_READY != 0,
        checksum_valid: flags & VALID != 0,
        segmented: flags & SEGMENTED != 0,
        ..Offload::default()
    };
    (direction, offload)
}
