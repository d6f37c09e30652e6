//! Linux cooked captures (<https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html> and `_SLL2`).

use super::ethernet::ether_type;
use super::walk::{Step, Visit, Walk, be16, be32, head};
use super::{Layer, Malformed};

/// `LINKTYPE_LINUX_SLL` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SllHeader<'a>(&'a [u8; 16]);

impl<'a> SllHeader<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 16;

    /// # Errors
    /// When there are fewer than 16 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::LinuxCooked, bytes).map(Self)
    }

    /// 0 to us, 1 broadcast, 2 multicast, 3 to somebody else, 4 sent by us.
    #[must_use]
    pub fn packet_type(&self) -> u16 {
        be16(self.0, 0)
    }

    /// `ARPHRD_` value of the device.
    #[must_use]
    pub fn hardware_type(&self) -> u16 {
        be16(self.0, 2)
    }

    /// The sender's link-layer address: its first 8 bytes at most.
    #[must_use]
    pub fn address(&self) -> &'a [u8] {
        &self.0[6..14][..usize::from(be16(self.0, 4)).min(8)]
    }

    /// EtherType, or one of Linux' own numbers below 0x0600.
    #[must_use]
    pub fn protocol(&self) -> u16 {
        be16(self.0, 14)
    }
}

/// `LINKTYPE_LINUX_SLL2` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sll2Header<'a>(&'a [u8; 20]);

impl<'a> Sll2Header<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 20;

    /// # Errors
    /// When there are fewer than 20 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::LinuxCooked2, bytes).map(Self)
    }

    /// EtherType, or one of Linux' own numbers below 0x0600.
    #[must_use]
    pub fn protocol(&self) -> u16 {
        be16(self.0, 0)
    }

    /// The kernel's index of the interface, from 1.
    #[must_use]
    pub fn interface_index(&self) -> u32 {
        be32(self.0, 4)
    }

    /// `ARPHRD_` value of the device.
    #[must_use]
    pub fn hardware_type(&self) -> u16 {
        be16(self.0, 8)
    }

    /// 0 to us, 1 broadcast, 2 multicast, 3 to somebody else, 4 sent by us.
    #[must_use]
    pub fn packet_type(&self) -> u8 {
        self.0[10]
    }

    /// The sender's link-layer address: its first 8 bytes at most.
    #[must_use]
    pub fn address(&self) -> &'a [u8] {
        &self.0[12..20][..usize::from(self.0[11]).min(8)]
    }
}

impl<V: Visit> Walk<'_, V> {
    /// Version 1.
    pub(super) fn linux_cooked(&mut self, at: usize) -> Step {
        let header = SllHeader(self.fixed(Layer::LinuxCooked, at)?);
        self.pass(Layer::LinuxCooked, at, at + SllHeader::LENGTH)?;
        self.cooked_protocol(header.hardware_type(), header.protocol(), at + SllHeader::LENGTH)
    }

    /// Version 2.
    pub(super) fn linux_cooked2(&mut self, at: usize) -> Step {
        let header = Sll2Header(self.fixed(Layer::LinuxCooked2, at)?);
        self.pass(Layer::LinuxCooked2, at, at + Sll2Header::LENGTH)?;
        self.cooked_protocol(header.hardware_type(), header.protocol(), at + Sll2Header::LENGTH)
    }

    /// Numbers below 0x0600 are Linux' own (`linux/if_ether.h`, 6.1).
    fn cooked_protocol(&mut self, hardware: u16, protocol: u16, at: usize) -> Step {
        const ETH_P_ALL: u16 = 3;
        const ETH_P_802_2: u16 = 4;
        const ETH_P_WAN_PPP: u16 = 7;
        const ARPHRD_FRAD: u16 = 770;
        const ARPHRD_IEEE80211_RADIOTAP: u16 = 803;
        match (hardware, protocol) {
            (ARPHRD_IEEE80211_RADIOTAP, _) => self.radiotap(at),
            (ARPHRD_FRAD, _) => self.frame_relay(at),
            (_, ETH_P_ALL) => self.ethernet(at),
            (_, ETH_P_802_2) => self.llc(at),
            (_, ETH_P_WAN_PPP) => self.ppp(at),
            (_, kind) if kind >= ether_type::LEAST => self.ether_type(kind, at),
            _ => {
                self.network(0, at);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_tell_the_same() {
        let bytes = [0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 9, 9, 8, 0];
        let one = SllHeader::parse(&bytes).unwrap();
        assert_eq!((one.packet_type(), one.hardware_type(), one.protocol()), (4, 1, 0x0800));
        assert_eq!(one.address(), [2, 0, 0, 0, 0, 1]);

        let bytes = [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 9, 9];
        let two = Sll2Header::parse(&bytes).unwrap();
        assert_eq!((two.packet_type(), two.hardware_type(), two.protocol()), (4, 1, 0x0800));
        assert_eq!((two.interface_index(), two.address()), (3, &[2, 0, 0, 0, 0, 1][..]));
    }

    #[test]
    fn an_address_is_never_longer_than_its_field() {
        assert_eq!(SllHeader::parse(&[0xff; 16]).unwrap().address().len(), 8);
        assert_eq!(Sll2Header::parse(&[0xff; 20]).unwrap().address().len(), 8);
    }
}
