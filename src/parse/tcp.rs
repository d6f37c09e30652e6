//! TCP (RFC 9293).

use super::tcp_options::TcpOptions;
use super::walk::{bad_length, be16, be32, head, whole};
use super::{Layer, Malformed};
use std::fmt;

/// TCP header with its options, RFC 9293 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader<'a> {
    fixed: &'a [u8; 20],
    options: &'a [u8],
}

impl<'a> TcpHeader<'a> {
    /// Bytes of the header without options.
    pub const LENGTH: usize = 20;

    /// # Errors
    /// When the bytes end within the header or the data offset is below 5 words.
    ///
    /// ```
    /// use wharf::parse::TcpHeader;
    /// let mut bytes = [0; 20];
    /// (bytes[3], bytes[12], bytes[13]) = (80, 5 << 4, 0x02);
    /// let tcp = TcpHeader::parse(&bytes)?;
    /// assert_eq!((tcp.destination_port(), tcp.flags().syn()), (80, true));
    /// # Ok::<(), wharf::parse::Malformed>(())
    /// ```
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; 20] = head(Layer::Tcp, bytes)?;
        let length = header_length(fixed);
        if length < Self::LENGTH {
            return Err(bad_length(Layer::Tcp, Self::LENGTH, length));
        }
        Ok(Self { fixed, options: &whole(Layer::Tcp, bytes, length)?[Self::LENGTH..] })
    }

    /// The header of which only options were cut off, as far as it was captured, and how long it was.
    pub(crate) fn cut(bytes: &'a [u8]) -> Option<(Self, u32)> {
        let (fixed, options) = bytes.split_first_chunk()?;
        let length = header_length(fixed);
        (length > bytes.len()).then_some((Self { fixed, options }, length as u32))
    }

    /// Source port.
    #[must_use]
    pub fn source_port(&self) -> u16 {
        be16(self.fixed, 0)
    }

    /// Destination port.
    #[must_use]
    pub fn destination_port(&self) -> u16 {
        be16(self.fixed, 2)
    }

    /// Sequence number of the first byte (of SYN, where it is set).
    #[must_use]
    pub fn sequence(&self) -> u32 {
        be32(self.fixed, 4)
    }

    /// Next sequence number expected, where ACK is set.
    #[must_use]
    pub fn acknowledgment(&self) -> u32 {
        be32(self.fixed, 8)
    }

    /// Bytes of the header with options: 20 to 60.
    #[must_use]
    pub fn header_length(&self) -> usize {
        Self::LENGTH + self.options.len()
    }

    /// Control bits.
    #[must_use]
    pub fn flags(&self) -> TcpFlags {
        flags(self.fixed)
    }

    /// Window as it stands, before scaling (RFC 7323 2).
    #[must_use]
    pub fn window(&self) -> u16 {
        be16(self.fixed, 14)
    }

    /// Checksum as it stands.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        be16(self.fixed, 16)
    }

    /// Urgent pointer, where URG is set.
    #[must_use]
    pub fn urgent_pointer(&self) -> u16 {
        be16(self.fixed, 18)
    }

    /// The options up to the end-of-list mark; a malformed one is the last item.
    #[must_use]
    pub fn options(&self) -> TcpOptions<'a> {
        TcpOptions::new(self.options)
    }
}

/// Bytes of the header by its data offset.
fn header_length(fixed: &[u8; 20]) -> usize {
    usize::from(fixed[12] >> 4) * 4
}

fn flags(fixed: &[u8; 20]) -> TcpFlags {
    TcpFlags(be16(fixed, 12) & 0x0fff)
}

/// Control bits of a TCP header: the low 12 bits of bytes 12 and 13 (RFC 9293 3.1, RFC 9768).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x020);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x040);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x080);
    /// Accurate ECN (RFC 9768).
    pub const AE: Self = Self(0x100);

    /// All bits of `other` are set.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// SYN is set.
    #[must_use]
    #[inline]
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// ACK is set.
    #[must_use]
    #[inline]
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// FIN is set.
    #[must_use]
    #[inline]
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// RST is set.
    #[must_use]
    #[inline]
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Names joined by commas: `SYN,ACK`; `none` when no bit is set.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 9] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
        let mut separator = "";
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 >> bit & 1 == 1 {
                write!(f, "{separator}{name}")?;
                separator = ",";
            }
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_rfc_draws_them() {
        let bytes =
            [0x1f, 0x90, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x61, 0x12, 0x20, 0, 0xab, 0xcd, 0, 9, 2, 4, 5, 0xb4];
        let tcp = TcpHeader::parse(&bytes).unwrap();
        assert_eq!((tcp.source_port(), tcp.destination_port()), (8080, 80));
        assert_eq!((tcp.sequence(), tcp.acknowledgment(), tcp.header_length()), (1, 2, 24));
        assert_eq!(tcp.flags(), TcpFlags::SYN | TcpFlags::ACK | TcpFlags::AE);
        assert_eq!((tcp.window(), tcp.checksum(), tcp.urgent_pointer()), (0x2000, 0xabcd, 9));
        assert_eq!(tcp.options().count(), 1);
        assert!(TcpHeader::parse(&bytes[..23]).is_err(), "options are part of the header");
    }

    #[test]
    fn flags_have_names() {
        assert_eq!((TcpFlags::SYN | TcpFlags::ACK).to_string(), "SYN,ACK");
        assert_eq!(TcpFlags(0).to_string(), "none");
    }
}
