//! The pcapng format: blocks, sections, interfaces, packets (draft-ietf-opsawg-pcapng).

use super::annotation;
use super::options::check_options;
use super::step::{Order, Step, maximum};
use super::time_scale::TimeScale;
use crate::frame::pcapng::{block, option, read_flags};
use crate::frame::{Interface, InterfaceId, LinkType, Record, Timestamp};

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
}

/// True when a file begins with a section header block.
pub(super) fn recognise(bytes: &[u8]) -> bool {
    bytes.starts_with(&block::SECTION.to_le_bytes())
}

impl PcapNg {
    pub(super) fn new() -> Self {
        Self { order: Order::default(), sections: 0, first_interface: 0, scales: Vec::new() }
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
        let result = match kind {
            block::SECTION => {
                self.section(body, order, interfaces.len()).map(|()| Step::Skip { length: whole })
            }
            block::INTERFACE => self.interface(body, interfaces).map(|()| Step::Skip { length: whole }),
            block::ENHANCED_PACKET => self.packet(body, whole, false, interfaces),
            block::PACKET => self.packet(body, whole, true, interfaces),
            block::SIMPLE_PACKET => self.simple_packet(body, whole, interfaces),
            block::SECRETS | block::NAMES | block::CUSTOM => {
                annotation::read(kind, self.sections - 1, body, self.order)
                    .map(|annotation| Step::Annotation { annotation, length: whole })
            }
            _ => Ok(Step::Skip { length: whole }),
        };
        result.unwrap_or_else(Step::Damaged)
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

    /// An enhanced packet block, or the packet block it replaced: they differ in the first four bytes.
    fn packet(
        &self,
        body: &[u8],
        length: usize,
        obsolete: bool,
        interfaces: &[Interface],
    ) -> Result<Step, String> {
        const FIXED: usize = 20;
        if body.len() < FIXED {
            return Err(format!("a packet block of {} bytes", body.len()));
        }
        let field = |at| self.order.u32(body, at);
        let number = if obsolete { u32::from(self.order.u16(body, 0)) } else { field(0) };
        let (index, interface) = self.of_section(number, interfaces)?;
        let captured = field(12);
        check_length(captured, interface.link_type)?;
        let options_at = FIXED + captured.next_multiple_of(4) as usize;
        if options_at > body.len() {
            return Err(format!("{captured} bytes of packet in a block of {length}"));
        }
        let units = (u64::from(field(4)) << 32) | u64::from(field(8));
        let mut record = Record {
            offset: (BLOCK_HEADER + FIXED) as u32,
            captured,
            wire_length: field(16),
            interface: InterfaceId(index as u32),
            time: Some(self.time(index, units)),
            link_type: interface.link_type,
            options_big_endian: self.order.big_endian,
            ..Record::default()
        };
        if options_at < body.len() {
            let raw = &body[options_at..];
            let options = check_options(raw, self.order)?;
            if let Some((_, flags)) =
                options.iter().find(|(code, value)| *code == option::EPB_FLAGS && value.len() == 4)
            {
                (record.direction, record.offload) = read_flags(self.order.u32(flags, 0));
            }
            record.options_offset = (BLOCK_HEADER + options_at) as u32;
            record.options_length = raw.len() as u32;
        }
        Ok(Step::Packet { record, length })
    }

    /// No interface, time or options: interface 0, cut at its snap length.
    fn simple_packet(&self, body: &[u8], length: usize, interfaces: &[Interface]) -> Result<Step, String> {
        const FIXED: usize = 4;
        let (index, interface) = self.of_section(0, interfaces)?;
        let wire_length = self.order.u32(body, 0);
        let captured = match interface.snap_length {
            0 => wire_length,
            snap_length => wire_length.min(snap_length),
        };
        check_length(captured, interface.link_type)?;
        if body.len() != FIXED + captured.next_multiple_of(4) as usize {
            return Err(format!("a simple packet of {captured} bytes in a block of {length}"));
        }
        let record = Record {
            offset: (BLOCK_HEADER + FIXED) as u32,
            captured,
            wire_length,
            interface: InterfaceId(index as u32),
            link_type: interface.link_type,
            ..Record::default()
        };
        Ok(Step::Packet { record, length })
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
