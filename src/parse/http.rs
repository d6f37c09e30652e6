//! The head of an HTTP/1 request (RFC 9112): what is asked for, and of which host.

use super::Prefix;

/// Longest head read; servers' own limits are about this.
pub const MAX_HEAD: usize = 1 << 13;
/// Longest method taken for one: those registered have at most 17 bytes.
const MAX_METHOD: usize = 20;

/// Why a stream does not begin with an HTTP/1 request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotHttp {
    /// No request line of HTTP/1: method, target, version.
    #[error("the stream does not begin with an HTTP/1 request line")]
    NotARequest,
    /// No end of the head within [`MAX_HEAD`] bytes.
    #[error("the request's head is too long")]
    TooLong,
}

/// A request line (RFC 9112 section 3), and what has come behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a [u8],
}

impl<'a> RequestLine<'a> {
    /// Reads it off the front of a TCP stream, of which `stream` is what has come so far. What is none is told at its first
    /// wrong byte: a method in small letters is one. None such is registered; `RPC_IN_DATA` is not either, but in use.
    #[must_use]
    pub fn read(stream: &'a [u8]) -> Prefix<Self, NotHttp> {
        const VERSION: &[u8] = b"HTTP/1.";
        let more = Prefix::NeedMore { length: stream.len() + 1 };
        let other = Prefix::Other(NotHttp::NotARequest);
        let Some(method) = stream.iter().position(|byte| !byte.is_ascii_uppercase() && !b"-_".contains(byte))
        else {
            return if stream.len() <= MAX_METHOD { more } else { other };
        };
        if method == 0 || method > MAX_METHOD || stream[method] != b' ' {
            return other;
        }
        let rest = &stream[method + 1..];
        // The target has no byte that is not printed: what is, ends it.
        let Some(target) = rest.iter().position(|byte| !byte.is_ascii_graphic()) else { return more };
        if target == 0 || rest[target] != b' ' {
            return other;
        }
        let behind = &rest[target + 1..];
        if !behind.iter().zip(VERSION).all(|(byte, wanted)| byte == wanted) {
            return other;
        }
        let fields = match behind.get(VERSION.len()..) {
            None | Some([] | [b'0'..=b'9'] | [b'0'..=b'9', b'\r']) => return more,
            Some([b'0'..=b'9', b'\r', b'\n', fields @ ..] | [b'0'..=b'9', b'\n', fields @ ..]) => fields,
            Some(_) => return other,
        };
        match (std::str::from_utf8(&stream[..method]), std::str::from_utf8(&rest[..target])) {
            (Ok(method), Ok(target)) => Prefix::Complete(Self { method, target, fields }),
            _ => other,
        }
    }

    /// Such as `GET`.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// What is asked for as it stands: a path, or a whole address to a proxy.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        self.target
    }

    /// Host and port that the target itself names (RFC 9112 sections 3.2.2 and 3.2.3): then `Host` does not count.
    #[must_use]
    pub fn authority(&self) -> Option<&'a str> {
        if self.method == "CONNECT" {
            return Some(self.target);
        }
        // A path, as most are, is no scheme.
        if self.target.starts_with('/') {
            return None;
        }
        let (scheme, rest) = self.target.split_once("://")?;
        let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let authority = rest.split(['/', '?', '#']).next()?;
        // Before an @ stands what a user is let in with.
        authority.rsplit('@').next().filter(|_| is_scheme && !scheme.is_empty())
    }

    /// The fields that are whole, each without its line's end; an empty one ends the head.
    pub fn fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Lines(self.fields)
    }
}

/// A request: a view of its request line and of its `Host` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    line: RequestLine<'a>,
    field: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Reads it off the front of a TCP stream, of which `stream` is what has come so far.
    ///
    /// Complete as soon as the line with `Host` is, or where the target itself names the host, or the head ends.
    ///
    /// ```
    /// use wharf::parse::http::Request;
    /// let stream = b"GET /index.html HTTP/1.1\r\nHost: wharf.test:8080\r\n";
    /// let request = Request::read(stream).complete().expect("the host is there");
    /// assert_eq!((request.method(), request.target()), ("GET", "/index.html"));
    /// assert_eq!(request.host(), Some("wharf.test"));
    /// ```
    #[must_use]
    pub fn read(stream: &'a [u8]) -> Prefix<Self, NotHttp> {
        let head = &stream[..stream.len().min(MAX_HEAD)];
        let more = || match head.len() {
            MAX_HEAD => Prefix::Other(NotHttp::TooLong),
            length => Prefix::NeedMore { length: length + 1 },
        };
        // An empty line before the request is to be passed over, RFC 9112 2.2.
        let start = head.strip_prefix(b"\r\n").unwrap_or(head);
        let line = match RequestLine::read(start) {
            Prefix::Complete(line) => line,
            Prefix::NeedMore { .. } => return more(),
            Prefix::Other(_) if start == b"\r" => return more(),
            Prefix::Other(why) => return Prefix::Other(why),
        };
        let mut request = Self { line, field: None };
        if line.authority().is_some() {
            return Prefix::Complete(request);
        }
        let mut lines = line.fields();
        loop {
            match lines.next() {
                None => return more(),
                Some([]) => return Prefix::Complete(request),
                Some(line) => {
                    if let Some(value) = host_field(line) {
                        request.field = printable(value);
                        return Prefix::Complete(request);
                    }
                }
            }
        }
    }

    /// Such as `GET`.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.line.method
    }

    /// What is asked for as it stands: a path, or a whole address to a proxy.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        self.line.target
    }

    /// Host and port as the client wrote them: those of the target where it has any (RFC 9112 3.2.2, 3.2.3), else
    /// `Host`.
    #[must_use]
    pub fn authority(&self) -> Option<&'a str> {
        self.line.authority().or(self.field).filter(|authority| !authority.is_empty())
    }

    /// The host without a port; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        let authority = self.authority()?;
        let host = match authority.strip_prefix('[') {
            Some(literal) => literal.split(']').next(),
            None => authority.split(':').next(),
        };
        host.map(|host| host.strip_suffix('.').unwrap_or(host)).filter(|host| !host.is_empty())
    }
}

