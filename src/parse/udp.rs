//! UDP (RFC 768) and UDP-Lite (RFC 3828): one layout.

use super::walk::{be16, head};
use super::{Layer, Malformed};

/// UDP header, RFC 768; for UDP-Lite the length is the checksum coverage (RFC 3828 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpHeader<'a>(&'a [u8; 8]);

impl<'a> UdpHeader<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 8;

    /// # Errors
    /// When there are fewer than 8 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::Udp, bytes).map(Self)
    }

    /// Source port; 0 where none is used.
    #[must_use]
    pub fn source_port(&self) -> u16 {
        be16(self.0, 0)
    }

    /// Destination port.
    #[must_use]
    pub fn destination_port(&self) -> u16 {
        be16(self.0, 2)
    }

    /// Header and payload in bytes (0 in a jumbogram, RFC 2675 4); for UDP-Lite the bytes the checksum
    /// covers, 0 for all.
    #[must_use]
    pub fn length(&self) -> u16 {
        be16(self.0, 4)
    }

    /// Checksum as it stands; 0 for none.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        be16(self.0, 6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_rfc_draws_them() {
        let bytes = [0, 53, 0x30, 0x39, 0, 9, 0xab, 0xcd, b'!'];
        let udp = UdpHeader::parse(&bytes).unwrap();
        assert_eq!((udp.source_port(), udp.destination_port()), (53, 12345));
        assert_eq!((udp.length(), udp.checksum()), (9, 0xabcd));
        assert_eq!(UdpHeader::parse(&bytes[..7]).unwrap_err().have, 7);
    }
}
