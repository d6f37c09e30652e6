//! The name a connection's first bytes tell: TLS, QUIC, HTTP/1.

use super::generations::Generations;
use super::in_order::InOrder;
use super::notes::Second;
use super::streams::{Held, Streams};
use crate::flow::{FlowKey, FlowNames};
use crate::parse::Prefix;
use crate::parse::http::Request;
use crate::parse::quic::{self, HelloCollector};
use crate::parse::tls::ClientHello;
use std::net::IpAddr;

/// Most bytes of an opening that are kept.
const MAX_OPENING: usize = 1 << 14;
/// Most bytes that are read of one in all its looks: a head that comes byte by byte is read again with each, up to some 1.4 KB.
const MAX_READ: usize = 1 << 20;

/// Openings that are not whole yet, of many flows: so many at most, of so many bytes in all. The older ones are given up
/// for younger ones.
#[derive(Debug)]
pub(super) struct Openings {
    tcp: Streams<(FlowKey, bool), Opening>,
    /// Connections of which nothing but the SYN has come, with the number of their first byte.
    begun: Generations<(FlowKey, bool), (u32, Second)>,
    quic: Streams<FlowKey, Option<Box<HelloCollector>>>,
}

/// One direction of a connection, from its first bytes on.
#[derive(Debug)]
struct Opening {
    order: InOrder,
    bytes: Vec<u8>,
    /// When it began, while its first byte is missing: then for a short time only anything else is kept.
    begun: Option<Second>,
    /// Not worth another look before there are so many.
    need: usize,
    /// Bytes that looks have read.
    read: usize,
}

impl Held for Opening {
    fn held(&self) -> usize {
        self.order.held() + self.bytes.len()
    }
}

/// `None` of a flow whose opening is known or will not be: further packets are not looked at.
impl Held for Option<Box<HelloCollector>> {
    fn held(&self) -> usize {
        self.as_ref().map_or(0, |collector| size_of::<HelloCollector>() + collector.held())
    }
}

impl Openings {
    pub(super) fn new(flows: usize, bytes: usize) -> Self {
        let begun = Generations::new(flows);
        Self { tcp: Streams::new(flows, bytes), begun, quic: Streams::new(flows, bytes) }
    }

    pub(super) fn given_up(&self) -> u64 {
        self.tcp.given_up() + self.quic.given_up()
    }

    /// A connection begins, whose client's first byte has this number.
    pub(super) fn begin(&mut self, key: (FlowKey, bool), first: u32, second: Second) {
        drop(self.begun.insert(key, (first, second)));
    }

    /// Takes a segment with data, with its number and when it came. What begins like an opening is one: so a connection need not
    /// have been seen from its handshake on. If it was, what comes before the beginning waits for that.
    pub(super) fn segment(
        &mut self,
        key: (FlowKey, bool),
        (sequence, second): (u32, Second),
        data: &[u8],
    ) -> Option<FlowNames> {
        if let Some((first, begun)) = self.begun.get(&key).copied() {
            let ahead = sequence.wrapping_sub(first) as usize;
            let early = (1..=MAX_OPENING).contains(&ahead) && second.is_soon_after(begun);
            if early || ahead == 0 {
                self.begun.remove(&key);
            }
            if early {
                let order = InOrder::from(first);
                self.tcp
                    .insert(key, Opening { order, bytes: Vec::new(), begun: Some(begun), need: 1, read: 0 });
            }
        }
        let result = match self.tcp.update(&key, |opening| opening.push(sequence, second, data)) {
            Some(result) => result,
            None => match read(data) {
                Prefix::Complete(names) => return names,
                Prefix::Other(()) => return None,
                Prefix::NeedMore { length } => {
                    let order = InOrder::from(sequence.wrapping_add(data.len() as u32));
                    let (bytes, read) = (data.to_vec(), data.len());
                    self.tcp.insert(key, Opening { order, bytes, begun: None, need: length, read });
                    return None;
                }
            },
        };
        match result {
            Prefix::NeedMore { .. } => None,
            done => {
                self.tcp.remove(&key);
                done.complete().flatten()
            }
        }
    }

    /// What is not whole of a connection will not be: its ports are another's now.
    pub(super) fn forget(&mut self, key: &FlowKey) {
        for reversed in [false, true] {
            self.tcp.remove(&(*key, reversed));
            self.begun.remove(&(*key, reversed));
        }
    }

    /// A direction of a connection is not whole yet, or has only just begun. So much later what comes ahead of the beginning is
    /// nothing to it.
    pub(super) fn waits(&self, key: &FlowKey, reversed: bool, second: Second) -> bool {
        let key = (*key, reversed);
        match self.tcp.get(&key) {
            Some(opening) => opening.begun.is_none_or(|begun| second.is_soon_after(begun)),
            None => self.begun.get(&key).is_some_and(|(_, begun)| second.is_soon_after(*begun)),
        }
    }

    /// Takes a UDP payload.
    pub(super) fn datagram(&mut self, key: FlowKey, data: &[u8]) -> Option<FlowNames> {
        if let Some(result) = self.quic.update(&key, |collector| push_datagram(collector, data)) {
            return result;
        }
        // Most datagrams are none: nothing is kept of them.
        quic::initials(data).next()?;
        let mut collector = Some(Box::default());
        let names = push_datagram(&mut collector, data);
        self.quic.insert(key, collector);
        names
    }
}

