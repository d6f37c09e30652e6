//! Structures and constants of `linux/if_packet.h` as of Linux 6.1 (`TP_STATUS_GSO_TCP`: 6.3).
//!
//! Each size and offset is compared at compile time with the libc crate's own transcription.

use std::mem::{offset_of, size_of};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What `PACKET_RX_RING` asks for: `struct tpacket_req3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RingRequest {
    /// Bytes in a block: a multiple of the page size.
    pub block_size: u32,
    /// How many blocks.
    pub block_count: u32,
    /// Of no consequence in version 3 beyond having to divide the block.
    pub frame_size: u32,
    /// `block_size / frame_size * block_count`.
    pub frame_count: u32,
    /// Milliseconds after which a block with at least one frame is handed over; 0 lets the kernel choose.
    pub retire_timeout: u32,
    /// Bytes of private area at the head of each block.
    pub private_size: u32,
    /// `TP_FT_REQ_*`.
    pub features: u32,
}

/// Head of a block: `struct tpacket_block_desc` with its `tpacket_hdr_v1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BlockDescriptor {
    /// Version of this structure: 1.
    pub version: u32,
    /// Where the private area begins.
    pub offset_to_private: u32,
    /// [`STATUS_USER`] when the block is ours. Shared: read it through the ring only.
    pub status: u32,
    /// Frames in the block.
    pub frames: u32,
    /// From the block's start to its first [`FrameHeader`].
    pub offset_to_first: u32,
    /// Valid bytes, padding included.
    pub length: u32,
    /// Counts blocks from 1.
    pub sequence: u64,
    /// Time of opening: seconds, nanoseconds.
    pub first: [u32; 2],
    /// Time of the last frame, or of closing when empty.
    pub last: [u32; 2],
}

/// Head of a frame: `struct tpacket3_hdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FrameHeader {
    /// From this header to the next; 0 in the last of a block.
    pub next_offset: u32,
    /// Seconds since 1970.
    pub seconds: u32,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanos: u32,
    /// Bytes captured.
    pub captured: u32,
    /// Bytes the frame had.
    pub length: u32,
    /// `STATUS_*`.
    pub status: u32,
    /// From this header to the frame's first byte.
    pub mac: u16,
    /// From this header to the network layer.
    pub net: u16,
    /// Receive hash, where asked for.
    pub rx_hash: u32,
    /// VLAN tag control information the kernel took out of the frame.
    pub vlan_tci: u32,
    /// Its EtherType.
    pub vlan_tpid: u16,
    /// Unused.
    pub padding: [u8; 10],
}

/// `struct sockaddr_ll`, which follows each [`FrameHeader`] and names an interface in `bind(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LinkAddress {
    /// `AF_PACKET`.
    pub family: u16,
    /// Network protocol, in network byte order.
    pub protocol: [u8; 2],
    /// Interface index; 0 for all.
    pub interface: i32,
    /// `ARPHRD_*`.
    pub hardware: u16,
    /// `PACKET_HOST`, `PACKET_OUTGOING`…
    pub packet_type: u8,
    /// Bytes used of `address`; may exceed 8 on hardware with longer addresses.
    pub address_length: u8,
    /// Sender's hardware address.
    pub address: [u8; 8],
}

/// `struct packet_mreq`: which traffic the device is to let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Membership {
    /// Interface index.
    pub interface: i32,
    /// `PACKET_MR_*`.
    pub kind: u16,
    /// Bytes used of `address`.
    pub address_length: u16,
    /// Hardware address, for those kinds that need one.
    pub address: [u8; 8],
}

/// `struct tpacket_stats_v3`. Reading it resets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Statistics {
    /// Frames that passed the filter, dropped ones included.
    pub packets: u32,
    /// Of these, dropped because the ring was full.
    pub drops: u32,
    /// Times the ring was frozen because it was full.
    pub freezes: u32,
}

