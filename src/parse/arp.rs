//! Address resolution (RFC 826).

use super::ethernet::ether_type;
use super::walk::{Step, Visit, Walk, be16, head, whole};
use super::{Layer, MacAddress, Malformed};
use std::net::Ipv4Addr;

/// An ARP packet with its four addresses, RFC 826.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpHeader<'a> {
    fixed: &'a [u8; 8],
    sender_hardware: &'a [u8],
    sender_protocol: &'a [u8],
    target_hardware: &'a [u8],
    target_protocol: &'a [u8],
}

impl<'a> ArpHeader<'a> {
    /// # Errors
    /// When the addresses, by their own lengths, are not all there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; 8] = head(Layer::Arp, bytes)?;
        let (hardware, protocol) = (usize::from(fixed[4]), usize::from(fixed[5]));
        let addresses = &whole(Layer::Arp, bytes, 8 + 2 * (hardware + protocol))?[8..];
        let (sender, target) = addresses.split_at(hardware + protocol);
        let (sender_hardware, sender_protocol) = sender.split_at(hardware);
        let (target_hardware, target_protocol) = target.split_at(hardware);
        Ok(Self { fixed, sender_hardware, sender_protocol, target_hardware, target_protocol })
    }

    /// 1 for Ethernet.
    #[must_use]
    pub fn hardware_type(&self) -> u16 {
        be16(self.fixed, 0)
    }

    /// EtherType of the protocol whose addresses are resolved.
    #[must_use]
    pub fn protocol_type(&self) -> u16 {
        be16(self.fixed, 2)
    }

    /// 1 request, 2 reply, 3 and 4 the same reversed.
    #[must_use]
    pub fn operation(&self) -> u16 {
        be16(self.fixed, 6)
    }

    /// Sender's hardware address as it stands.
    #[must_use]
    pub fn sender_hardware(&self) -> &'a [u8] {
        self.sender_hardware
    }

    /// Sender's protocol address as it stands.
    #[must_use]
    pub fn sender_protocol(&self) -> &'a [u8] {
        self.sender_protocol
    }

    /// Target's hardware address as it stands.
    #[must_use]
    pub fn target_hardware(&self) -> &'a [u8] {
        self.target_hardware
    }

    /// Target's protocol address as it stands.
    #[must_use]
    pub fn target_protocol(&self) -> &'a [u8] {
        self.target_protocol
    }

    /// Sender's and target's IPv4 address, where those are what is resolved.
    #[must_use]
    pub fn ipv4(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let is_ipv4 = self.protocol_type() == ether_type::IPV4;
        let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
        Some((address(self.sender_protocol)?, address(self.target_protocol)?)).filter(|_| is_ipv4)
    }

    /// Sender's and target's MAC address, where the hardware addresses have six bytes.
    #[must_use]
    pub fn mac(&self) -> Option<(MacAddress, MacAddress)> {
        let address = |bytes: &[u8]| bytes.try_into().ok().map(MacAddress);
        Some((address(self.sender_hardware)?, address(self.target_hardware)?))
    }
}

impl<V: Visit> Walk<'_, V> {
    pub(super) fn arp(&mut self, at: usize) -> Step {
        self.network(ether_type::ARP, at);
        let fixed = self.fixed::<8>(Layer::Arp, at)?;
        let length = 8 + 2 * (usize::from(fixed[4]) + usize::from(fixed[5]));
        self.bytes(Layer::Arp, at, length)?;
        self.pass(Layer::Arp, at, at + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_addresses_of_a_request() {
        let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
        bytes.extend([2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2]);
        let arp = ArpHeader::parse(&bytes).unwrap();
        assert_eq!((arp.hardware_type(), arp.protocol_type(), arp.operation()), (1, 0x0800, 1));
        assert_eq!(arp.ipv4(), Some(([192, 0, 2, 1].into(), [192, 0, 2, 2].into())));
        assert_eq!(arp.mac(), Some((MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([0; 6]))));
        assert_eq!(ArpHeader::parse(&bytes[..27]).unwrap_err().need, 28);
    }

    #[test]
    fn other_address_lengths_are_no_ipv4() {
        let bytes = [0, 7, 8, 0, 1, 2, 0, 2, 1, 2, 3, 4, 5, 6];
        let arp = ArpHeader::parse(&bytes).unwrap();
        assert_eq!((arp.ipv4(), arp.mac()), (None, None));
        assert_eq!((arp.sender_protocol(), arp.target_hardware()), (&[2, 3][..], &[4][..]));
        assert_eq!((arp.sender_hardware(), arp.target_protocol()), (&[1][..], &[5, 6][..]));
    }
}
