//! IEEE 802.11 data frames, and the headers monitors put before them.

use super::Layer;
use super::walk::{Step, Visit, Walk, be32};
use crate::frame::LinkType;

/// What a capture header says about the frame that follows.
#[derive(Clone, Copy, Default)]
struct Shape {
    /// The MAC header is padded to a multiple of 4 bytes.
    padded: bool,
    /// Four bytes of check sequence end the frame.
    check_sequence: bool,
}

impl<V: Visit> Walk<'_, V> {
    /// Radiotap: a version, a length, bit maps of fields, fields aligned to their size, all little-endian.
    pub(super) fn radiotap(&mut self, at: usize) -> Step {
        let &[_, _, low, high, ..] = self.fixed::<8>(Layer::Radiotap, at)?;
        let length = usize::from(u16::from_le_bytes([low, high])).max(8);
        let header = self.bytes(Layer::Radiotap, at, length)?;
        self.pass(Layer::Radiotap, at, at + length)?;
        self.wireless(at + length, radiotap_shape(header).unwrap_or_default())
    }

    /// Prism: a message code and the length of all; the same link type also carries AVS headers.
    pub(super) fn prism(&mut self, at: usize) -> Step {
        let header = self.fixed::<8>(Layer::Prism, at)?;
        if be32(header, 0) & 0xffff_f000 == 0x8021_1000 {
            return self.avs(at);
        }
        let little = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let length = little.min(be32(header, 4)) as usize;
        self.monitor_header(Layer::Prism, at, length)
    }

    /// AVS: a version and the length of all, big-endian.
    pub(super) fn avs(&mut self, at: usize) -> Step {
        let length = be32(self.fixed::<8>(Layer::Avs, at)?, 4) as usize;
        self.monitor_header(Layer::Avs, at, length)
    }

    fn monitor_header(&mut self, layer: Layer, at: usize, length: usize) -> Step {
        let length = length.max(8);
        self.bytes(layer, at, length)?;
        self.pass(layer, at, at + length)?;
        self.wireless(at + length, Shape::default())
    }

    /// PPI: version, flags, length of all, link type of what follows; little-endian.
    pub(super) fn ppi(&mut self, at: usize) -> Step {
        let &[_, _, low, high, link_type @ ..] = self.fixed::<8>(Layer::Ppi, at)?;
        let length = usize::from(u16::from_le_bytes([low, high])).max(8);
        self.bytes(Layer::Ppi, at, length)?;
        self.pass(Layer::Ppi, at, at + length)?;
        match u16::try_from(u32::from_le_bytes(link_type)) {
            Ok(number) => self.link(LinkType(number), at + length),
            Err(_) => Ok(()),
        }
    }

    /// A frame with no capture header.
    pub(super) fn wireless_bare(&mut self, at: usize) -> Step {
        self.wireless(at, Shape::default())
    }

    /// From the frame control field on (IEEE 802.11 9.2): data that is there and not encrypted is LLC.
    fn wireless(&mut self, at: usize, shape: Shape) -> Step {
        const DATA: u8 = 2;
        const NO_DATA: u8 = 4;
        const QOS: u8 = 8;
        const BOTH_DS: u8 = 0x03;
        const PROTECTED: u8 = 0x40;
        const HT_CONTROL: u8 = 0x80;
        const AGGREGATE: u8 = 0x80;

        if shape.check_sequence {
            self.narrow(self.limit.saturating_sub(4));
        }
        let &[control, flags] = self.fixed::<2>(Layer::Wireless, at)?;
        let (kind, subtype) = (control >> 2 & 3, control >> 4);
        if kind != DATA || subtype & NO_DATA != 0 || flags & PROTECTED != 0 {
            self.network(0, at);
            return Ok(());
        }
        let header = self.fixed::<24>(Layer::Wireless, at)?;
        let mut length = if flags & BOTH_DS == BOTH_DS { 30 } else { 24 };
        let mut aggregate = false;
        if subtype & QOS != 0 {
            aggregate = self.fixed::<2>(Layer::Wireless, at + length)?[0] & AGGREGATE != 0;
            length += if flags & HT_CONTROL == 0 { 2 } else { 6 };
        }
        if shape.padded {
            length = length.next_multiple_of(4);
        }
        self.bytes(Layer::Wireless, at, length)?;
        self.pass(Layer::Wireless, at, at + length)?;
        let fragment_number = header[22] & 0x0f;
        if fragment_number != 0 {
            self.network(0, at + length);
            return Ok(());
        }
        // The first of several aggregated frames: destination, source and length come before its LLC.
        self.llc(at + length + if aggregate { 14 } else { 0 })
    }

    /// An 802.11 frame in CAPWAP (RFC 5415 4.2). Some senders write the frame control bytes in the other
    /// order; then the walk goes past them with the second byte first.
    pub(super) fn wireless_in_capwap(&mut self, at: usize) -> Step {
        let &[first, second] = self.fixed::<2>(Layer::Wireless, at)?;
        let is_data = |control: u8| control & 0x0f == 0x08;
        if is_data(first) || !is_data(second) {
            return self.wireless(at, Shape::default());
        }
        let length = 24 + if second & 0x80 == 0 { 0 } else { 2 } + if first & 3 == 3 { 6 } else { 0 };
        if second & 0x40 != 0 || first & 0x40 != 0 {
            return Ok(());
        }
        self.bytes(Layer::Wireless, at, length)?;
        self.pass(Layer::Wireless, at, at + length)?;
        self.llc(at + length)
    }
}

/// The flags field of a radiotap header: the second in order, after the 8 bytes of the time stamp.
fn radiotap_shape(header: &[u8]) -> Option<Shape> {
    const TIME: u32 = 1;
    const FLAGS: u32 = 2;
    const MORE_MAPS: u32 = 1 << 31;
    let map = |index: usize| {
        let bytes = header.get(4 + 4 * index..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let present = map(0)?;
    let maps = 1 + (0..).take_while(|&index| map(index).is_some_and(|bits| bits & MORE_MAPS != 0)).count();
    let mut at = 4 + 4 * maps;
    if present & TIME != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let flags = if present & FLAGS == 0 { 0 } else { *header.get(at)? };
    Some(Shape { padded: flags & 0x20 != 0, check_sequence: flags & 0x10 != 0 })
}
