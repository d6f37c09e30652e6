//! The pcapng format, written: little-endian, nanoseconds, with the sections and interface numbers of the
//! source (draft-ietf-opsawg-pcapng).

use super::blocks::{self, Block};
use crate::frame::pcapng::{block, flags, option};
use crate::frame::{Annotation, Frame, Interface, Timestamp};
use crate::sink::InterfaceStatistics;

const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// `if_tsresol`: units of 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// The state of one pcapng file.
pub(super) struct PcapNg {
    snap_length: u32,
    comment: Option<String>,
    /// The source's section that is open, if any.
    section: Option<u32>,
    /// Index in the source's list of the open section's first interface.
    first: usize,
    /// Index of the next interface to describe.
    next: usize,
    /// The open section's interfaces.
    described: Vec<Described>,
    /// Blocks to write before the next packet, when the interfaces before them are known.
    annotations: Vec<Annotation>,
}

/// An interface of the open section.
struct Described {
    snap_length: u32,
    /// `if_tsoffset`: seconds that stand for 0.
    offset: i64,
    /// Times of the first and last packet, in units, by their value.
    times: Option<(u64, u64)>,
}

impl Described {
    /// `time` in nanoseconds since the offset, when 64 bits hold them.
    fn units(&self, time: Timestamp) -> Option<u64> {
        let seconds = u64::try_from(time.seconds.checked_sub(self.offset)?).ok()?;
        seconds.checked_mul(1_000_000_000)?.checked_add(u64::from(time.nanos))
    }
}

impl PcapNg {
    pub(super) fn new(snap_length: u32, comment: Option<String>) -> Self {
        Self {
            snap_length,
            comment,
            section: None,
            first: 0,
            next: 0,
            described: Vec::new(),
            annotations: Vec::new(),
        }
    }

    /// Writes the first section header, if it is not there yet.
    pub(super) fn begin(&mut self, interfaces: &[Interface], out: &mut Vec<u8>) {
        if self.section.is_none() {
            self.open_section(interfaces.first().map_or(0, |interface| interface.section), out);
        }
    }

    pub(super) fn annotate(&mut self, annotation: &Annotation) {
        self.annotations.push(annotation.clone());
    }

    /// Writes a packet, before it the blocks that stand before it and the interfaces up to its own.
    ///
    /// `lost` packets are missing before it. `Err` says why the format cannot hold it.
    pub(super) fn frame(
        &mut self,
        frame: &Frame<'_>,
        lost: u64,
        interfaces: &[Interface],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let record = &frame.record;
        self.write_annotations(interfaces, out);
        let index = record.interface.0 as usize;
        self.describe(index, record.time, interfaces, out)?;
        let number = index - self.first;
        let interface = &mut self.described[number];
        let data = super::snap(frame.data, self.snap_length);
        let flags = flags(record.direction, record.offload);

        // A simple packet block has neither time nor options, and its length follows from the snap length.
        let expected = match interface.snap_length {
            0 => record.wire_length,
            snap_length => record.wire_length.min(snap_length),
        };
        let simple = record.time.is_none() && flags == 0 && lost == 0 && frame.options.raw.is_empty();
        if simple && number == 0 && data.len() as u64 == u64::from(expected) {
            Block::begin(out, block::SIMPLE_PACKET).u32(record.wire_length).bytes(data).end();
            return Ok(());
        }

        let units = match record.time {
            None => 0,
            Some(time) => interface.units(time).ok_or_else(|| {
                format!(
                    "packet {} has the time {time}: more than 584 years from others of its interface",
                    record.number
                )
            })?,
        };
        if record.time.is_some() {
            let (first, last) = interface.times.unwrap_or((units, units));
            interface.times = Some((first.min(units), last.max(units)));
        }
        if lost == 0 && frame.options.raw.is_empty() {
            blocks::plain_packet(out, number as u32, units, record.wire_length, data, flags);
            return Ok(());
        }
        Block::begin(out, block::ENHANCED_PACKET)
            .u32(number as u32)
            .time(units)
            .u32(data.len() as u32)
            .u32(record.wire_length)
            .bytes(data)
            .packet_options(frame.options, flags, lost)
            .end();
        Ok(())
    }

    /// Writes what is still due: annotations, interfaces without packets, statistics.
    pub(super) fn finish(
        &mut self,
        interfaces: &[Interface],
        statistics: &[InterfaceStatistics],
        out: &mut Vec<u8>,
    ) {
        self.write_annotations(interfaces, out);
        self.begin(interfaces, out);
        while self.next < interfaces.len() {
            self.describe_next(&interfaces[self.next], None, out);
        }
        self.write_statistics(statistics, out);
    }

    /// Sees to it that the interface at `index` is one of the open section.
    fn describe(
        &mut self,
        index: usize,
        time: Option<Timestamp>,
        interfaces: &[Interface],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let Some(interface) = interfaces.get(index) else {
            return Err(format!("a packet of interface {index}, but the source has {}", interfaces.len()));
        };
        if index < self.first {
            // Back to an earlier section: it is opened once more.
            let same = |other: &Interface| other.section == interface.section;
            self.next = interfaces.iter().position(same).unwrap_or(index);
        }
        while self.next <= index {
            let time = time.filter(|_| self.next == index);
            self.describe_next(&interfaces[self.next], time, out);
        }
        Ok(())
    }

