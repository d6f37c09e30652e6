//! Datagrams in bulk: `recvmmsg(2)` and `sendmmsg(2)`, with the addresses at both ends and with several datagrams in
//! one message where the kernel can (`UDP_GRO`, `UDP_SEGMENT`).
//!
//! What was received into an [`Inbox`] is sent from there by an [`Outbox`], without a copy.

mod control;
mod inbox;
mod outbox;

pub(crate) use inbox::{Inbox, Received};
pub(crate) use outbox::{Message, Outbox, Part};

/// Most bytes of a UDP payload (RFC 768 over IPv4: 65535 less both headers), and so of a message of several datagrams.
pub(crate) const MOST_BYTES: usize = 65_507;
/// Most datagrams in one message (`UDP_MAX_SEGMENTS` of `linux/udp.h` before Linux 6.9).
pub(crate) const MOST_SEGMENTS: usize = 64;

/// A socket address as the kernel writes it: `struct sockaddr_in` or `sockaddr_in6`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Name([u8; 128]);

/// Ancillary data of a message.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Control([u8; 128]);

#[cfg(test)]
mod tests;