/// The value of a line that is the `Host` field.
pub(crate) fn host_field(line: &[u8]) -> Option<&[u8]> {
    let (name, value) = line.split_at_checked(5)?;
    name.eq_ignore_ascii_case(b"host:").then(|| value.trim_ascii())
}

/// Text that a table can show.
fn printable(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Whole lines, each without its end; a lone LF ends one too (RFC 9112 2.2).
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(stream: &str) -> Option<&str> {
        Request::read(stream.as_bytes()).complete().expect("complete").host()
    }

    #[test]
    fn the_host_is_that_of_the_target_or_of_its_field() {
        for (stream, expected) in [
            ("GET / HTTP/1.1\r\nAccept: */*\r\nhOsT:\t a.test \r\nX", Some("a.test")),
            ("GET / HTTP/1.1\nHost: a.test:80\n", Some("a.test")),
            ("\r\nPOST /x?y HTTP/1.0\r\nHost: a.test.\r\n", Some("a.test")),
            ("GET http://user@b.test:8080/x HTTP/1.1\r\nHost: a.test\r\n", Some("b.test")),
            ("CONNECT b.test:443 HTTP/1.1\r\n", Some("b.test")),
            ("GET /?to=http://c.test/ HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n", Some("2001:db8::1")),
            ("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n", Some("a.test")),
            ("RPC_IN_DATA /rpc/rpcproxy.dll HTTP/1.1\r\nHost: a.test\r\n", Some("a.test")),
            ("GET / HTTP/1.0\r\nAccept: */*\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost:\r\n", None),
            ("GET / HTTP/1.1\r\nHost: a\x1bb\r\n", None),
        ] {
            assert_eq!(host(stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn every_cut_needs_more_until_the_host_is_whole() {
        let stream = b"\r\nGET /a HTTP/1.1\r\nAccept: text/html\r\nHost: a.test\r\n";
        for end in 0..stream.len() {
            let read = Request::read(&stream[..end]);
            assert_eq!(read, Prefix::NeedMore { length: end + 1 }, "cut at {end}");
        }
        assert_eq!(Request::read(stream).complete().and_then(|request| request.host()), Some("a.test"));
    }

    #[test]
    fn what_is_no_request_is_told_early() {
        for other in [
            &b"\x16\x03\x01"[..],
            b" GET",
            b"\r\n\r\n",
            b"GET\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"GET / HTTP/2.0\r\n",
            b"GET /\x07 HTTP/1.1\r\n",
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
            b"an_unending_word_without_any_space_in_it",
        ] {
            assert_eq!(Request::read(other), Prefix::Other(NotHttp::NotARequest), "{other:?}");
        }
        let endless = [b"GET / HTTP/1.1\r\n", &b"X: y\r\n".repeat(MAX_HEAD / 6)[..]].concat();
        assert_eq!(Request::read(&endless), Prefix::Other(NotHttp::TooLong));
    }

    #[test]
    fn what_is_no_request_is_told_at_its_first_wrong_byte() {
        for (bytes, end) in [
            ("get / HTTP/1.1\r\n", 1),
            ("GET  / HTTP/1.1\r\n", 5),
            ("GET /\r\n", 6),
            ("GET / HTTP/2.0\r\n", 12),
            ("GET / HTTP/1.x", 14),
            ("GET / HTTP/1.11\r\n", 15),
            ("EHLO mail.example\r\n", 18),
            ("AAAAAAAAAAAAAAAAAAAAA", 21),
            ("\r\nGET / HTTP/1.1\r\n", 1),
        ] {
            for cut in 1..end {
                assert!(
                    matches!(RequestLine::read(&bytes.as_bytes()[..cut]), Prefix::NeedMore { .. }),
                    "{bytes:?} {cut}"
                );
            }
            assert!(
                matches!(RequestLine::read(&bytes.as_bytes()[..end]), Prefix::Other(NotHttp::NotARequest)),
                "{bytes:?} {end}"
            );
        }
    }
}
