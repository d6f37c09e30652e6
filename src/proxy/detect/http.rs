//! HTTP as a connection begins with it: the host asked for, or HTTP/2's preface.

use super::Patience;
use crate::parse::Prefix;
use crate::parse::http::{RequestLine, host_field};

/// What a client of HTTP/2 says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the bytes are HTTP/2's preface.
pub(super) fn preface(bytes: &[u8]) -> Prefix<(), ()> {
    let common = bytes.iter().zip(PREFACE).take_while(|(byte, wanted)| byte == wanted).count();
    match () {
        () if common == PREFACE.len() => Prefix::Complete(()),
        () if common == bytes.len() => Prefix::NeedMore { length: PREFACE.len() },
        () => Prefix::Other(()),
    }
}

/// The host asked for, without its port: by the target where that names one, else by the field. `None`: more is needed.
/// `Some(None)`: there is none to go by: no field, an unprintable one, or two that differ, of which a server might take the
/// other one. Where no more is waited for, what was seen so far counts: a head may be longer than anybody looks.
pub(super) fn host<'a>(line: &RequestLine<'a>, patience: Patience) -> Option<Option<&'a str>> {
    if let Some(authority) = line.authority() {
        return Some(text(without_port(authority.as_bytes())));
    }
    let mut found = None;
    for field in line.fields() {
        if field.is_empty() {
            return Some(found.and_then(text));
        }
        let Some(value) = host_field(field) else { continue };
        let host = without_port(value);
        if found.is_some_and(|found: &[u8]| !found.eq_ignore_ascii_case(host)) {
            return Some(None);
        }
        found = found.or(Some(host));
    }
    match patience {
        Patience::Left => None,
        Patience::Over => Some(found.and_then(text)),
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
        let line = RequestLine::read(request.as_bytes()).complete().expect(request);
        super::host(&line, Patience::Left).expect(request).map(str::to_owned)
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
    fn of_a_head_without_an_end_the_host_seen_counts_when_the_wait_is_over() {
        for (request, name) in [
            ("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: a=b", Some("a.example")),
            ("GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n", None),
            ("GET / HTTP/1.1\r\nCookie: a=b\r\nHost: a.exam", None),
        ] {
            let line = RequestLine::read(request.as_bytes()).complete().expect(request);
            let later = super::host(&line, Patience::Left);
            assert_eq!(later.is_some(), request.matches("Host").count() > 1, "{request:?}");
            assert_eq!(super::host(&line, Patience::Over), Some(name), "{request:?}");
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
