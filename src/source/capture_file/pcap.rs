//! The pcap format and its variants (draft-ietf-opsawg-pcap; libpcap's sf-pcap.c; Wireshark's libpcap.c).
//!
//! | magic | variant |
//! | --- | --- |
//! | `a1b2c3d4` | microseconds |
//! | `a1b23c4d` | nanoseconds |
//! | `a1b2cd34` | Kuznetzov's: 8 (or, in one early patch, 12) more bytes in each record header |
//! | `1c0001ac` | Ixia hardware: nanoseconds, 4 more bytes in the file header |
//! | `1c0001ab` | Ixia software: microseconds, likewise |

use super::step::{Order, Step, Stretch, maximum};
use crate::frame::{Interface, LinkType, Record, Timestamp};
use crate::sys::prefetch::{self, LINE};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// How far before the walk its bytes are brought into the first cache: some ten of the shortest records.
const AHEAD: usize = 1024;

/// Which of the two length fields of a record is the captured one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    /// Captured, then original: version 2.4, what everybody writes.
    Ordinary,
    /// The other way round: versions before 2.3, and 543.0 of DG/UX.
    Swapped,
    /// Version 2.3, written both ways: the captured length is the smaller one.
    Smaller,
}

/// How to read the records of one pcap file.
pub(super) struct Pcap {
    order: Order,
    nanoseconds: bool,
    record_header: usize,
    lengths: Lengths,
    link_type: LinkType,
    maximum: usize,
}

/// What the file header says.
pub(super) struct Opened {
    pub(super) format: Pcap,
    pub(super) interface: Interface,
    /// Length of the file header.
    pub(super) length: usize,
}

/// Reads the file header, if the first four bytes are a pcap magic.
///
/// `Ok(None)` when they are not; `Err(Step)` when more bytes are needed or the header is wrong.
pub(super) fn open(bytes: &[u8]) -> Result<Option<Opened>, Step> {
    let Some(&magic) = bytes.first_chunk::<4>() else { return Err(Step::Need(4)) };
    let known = |magic| match magic {
        0xA1B2_C3D4 | 0xA1B2_3C4D | 0xA1B2_CD34 | 0x1C00_01AC | 0x1C00_01AB => Some(magic),
        _ => None,
    };
    let (big_endian, magic) = match (known(u32::from_le_bytes(magic)), known(u32::from_be_bytes(magic))) {
        (Some(magic), _) => (false, magic),
        (_, Some(magic)) => (true, magic),
        _ => return Ok(None),
    };
    let order = Order { big_endian };
    let length = if magic >> 16 == 0x1C00 { FILE_HEADER + 4 } else { FILE_HEADER };
    if bytes.len() < length {
        return Err(Step::Need(length));
    }
    let (major, minor) = (order.u16(bytes, 4), order.u16(bytes, 6));
    if major < 2 {
        return Err(Step::Damaged(format!("pcap version {major}.{minor}, only 2.0 and later are read")));
    }
    let network = order.u32(bytes, 20);
    // Bits 16 to 25 are reserved; 26 says that the top four, the FCS length in 16-bit units, are valid.
    if network & 0x03FF_0000 != 0 {
        return Err(Step::Damaged(format!("reserved bits are set in the link type field {network:#010x}")));
    }
    let link_type = LinkType((network & 0xFFFF) as u16);
    let record_header =
        if magic == 0xA1B2_CD34 { patched_header(&bytes[length..], order) } else { RECORD_HEADER };
    let lengths = match (major, minor) {
        (2, 0..=2) | (543, _) => Lengths::Swapped,
        (2, 3) => Lengths::Smaller,
        _ => Lengths::Ordinary,
    };
    let format = Pcap {
        order,
        nanoseconds: matches!(magic, 0xA1B2_3C4D | 0x1C00_01AC),
        record_header,
        lengths,
        link_type,
        maximum: maximum(link_type) as usize,
    };
    let interface = Interface {
        link_type,
        snap_length: order.u32(bytes, 16),
        fcs_length: (network & 0x0400_0000 != 0).then_some((network >> 28) as u8 * 2),
        ..Interface::default()
    };
    Ok(Some(Opened { format, interface, length }))
}

