//! Frames built: message -> segment or datagram -> packet -> frame. It writes the headers that
//! [`parse`](crate::parse) reads.
//!
//! A [`Stack`] begins with a message, and each header wraps what is already there:
//!
//! ```
//! use wharf::build::{Ethernet, Ipv4, Stack, Tcp};
//!
//! let mut stack = Stack::new();
//! let frame = stack
//!     .message(b"Hello, world")
//!     .wrap(Tcp::new(40_000, 80).flags(Tcp::PSH | Tcp::ACK))
//!     .wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]))
//!     .wrap(Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]))
//!     .bytes();
//! assert_eq!(frame.len(), 14 + 20 + 20 + 12);
//! assert_eq!(frame[12..14], [0x08, 0x00]); // the EtherType says IPv4,
//! assert_eq!(frame[14 + 9], 6); //            the protocol TCP
//! ```
//!
//! Each header finds out what it wraps, and sets type, protocol and length fields by it. A checksum over a
//! pseudo header waits in the stack for the IP header that comes around it, extension headers
//! between them or not. Where a test needs a wrong
//! field, [`Checksum`] and the setters named after fields write it.
//!
//! A stack keeps its memory: building many frames with one of them allocates nothing once it has
//! grown to the largest.

mod arp;
mod checksum;
mod dns;
mod ethernet;
mod extension;
mod fields;
mod fragments;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod sctp;
mod stack;
mod tcp;
mod tunnel;
mod udp;

pub use arp::Arp;
pub use checksum::Checksum;
pub use dns::{DnsMessage, DnsRecord, DnsType, NameError};
pub use ethernet::{Ethernet, Mpls, Pppoe, Snap, Vlan};
pub use extension::{Authentication, DestinationOptions, HopByHop, Ipv6Fragment, Routing};
pub use fragments::fragments;
pub use icmp::{Icmp, Icmpv6, Igmp};
pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use link::{Loopback, Ppp, Sll, Sll2};
pub use sctp::{Sctp, SctpData};
pub use stack::{Content, Stack};
pub use tcp::{Tcp, TcpOption};
pub use tunnel::{Erspan, Geneve, Gre, Gtpu, Vxlan};
pub use udp::{Udp, UdpLite};

/// A header that wraps what a [`Stack`] holds.
///
/// ```
/// use wharf::build::{Content, Header, Ipv4, Stack};
///
/// /// A header of one's own: the number of bytes that follow, as IP protocol 253.
/// struct Counted;
///
/// impl Header for Counted {
///     fn wrap(&self, stack: &mut Stack) {
///         let count = stack.bytes().len() as u32;
///         stack.prepend(&count.to_be_bytes(), Content::Transport(253));
///     }
/// }
///
/// let mut stack = Stack::new();
/// stack.message(b"abc").wrap(Counted).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
/// assert_eq!(stack.bytes()[9], 253);
/// assert_eq!(stack.bytes()[20..], *b"\0\0\0\x03abc");
/// ```
pub trait Header {
    /// Puts itself before what the stack holds.
    fn wrap(&self, stack: &mut Stack);
}

impl<H: Header + ?Sized> Header for &H {
    fn wrap(&self, stack: &mut Stack) {
        (**self).wrap(stack);
    }
}