/// The block or frame belongs to us.
pub const STATUS_USER: u32 = libc::TP_STATUS_USER;
/// Of a block: its time was over before it was full (`TP_STATUS_BLK_TMO`).
pub const STATUS_TIME_OVER: u32 = libc::TP_STATUS_BLK_TMO;
/// Of a block: frames had been lost when it was closed, and the counters not been read since (`TP_STATUS_LOSING`).
pub const STATUS_LOSING: u32 = libc::TP_STATUS_LOSING;
/// The L4 checksum is still to be computed by the device.
pub const STATUS_CHECKSUM_NOT_READY: u32 = libc::TP_STATUS_CSUMNOTREADY;
/// The L4 checksum has been found right.
pub const STATUS_CHECKSUM_VALID: u32 = libc::TP_STATUS_CSUM_VALID;
/// [`FrameHeader::vlan_tci`] is valid.
pub const STATUS_VLAN_VALID: u32 = libc::TP_STATUS_VLAN_VALID;
/// [`FrameHeader::vlan_tpid`] is valid.
pub const STATUS_VLAN_TPID_VALID: u32 = libc::TP_STATUS_VLAN_TPID_VALID;
/// The frame is a TCP segment larger than the wire carries (`TP_STATUS_GSO_TCP`, Linux 6.3).
pub const STATUS_GSO_TCP: u32 = 1 << 8;
/// The frame's time is the kernel's, from before it came to the socket (`TP_STATUS_TS_SOFTWARE`). Without this bit and
/// the other it is the kernel's too, from when the frame was put into the ring.
pub const STATUS_STAMPED_BY_KERNEL: u32 = libc::TP_STATUS_TS_SOFTWARE;
/// The frame's time is the device's, by its own clock (`TP_STATUS_TS_RAW_HARDWARE`).
pub const STATUS_STAMPED_BY_DEVICE: u32 = libc::TP_STATUS_TS_RAW_HARDWARE;
/// [`LinkAddress::packet_type`] of a frame this host sent.
pub const PACKET_OUTGOING: u8 = libc::PACKET_OUTGOING;
/// Alignment of frame headers within a block (`TPACKET_ALIGNMENT`).
pub const ALIGNMENT: usize = libc::TPACKET_ALIGNMENT;

const _: () = {
    use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket_req3, tpacket3_hdr};

    assert!(size_of::<RingRequest>() == size_of::<tpacket_req3>());
    assert!(offset_of!(RingRequest, frame_count) == offset_of!(tpacket_req3, tp_frame_nr));
    assert!(offset_of!(RingRequest, retire_timeout) == offset_of!(tpacket_req3, tp_retire_blk_tov));
    assert!(offset_of!(RingRequest, features) == offset_of!(tpacket_req3, tp_feature_req_word));

    const V1: usize = offset_of!(tpacket_block_desc, hdr);
    assert!(size_of::<BlockDescriptor>() == size_of::<tpacket_block_desc>());
    assert!(offset_of!(BlockDescriptor, status) == V1 + offset_of!(tpacket_hdr_v1, block_status));
    assert!(offset_of!(BlockDescriptor, frames) == V1 + offset_of!(tpacket_hdr_v1, num_pkts));
    assert!(
        offset_of!(BlockDescriptor, offset_to_first) == V1 + offset_of!(tpacket_hdr_v1, offset_to_first_pkt)
    );
    assert!(offset_of!(BlockDescriptor, length) == V1 + offset_of!(tpacket_hdr_v1, blk_len));
    assert!(offset_of!(BlockDescriptor, sequence) == V1 + offset_of!(tpacket_hdr_v1, seq_num));
    assert!(offset_of!(BlockDescriptor, last) == V1 + offset_of!(tpacket_hdr_v1, ts_last_pkt));

    const HV1: usize = offset_of!(tpacket3_hdr, hv1);
    assert!(size_of::<FrameHeader>() == size_of::<tpacket3_hdr>());
    assert!(offset_of!(FrameHeader, seconds) == offset_of!(tpacket3_hdr, tp_sec));
    assert!(offset_of!(FrameHeader, captured) == offset_of!(tpacket3_hdr, tp_snaplen));
    assert!(offset_of!(FrameHeader, length) == offset_of!(tpacket3_hdr, tp_len));
    assert!(offset_of!(FrameHeader, status) == offset_of!(tpacket3_hdr, tp_status));
    assert!(offset_of!(FrameHeader, mac) == offset_of!(tpacket3_hdr, tp_mac));
    assert!(offset_of!(FrameHeader, net) == offset_of!(tpacket3_hdr, tp_net));
    assert!(offset_of!(FrameHeader, rx_hash) == HV1);
    assert!(offset_of!(FrameHeader, vlan_tci) == HV1 + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci));
    assert!(offset_of!(FrameHeader, vlan_tpid) == HV1 + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid));

    assert!(size_of::<LinkAddress>() == size_of::<libc::sockaddr_ll>());
    assert!(offset_of!(LinkAddress, interface) == offset_of!(libc::sockaddr_ll, sll_ifindex));
    assert!(offset_of!(LinkAddress, packet_type) == offset_of!(libc::sockaddr_ll, sll_pkttype));
    assert!(offset_of!(LinkAddress, address) == offset_of!(libc::sockaddr_ll, sll_addr));

    assert!(size_of::<Membership>() == size_of::<libc::packet_mreq>());
    assert!(offset_of!(Membership, kind) == offset_of!(libc::packet_mreq, mr_type));
    assert!(offset_of!(Membership, address) == offset_of!(libc::packet_mreq, mr_address));

    assert!(size_of::<Statistics>() == size_of::<libc::tpacket_stats_v3>());
    assert!(offset_of!(Statistics, freezes) == offset_of!(libc::tpacket_stats_v3, tp_freeze_q_cnt));
};
