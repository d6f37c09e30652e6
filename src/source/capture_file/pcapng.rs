//! The pcapng format: blocks, sections, interfaces, packets (draft-ietf-opsawg-pcapng).

use super::annotation;
use super::options::{check_options, packet_notes};
use super::step::{Order, Step, Stretch, maximum};
use super::time_scale::TimeScale;
use crate::frame::pcapng::{block, option};
use crate::frame::{Interface, InterfaceId, InterfaceStatistics, LinkType, PacketOptions, Record, Timestamp};
use std::cell::Cell;

const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// Type and length before a block's body.
const BLOCK_HEADER: usize = 8;
/// The length again after it.
const TRAILER: usize = 4;
/// Largest block: the largest packet and room for its options.
const MAXIMUM_BLOCK: u32 = (128 << 20) + (2 << 20);

/// Where the walk over a pcapng file is: the section and how its interfaces count time.
pub(super) struct PcapNg {
    order: Order,
    /// Sections met so far.
    sections: u32,
    /// Index of the section's first interface in the source's list.
    first_interface: usize,
    /// One entry for each interface of the source.
    scales: Vec<TimeScale>,
    /// What the file says of each interface of the source, as far as it does.
    statistics: Vec<Option<InterfaceStatistics>>,
    /// Packets lost by what the packets read so far say.
    lost: Cell<u64>,
}

/// True when a file begins with a section header block.
pub(super) fn recognise(bytes: &[u8]) -> bool {
    bytes.starts_with(&block::SECTION.to_le_bytes())
}

impl PcapNg {
    pub(super) fn new() -> Self {
        Self {
            order: Order::default(),
            sections: 0,
            first_interface: 0,
            scales: Vec::new(),
            statistics: Vec::new(),
            lost: Cell::new(0),
        }
    }

    /// The block at the front of `bytes`. A new interface is added to `interfaces`.
    pub(super) fn step(&mut self, bytes: &[u8], interfaces: &mut Vec<Interface>) -> Step {
        if bytes.len() < BLOCK_HEADER + TRAILER {
            return Step::Need(BLOCK_HEADER + TRAILER);
        }
        let is_section = recognise(bytes);
        let order = match is_section.then(|| section_order(bytes)) {
            None => self.order,
            Some(Some(order)) => order,
            Some(None) => return Step::Damaged("no byte-order magic in the section header".into()),
        };
        let (kind, length) = (order.u32(bytes, 0), order.u32(bytes, 4));
        if length < (BLOCK_HEADER + TRAILER) as u32 || length > MAXIMUM_BLOCK {
            return Step::Damaged(format!("a block of type {kind:#x} says it is {length} bytes long"));
        }
        // A length must be a multiple of 4. Some writers left the padding out of the count.
        let whole = length.next_multiple_of(4) as usize;
        if bytes.len() < whole {
            return Step::Need(whole);
        }
        let trailer = order.u32(bytes, whole - TRAILER);
        if trailer != length && trailer != whole as u32 {
            return Step::Damaged(format!(
                "the lengths before and after a block differ: {length} and {trailer}"
            ));
        }
        let body = &bytes[BLOCK_HEADER..whole - TRAILER];
        let packet = |read: Result<Record, String>| read.map(|record| Step::Packet { record, length: whole });
        let result = match kind {
            block::SECTION => {
                self.section(body, order, interfaces.len()).map(|()| Step::Skip { length: whole })
            }
            block::INTERFACE => self.interface(body, interfaces).map(|()| Step::Skip { length: whole }),
            block::ENHANCED_PACKET => packet(self.enhanced(body, order, interfaces)),
            block::PACKET => packet(self.packet(body, u32::from(order.u16(body, 0)), order, interfaces)),
            block::SIMPLE_PACKET => packet(self.simple_packet(body, order, interfaces)),
            block::SECRETS | block::NAMES | block::CUSTOM => {
                annotation::read(kind, self.sections - 1, body, self.order)
                    .map(|annotation| Step::Annotation { annotation, length: whole })
            }
            block::STATISTICS => {
                self.statistics(body, interfaces.len());
                Ok(Step::Skip { length: whole })
            }
            _ => Ok(Step::Skip { length: whole }),
        };
        result.unwrap_or_else(Step::Damaged)
    }

    /// Takes whole enhanced and simple packets; gives the offset of what comes next, which is for [`Self::step`].
    pub(super) fn walk(
        &self,
        stretch: Stretch<'_>,
        interfaces: &[Interface],
        records: &mut Vec<Record>,
    ) -> usize {
        // A constant in each, so that it is not looked at for each number.
        match self.order.big_endian {
            false => self.walk_in(Order { big_endian: false }, stretch, interfaces, records),
            true => self.walk_in(Order { big_endian: true }, stretch, interfaces, records),
        }
    }