/// Length of the record headers behind Kuznetzov's magic: 24, unless only 28 makes the second record sane.
fn patched_header(records: &[u8], order: Order) -> usize {
    let sane = |at: usize| {
        let (fraction, captured) = (order.u32(records, at + 4), order.u32(records, at + 8));
        records.len() >= at + RECORD_HEADER && fraction < 1_000_000 && captured <= order.u32(records, at + 12)
    };
    let next = |header: usize| header + (order.u32(records, 8) as usize).min(records.len());
    if !sane(next(24)) && sane(next(28)) { 28 } else { 24 }
}

impl Pcap {
    /// Takes whole records that need no second look; gives the offset of what comes next, which is for [`Self::step`].
    pub(super) fn walk(&self, stretch: Stretch<'_>, records: &mut Vec<Record>) -> usize {
        match (self.lengths, self.order.big_endian) {
            (Lengths::Ordinary, false) => self.walk_by(u32::from_le_bytes, stretch, records),
            (Lengths::Ordinary, true) => self.walk_by(u32::from_be_bytes, stretch, records),
            _ => stretch.range.start,
        }
    }

    /// [`Self::walk`] with one way to read numbers: what is the same for all records is not looked at for each.
    #[inline(always)]
    fn walk_by(&self, read: fn([u8; 4]) -> u32, stretch: Stretch<'_>, records: &mut Vec<Record>) -> usize {
        let Stretch { slab, range, room, number } = stretch;
        let (header, maximum, link_type) = (self.record_header, self.maximum, self.link_type);
        let (second, unit) = if self.nanoseconds { (1_000_000_000, 1) } else { (1_000_000, 1000) };
        let mut at = range.start;
        records.reserve(room);
        for number in (number + 1..).take(room) {
            if at >= range.end {
                break;
            }
            let fields = slab.get(at..).and_then(|rest| rest.first_chunk::<RECORD_HEADER>());
            let Some(fields) = fields else { break };
            let field = |at: usize| read([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
            // The next record's place is known only from this one: without its line at hand each would wait for the
            // second cache.
            prefetch::for_reading(slab.as_ptr().wrapping_add(at + AHEAD));
            prefetch::for_reading(slab.as_ptr().wrapping_add(at + AHEAD + LINE));
            let (fraction, captured) = (field(4), field(8));
            let next = at + header + captured as usize;
            if captured as usize > maximum || fraction >= second || next > slab.len() {
                break;
            }
            records.push(Record {
                offset: (at + header) as u32,
                captured,
                wire_length: field(12),
                number,
                time: Some(Timestamp { seconds: i64::from(field(0)), nanos: fraction * unit }),
                link_type,
                ..Record::default()
            });
            at = next;
        }
        at
    }

    /// The record at the front of `bytes`.
    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        if bytes.len() < RECORD_HEADER {
            return Step::Need(self.record_header);
        }
        let field = |at| self.order.u32(bytes, at);
        let (mut captured, mut wire_length) = (field(8), field(12));
        if self.lengths == Lengths::Swapped || (self.lengths == Lengths::Smaller && captured > wire_length) {
            std::mem::swap(&mut captured, &mut wire_length);
        }
        if captured as usize > self.maximum {
            let maximum = self.maximum;
            return Step::Damaged(format!("a packet of {captured} bytes, more than the format's {maximum}"));
        }
        let length = self.record_header + captured as usize;
        if bytes.len() < length {
            return Step::Need(length);
        }
        let (seconds, fraction) = (i64::from(field(0)), field(4));
        let time = if self.nanoseconds {
            Timestamp::new(seconds, fraction)
        } else {
            // Some writers leave a whole second or more in the microseconds: carried.
            Timestamp::new(seconds + i64::from(fraction / 1_000_000), fraction % 1_000_000 * 1000)
        };
        let record = Record {
            offset: self.record_header as u32,
            captured,
            wire_length,
            time: Some(time),
            link_type: self.link_type,
            ..Record::default()
        };
        Step::Packet { record, length }
    }
}
