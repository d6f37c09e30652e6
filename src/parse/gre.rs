//! GRE (RFC 1701, 2784, 2890; version 1 for PPTP: RFC 2637) and ERSPAN.

use super::ethernet::ether_type;
use super::walk::{Step, Visit, Walk, bad_version, be16, be32, head, whole};
use super::{Layer, Malformed, Reason};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Version 1 only: an acknowledgment number.
const ACKNOWLEDGMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

/// Protocol types that are no EtherTypes (RFC 1701 and senders' own).
const FRAME_RELAY: u16 = 0x6559;
const ETHERNET_OF_ARUBA: u16 = 0x6400;

/// GRE header with its optional fields; the source routes of RFC 1701 are not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GreHeader<'a> {
    fixed: &'a [u8; 4],
    optional: &'a [u8],
}

impl<'a> GreHeader<'a> {
    /// # Errors
    /// When the bytes end within the header or the version is neither 0 nor 1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; 4] = head(Layer::Gre, bytes)?;
        let flags = be16(fixed, 0);
        if flags & VERSION > 1 {
            return Err(bad_version(Layer::Gre, 0, (flags & VERSION).into()));
        }
        Ok(Self { fixed, optional: &whole(Layer::Gre, bytes, length(flags))?[4..] })
    }

    /// 0, or 1 for PPTP.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.fixed[1] & 7
    }

    /// EtherType of the payload.
    #[must_use]
    pub fn protocol(&self) -> u16 {
        be16(self.fixed, 2)
    }

    /// Bytes of the header with optional fields.
    #[must_use]
    pub fn header_length(&self) -> usize {
        4 + self.optional.len()
    }

    /// Checksum over header and payload, where present (RFC 2784 2.1).
    #[must_use]
    pub fn checksum(&self) -> Option<u16> {
        self.field(CHECKSUM).map(|word| (word >> 16) as u16)
    }

    /// Key, where present (RFC 2890 2.1); in version 1 payload length and call id (RFC 2637 4.1).
    #[must_use]
    pub fn key(&self) -> Option<u32> {
        self.field(KEY)
    }

    /// Sequence number, where present (RFC 2890 2.2).
    #[must_use]
    pub fn sequence(&self) -> Option<u32> {
        self.field(SEQUENCE)
    }

    /// The optional word of that flag: those of the flags above it come before.
    fn field(&self, flag: u16) -> Option<u32> {
        let flags = be16(self.fixed, 0);
        let before = length(flags & !(flag | (flag - 1)) | (flags & VERSION)) - 4;
        let word = self.optional.get(before..)?.first_chunk::<4>()?;
        (flags & flag != 0).then(|| be32(word, 0))
    }
}

/// Bytes of a header with these flags, up to the source routes.
const fn length(flags: u16) -> usize {
    let mut words = 1;
    // Checksum and offset share a word that either flag brings (RFC 1701).
    if flags & (CHECKSUM | ROUTING) != 0 {
        words += 1;
    }
    if flags & KEY != 0 {
        words += 1;
    }
    if flags & SEQUENCE != 0 {
        words += 1;
    }
    if flags & VERSION == 1 && flags & ACKNOWLEDGMENT != 0 {
        words += 1;
    }
    4 * words
}

impl<V: Visit> Walk<'_, V> {
    /// A GRE header and what it carries.
    pub(super) fn gre(&mut self, at: usize) -> Step {
        let header = self.fixed::<4>(Layer::Gre, at)?;
        let (flags, protocol) = (be16(header, 0), be16(header, 2));
        if flags & VERSION > 1 {
            return Err(self.bad(Layer::Gre, Reason::BadVersion, 0, (flags & VERSION).into()));
        }
        let mut end = at + length(flags);
        if flags & VERSION == 0 && flags & ROUTING != 0 {
            end = self.source_routes(end)?;
        }
        self.bytes(Layer::Gre, at, end - at)?;
        self.pass(Layer::Gre, at, end)?;
        if end == self.limit {
            return Ok(());
        }
        match protocol {
            ether_type::ERSPAN if flags & SEQUENCE == 0 => self.ethernet(end),
            ether_type::ERSPAN | ether_type::ERSPAN_III => self.erspan(end),
            ether_type::WCCP => self.wccp(end),
            FRAME_RELAY => self.frame_relay(end),
            ETHERNET_OF_ARUBA => self.ethernet(end),
            // Aruba's access points: one number for each of their tunnels.
            0x8200..=0x8370 if protocol & 0x0f == 0 => self.wireless_bare(end),
            _ => self.ether_type(protocol, end),
        }
    }

    /// Source route entries (RFC 1701): family, offset, length, routing information; an empty one ends them.
    fn source_routes(&mut self, mut at: usize) -> Result<usize, Malformed> {
        loop {
            let entry = self.fixed::<4>(Layer::Gre, at)?;
            at += 4 + usize::from(entry[3]);
            if be16(entry, 0) == 0 && entry[3] == 0 {
                return Ok(at);
            }
        }
    }

    /// ERSPAN types II (version 1) and III (version 2), told by the version field; type I has no header
    /// (draft-foschiano-erspan 4).
    fn erspan(&mut self, at: usize) -> Step {
        const SUBHEADER: u8 = 0x01;
        let &[first, ..] = self.fixed::<8>(Layer::Erspan, at)?;
        let mut length = 8;
        if first >> 4 == 2 {
            let header = self.fixed::<12>(Layer::Erspan, at)?;
            length = if header[11] & SUBHEADER == 0 { 12 } else { 20 };
            self.bytes(Layer::Erspan, at, length)?;
            // Frame type 2 is an IP packet without its Ethernet header.
            if header[10] >> 2 & 0x1f == 2 {
                self.pass(Layer::Erspan, at, at + length)?;
                return self.ip(at + length);
            }
        }
        self.pass(Layer::Erspan, at, at + length)?;
        self.ethernet(at + length)
    }

    /// A redirected IP packet; a redirect header of four bytes comes first in version 2.
    fn wccp(&mut self, at: usize) -> Step {
        let bare = self.peek::<1>(at).is_some_and(|first| first[0] >> 4 == 4);
        self.guess(|walk| walk.ipv4(if bare { at } else { at + 4 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_stand_in_the_order_of_their_flags() {
        let bytes = [0xb0, 0, 8, 0, 0xab, 0xcd, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9];
        let gre = GreHeader::parse(&bytes).unwrap();
        assert_eq!((gre.version(), gre.protocol(), gre.header_length()), (0, 0x0800, 16));
        assert_eq!((gre.checksum(), gre.key(), gre.sequence()), (Some(0xabcd), Some(7), Some(9)));
        assert_eq!(GreHeader::parse(&bytes[..15]).unwrap_err().need, 16);

        let only_sequence = GreHeader::parse(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 5]).unwrap();
        assert_eq!(
            (only_sequence.checksum(), only_sequence.key(), only_sequence.sequence()),
            (None, None, Some(5))
        );
    }

    #[test]
    fn version_1_may_acknowledge() {
        let bytes = [0x20, 0x81, 0x88, 0x0b, 0, 4, 0, 1, 0, 0, 0, 6];
        let gre = GreHeader::parse(&bytes).unwrap();
        assert_eq!(
            (gre.version(), gre.key(), gre.sequence(), gre.header_length()),
            (1, Some(0x40001), None, 12)
        );
        assert_eq!(GreHeader::parse(&[0, 2, 8, 0]).unwrap_err().reason, Reason::BadVersion);
    }
}
