//! The first message of a TLS connection: whom the client asks for, and in which protocols.
//!
//! [`ClientHello::read`] takes what has come of a TCP stream so far, as a proxy peeks at it or a sniffer collects
//! it, and says whether the hello is whole, needs more, or is none. It keeps nothing between calls and copies
//! nothing, save where the message was cut into several records: then once, into one piece.

mod extensions;
mod hello;
mod record;

pub use extensions::{Alpn, Versions};
pub use hello::ClientHello;

/// Longest hello taken, handshake header included. Those of browsers stay below 4 KiB, with post-quantum keys
/// too.
pub const MAX_HELLO: usize = 1 << 16;

/// Why a stream does not begin with a `ClientHello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotTls {
    /// No TLS record with a handshake message: another type, version, or a length that no record may have. Also
    /// SSL 2's own framing, which RFC 6176 forbids.
    #[error("the stream does not begin with a TLS handshake record")]
    NotARecord,
    /// A handshake message, but no `ClientHello`.
    #[error("the handshake does not begin with a ClientHello")]
    NotAHello,
    /// More than [`MAX_HELLO`] bytes, or more records than they can need.
    #[error("the ClientHello is too long")]
    TooLong,
    /// A length within it overruns what holds it, or an extension read here is there twice.
    #[error("the ClientHello is malformed")]
    Malformed,
}

/// A version as in a record's or a hello's field; `Display` gives its name.
///
/// ```
/// use wharf::parse::tls::Version;
/// assert_eq!(Version(0x0304).to_string(), "TLS 1.3");
/// assert!(Version(0x1a1a).is_grease());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// RFC 5246.
    pub const TLS_1_2: Self = Self(0x0303);
    /// RFC 8446.
    pub const TLS_1_3: Self = Self(0x0304);

    /// One of the numbers that mean nothing, sent so that peers keep ignoring what they do not know (RFC 8701).
    #[must_use]
    pub const fn is_grease(self) -> bool {
        is_grease(self.0)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0x0300 => f.write_str("SSL 3.0"),
            minor @ 0x0301..=0x0304 => write!(f, "TLS 1.{}", minor - 0x0301),
            other => write!(f, "0x{other:04x}"),
        }
    }
}

/// RFC 8701 3: both bytes alike, with 0xa in the low half.
const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

#[cfg(test)]
pub(crate) mod tests;
