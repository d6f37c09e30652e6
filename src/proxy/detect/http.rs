//! HTTP as a connection begins with it: a request line and the host asked for, or HTTP/2's preface.

use crate::parse::Prefix;

/// What a client of HTTP/2 says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest method that is taken for one; IANA's longest has 17 letters.
const MAX_METHOD: usize = 20;

/// Whether the bytes are HTTP/2's preface.
pub(super) fn preface(bytes: &[u8]) -> Prefix<(), ()> {
    let common = bytes.iter().zip(PREFACE).take_while(|(byte, wanted)| byte == wanted).count();
    match () {
        () if common == PREFACE.len() => Prefix::Complete(()),
        () if common == bytes.len() => Prefix::NeedMore { length: PREFACE.len() },
        () => Prefix::Other(()),
    }
}

/// Whether the bytes are a request of HTTP/1 (RFC 9112 section 3), told as soon as its line is whole.
pub(super) fn request_line(bytes: &[u8]) -> Prefix<Line<'_>, ()> {
    let more = Prefix::NeedMore { length: bytes.len() + 1 };
    let Some(method) = bytes.iter().position(|byte| !byte.is_ascii_uppercase() && *byte != b'-') else {
        return if bytes.len() <= MAX_METHOD { more } else { Prefix::Other(()) };
    };
    if method == 0 || method > MAX_METHOD || bytes[method] != b' ' {
        return Prefix::Other(());
    }
    let rest = &bytes[method + 1..];
    // The target has no byte that is not printed: what is, ends it.
    let Some(target) = rest.iter().position(|byte| !byte.is_ascii_graphic()) else { return more };
    if target == 0 || rest[target] != b' ' {
        return Prefix::Other(());
    }
    const VERSION: &[u8] = b"HTTP/1.";
    let behind = &rest[target + 1..];
    if !behind.iter().zip(VERSION).all(|(byte, wanted)| byte == wanted) {
        return Prefix::Other(());
    }
    match behind.get(VERSION.len()..) {
        None | Some([] | [b'0'..=b'9'] | [b'0'..=b'9', b'\r']) => more,
        Some([b'0'..=b'9', b'\r', b'\n', ..] | [b'0'..=b'9', b'\n', ..]) => {
            let end = behind.iter().position(|&byte| byte == b'\n').unwrap_or(behind.len() - 1);
            Prefix::Complete(Line {
                method: &bytes[..method],
                target: &rest[..target],
                fields: &behind[end + 1..],
            })
        }
        _ => Prefix::Other(()),
    }
}

/// A request line, and what has come behind it.
pub(super) struct Line<'a> {
    method: &'a [u8],
    target: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Line<'a> {
    /// The host asked for, without its port: by the target where that names one (RFC 9112 section 3.2), else by the
    /// field. `None`: more is needed. `Some(None)`: there is none to go by: no field, an unprintable one, or two that
    /// differ, of which a server might take the other one.
    pub(super) fn host(&self) -> Option<Option<&'a str>> {
        if self.method == b"CONNECT" {
            return Some(text(without_port(self.target)));
        }
        if let Some(scheme) = self.target.windows(3).position(|three| three == b"://")
            && self.target[..scheme].iter().all(u8::is_ascii_alphabetic)
        {
            let rest = &self.target[scheme + 3..];
            let authority = &rest[..rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len())];
            let host = authority.rsplit(|&byte| byte == b'@').next().unwrap_or_default();
            return Some(text(without_port(host)));
        }
        let (mut rest, mut found) = (self.fields, None);
        loop {
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            rest = &rest[end + 1..];
            if line.is_empty() {
                return Some(found.and_then(text));
            }
            let Some((name, value)) = line.split_at_checked(5) else { continue };
            if !name.eq_ignore_ascii_case(b"host:") {
                continue;
            }
            let host = without_port(value.trim_ascii());
            if found.is_some_and(|found: &[u8]| !found.eq_ignore_ascii_case(host)) {
                return Some(None);
            }
            found = found.or(Some(host));
        }
    }
}

/// `host [":" port]` (RFC 3986 section 3.2): an IPv6 address stands in brackets, and keeps them.
fn without_port(authority: &[u8]) -> &[u8] {
    let end = match authority.iter().rposition(|&byte| byte == b':') {
        Some(colon) if authority[colon..].contains(&b']') => authority.len(),
        Some(colon) => colon,
        None => authority.len(),
    };
    &authority[..end]
}

fn text(host: &[u8]) -> Option<&str> {
    let printable = !host.is_empty() && host.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(host).ok().filter(|_| printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(request: &str) -> Option<String> {
        let Prefix::Complete(line) = request_line(request.as_bytes()) else { panic!("{request:?}") };
        line.host().expect(request).map(str::to_owned)
    }

    #[test]
    fn the_host_is_where_the_specification_has_it() {
        for (request, name) in [
            ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", Some("a.example")),
            ("GET / HTTP/1.1\r\nAccept: x\r\nhOST:a.example:8080  \r\n\r\n", Some("a.example")),
            ("GET / HTTP/1.1\nHost: a.example\n\n", Some("a.example")),
            ("GET http://b.example:80/x HTTP/1.1\r\nHost: a.example\r\n\r\n", Some("b.example")),
            ("GET http://me@b.example?x HTTP/1.1\r\n", Some("b.example")),
            ("CONNECT c.example:443 HTTP/1.1\r\n", Some("c.example")),
            ("GET /?u=http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", Some("a.example")),
            ("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", Some("[2001:db8::1]")),
            ("GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", Some("[2001:db8::1]")),
            ("VERSION-CONTROL / HTTP/1.1\r\nHost: a\r\nHost: A\r\n\r\n", Some("a")),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", None),
            ("GET / HTTP/1.0\r\nX-Host: a\r\n\r\n", None),
            ("GET / HTTP/1.0\r\n\r\nHost: a\r\n\r\n", None),
        ] {
            assert_eq!(host(request).as_deref(), name, "{request:?}");
        }
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
                    matches!(request_line(&bytes.as_bytes()[..cut]), Prefix::NeedMore { .. }),
                    "{bytes:?} {cut}"
                );
            }
            assert!(matches!(request_line(&bytes.as_bytes()[..end]), Prefix::Other(())), "{bytes:?} {end}");
        }
    }

    #[test]
    fn the_preface_is_whole_or_nothing() {
        for cut in 0..PREFACE.len() {
            assert_eq!(preface(&PREFACE[..cut]), Prefix::NeedMore { length: PREFACE.len() });
        }
        assert_eq!(preface(PREFACE), Prefix::Complete(()));
        assert_eq!(preface(b"PRI * HTTP/1.1"), Prefix::Other(()));
    }
}
