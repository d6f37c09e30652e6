//! Ethernet II and 802.3, VLAN tags (IEEE 802.1Q, 802.1ad), and the dispatch by EtherType.

use super::walk::{Step, Visit, Walk, array, be16, head};
use super::{Layer, Malformed};
use std::fmt;

/// EtherTypes the walk knows (IEEE registration authority; RFC 9542).
pub(crate) mod ether_type {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const SERVICE_VLAN: u16 = 0x88a8;
    /// Stacked tags before 802.1ad.
    pub(crate) const QINQ_OLD: u16 = 0x9100;
    pub(crate) const TRANSPARENT_BRIDGING: u16 = 0x6558;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_MULTICAST: u16 = 0x8848;
    pub(crate) const PPPOE_DISCOVERY: u16 = 0x8863;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
    pub(crate) const PPP: u16 = 0x880b;
    pub(crate) const TRILL: u16 = 0x22f3;
    pub(crate) const BATMAN_ADV: u16 = 0x4305;
    /// LLC in frames too long for a length field (draft-ietf-isis-ext-eth).
    pub(crate) const JUMBO_LLC: u16 = 0x8870;
    pub(crate) const BACKBONE: u16 = 0x88e7;
    pub(crate) const VN_TAG: u16 = 0x8926;
    pub(crate) const HSR: u16 = 0x892f;
    pub(crate) const E_TAG: u16 = 0x893f;
    pub(crate) const REDUNDANCY_TAG: u16 = 0xf1c1;
    pub(crate) const ERSPAN: u16 = 0x88be;
    pub(crate) const ERSPAN_III: u16 = 0x22eb;
    pub(crate) const MACSEC: u16 = 0x88e5;
    pub(crate) const NSH: u16 = 0x894f;
    pub(crate) const FABRIC_PATH: u16 = 0x8903;
    pub(crate) const CISCO_METADATA: u16 = 0x8909;
    pub(crate) const ARISTA: u16 = 0xd28b;
    /// Linux' EtherType for Marvell's EtherType-DSA tag.
    pub(crate) const EDSA: u16 = 0xdada;
    /// Packets redirected by WCCP in GRE (draft-mclaggan-wccp-v2rev1 4.12).
    pub(crate) const WCCP: u16 = 0x883e;
    /// Values from here on are EtherTypes; below they are lengths (802.3 3.2.6).
    pub(crate) const LEAST: u16 = 0x0600;
}

/// A 48-bit link-layer address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Everyone on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Group address: multicast or broadcast.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

/// Six pairs of hexadecimal digits: `02:00:00:00:00:01`.
impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Ethernet header (IEEE 802.3 3.1.1): two addresses and a type or length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetHeader<'a>(&'a [u8; 14]);

impl<'a> EthernetHeader<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 14;

    /// # Errors
    /// When there are fewer than 14 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::Ethernet, bytes).map(Self)
    }

    /// Destination address.
    #[must_use]
    pub fn destination(&self) -> MacAddress {
        MacAddress(array(self.0, 0))
    }

    /// Source address.
    #[must_use]
    pub fn source(&self) -> MacAddress {
        MacAddress(array(self.0, 6))
    }

    /// EtherType, or the payload's length where it is below 0x0600.
    #[must_use]
    pub fn ether_type(&self) -> u16 {
        be16(self.0, 12)
    }
}

/// A VLAN tag (IEEE 802.1Q 9.6): the four bytes after the tag's own EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// Priority (3 bits), drop eligibility (1 bit), id (12 bits).
    pub control: u16,
    /// EtherType of what follows.
    pub ether_type: u16,
    /// A service tag (0x88a8, IEEE 802.1ad) and not a customer's.
    pub service: bool,
}

impl VlanTag {
    /// Bytes from the control information to the next EtherType.
    pub const LENGTH: usize = 4;

    /// # Errors
    /// When there are fewer than 4 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; 4] = head(Layer::Vlan, bytes)?;
        Ok(Self { control: be16(bytes, 0), ether_type: be16(bytes, 2), service: false })
    }

    /// VLAN identifier, 0 to 4095.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.control & 0x0fff
    }

    /// Priority code point, 0 to 7.
    #[must_use]
    pub fn priority(&self) -> u8 {
        (self.control >> 13) as u8
    }

    /// Drop eligible indicator.
    #[must_use]
    pub fn drop_eligible(&self) -> bool {
        self.control & 0x1000 != 0
    }
}