    #[inline(always)]
    fn walk_in(
        &self,
        order: Order,
        stretch: Stretch<'_>,
        interfaces: &[Interface],
        records: &mut Vec<Record>,
    ) -> usize {
        let Stretch { slab, range, room, number } = stretch;
        let mut at = range.start;
        records.reserve(room);
        for number in (number + 1..).take(room) {
            if at >= range.end {
                break;
            }
            let Some(header) = slab.get(at..).and_then(|rest| rest.first_chunk::<BLOCK_HEADER>()) else {
                break;
            };
            let (kind, length) = (order.u32(header, 0), order.u32(header, 4));
            if length < (BLOCK_HEADER + TRAILER) as u32 || length > MAXIMUM_BLOCK || length % 4 != 0 {
                break;
            }
            let next = at + length as usize;
            let Some(rest) = slab.get(at + BLOCK_HEADER..next) else { break };
            let (body, trailer) = rest.split_at(rest.len() - TRAILER);
            let read = match kind {
                _ if order.u32(trailer, 0) != length => break,
                block::ENHANCED_PACKET => self.enhanced(body, order, interfaces),
                block::SIMPLE_PACKET => self.simple_packet(body, order, interfaces),
                _ => break,
            };
            let Ok(mut record) = read else { break };
            record.offset += at as u32;
            record.options_offset += if record.options_length > 0 { at as u32 } else { 0 };
            record.number = number;
            records.push(record);
            at = next;
        }
        at
    }

