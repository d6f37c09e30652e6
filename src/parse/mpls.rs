//! MPLS label stacks (RFC 3032) and what lies under them.

use super::ethernet::ether_type;
use super::walk::{Step, Visit, Walk, be16, be32, head};
use super::{Layer, Malformed};

/// One entry of a label stack, RFC 3032 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MplsLabel(u32);

impl MplsLabel {
    /// Bytes of an entry.
    pub const LENGTH: usize = 4;

    /// # Errors
    /// When there are fewer than 4 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        head::<4>(Layer::Mpls, bytes).map(|bytes| Self(be32(bytes, 0)))
    }

    /// Label value, 20 bits.
    #[must_use]
    pub fn label(&self) -> u32 {
        self.0 >> 12
    }

    /// Traffic class, 3 bits (RFC 5462).
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        (self.0 >> 9) as u8 & 7
    }

    /// The last entry of its stack.
    #[must_use]
    pub fn bottom(&self) -> bool {
        self.0 & 0x100 != 0
    }

    /// Time to live.
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.0 as u8
    }
}

impl<V: Visit> Walk<'_, V> {
    /// From the first label on.
    pub(super) fn mpls(&mut self, mut at: usize) -> Step {
        loop {
            let entry = MplsLabel(be32(self.fixed::<4>(Layer::Mpls, at)?, 0));
            self.pass(Layer::Mpls, at, at + 4)?;
            at += 4;
            if entry.bottom() {
                return self.below_labels(at);
            }
        }
    }

    /// The stack does not say what it carries. IP shows in the version field (RFC 4928 3); Ethernet
    /// pseudowires (RFC 4448), with or without a control word, are told by a type field we know. A first
    /// nibble of 1 is an associated channel, whose type may be a PPP number of IP (RFC 4385 5).
    fn below_labels(&mut self, at: usize) -> Step {
        if let Some([0x10, 0x00, 0x00, channel @ (0x21 | 0x57)]) = self.peek::<4>(at) {
            self.pass(Layer::ControlWord, at, at + 4)?;
            return if *channel == 0x21 { self.ipv4(at + 4) } else { self.ipv6(at + 4) };
        }
        match self.peek::<1>(at).map(|first| first[0] >> 4) {
            Some(4) => self.ipv4(at),
            Some(6) => self.ipv6(at),
            Some(0) if self.looks_like_ethernet(at + 4) => {
                self.pass(Layer::ControlWord, at, at + 4)?;
                self.guess(|walk| walk.ethernet(at + 4))
            }
            Some(_) if self.looks_like_ethernet(at) => self.guess(|walk| walk.ethernet(at)),
            _ => {
                self.network(0, at);
                Ok(())
            }
        }
    }

    pub(super) fn looks_like_ethernet(&self, at: usize) -> bool {
        use ether_type::{
            ARP, IPV4, IPV6, MPLS, PPPOE_DISCOVERY, PPPOE_SESSION, QINQ_OLD, SERVICE_VLAN, VLAN,
        };
        self.peek::<14>(at).is_some_and(|header| {
            matches!(
                be16(header, 12),
                IPV4 | IPV6 | ARP | VLAN | SERVICE_VLAN | QINQ_OLD | MPLS | PPPOE_DISCOVERY | PPPOE_SESSION
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_four_fields() {
        let entry = MplsLabel::parse(&[0x00, 0x01, 0x0d, 0x40]).unwrap();
        assert_eq!((entry.label(), entry.traffic_class(), entry.bottom(), entry.ttl()), (16, 6, true, 64));
        assert!(MplsLabel::parse(&[0; 3]).is_err());
    }
}
