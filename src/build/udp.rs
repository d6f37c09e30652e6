//! UDP (RFC 768) and UDP-Lite (RFC 3828).

use super::fields::{Fields, length_field};
use super::{Checksum, Content, Header, Stack};

pub(super) const UDP: u8 = 17;
pub(super) const UDP_LITE: u8 = 136;

/// A UDP header. A datagram too long for its 16-bit length gets 0 there, as jumbograms do (RFC 2675 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    source_port: u16,
    destination_port: u16,
    length: Option<u16>,
    checksum: Checksum,
}

impl Udp {
    /// From one port to another.
    #[must_use]
    pub const fn new(source_port: u16, destination_port: u16) -> Self {
        Self { source_port, destination_port, length: None, checksum: Checksum::Right }
    }

    /// Length, whatever the length is. The checksum stays that of the true one.
    #[must_use]
    pub const fn length(self, length: u16) -> Self {
        Self { length: Some(length), ..self }
    }

    /// What the checksum field holds.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }
}

impl Header for Udp {
    fn wrap(&self, stack: &mut Stack) {
        let covered = 8 + stack.bytes().len();
        let length = self.length.unwrap_or_else(|| length_field(covered));
        let header = Fields::<8>::new().u16(self.source_port).u16(self.destination_port).u16(length).u16(0);
        stack.prepend(header.as_bytes(), Content::Transport(UDP));
        stack.seal_later(6, covered, UDP, self.checksum);
    }
}

/// A UDP-Lite header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpLite {
    source_port: u16,
    destination_port: u16,
    coverage: u16,
    checksum: Checksum,
}

impl UdpLite {
    /// From one port to another, everything under the checksum.
    #[must_use]
    pub const fn new(source_port: u16, destination_port: u16) -> Self {
        Self { source_port, destination_port, coverage: 0, checksum: Checksum::Right }
    }

    /// Bytes under the checksum, counted from the UDP-Lite header: 0 for all, or at least 8.
    #[must_use]
    pub const fn coverage(self, coverage: u16) -> Self {
        Self { coverage, ..self }
    }

    /// What the checksum field holds.
    #[must_use]
    pub const fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }
}

impl Header for UdpLite {
    fn wrap(&self, stack: &mut Stack) {
        let header =
            Fields::<8>::new().u16(self.source_port).u16(self.destination_port).u16(self.coverage).u16(0);
        stack.prepend(header.as_bytes(), Content::Transport(UDP_LITE));
        let all = stack.bytes().len();
        let covered = if self.coverage == 0 { all } else { all.min(self.coverage.into()) };
        stack.seal_later(6, covered, UDP_LITE, self.checksum);
    }
}
