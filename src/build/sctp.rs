//! SCTP (RFC 9260).

use super::fields::{Fields, length_field};
use super::{Checksum, Content, Header, Stack};
use crate::checksum::crc32c;

/// An SCTP common header around its chunks.
///
/// ```
/// use wharf::build::{Ipv4, Sctp, SctpData, Stack};
/// let mut stack = Stack::new();
/// stack
///     .message(b"Hello")
///     .wrap(SctpData::new(1))
///     .wrap(Sctp::new(2905, 2905).tag(0x1234_5678))
///     .wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
/// assert_eq!(stack.bytes().len(), 20 + 12 + 16 + 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sctp {
    source_port: u16,
    destination_port: u16,
    tag: u32,
    checksum: Checksum,
}

impl Sctp {
    /// From one port to another, verification tag 0.
    #[must_use]
    pub const fn new(source_port: u16, destination_port: u16) -> Self {
        Self { source_port, destination_port, tag: 0, checksum: Checksum::Right }
    }

    /// Verification tag.
    #[must_use]
    pub const fn tag(self, tag: u32) -> Self {
        Self { tag, ..self }
    }

    /// What the checksum field holds, as a number with its first byte highest.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }
}

impl Header for Sctp {
    fn wrap(&self, stack: &mut Stack) {
        let header =
            Fields::<12>::new().u16(self.source_port).u16(self.destination_port).u32(self.tag).u32(0);
        stack.prepend(header.as_bytes(), Content::Transport(132));
        // The CRC goes out least significant byte first (RFC 9260 appendix A).
        let field = self.checksum.wide_field(crc32c(stack.bytes()).swap_bytes());
        stack.set_word(8, (field >> 16) as u16);
        stack.set_word(10, field as u16);
    }
}

/// A DATA chunk (RFC 9260 section 3.3.1) around the whole of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SctpData {
    sequence: u32,
    stream: u16,
    stream_sequence: u16,
    payload_protocol: u32,
}

impl SctpData {
    /// With a transmission sequence number, on stream 0.
    #[must_use]
    pub const fn new(sequence: u32) -> Self {
        Self { sequence, stream: 0, stream_sequence: 0, payload_protocol: 0 }
    }

    /// Stream identifier and the message's number in it.
    #[must_use]
    pub const fn stream(self, stream: u16, sequence: u16) -> Self {
        Self { stream, stream_sequence: sequence, ..self }
    }

    /// Payload protocol identifier.
    #[must_use]
    pub const fn payload_protocol(self, payload_protocol: u32) -> Self {
        Self { payload_protocol, ..self }
    }
}

impl Header for SctpData {
    fn wrap(&self, stack: &mut Stack) {
        let length = 16 + stack.bytes().len();
        stack.pad(stack.bytes().len().next_multiple_of(4));
        // First and last piece of the message in one.
        let header = Fields::<16>::new()
            .u8(0)
            .u8(3)
            .u16(length_field(length))
            .u32(self.sequence)
            .u16(self.stream)
            .u16(self.stream_sequence)
            .u32(self.payload_protocol);
        stack.prepend(header.as_bytes(), Content::Data);
    }
}
