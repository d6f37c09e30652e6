//! The `ClientHello` message (RFC 8446 4.1.2; before TLS 1.3, RFC 5246 7.4.1.2).

use super::extensions::{Alpn, Extensions, Versions};
use super::record::{first_hello, unframed_hello};
use super::{NotTls, Version};
use crate::parse::Prefix;
use crate::parse::cursor::Cursor;
use std::borrow::Cow;

/// What a client says first. Once it is read, no accessor can fail.
///
/// ```
/// use wharf::parse::Prefix;
/// use wharf::parse::tls::{ClientHello, Version};
///
/// let stream = b"\x16\x03\x01\0\x42\x01\0\0\x3e\x03\x03\
///     0123456789abcdef0123456789abcdef\0\0\x02\x13\x01\x01\0\0\x13\
///     \0\0\0\x0f\0\x0d\0\0\x0a\x77harf.test";
/// match ClientHello::read(stream) {
///     Prefix::Complete(hello) => assert_eq!(hello.server_name(), Some("wharf.test")),
///     Prefix::NeedMore { length } => println!("wait until there are {length} bytes"),
///     Prefix::Other(reason) => println!("{reason}"),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    body: Cow<'a, [u8]>,
    legacy_version: Version,
    extensions: Extensions,
}

impl<'a> ClientHello<'a> {
    /// Reads it off the front of a TCP stream, of which `stream` is what has come so far, from the first byte on.
    #[must_use]
    pub fn read(stream: &'a [u8]) -> Prefix<Self, NotTls> {
        match first_hello(stream) {
            Prefix::Complete(body) => Self::checked(body),
            Prefix::NeedMore { length } => Prefix::NeedMore { length },
            Prefix::Other(reason) => Prefix::Other(reason),
        }
    }

    /// Reads it off the front of handshake bytes that no records frame: what QUIC's CRYPTO frames carry (RFC 9001
    /// 4.1.3).
    #[must_use]
    pub fn read_unframed(handshake: &'a [u8]) -> Prefix<Self, NotTls> {
        match unframed_hello(handshake) {
            Prefix::Complete(body) => Self::checked(Cow::Borrowed(body)),
            Prefix::NeedMore { length } => Prefix::NeedMore { length },
            Prefix::Other(reason) => Prefix::Other(reason),
        }
    }

    fn checked(body: Cow<'a, [u8]>) -> Prefix<Self, NotTls> {
        match fields(&body) {
            Some((legacy_version, extensions)) => Prefix::Complete(Self { body, legacy_version, extensions }),
            None => Prefix::Other(NotTls::Malformed),
        }
    }

    /// Host the client wants (RFC 6066 3), if it says so in printable ASCII, as it must. In the sender's
    /// spelling; a final dot is left out.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        let bytes = self.server_name_bytes()?;
        let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
        let printable = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
        std::str::from_utf8(bytes).ok().filter(|_| printable)
    }

    /// The host's bytes as they were sent.
    #[must_use]
    pub fn server_name_bytes(&self) -> Option<&[u8]> {
        self.extensions.server_name(&self.body)
    }

    /// Application protocols offered (RFC 7301 3.1), the most wanted first, those of RFC 8701 left out.
    #[must_use]
    pub fn alpn(&self) -> Alpn<'_> {
        self.extensions.alpn(&self.body)
    }

    /// Versions offered, the most wanted first, those of RFC 8701 left out: the list of RFC 8446 4.2.1, or the
    /// field that stood for it before.
    #[must_use]
    pub fn versions(&self) -> Versions<'_> {
        self.extensions.versions(&self.body, self.legacy_version)
    }

    /// The highest of TLS's versions offered.
    #[must_use]
    pub fn highest_version(&self) -> Option<Version> {
        self.versions().max()
    }
}

/// The version field and where the extensions are, if every length fits what holds it.
fn fields(body: &[u8]) -> Option<(Version, Extensions)> {
    let mut rest = Cursor(body);
    let version = Version(rest.u16()?);
    let _random: [u8; 32] = rest.array()?;
    let session = rest.vector8()?;
    let suites = rest.vector16()?;
    let compression = rest.vector8()?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 == 1 || compression.is_empty() {
        return None;
    }
    // Before TLS 1.3 a hello may end here.
    if rest.is_empty() {
        return Some((version, Extensions::default()));
    }
    let list = rest.vector16()?;
    if !rest.is_empty() {
        return None;
    }
    Some((version, Extensions::find(list, body.len() - list.len())?))
}
