//! The bytes under construction: they grow at the front.

use super::{Checksum, Header};
use crate::checksum::Sum;
use crate::frame::{Frame, LinkType};
use std::iter::repeat_n;
use std::net::Ipv6Addr;

/// Room before a message for the headers to come; enough for most stacks.
const HEADROOM: usize = 256;

/// What the outermost bytes of a [`Stack`] are: what the next header must call them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Content {
    /// A message, of no protocol that a header knows.
    #[default]
    Data,
    /// A header of this IP protocol number, extension headers of IPv6 included.
    Transport(u8),
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// Something else with an EtherType: ARP, a VLAN tag, MPLS.
    Network(u16),
    /// IEEE 802.2 LLC: has a length in the place of the EtherType.
    Llc,
    /// An Ethernet frame, from its destination address to before its check sequence.
    Ethernet,
    /// A frame with another link-layer header.
    Link(LinkType),
}

impl Content {
    /// Its IP protocol number; 253, for experiments (RFC 3692), where it has none.
    #[must_use]
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Transport(protocol) => protocol,
            Self::Ipv4 => 4,
            Self::Ipv6 => 41,
            Self::Network(0x8847) => 137, // MPLS in IP, RFC 4023
            Self::Ethernet => 143,        // RFC 8986
            Self::Data | Self::Network(_) | Self::Llc | Self::Link(_) => 253,
        }
    }

    /// Its EtherType; 0x88b5, for local experiments (IEEE 802), where it has none.
    #[must_use]
    pub const fn ether_type(self) -> u16 {
        match self {
            Self::Ipv4 => 0x0800,
            Self::Ipv6 => 0x86dd,
            Self::Network(ether_type) => ether_type,
            Self::Ethernet => 0x6558, // transparent Ethernet bridging
            Self::Data | Self::Transport(_) | Self::Llc | Self::Link(_) => 0x88b5,
        }
    }

    /// The link type of a frame that begins with it.
    #[must_use]
    pub const fn link_type(self) -> LinkType {
        match self {
            Self::Ethernet => LinkType::ETHERNET,
            Self::Link(link_type) => link_type,
            _ => LinkType::RAW,
        }
    }
}

/// A transport checksum that waits for the IP header around it.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// Bytes from the transport header to the end.
    length: usize,
    /// Bytes under the checksum, from the transport header on.
    covered: usize,
    /// Offset of the field in the transport header.
    field: usize,
    protocol: u8,
    /// A sum of 0 is written as `0xffff`, 0 having a meaning of its own.
    never_zero: bool,
    checksum: Checksum,
}

/// A message with the headers wrapped around it so far.
///
/// ```
/// use wharf::build::{Ethernet, Ipv6, Stack, Udp, Vlan};
///
/// let mut stack = Stack::new();
/// for port in [53, 5353] {
///     stack
///         .message(b"a message")
///         .wrap(Udp::new(40_000, port))
///         .wrap(Ipv6::new("fd00::1".parse()?, "fd00::2".parse()?))
///         .wrap(Vlan::new(42))
///         .wrap(Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]));
///     assert_eq!(stack.bytes().len(), 14 + 4 + 40 + 8 + 9);
/// }
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stack {
    bytes: Vec<u8>,
    start: usize,
    content: Content,
    pending: Option<Pending>,
    pub(super) pseudo_source: Option<Ipv6Addr>,
    pub(super) pseudo_destination: Option<Ipv6Addr>,
}

impl Stack {
    /// A stack with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins afresh with a message, in the memory of what was built before.
    pub fn message(&mut self, message: &[u8]) -> &mut Self {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.resize(HEADROOM, 0);
        bytes.extend_from_slice(message);
        *self = Self { bytes, start: HEADROOM, ..Self::default() };
        self
    }

    /// Puts a header around what is there.
    pub fn wrap(&mut self, header: impl Header) -> &mut Self {
        header.wrap(self);
        self
    }

    /// Zeroes at the end, up to a length: Ethernet frames have at least 60 bytes without their check sequence.
    ///
    /// ```
    /// use wharf::build::{Arp, Ethernet, Stack};
    /// let mut stack = Stack::new();
    /// let who = Arp::request([2, 0, 0, 0, 0, 1], [10, 0, 0, 1], [10, 0, 0, 2]);
    /// stack.message(&[]).wrap(who).wrap(Ethernet::broadcast([2, 0, 0, 0, 0, 1])).pad(60);
    /// assert_eq!(stack.bytes().len(), 60);
    /// ```
    pub fn pad(&mut self, length: usize) -> &mut Self {
        let missing = length.saturating_sub(self.bytes().len());
        self.trailer(repeat_n(0, missing));
        self
    }

    /// Bytes at the end that no header counts: padding, a check sequence.
    pub fn trailer(&mut self, bytes: impl IntoIterator<Item = u8>) -> &mut Self {
        self.bytes.extend(bytes);
        self.pending = None;
        self
    }

    /// What has been built, outermost header first.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// What the outermost bytes are.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// The bytes as a frame of the link type that fits the outermost header: `RAW` for a bare IP packet.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame::new(self.content.link_type(), self.bytes())
    }

    /// Puts the bytes of a header before what is there, and says what they are.
    pub fn prepend(&mut self, header: &[u8], content: Content) {
        if self.start < header.len() {
            let room = header.len().max(HEADROOM);
            self.bytes.splice(..0, repeat_n(0, room));
            self.start += room;
        }
        self.start -= header.len();
        self.bytes[self.start..][..header.len()].copy_from_slice(header);
        self.content = content;
    }

    /// Sets the Internet checksum at offset `field` over the outermost `covered` bytes, whose field is still 0.
    pub(super) fn seal(&mut self, field: usize, covered: usize, checksum: Checksum) {
        let right = Sum::of(&self.bytes()[..covered]).checksum();
        self.set_word(field, checksum.field(right, 0));
    }

    /// Sets the Internet checksum at offset `field` over a pseudo header and the outermost `covered` bytes,
    /// once an IP header comes around them.
    pub(super) fn seal_later(&mut self, field: usize, covered: usize, protocol: u8, checksum: Checksum) {
        let length = self.bytes().len();
        let never_zero = matches!(protocol, super::udp::UDP | super::udp::UDP_LITE);
        self.pending = Some(Pending { length, covered, field, protocol, never_zero, checksum });
    }

    /// An IP header is coming: settles the checksum that waits for it. `pseudo` gives the pseudo header's
    /// sum from protocol and length.
    pub(super) fn settle(&mut self, pseudo: impl FnOnce(u8, u32) -> Sum) {
        let Some(pending) = self.pending.take() else { return };
        let at = self.bytes().len() - pending.length;
        let pseudo = pseudo(pending.protocol, u32::try_from(pending.length).unwrap_or(u32::MAX));
        let right = match pseudo.add(&self.bytes()[at..][..pending.covered]).checksum() {
            0 if pending.never_zero => 0xffff,
            right => right,
        };
        self.set_word(at + pending.field, pending.checksum.field(right, pseudo.fold()));
    }

    pub(super) fn set_word(&mut self, at: usize, value: u16) {
        self.bytes[self.start + at..][..2].copy_from_slice(&value.to_be_bytes());
    }
}
