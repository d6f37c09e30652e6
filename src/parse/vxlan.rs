//! VXLAN (RFC 7348), VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe) and Geneve (RFC 8926).

use super::walk::{Step, Visit, Walk, bad_version, be16, be32, head, whole};
use super::{Layer, Malformed, Reason};

/// The network identifier is valid.
const VXLAN_VALID: u8 = 0x08;
/// VXLAN-GPE: the next protocol field is valid.
const NEXT_PROTOCOL: u8 = 0x04;

/// VXLAN header, RFC 7348 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VxlanHeader<'a>(&'a [u8; 8]);

impl<'a> VxlanHeader<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 8;

    /// # Errors
    /// When there are fewer than 8 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::Vxlan, bytes).map(Self)
    }

    /// Flags: 0x08 the identifier is valid; VXLAN-GPE: 0x04 the next protocol is.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.0[0]
    }

    /// Network identifier, 24 bits.
    #[must_use]
    pub fn vni(&self) -> u32 {
        be32(self.0, 4) >> 8
    }

    /// VXLAN-GPE: 1 IPv4, 2 IPv6, 3 Ethernet, 4 NSH, 5 MPLS.
    #[must_use]
    pub fn next_protocol(&self) -> Option<u8> {
        (self.flags() & NEXT_PROTOCOL != 0).then_some(self.0[3])
    }
}

/// Geneve header with its options, RFC 8926 3.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneveHeader<'a> {
    fixed: &'a [u8; 8],
    options: &'a [u8],
}

impl<'a> GeneveHeader<'a> {
    /// Bytes of the header without options.
    pub const LENGTH: usize = 8;

    /// # Errors
    /// When the bytes end within the header or the version is not 0.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; 8] = head(Layer::Geneve, bytes)?;
        if fixed[0] >> 6 != 0 {
            return Err(bad_version(Layer::Geneve, 0, (fixed[0] >> 6).into()));
        }
        let options = &whole(Layer::Geneve, bytes, geneve_length(fixed))?[Self::LENGTH..];
        Ok(Self { fixed, options })
    }

    /// Network identifier, 24 bits.
    #[must_use]
    pub fn vni(&self) -> u32 {
        be32(self.fixed, 4) >> 8
    }

    /// EtherType of the payload; 0x6558 for an Ethernet frame.
    #[must_use]
    pub fn protocol(&self) -> u16 {
        be16(self.fixed, 2)
    }

    /// The options as they stand: class (2 bytes), type, length in words, data.
    #[must_use]
    pub fn options(&self) -> &'a [u8] {
        self.options
    }
}

fn geneve_length(fixed: &[u8; 8]) -> usize {
    8 + 4 * usize::from(fixed[0] & 0x3f)
}

impl<V: Visit> Walk<'_, V> {
    /// VXLAN, and what else has its layout (OTV).
    pub(super) fn vxlan(&mut self, at: usize) -> Step {
        let header = self.fixed::<8>(Layer::Vxlan, at)?;
        self.pass(Layer::Vxlan, at, at + 8)?;
        let depth = self.layers.ip_depth;
        self.ethernet(at + 8)?;
        // RFC 7348 5: "MUST be set", but senders forget it. Then an IP packet inside has to tell.
        if header[0] & VXLAN_VALID == 0 && self.layers.ip_depth == depth {
            return Err(self.bad(Layer::Vxlan, Reason::BadVersion, VXLAN_VALID.into(), header[0].into()));
        }
        Ok(())
    }

    /// VXLAN-GPE; without a next protocol it is VXLAN, where that byte is 0. Senders forget the flag.
    pub(super) fn vxlan_gpe(&mut self, at: usize) -> Step {
        let header = self.fixed::<8>(Layer::Vxlan, at)?;
        if header[0] & NEXT_PROTOCOL == 0 && header[3] == 0 {
            return self.vxlan(at);
        }
        self.pass(Layer::Vxlan, at, at + 8)?;
        self.next_protocol(header[3], at + 8)
    }

    pub(super) fn geneve(&mut self, at: usize) -> Step {
        let header = self.fixed::<8>(Layer::Geneve, at)?;
        if header[0] >> 6 != 0 {
            return Err(self.bad(Layer::Geneve, Reason::BadVersion, 0, (header[0] >> 6).into()));
        }
        let length = geneve_length(header);
        self.bytes(Layer::Geneve, at, length)?;
        self.pass(Layer::Geneve, at, at + length)?;
        self.ether_type(be16(header, 2), at + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_identifiers_have_24_bits() {
        let vxlan = VxlanHeader::parse(&[0x0c, 0, 0, 2, 1, 2, 3, 0xff]).unwrap();
        assert_eq!((vxlan.vni(), vxlan.next_protocol()), (0x01_0203, Some(2)));
        assert_eq!(VxlanHeader::parse(&[8; 8]).unwrap().next_protocol(), None);

        let bytes = [1, 0, 0x65, 0x58, 1, 2, 3, 0, 0, 1, 0x80, 0];
        let geneve = GeneveHeader::parse(&bytes).unwrap();
        assert_eq!((geneve.vni(), geneve.protocol(), geneve.options()), (0x01_0203, 0x6558, &bytes[8..]));
        assert_eq!(GeneveHeader::parse(&bytes[..11]).unwrap_err().need, 12);
        assert_eq!(GeneveHeader::parse(&[0x40; 8]).unwrap_err().reason, Reason::BadVersion);
    }
}
