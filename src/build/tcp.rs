//! TCP (RFC 9293).

use super::fields::Fields;
use super::{Checksum, Content, Header, Stack};

/// A TCP header.
///
/// ```
/// use wharf::build::{Ipv4, Stack, Tcp, TcpOption};
///
/// let options = [TcpOption::MaximumSegmentSize(1460), TcpOption::SackPermitted, TcpOption::WindowScale(7)];
/// let syn = Tcp::new(40_000, 443).flags(Tcp::SYN).sequence(1_000).window(64_240).options(&options);
/// let mut stack = Stack::new();
/// stack.message(b"").wrap(syn).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
/// assert_eq!(stack.bytes().len(), 20 + 20 + 12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<'a> {
    source_port: u16,
    destination_port: u16,
    sequence: u32,
    acknowledgment: u32,
    flags: u16,
    window: u16,
    urgent: u16,
    options: &'a [TcpOption<'a>],
    checksum: Checksum,
}

impl<'a> Tcp<'a> {
    /// No more data from the sender.
    pub const FIN: u16 = 0x001;
    /// Synchronize sequence numbers.
    pub const SYN: u16 = 0x002;
    /// Reset the connection.
    pub const RST: u16 = 0x004;
    /// Push.
    pub const PSH: u16 = 0x008;
    /// The acknowledgment number counts.
    pub const ACK: u16 = 0x010;
    /// The urgent pointer counts.
    pub const URG: u16 = 0x020;
    /// Congestion experienced, echoed (RFC 3168).
    pub const ECE: u16 = 0x040;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u16 = 0x080;
    /// Accurate ECN (RFC 9768), once the nonce sum.
    pub const AE: u16 = 0x100;

    /// From one port to another: an ACK with both numbers 0 and a window of 65,535.
    #[must_use]
    pub const fn new(source_port: u16, destination_port: u16) -> Self {
        Self {
            source_port,
            destination_port,
            sequence: 0,
            acknowledgment: 0,
            flags: Self::ACK,
            window: u16::MAX,
            urgent: 0,
            options: &[],
            checksum: Checksum::Right,
        }
    }

    /// The flags: [`Tcp::SYN`] and its neighbours, joined by `|`.
    #[must_use]
    pub const fn flags(self, flags: u16) -> Self {
        Self { flags: flags & 0x0fff, ..self }
    }

    /// Sequence number.
    #[must_use]
    pub const fn sequence(self, sequence: u32) -> Self {
        Self { sequence, ..self }
    }

    /// Acknowledgment number.
    #[must_use]
    pub const fn acknowledgment(self, acknowledgment: u32) -> Self {
        Self { acknowledgment, ..self }
    }

    /// Window, not scaled.
    #[must_use]
    pub const fn window(self, window: u16) -> Self {
        Self { window, ..self }
    }

    /// Urgent pointer.
    #[must_use]
    pub const fn urgent(self, urgent: u16) -> Self {
        Self { urgent, ..self }
    }

    /// Options in order, as far as they fit into 40 bytes, filled up with zeroes to a multiple of 4.
    #[must_use]
    pub const fn options(self, options: &'a [TcpOption<'a>]) -> Self {
        Self { options, ..self }
    }

    /// What the checksum field holds.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }
}

impl Header for Tcp<'_> {
    fn wrap(&self, stack: &mut Stack) {
        let mut options = Fields::<40>::new();
        for option in self.options {
            options = option.write(options);
        }
        let options = options.pad(4);
        let words = 5 + options.as_bytes().len() as u16 / 4;
        let header = Fields::<60>::new()
            .u16(self.source_port)
            .u16(self.destination_port)
            .u32(self.sequence)
            .u32(self.acknowledgment)
            .u16(words << 12 | self.flags)
            .u16(self.window)
            .u16(0)
            .u16(self.urgent)
            .put(options.as_bytes());
        stack.prepend(header.as_bytes(), Content::Transport(6));
        stack.seal_later(16, stack.bytes().len(), 6, self.checksum);
    }
}

/// A TCP option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpOption<'a> {
    /// Kind 1: nothing, for alignment.
    NoOperation,
    /// Kind 2 (RFC 9293 section 3.7.1).
    MaximumSegmentSize(u16),
    /// Kind 3: shift count (RFC 7323 section 2).
    WindowScale(u8),
    /// Kind 4 (RFC 2018 section 2).
    SackPermitted,
    /// Kind 5: blocks of left and right edge (RFC 2018 section 3), at most 4.
    Sack(&'a [(u32, u32)]),
    /// Kind 8 (RFC 7323 section 3).
    Timestamps {
        /// The sender's clock.
        value: u32,
        /// The peer's, echoed.
        echo: u32,
    },
    /// Any other: kind and data.
    Other(u8, &'a [u8]),
}

impl TcpOption<'_> {
    /// Bytes it takes.
    fn length(&self) -> usize {
        match self {
            Self::NoOperation => 1,
            Self::MaximumSegmentSize(_) => 4,
            Self::WindowScale(_) => 3,
            Self::SackPermitted => 2,
            Self::Sack(blocks) => 2 + 8 * blocks.len(),
            Self::Timestamps { .. } => 10,
            Self::Other(_, data) => 2 + data.len(),
        }
    }

    /// Appends itself, if there is room.
    fn write<const N: usize>(&self, fields: Fields<N>) -> Fields<N> {
        let length = self.length();
        if length > fields.room() {
            return fields;
        }
        match *self {
            Self::NoOperation => fields.u8(1),
            Self::MaximumSegmentSize(size) => fields.u8(2).u8(4).u16(size),
            Self::WindowScale(shift) => fields.u8(3).u8(3).u8(shift),
            Self::SackPermitted => fields.u8(4).u8(2),
            Self::Sack(blocks) => blocks
                .iter()
                .fold(fields.u8(5).u8(length as u8), |fields, (left, right)| fields.u32(*left).u32(*right)),
            Self::Timestamps { value, echo } => fields.u8(8).u8(10).u32(value).u32(echo),
            Self::Other(kind, data) => fields.u8(kind).u8(length as u8).put(data),
        }
    }
}
