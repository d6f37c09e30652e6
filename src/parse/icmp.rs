//! ICMP (RFC 792), ICMPv6 (RFC 4443) and IGMP (RFC 1112, 2236, 9776).

use super::walk::{array, be16, head};
use super::{Layer, Malformed};
use std::net::Ipv4Addr;

/// ICMP header with the four bytes whose meaning depends on the type, RFC 792.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpHeader<'a> {
    fixed: &'a [u8; 8],
    body: &'a [u8],
}

impl<'a> IcmpHeader<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 8;

    /// # Errors
    /// When there are fewer than 8 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self { fixed: head(Layer::Icmp, bytes)?, body: &bytes[Self::LENGTH..] })
    }

    /// Type: 0 echo reply, 3 unreachable, 4 source quench, 5 redirect, 8 echo, 11 time exceeded, 12 parameter problem.
    #[must_use]
    pub fn icmp_type(&self) -> u8 {
        self.fixed[0]
    }

    /// Code within the type.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.fixed[1]
    }

    /// Checksum as it stands.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        be16(self.fixed, 2)
    }

    /// Identifier and sequence number of an echo (types 0 and 8).
    #[must_use]
    pub fn echo(&self) -> Option<(u16, u16)> {
        matches!(self.icmp_type(), 0 | 8).then(|| (be16(self.fixed, 4), be16(self.fixed, 6)))
    }

    /// The second word of the header.
    #[must_use]
    pub fn rest(&self) -> [u8; 4] {
        array(self.fixed, 4)
    }

    /// The packet an error quotes, cut by its sender (types 3, 4, 5, 11, 12). It is no layer of this
    /// packet: no flow sent it here.
    #[must_use]
    pub fn quoted(&self) -> Option<&'a [u8]> {
        matches!(self.icmp_type(), 3 | 4 | 5 | 11 | 12).then_some(self.body)
    }
}

/// ICMPv6 header, RFC 4443 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmpv6Header<'a> {
    fixed: &'a [u8; 4],
    body: &'a [u8],
}

impl<'a> Icmpv6Header<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 4;

    /// # Errors
    /// When there are fewer than 4 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self { fixed: head(Layer::Icmpv6, bytes)?, body: &bytes[Self::LENGTH..] })
    }

    /// Type: below 128 an error; 128 echo, 129 echo reply, 133 to 137 neighbour discovery.
    #[must_use]
    pub fn icmp_type(&self) -> u8 {
        self.fixed[0]
    }

    /// Code within the type.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.fixed[1]
    }

    /// Checksum as it stands.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        be16(self.fixed, 2)
    }

    /// The message body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Identifier and sequence number of an echo (types 128 and 129), where captured.
    #[must_use]
    pub fn echo(&self) -> Option<(u16, u16)> {
        let body = self.body.first_chunk::<4>()?;
        matches!(self.icmp_type(), 128 | 129).then(|| (be16(body, 0), be16(body, 2)))
    }

    /// The packet an error quotes, cut by its sender. It is no layer of this packet.
    #[must_use]
    pub fn quoted(&self) -> Option<&'a [u8]> {
        self.body.get(4..).filter(|_| self.icmp_type() < 128)
    }
}

/// IGMP header, RFC 2236 2; version 3 (RFC 9776) begins alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IgmpHeader<'a>(&'a [u8; 8]);

impl<'a> IgmpHeader<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 8;

    /// # Errors
    /// When there are fewer than 8 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        head(Layer::Igmp, bytes).map(Self)
    }

    /// Type: 0x11 query, 0x12, 0x16, 0x22 reports of versions 1 to 3, 0x17 leave.
    #[must_use]
    pub fn igmp_type(&self) -> u8 {
        self.0[0]
    }

    /// Maximum response time code of a query.
    #[must_use]
    pub fn max_response(&self) -> u8 {
        self.0[1]
    }

    /// Checksum as it stands.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        be16(self.0, 2)
    }

    /// Group address, except in version 3 reports.
    #[must_use]
    pub fn group(&self) -> Option<Ipv4Addr> {
        (self.igmp_type() != 0x22).then(|| array(self.0, 4).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_have_a_number_and_errors_a_quotation() {
        let echo = IcmpHeader::parse(&[8, 0, 0xab, 0xcd, 0, 1, 0, 2, 9]).unwrap();
        assert_eq!((echo.icmp_type(), echo.code(), echo.checksum()), (8, 0, 0xabcd));
        assert_eq!((echo.echo(), echo.quoted(), echo.rest()), (Some((1, 2)), None, [0, 1, 0, 2]));
        let error = IcmpHeader::parse(&[3, 1, 0, 0, 0, 0, 0, 0, 0x45]).unwrap();
        assert_eq!((error.echo(), error.quoted()), (None, Some(&[0x45][..])));

        let echo = Icmpv6Header::parse(&[129, 0, 0xab, 0xcd, 0, 1, 0, 2]).unwrap();
        assert_eq!((echo.icmp_type(), echo.code(), echo.checksum()), (129, 0, 0xabcd));
        assert_eq!((echo.echo(), echo.quoted()), (Some((1, 2)), None));
        let error = Icmpv6Header::parse(&[1, 4, 0, 0, 0, 0, 0, 0, 0x60]).unwrap();
        assert_eq!((error.echo(), error.quoted(), error.body().len()), (None, Some(&[0x60][..]), 5));
        assert_eq!(Icmpv6Header::parse(&[128, 0, 0, 0]).unwrap().echo(), None);
    }

    #[test]
    fn igmp_reports_of_version_3_have_no_group() {
        let report = IgmpHeader::parse(&[0x16, 5, 0xab, 0xcd, 224, 0, 0, 251]).unwrap();
        assert_eq!((report.igmp_type(), report.max_response(), report.checksum()), (0x16, 5, 0xabcd));
        assert_eq!(report.group(), Some([224, 0, 0, 251].into()));
        assert_eq!(IgmpHeader::parse(&[0x22; 8]).unwrap().group(), None);
    }
}