    /// Writes the description of the next interface, in a new section if it belongs to one.
    fn describe_next(&mut self, interface: &Interface, time: Option<Timestamp>, out: &mut Vec<u8>) {
        if self.section != Some(interface.section) {
            self.open_section(interface.section, out);
        }
        let mut described = Described {
            snap_length: super::smaller_limit(self.snap_length, interface.snap_length),
            offset: 0,
            times: None,
        };
        // 64 bits of nanoseconds reach from 1970 to 2554; other times need another beginning.
        if let Some(time) = time.filter(|time| described.units(*time).is_none()) {
            described.offset = time.seconds.saturating_sub(1 << 32);
        }
        let mut filter = interface.filter.clone();
        if let Some(filter) = &mut filter {
            filter.insert(0, '\0');
        }
        let mut idb = Block::begin(out, block::INTERFACE)
            .u16(interface.link_type.0)
            .u16(0)
            .u32(described.snap_length)
            .text(option::IF_NAME, interface.name.as_deref())
            .text(option::IF_DESCRIPTION, interface.description.as_deref())
            .text(option::IF_FILTER, filter.as_deref())
            .text(option::IF_OS, interface.os.as_deref())
            .option(option::IF_TSRESOL, &[NANOSECONDS]);
        if let Some(bytes) = interface.fcs_length {
            idb = idb.option(option::IF_FCSLEN, &[bytes.saturating_mul(8)]);
        }
        if described.offset != 0 {
            idb = idb.option(option::IF_TSOFFSET, &described.offset.to_le_bytes());
        }
        idb.end();
        self.described.push(described);
        self.next += 1;
    }

    fn open_section(&mut self, section: u32, out: &mut Vec<u8>) {
        self.write_statistics(&[], out);
        self.described.clear();
        self.first = self.next;
        self.section = Some(section);
        Block::begin(out, block::SECTION)
            .u32(BYTE_ORDER_MAGIC)
            .u16(1)
            .u16(0)
            .bytes(&(-1_i64).to_le_bytes())
            .text(option::COMMENT, self.comment.as_deref())
            .text(option::SHB_OS, Some(&operating_system()))
            .text(option::SHB_USER_APPLICATION, Some(concat!("wharf ", env!("CARGO_PKG_VERSION"))))
            .end();
    }

    fn write_annotations(&mut self, interfaces: &[Interface], out: &mut Vec<u8>) {
        if self.annotations.is_empty() {
            return;
        }
        for annotation in std::mem::take(&mut self.annotations) {
            while let Some(interface) = interfaces.get(self.next).filter(|i| i.section < annotation.section) {
                self.describe_next(interface, None, out);
            }
            if self.section.is_none_or(|section| section < annotation.section) {
                self.open_section(annotation.section, out);
            }
            Block::begin(out, annotation.kind).bytes(&annotation.body).end();
        }
    }

    /// Writes a statistics block for each interface of the open section of which something is known.
    fn write_statistics(&self, statistics: &[InterfaceStatistics], out: &mut Vec<u8>) {
        for (number, interface) in self.described.iter().enumerate() {
            let known = statistics.get(self.first + number);
            if known.is_none() && interface.times.is_none() {
                continue;
            }
            let (start, end) = interface.times.unwrap_or_default();
            let mut isb = Block::begin(out, block::STATISTICS).u32(number as u32).time(end);
            if interface.times.is_some() {
                isb = isb.time_option(option::ISB_START_TIME, start).time_option(option::ISB_END_TIME, end);
            }
            if let Some(known) = known {
                isb = isb
                    .option(option::ISB_RECEIVED, &known.received.to_le_bytes())
                    .option(option::ISB_DROPPED, &known.dropped.to_le_bytes());
                for (code, count) in [
                    (option::ISB_ACCEPTED, known.accepted),
                    (option::ISB_DROPPED_BY_SYSTEM, known.dropped_by_system),
                    (option::ISB_DELIVERED, known.delivered),
                ] {
                    if let Some(count) = count {
                        isb = isb.option(code, &count.to_le_bytes());
                    }
                }
            }
            isb.end();
        }
    }
}

/// Name and release of the system this runs on.
fn operating_system() -> String {
    let uname = rustix::system::uname();
    format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy())
}

/// How much of `bytes` is whole, and how many packets that is.
pub(super) fn whole(bytes: &[u8]) -> (usize, u64) {
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field));
    let (mut at, mut packets) = (0, 0);
    while let (Some(kind), Some(length)) = (number(at), number(at + 4)) {
        let next = at + length as usize;
        if next > bytes.len() {
            break;
        }
        packets += u64::from(matches!(kind, block::ENHANCED_PACKET | block::SIMPLE_PACKET));
        at = next;
    }
    (at, packets)
}
