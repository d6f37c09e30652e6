//! Frames: bytes as captured at the link layer, with their time, length on the wire and interface.
//!
//! A source hands out frames in a [`Batch`]: one slab of memory and one [`Record`] for each frame in
//! it. The batch borrows from the source, so frames are read where the kernel or the file reader put
//! them, and the borrow checker holds the source back until every reader is done.

mod batch;
mod link_type;
pub mod pcapng;

pub use batch::Batch;

use std::fmt;
use std::time::Duration;

/// A point in time: seconds and nanoseconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

impl Timestamp {
    /// From seconds and nanoseconds; nanoseconds beyond a second are carried.
    ///
    /// ```
    /// use wharf::frame::Timestamp;
    /// assert_eq!(Timestamp::new(1, 2_000_000_001).to_string(), "3.000000001");
    /// ```
    #[must_use]
    pub const fn new(seconds: i64, nanos: u32) -> Self {
        Self { seconds: seconds.saturating_add((nanos / 1_000_000_000) as i64), nanos: nanos % 1_000_000_000 }
    }

    /// Nanoseconds from `earlier` to `self`; negative when `self` comes first, clamped to `i64` (292 years).
    #[must_use]
    pub fn nanos_since(self, earlier: Self) -> i64 {
        let nanos = (i128::from(self.seconds) - i128::from(earlier.seconds)) * 1_000_000_000
            + i128::from(self.nanos)
            - i128::from(earlier.nanos);
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// So much later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::frame::Timestamp;
    /// assert_eq!(Timestamp::new(1, 999_999_999).plus(Duration::from_nanos(1)), Timestamp::new(2, 0));
    /// ```
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        // Less than two seconds of nanoseconds.
        Self::new(self.seconds.saturating_add(seconds), self.nanos + time.subsec_nanos())
    }
}

/// Seconds, a point, nine digits: `1700000000.000000001`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanos)
    }
}

/// A link-layer header type, by its number in the registry of LINKTYPE values
/// (<https://www.tcpdump.org/linktypes.html>), the numbers that capture files carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

/// Index of an interface in its source's list, in order of appearance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u32);

/// What a source knows of an interface its frames came through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Name, such as `eth0`.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// The capture filter that was in force, as text.
    pub filter: Option<String>,
    /// Operating system of the capturing host.
    pub os: Option<String>,
    /// Header type of every frame of this interface.
    pub link_type: LinkType,
    /// Most bytes kept of a frame; 0 for no limit.
    pub snap_length: u32,
    /// Bytes of frame check sequence at the end of each frame, where known.
    pub fcs_length: Option<u8>,
    /// The pcapng section the interface belongs to, counted from 0; 0 for all other sources.
    pub section: u32,
}

/// Which way a frame crossed the interface, seen from the capturing host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Not recorded.
    #[default]
    Unknown,
    /// Received.
    In,
    /// Sent.
    Out,
}

/// What the kernel or the device said about a frame's checksum and segmentation.
///
/// pcapng keeps the first three facts in bits 9 to 11 of `epb_flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Offload {
    /// The L4 checksum field is not filled in yet: the device will do it (`TP_STATUS_CSUMNOTREADY`).
    pub checksum_not_ready: bool,
    /// The device or kernel has found the L4 checksum right (`TP_STATUS_CSUM_VALID`).
    pub checksum_valid: bool,
    /// The frame is larger than the wire carries: to be segmented, or already coalesced (TSO, GRO).
    pub segmented: bool,
    /// The source cannot tell `checksum_not_ready` and the frame may be one (AF_XDP, of frames that were never on a
    /// wire): an L4 checksum that is exactly what the kernel leaves for the device to complete is not ready, not bad.
    /// In memory only.
    pub checksum_unsure: bool,
}

/// A pcapng packet's options as they stand in the file, read on demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketOptions<'a> {
    /// The option list: 2 bytes code, 2 bytes length, value padded to 4 bytes, and again.
    pub raw: &'a [u8],
    /// Byte order of codes, lengths and numbers in `raw`.
    pub big_endian: bool,
}