    fn section(&mut self, body: &[u8], order: Order, interfaces: usize) -> Result<(), String> {
        if body.len() < 16 {
            return Err(format!("a section header of {} bytes", body.len()));
        }
        let (major, minor) = (order.u16(body, 4), order.u16(body, 6));
        // Version 1.2 was written for a while by error and is the same format.
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(format!("pcapng version {major}.{minor}, only 1.0 is read"));
        }
        check_options(&body[16..], order)?;
        self.order = order;
        self.sections += 1;
        self.first_interface = interfaces;
        Ok(())
    }

    fn interface(&mut self, body: &[u8], interfaces: &mut Vec<Interface>) -> Result<(), String> {
        if body.len() < 8 {
            return Err(format!("an interface description of {} bytes", body.len()));
        }
        let mut interface = Interface {
            link_type: LinkType(self.order.u16(body, 0)),
            snap_length: self.order.u32(body, 4),
            section: self.sections - 1,
            ..Interface::default()
        };
        let mut scale = TimeScale::default();
        let options = check_options(&body[8..], self.order)?;
        for (code, value) in options.iter() {
            let text = || Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
            match (code, value) {
                (option::IF_NAME, _) => interface.name = text(),
                (option::IF_DESCRIPTION, _) => interface.description = text(),
                (option::IF_OS, _) => interface.os = text(),
                (option::IF_FILTER, [0, filter @ ..]) => {
                    interface.filter = Some(String::from_utf8_lossy(filter).into_owned());
                }
                // Said to be in bits; small numbers are from writers that count bytes.
                (option::IF_FCSLEN, &[length]) => {
                    interface.fcs_length = Some(if length < 8 { length } else { length / 8 });
                }
                (option::IF_TSRESOL, &[resolution]) => scale.resolution = resolution,
                (option::IF_TSOFFSET, _) if value.len() == 8 => {
                    scale.offset = self.order.u64(value, 0).cast_signed();
                }
                _ => {}
            }
        }
        self.scales.push(scale);
        interfaces.push(interface);
        Ok(())
    }

    /// An interface statistics block. One that makes no sense is passed over, as ever.
    fn statistics(&mut self, body: &[u8], interfaces: usize) {
        const FIXED: usize = 12;
        let index = self.first_interface + self.order.u32(body, 0) as usize;
        let Some(raw) = body.get(FIXED..).filter(|_| index < interfaces) else { return };
        let mut said = InterfaceStatistics::default();
        let mut any = false;
        for (code, value) in (PacketOptions { raw, big_endian: self.order.big_endian }).iter() {
            let count = self.order.u64(value, 0);
            match code {
                _ if value.len() != 8 => continue,
                option::ISB_RECEIVED => said.received = count,
                option::ISB_DROPPED => said.dropped = count,
                option::ISB_ACCEPTED => said.accepted = Some(count),
                option::ISB_DROPPED_BY_SYSTEM => said.dropped_by_system = Some(count),
                option::ISB_DELIVERED => said.delivered = Some(count),
                _ => continue,
            }
            any = true;
        }
        if any {
            self.statistics.resize(interfaces.max(self.statistics.len()), None);
            // They count from the beginning: the last one says it all.
            self.statistics[index] = Some(said);
        }
    }

    /// What the file says of its interfaces.
    pub(super) fn said(&self) -> &[Option<InterfaceStatistics>] {
        &self.statistics
    }

    /// Packets lost while the file was written: by its packets, or by its statistics, which know of those after the last one
    /// too. Some programs count the system's losses among the interface's, others beside them; the larger is certain.
    pub(super) fn lost(&self) -> u64 {
        let lost = |said: &InterfaceStatistics| said.dropped.max(said.dropped_by_system.unwrap_or(0));
        let said = self.statistics.iter().flatten().map(lost).fold(0, u64::saturating_add);
        said.max(self.lost.get())
    }

    /// The interface with this number in the section, and its index in the source's list.
    fn of_section<'a>(
        &self,
        number: u32,
        interfaces: &'a [Interface],
    ) -> Result<(usize, &'a Interface), String> {
        let index = self.first_interface + number as usize;
        let known = interfaces.len() - self.first_interface;
        interfaces
            .get(index)
            .map(|interface| (index, interface))
            .ok_or_else(|| format!("a packet of interface {number}, but the section describes {known}"))
    }

    /// An enhanced packet block.
    #[inline(always)]
    fn enhanced(&self, body: &[u8], order: Order, interfaces: &[Interface]) -> Result<Record, String> {
        self.packet(body, order.u32(body, 0), order, interfaces)
    }

    /// An enhanced packet block, or the packet block it replaced: they differ in the first four bytes, which give the
    /// number of the interface.
    #[inline(always)]
    fn packet(
        &self,
        body: &[u8],
        number: u32,
        order: Order,
        interfaces: &[Interface],
    ) -> Result<Record, String> {
        const FIXED: usize = 20;
        let Some(fixed) = body.first_chunk::<FIXED>() else {
            return Err(format!("a packet block of {} bytes", body.len()));
        };
        let field = |at| order.u32(fixed, at);
        let (index, interface) = self.of_section(number, interfaces)?;
        let captured = field(12);
        check_length(captured, interface.link_type)?;
        let options_at = FIXED + captured.next_multiple_of(4) as usize;
        if options_at > body.len() {
            let block = BLOCK_HEADER + body.len() + TRAILER;
            return Err(format!("{captured} bytes of packet in a block of {block}"));
        }
        let units = (u64::from(field(4)) << 32) | u64::from(field(8));
        let mut record = Record {
            offset: (BLOCK_HEADER + FIXED) as u32,
            captured,
            wire_length: field(16),
            interface: InterfaceId(index as u32),
            time: Some(self.time(index, units)),
            link_type: interface.link_type,
            options_big_endian: order.big_endian,
            ..Record::default()
        };
        if options_at < body.len() {
            let raw = &body[options_at..];
            let notes = packet_notes(raw, order)?;
            (record.direction, record.offload) = (notes.direction, notes.offload);
            self.lost.set(self.lost.get().saturating_add(notes.lost));
            record.options_offset = (BLOCK_HEADER + options_at) as u32;
            record.options_length = raw.len() as u32;
        }
        Ok(record)
    }

    /// No interface, time or options: interface 0, cut at its snap length.
    #[inline(always)]
    fn simple_packet(&self, body: &[u8], order: Order, interfaces: &[Interface]) -> Result<Record, String> {
        const FIXED: usize = 4;
        let (index, interface) = self.of_section(0, interfaces)?;
        let wire_length = order.u32(body, 0);
        let captured = match interface.snap_length {
            0 => wire_length,
            snap_length => wire_length.min(snap_length),
        };
        check_length(captured, interface.link_type)?;
        if body.len() != FIXED + captured.next_multiple_of(4) as usize {
            let block = BLOCK_HEADER + body.len() + TRAILER;
            return Err(format!("a simple packet of {captured} bytes in a block of {block}"));
        }
        Ok(Record {
            offset: (BLOCK_HEADER + FIXED) as u32,
            captured,
            wire_length,
            interface: InterfaceId(index as u32),
            link_type: interface.link_type,
            ..Record::default()
        })
    }

    fn time(&self, index: usize, units: u64) -> Timestamp {
        self.scales.get(index).copied().unwrap_or_default().time(units)
    }
}

/// Byte order of a section, from the magic behind its length.
fn section_order(bytes: &[u8]) -> Option<Order> {
    [false, true]
        .map(|big_endian| Order { big_endian })
        .into_iter()
        .find(|order| order.u32(bytes, 8) == BYTE_ORDER_MAGIC)
}

fn check_length(captured: u32, link_type: LinkType) -> Result<(), String> {
    let maximum = maximum(link_type);
    if captured > maximum {
        return Err(format!("a packet of {captured} bytes, more than the format's {maximum}"));
    }
    Ok(())
}
