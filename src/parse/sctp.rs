//! SCTP (RFC 9260): the common header.

use super::walk::{be16, be32, head};
use super::{Layer, Malformed};

/// SCTP common header, RFC 9260 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SctpHeader<'a>(&'a [u8; 12]);

impl<'a> SctpHeader<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 12;

    /// # Errors
    /// When there are fewer than 12 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::Sctp, bytes).map(Self)
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

    /// Verification tag.
    #[must_use]
    pub fn verification_tag(&self) -> u32 {
        be32(self.0, 4)
    }

    /// CRC32c as it stands.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        be32(self.0, 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_rfc_draws_them() {
        let bytes = [0, 7, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8];
        let sctp = SctpHeader::parse(&bytes).unwrap();
        assert_eq!((sctp.source_port(), sctp.destination_port()), (7, 9));
        assert_eq!((sctp.verification_tag(), sctp.checksum()), (0x0102_0304, 0x0506_0708));
    }
}