impl Opening {
    fn push(&mut self, sequence: u32, second: Second, data: &[u8]) -> Prefix<Option<FlowNames>, ()> {
        let Self { order, bytes, begun, need, read: looks } = self;
        if begun.is_some_and(|begun| !second.is_soon_after(begun)) && !order.is_next(sequence) {
            return Prefix::NeedMore { length: *need };
        }
        let pushed = order.push(sequence, data, |slice| bytes.extend_from_slice(slice));
        *begun = begun.filter(|_| bytes.is_empty());
        if pushed.is_err() || bytes.len() > MAX_OPENING || *looks > MAX_READ {
            return Prefix::Other(());
        }
        if bytes.len() < *need {
            return Prefix::NeedMore { length: *need };
        }
        *looks += bytes.len();
        let read = read(bytes);
        if let Prefix::NeedMore { length } = read {
            *need = length;
        }
        read
    }
}

fn push_datagram(collector: &mut Option<Box<HelloCollector>>, data: &[u8]) -> Option<FlowNames> {
    let result = match collector.as_mut()?.push(data) {
        Ok(None) => return None,
        Ok(Some(hello)) => of_hello(&hello, "quic"),
        Err(_) => None,
    };
    *collector = None;
    result
}

/// Whether what has come of an opening may not be all that is to be known of it.
pub(super) fn is_incomplete(bytes: &[u8]) -> bool {
    // The end of a head: of a request, which all others begin with a letter.
    if bytes.ends_with(b"\r\n\r\n") && bytes.first().is_some_and(u8::is_ascii_alphabetic) {
        return false;
    }
    match ClientHello::read(bytes) {
        Prefix::Complete(_) => false,
        Prefix::NeedMore { .. } => true,
        // A word's beginning is given up, as `read` does.
        Prefix::Other(_) => bytes.contains(&b' ') && matches!(Request::read(bytes), Prefix::NeedMore { .. }),
    }
}

/// The names in an opening, if it has any.
fn read(bytes: &[u8]) -> Prefix<Option<FlowNames>, ()> {
    match ClientHello::read(bytes) {
        Prefix::Complete(hello) => return Prefix::Complete(of_hello(&hello, "tls")),
        Prefix::NeedMore { length } if length <= MAX_OPENING => return Prefix::NeedMore { length },
        Prefix::NeedMore { .. } => return Prefix::Other(()),
        Prefix::Other(_) => {}
    }
    match Request::read(bytes) {
        Prefix::Complete(request) => Prefix::Complete(of_request(&request)),
        // A word's beginning is too little to keep every flow for.
        Prefix::NeedMore { .. } if !bytes.contains(&b' ') => Prefix::Other(()),
        Prefix::NeedMore { length } => Prefix::NeedMore { length },
        Prefix::Other(_) => Prefix::Other(()),
    }
}

fn of_hello(hello: &ClientHello<'_>, from: &'static str) -> Option<FlowNames> {
    let mut offered = hello.alpn();
    // Of several the server's choice would have to be known; it is encrypted.
    let only = offered.next().filter(|_| offered.next().is_none());
    let application = only
        .and_then(|name| std::str::from_utf8(name).ok())
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
    names(hello.server_name(), from, application)
}

fn of_request(request: &Request<'_>) -> Option<FlowNames> {
    names(request.host(), "http", Some("http/1.1"))
}

fn names(host: Option<&str>, from: &'static str, application: Option<&str>) -> Option<FlowNames> {
    // An address is no name.
    let host = host.filter(|host| host.parse::<IpAddr>().is_err());
    if host.is_none() && application.is_none() {
        return None;
    }
    Some(FlowNames {
        server: host.map(|host| host.to_ascii_lowercase().into()),
        server_from: host.map(|_| from),
        of_source: false,
        application: application.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads that never end, byte by byte: what is read of each has a bound, and none is kept beyond it.
    #[test]
    fn a_head_that_comes_byte_by_byte_is_given_up_before_it_costs_much() {
        let (key, _) = FlowKey::new(([10, 0, 0, 1].into(), 40_000), ([10, 0, 0, 2].into(), 80), 6);
        let (mut openings, now) = (Openings::new(8, 1 << 20), Second::of(None));
        let (mut sequence, mut heads, mut most) = (0_u32, 0, 0);
        while sequence < 1 << 16 {
            heads += 1;
            let line = b"GET / HTTP/1.1\r\n";
            assert_eq!(openings.segment((key, false), (sequence, now), line), None);
            sequence += line.len() as u32;
            let begun = sequence;
            while openings.waits(&key, false, now) {
                let byte: &[u8] = if (sequence - begun).is_multiple_of(2) { b"a" } else { b"\n" };
                assert_eq!(openings.segment((key, false), (sequence, now), byte), None);
                most = openings.tcp.update(&(key, false), |opening| opening.read).unwrap_or(most);
                sequence += 1;
            }
        }
        assert!(heads > 40 && most <= MAX_READ + MAX_OPENING, "{heads} heads, {most} bytes read of one");
        // A head of the usual size may come so.
        let head = format!("GET / HTTP/1.1\r\nCookie: {}\r\nHost: here.test\r\n", "x".repeat(1_000));
        let named = head.bytes().enumerate().find_map(|(at, byte)| {
            openings.segment((key, false), (sequence.wrapping_add(at as u32), now), &[byte])
        });
        // One byte is no beginning that is worth keeping: it is the second look that counts.
        assert!(named.is_none());
        let (first, rest) = head.as_bytes().split_at(5);
        assert_eq!(openings.segment((key, false), (sequence, now), first), None);
        let named = rest.iter().enumerate().find_map(|(at, byte)| {
            openings.segment((key, false), (sequence.wrapping_add(5 + at as u32), now), &[*byte])
        });
        assert_eq!(named.and_then(|names| names.server).as_deref(), Some("here.test"));
    }
}
