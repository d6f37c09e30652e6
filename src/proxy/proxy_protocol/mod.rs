//! The PROXY protocol, both versions: who the client behind a proxy is, said before the first byte of the connection.
//!
//! "The PROXY protocol, Versions 1 & 2", HAProxy Technologies, 2020-03-05. What is read comes from whoever connects, so that it
//! is to be asked for only where the sender is trusted; and it is looked at with suspicion all the same: no header is
//! longer than [`MAX_LENGTH`], no text is taken that the specification does not allow, and a wrong one is an error, never data.

mod v1;
mod v2;

use super::config::Transport;
use crate::parse::Prefix;
use std::net::{IpAddr, SocketAddr};

/// The longest header that is read, in bytes: version 2 with some 4 KB of fields, which nobody has been seen to send.
pub const MAX_LENGTH: usize = 4_096;

/// Room for the longest header that is written, in bytes.
pub const MAX_WRITTEN: usize = v1::MAX_LENGTH;

/// Which way a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text; for TCP.
    V1,
    /// Binary; for TCP and UDP.
    V2,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The sender speaks for itself (health checks): the addresses of the connection are the true ones.
    Local,
    /// It does not say, or not in terms of IP (a Unix socket): the same.
    Unknown,
    /// Whose connection it is.
    Proxied {
        /// What the client speaks to the first proxy.
        transport: Transport,
        /// The client.
        source: SocketAddr,
        /// What the client connected to.
        destination: SocketAddr,
    },
}

/// Why a header is none to go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is none.
    #[error("no PROXY header")]
    Absent,
    /// Version 1: no end of the line within 107 bytes.
    #[error("PROXY header: the line does not end within {} bytes", v1::MAX_LENGTH)]
    LineTooLong,
    /// Version 1: a line that says something else than the specification has.
    #[error("PROXY header: expected {0}")]
    Expected(&'static str),
    /// Version 2: longer than anybody needs.
    #[error("PROXY header: {0} bytes, more than the {MAX_LENGTH} that are read")]
    TooLong(usize),
    /// Version 2: a version, command, family or transport that is not defined.
    #[error("PROXY header: {what} {value} is not defined")]
    Undefined {
        /// Which field.
        what: &'static str,
        /// What is there.
        value: u8,
    },
    /// Version 2: its length leaves no room for the addresses of its family.
    #[error("PROXY header: {have} bytes for addresses that take {need}")]
    TooShort {
        /// What the family takes.
        need: usize,
        /// What the length leaves.
        have: usize,
    },
    /// Version 2: a field behind the addresses reaches beyond the header.
    #[error("PROXY header: field {kind:#04x} reaches beyond the header")]
    Field {
        /// Its type.
        kind: u8,
    },
    /// Version 2: the CRC32c that the header has is not its own.
    #[error("PROXY header: its CRC32c is {found:#010x}, and should be {expected:#010x}")]
    Checksum {
        /// In the header.
        found: u32,
        /// Of the header.
        expected: u32,
    },
}

/// Reads a header of either version from the first bytes of a connection (or of a datagram), of which there may be more:
/// what it says, and its length in bytes, behind which the connection's own bytes are.
///
/// Anything but [`Error::Absent`] is a header that has begun and is none to go by: the connection should be closed, as its
/// first bytes are not the client's.
///
/// ```
/// use wharf::parse::Prefix;
/// use wharf::proxy::proxy_protocol::{Error, Header, decode};
///
/// let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\nhello";
/// let Prefix::Complete((Header::Proxied { source, .. }, length)) = decode(bytes) else { panic!() };
/// assert_eq!((source.to_string().as_str(), &bytes[length..]), ("192.0.2.7:40000", &b"hello"[..]));
/// assert_eq!(decode(b"PROX"), Prefix::NeedMore { length: 6 });
/// assert_eq!(decode(b"GET /"), Prefix::Other(Error::Absent));
/// ```
#[must_use]
pub fn decode(bytes: &[u8]) -> Prefix<(Header, usize), Error> {
    let version = match begins(bytes) {
        Prefix::Complete(()) if bytes.starts_with(v1::SIGNATURE) => v1::decode(bytes),
        Prefix::Complete(()) => v2::decode(bytes),
        Prefix::NeedMore { length } => return Prefix::NeedMore { length },
        Prefix::Other(()) => return Prefix::Other(Error::Absent),
    };
    match version {
        Ok(Decoded::Header(header, length)) => Prefix::Complete((header, length)),
        Ok(Decoded::Needs(length)) => Prefix::NeedMore { length },
        Err(error) => Prefix::Other(error),
    }
}

/// Whether a header begins here: enough to tell it from other protocols.
pub(super) fn begins(bytes: &[u8]) -> Prefix<(), ()> {
    for signature in [v1::SIGNATURE, v2::SIGNATURE] {
        let common = bytes.iter().zip(signature).take_while(|(byte, wanted)| byte == wanted).count();
        match () {
            () if common == signature.len() => return Prefix::Complete(()),
            () if common == bytes.len() => {
                return Prefix::NeedMore { length: v1::SIGNATURE.len().max(common + 1) };
            }
            () => {}
        }
    }
    Prefix::Other(())
}

/// What one version's reader makes of the bytes behind its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoded {
    /// A header, and its length.
    Header(Header, usize),
    /// Not before there are so many bytes.
    Needs(usize),
}

/// Writes a header to the front of `out`, and gives its length. Addresses of two families, or of IPv4 in its IPv6 form, are
/// written as what both can be; with [`Version::V1`], which has no word for UDP, a datagram's are [`Header::Unknown`].
///
/// ```
/// use wharf::proxy::config::Transport;
/// use wharf::proxy::proxy_protocol::{Header, MAX_WRITTEN, Version, encode};
///
/// let (source, destination) = ("192.0.2.7:40000".parse().unwrap(), "198.51.100.1:443".parse().unwrap());
/// let mut out = [0; MAX_WRITTEN];
/// let header = Header::Proxied { transport: Transport::Tcp, source, destination };
/// let length = encode(&header, Version::V1, &mut out);
/// assert_eq!(&out[..length], b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n");
/// ```
pub fn encode(header: &Header, version: Version, out: &mut [u8; MAX_WRITTEN]) -> usize {
    let mut rest = &mut out[..];
    // There is room for the longest: no write can fail.
    let _ = match version {
        Version::V1 => v1::encode(header, &mut rest),
        Version::V2 => v2::encode(header, &mut rest),
    };
    MAX_WRITTEN - rest.len()
}

/// Two addresses of one family: both IPv4 where both can be, else both IPv6.
fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    let (source, destination) = (canonical(source), canonical(destination));
    match source.is_ipv4() == destination.is_ipv4() {
        true => (source, destination),
        false => (mapped(source), mapped(destination)),
    }
}

#[cfg(test)]
mod tests;