impl<'a> PacketOptions<'a> {
    /// Each option as code and value, up to the end-of-options mark or the first malformed one.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let (head, tail) = rest.split_first_chunk::<4>()?;
            let read = |a, b| {
                if self.big_endian { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) }
            };
            let (code, length) = (read(head[0], head[1]), usize::from(read(head[2], head[3])));
            if code == 0 {
                return None;
            }
            let value = tail.get(..length)?;
            rest = tail.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((code, value))
        })
    }

    /// How many packets were lost between this one and the one before on its interface (`epb_dropcount`), where it says so.
    #[must_use]
    pub fn lost(self) -> Option<u64> {
        let (_, value) = self.iter().find(|(code, _)| *code == pcapng::option::EPB_DROPCOUNT)?;
        let bytes = value.try_into().ok()?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// The packet's comments (`opt_comment`), those that are UTF-8.
    pub fn comments(self) -> impl Iterator<Item = &'a str> {
        self.iter().filter(|(code, _)| *code == 1).filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }
}

/// Where one frame lies in its batch's slab, and what is known of it. Plain data, no borrow, one cache line.
///
/// The order of the fields is fixed: the vector code of [`batch`](crate::batch) reads several of them at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// Offset of the first byte in the slab.
    pub offset: u32,
    /// Bytes captured.
    pub captured: u32,
    /// Bytes the frame had on the wire; at least `captured` unless the file says otherwise.
    pub wire_length: u32,
    /// Interface the frame came through.
    pub interface: InterfaceId,
    /// Header type at `offset`.
    pub link_type: LinkType,
    /// Checksum and segmentation state.
    pub offload: Offload,
    /// Whether it was received or sent.
    pub direction: Direction,
    /// The options are in a big-endian section.
    pub options_big_endian: bool,
    /// Position in the source, counted from 1.
    pub number: u64,
    /// When the frame was captured; `None` where the file has no time for it (simple packet block).
    pub time: Option<Timestamp>,
    /// Offset of the pcapng options in the slab, if there are any.
    pub options_offset: u32,
    /// Their length; 0 for none.
    pub options_length: u32,
}

const _: () = assert!(size_of::<Record>() == 64);

/// One frame of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The captured bytes.
    pub data: &'a [u8],
    /// Its pcapng options; empty for all other sources.
    pub options: PacketOptions<'a>,
    /// Everything else that is known of it.
    pub record: Record,
}

impl<'a> Frame<'a> {
    /// A frame over `data` alone: number 1, no time, whole on the wire.
    ///
    /// ```
    /// use wharf::frame::{Frame, LinkType};
    /// let frame = Frame::new(LinkType::ETHERNET, &[0; 60]);
    /// assert_eq!(frame.record.wire_length, 60);
    /// ```
    #[must_use]
    pub fn new(link_type: LinkType, data: &'a [u8]) -> Self {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let record =
            Record { captured: length, wire_length: length, number: 1, link_type, ..Record::default() };
        Self { data, options: PacketOptions::default(), record }
    }

    /// True when the capture kept fewer bytes than the wire carried.
    #[must_use]
    pub fn snapped(&self) -> bool {
        (self.data.len() as u64) < u64::from(self.record.wire_length)
    }
}

/// What is known about one interface over a whole capture (pcapng's interface statistics block).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStatistics {
    /// Frames received, dropped ones included (`isb_ifrecv`).
    pub received: u64,
    /// Lost between the interface and whoever reads of it here, wherever that was (`isb_ifdrop`, as Wireshark's dumpcap
    /// writes and shows it).
    pub dropped: u64,
    /// Let through by the capture filter (`isb_filteraccept`), where known.
    pub accepted: Option<u64>,
    /// Those of the dropped for which the kernel had no room (`isb_osdrop`), where known.
    pub dropped_by_system: Option<u64>,
    /// Handed over to whoever reads of it here (`isb_usrdeliv`), where known.
    pub delivered: Option<u64>,
}

impl InterfaceStatistics {
    /// Adds what another receiver on the same interface counted of other frames.
    pub fn merge(&mut self, other: Self) {
        let add = |all: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *all = Some(all.unwrap_or(0) + more);
            }
        };
        self.received += other.received;
        self.dropped += other.dropped;
        add(&mut self.accepted, other.accepted);
        add(&mut self.dropped_by_system, other.dropped_by_system);
        add(&mut self.delivered, other.delivered);
    }
}

/// A pcapng block that is not a packet and that a copy should keep: decryption secrets, name
/// resolution, custom blocks marked as safe to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Block type as in the file.
    pub kind: u32,
    /// Section it belongs to, counted from 0.
    pub section: u32,
    /// Body between the two lengths, with every number little-endian.
    pub body: Vec<u8>,
}