impl<V: Visit> Walk<'_, V> {
    /// A frame from its destination address on.
    #[inline]
    pub(super) fn ethernet(&mut self, at: usize) -> Step {
        let header = self.fixed::<14>(Layer::Ethernet, at)?;
        self.pass(Layer::Ethernet, at, at + 14)?;
        let kind = be16(header, 12);
        if kind >= ether_type::LEAST {
            return self.ether_type(kind, at + 14);
        }
        if super::switch_tag::is_isl(header) {
            return self.isl(at);
        }
        self.length_field(kind, at + 14)
    }

    /// Below 0x0600 the field is the length of an LLC frame.
    pub(super) fn length_field(&mut self, length: u16, at: usize) -> Step {
        if length == 0 {
            self.network(0, at);
            return Ok(());
        }
        if length <= 1500 {
            self.narrow(at + usize::from(length));
        }
        // Novell's "raw 802.3": IPX with no LLC header, told by its unused checksum.
        if self.peek::<2>(at) == Some(&[0xff, 0xff]) {
            self.network(0, at);
            return Ok(());
        }
        self.llc(at)
    }

    /// What an EtherType says follows at `at`.
    #[inline]
    pub(super) fn ether_type(&mut self, kind: u16, at: usize) -> Step {
        match kind {
            ether_type::IPV4 => self.ipv4(at),
            ether_type::IPV6 => self.ipv6(at),
            _ => self.other_ether_type(kind, at),
        }
    }

    /// Everything rarer. Tags are a loop: stacks of them are not worth a call each.
    #[inline(never)]
    fn other_ether_type(&mut self, mut kind: u16, mut at: usize) -> Step {
        while let ether_type::VLAN | ether_type::SERVICE_VLAN | ether_type::QINQ_OLD = kind {
            let service = kind == ether_type::SERVICE_VLAN;
            let layer = if service { Layer::ServiceVlan } else { Layer::Vlan };
            let tag = self.fixed::<4>(layer, at)?;
            self.pass(layer, at, at + 4)?;
            self.found_vlan(be16(tag, 0), service);
            kind = be16(tag, 2);
            at += 4;
            if kind < ether_type::LEAST {
                return self.length_field(kind, at);
            }
        }
        match kind {
            ether_type::IPV4 => self.ipv4(at),
            ether_type::IPV6 => self.ipv6(at),
            ether_type::ARP => self.arp(at),
            ether_type::MPLS | ether_type::MPLS_MULTICAST => self.mpls(at),
            ether_type::PPPOE_SESSION => self.pppoe(at),
            ether_type::TRANSPARENT_BRIDGING => self.ethernet(at),
            ether_type::PPP => self.ppp(at),
            ether_type::MACSEC => self.macsec(at),
            ether_type::NSH => self.nsh(at),
            ether_type::FABRIC_PATH => self.fabric_path(at),
            ether_type::CISCO_METADATA => self.cisco_metadata(at),
            ether_type::ARISTA => self.arista(at),
            ether_type::EDSA => self.edsa(at),
            ether_type::JUMBO_LLC => self.llc(at),
            ether_type::BACKBONE => self.backbone(at),
            ether_type::TRILL => self.trill(at),
            ether_type::HSR => self.fixed_tag(Layer::Hsr, at, 6),
            ether_type::REDUNDANCY_TAG => self.fixed_tag(Layer::RedundancyTag, at, 6),
            ether_type::VN_TAG => self.fixed_tag(Layer::PortTag, at, 6),
            ether_type::E_TAG => self.fixed_tag(Layer::PortTag, at, 8),
            ether_type::BATMAN_ADV => self.batman_adv(at),
            _ => {
                self.network(kind, at);
                Ok(())
            }
        }
    }

    fn found_vlan(&mut self, control: u16, service: bool) {
        if let Some(slot) = self.layers.vlan_tags.get_mut(usize::from(self.layers.vlan_count)) {
            *slot = control;
        }
        self.layers.vlan_count += 1;
        self.layers.service_vlan_count += u8::from(service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_standard_draws_them() {
        let bytes = [2, 0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 0xab, 0x08, 0x06];
        let header = EthernetHeader::parse(&bytes).unwrap();
        assert_eq!(header.destination().to_string(), "02:00:00:00:00:02");
        assert_eq!(header.source(), MacAddress([3, 0, 0, 0, 0, 0xab]));
        assert!(header.source().is_multicast() && !header.destination().is_multicast());
        assert_eq!(header.ether_type(), 0x0806);
        assert_eq!(EthernetHeader::parse(&bytes[..13]).unwrap_err().need, 14);
    }

    #[test]
    fn a_tag_has_priority_and_id() {
        let tag = VlanTag::parse(&[0xb0, 0x64, 0x86, 0xdd]).unwrap();
        assert_eq!((tag.priority(), tag.drop_eligible(), tag.id(), tag.ether_type), (5, true, 100, 0x86dd));
    }
}
