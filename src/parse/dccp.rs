//! DCCP (RFC 4340): the generic header.

use super::walk::{be16, be32, head};
use super::{Layer, Malformed};

/// DCCP generic header, RFC 4340 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DccpHeader<'a>(&'a [u8; 12]);

impl<'a> DccpHeader<'a> {
    /// Bytes of the header with short sequence numbers.
    pub const LENGTH: usize = 12;

    /// # Errors
    /// When there are fewer than 12 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::Dccp, bytes).map(Self)
    }

    /// Source port.
    #[must_use]
    pub fn source_port(&self) -> u16 {
        be16(self.0, 0)
    }

    /// Destination port.
    #[must_use]
    pub fn destination_port(&self) -> u16 {
        be16(self.0, 2)
    }

    /// Where the application's data begins, in bytes from the start of this header.
    #[must_use]
    pub fn data_offset(&self) -> usize {
        usize::from(self.0[4]) * 4
    }

    /// How many 4-byte words of data the checksum covers plus 1; 0 for all (RFC 4340 9.2).
    #[must_use]
    pub fn checksum_coverage(&self) -> u8 {
        self.0[5] & 0x0f
    }

    /// Checksum as it stands.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        be16(self.0, 6)
    }

    /// Packet type: 0 request, 1 response, 2 data, 3 ack ...
    #[must_use]
    pub fn packet_type(&self) -> u8 {
        self.0[8] >> 1 & 0x0f
    }

    /// Sequence number: 48 bits, or 24 where the header is the short one.
    #[must_use]
    pub fn short_sequence(&self) -> u32 {
        be32(self.0, 8) & 0x00ff_ffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_rfc_draws_them() {
        let bytes = [0, 7, 0, 9, 4, 0x21, 0xab, 0xcd, 5, 0, 0, 1];
        let dccp = DccpHeader::parse(&bytes).unwrap();
        assert_eq!((dccp.source_port(), dccp.destination_port(), dccp.data_offset()), (7, 9, 16));
        assert_eq!((dccp.checksum_coverage(), dccp.checksum()), (1, 0xabcd));
        assert_eq!((dccp.packet_type(), dccp.short_sequence()), (2, 1));
    }
}
