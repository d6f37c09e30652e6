//! QUIC's first packets (RFC 9000, 9001; version 2: RFC 9369): the client's hello, which anyone on the path can read.
//!
//! Initial packets are encrypted under keys made from the connection id the client chose, so that nothing but QUIC
//! takes them for QUIC; they hide nothing from who reads along. [`HelloCollector`] takes a flow's datagrams as they
//! come, opens the client's Initial packets, puts the CRYPTO frames in order and hands out the
//! [`ClientHello`](super::tls::ClientHello).

mod collector;
mod crypto_stream;
mod frames;
mod initial;
mod keys;

pub use collector::HelloCollector;
pub use initial::{Initial, Initials, initials};

/// Most bytes of handshake kept for a connection, in order and ahead of it. RFC 9000 7.5 asks for 4096; hellos with
/// post-quantum keys have some 2,000.
pub const MAX_CRYPTO: usize = 1 << 14;

/// A version whose Initial packets can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuicVersion {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
}

impl QuicVersion {
    /// By its number on the wire.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0x0000_0001 => Some(Self::V1),
            0x6b33_43cf => Some(Self::V2),
            _ => None,
        }
    }
}

/// Why a flow's datagrams do not give a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotQuic {
    /// The first datagram holds no Initial packet of a version known here.
    #[error("the datagram holds no Initial packet of QUIC version 1 or 2")]
    NotInitial,
    /// No packet of the first datagrams opens with the keys of its connection id: another version's, or the
    /// client's first packets were not seen.
    #[error("no Initial packet of the client could be opened")]
    Sealed,
    /// The handshake is longer than [`MAX_CRYPTO`], or came in more pieces or datagrams than are kept.
    #[error("the handshake takes too much room")]
    TooLong,
    /// What the packets carry is no `ClientHello`.
    #[error(transparent)]
    Tls(#[from] super::tls::NotTls),
}

#[cfg(test)]
pub(crate) mod tests;
