//! What a client speaks, by its first bytes, and so which route it takes.
//!
//! A [`Condition`] says what a route is for: protocols, names, networks. [`choose`] holds the routes' conditions, in order, against
//! what a connection has said so far. It keeps nothing between calls, so that a client that is silent costs nothing: the
//! data path peeks, asks, and asks again when there is more. A condition is a plain yes or no as soon as no byte to come
//! can change it: with `ssh` and `anything else` as routes, a `G` is enough.
//!
//! Protocols whose server speaks first (SMTP, FTP, MySQL) say nothing; when the wait for them is over, what could not be
//! told is held for a no.
//!
//! | file | what |
//! | --- | --- |
//! | `name` | patterns of names and of protocols |
//! | `http` | request lines, `Host`, HTTP/2's preface |
//!
//! TLS and HTTP/1 are read by [`parse::tls`](crate::parse::tls) and [`parse::http`](crate::parse::http).

mod http;
mod name;

pub use name::{NamePattern, PatternError, ProtocolPattern};

use super::network::Network;
use super::proxy_protocol;
use crate::ValueError;
use crate::parse::Prefix;
use crate::parse::http::{NotHttp, RequestLine};
use crate::parse::tls::{ClientHello, NotTls};
use std::cell::OnceCell;
use std::net::IpAddr;
use std::str::FromStr;

/// The most bytes of a connection that are looked at. A longer beginning is none that we know.
pub const MOST: usize = 16 << 10;

/// A protocol that is known by how its clients begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// TLS: a record that begins a `ClientHello`.
    Tls,
    /// SSH: `SSH-` (RFC 4253 section 4.2).
    Ssh,
    /// HTTP/1.0 and 1.1: a request line.
    Http1,
    /// HTTP/2 without TLS: its preface.
    Http2,
    /// A PROXY header of either version that is to be passed on as it is.
    ProxyHeader,
    /// QUIC, over datagrams: an Initial packet that begins a `ClientHello`.
    Quic,
}

impl Spoken {
    /// By the names that the configuration has for them.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("tls", Self::Tls),
        ("ssh", Self::Ssh),
        ("http", Self::Http1),
        ("http2", Self::Http2),
        ("proxy", Self::ProxyHeader),
        ("quic", Self::Quic),
    ];
}

impl FromStr for Spoken {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, spoken)| spoken).ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
            ValueError(format!("`{text}` is no protocol that is known: one of {}", names.join(", ")))
        })
    }
}

/// What a route is for. Each list that is not empty must have something that fits; without any, everything fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Who connects. A Unix socket's clients are in no network.
    pub networks: Vec<Network>,
    /// What is spoken.
    pub spoken: Vec<Spoken>,
    /// The host asked for: TLS's server name, HTTP/1's host.
    pub names: Vec<NamePattern>,
    /// What is to be spoken within TLS: one of those that the client offers.
    pub alpn: Vec<ProtocolPattern>,
}

impl Condition {
    /// Whether it asks for more than who connects: then the client's first bytes are needed.
    #[must_use]
    pub fn needs_bytes(&self) -> bool {
        !(self.spoken.is_empty() && self.names.is_empty() && self.alpn.is_empty())
    }

    fn has(&self, source: Option<IpAddr>) -> bool {
        self.networks.is_empty()
            || source.is_some_and(|source| self.networks.iter().any(|network| network.contains(source)))
    }
}

/// Whether more of a connection's beginning may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It may.
    Left,
    /// The wait is over, the client has closed its side, or there are [`MOST`] bytes.
    Over,
}

/// Which route it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By its place among the conditions.
    Route(usize),
    /// Not to be told before there are so many bytes, counted from the connection's first one: more than there are.
    Needs(usize),
    /// No route is for it, whatever comes.
    None,
}

/// The first of `conditions` that fits a connection from `source`, of which `bytes` is what has come so far from the
/// first byte on.
///
/// ```
/// use wharf::proxy::detect::{Choice, Condition, Patience, Spoken, choose};
///
/// let ssh = Condition { spoken: vec![Spoken::Ssh], ..Condition::default() };
/// let conditions = [ssh, Condition::default()];
/// let chosen = |bytes: &[u8], patience| choose(&conditions, None, bytes, patience);
/// assert_eq!(chosen(b"SSH-2.0-x\r\n", Patience::Left), Choice::Route(0));
/// assert_eq!(chosen(b"S", Patience::Left), Choice::Needs(4));
/// assert_eq!(chosen(b"G", Patience::Left), Choice::Route(1));
/// assert_eq!(chosen(b"", Patience::Over), Choice::Route(1));
/// ```
#[must_use]
pub fn choose<'a>(
    conditions: impl IntoIterator<Item = &'a Condition>,
    source: Option<IpAddr>,
    bytes: &[u8],
    patience: Patience,
) -> Choice {
    let patience = if bytes.len() < MOST { patience } else { Patience::Over };
    let beginning = Beginning::of(&bytes[..bytes.len().min(MOST)], patience);
    let in_order = conditions.into_iter().enumerate().filter(|(_, condition)| condition.has(source));
    first(in_order, |condition| beginning.fits(condition), patience)
}

/// What a client of datagrams has said so far.
#[derive(Clone, Debug)]
pub enum Heard<'a> {
    /// QUIC's hello, whole.
    Hello(ClientHello<'a>),
    /// A part of it.
    Some,
    /// What is no QUIC of a version that is known.
    Other,
}

/// The same for a client of datagrams: the host asked for and the protocols offered are those of QUIC's hello. How many bytes are
/// needed is not known, just that more are.
///
/// ```
/// use wharf::proxy::detect::{Choice, Condition, Heard, Patience, Spoken, choose_for_datagrams};
///
/// let quic = Condition { spoken: vec![Spoken::Quic], ..Condition::default() };
/// let conditions = [quic, Condition::default()];
/// let chosen = |heard| choose_for_datagrams(&conditions, None, &heard, Patience::Left);
/// assert_eq!(chosen(Heard::Other), Choice::Route(1));
/// assert!(matches!(chosen(Heard::Some), Choice::Needs(_)));
/// ```
#[must_use]
pub fn choose_for_datagrams<'a>(
    conditions: impl IntoIterator<Item = &'a Condition>,
    source: Option<IpAddr>,
    heard: &Heard<'_>,
    patience: Patience,
) -> Choice {
    let fits = |condition: &Condition| {
        if !condition.needs_bytes() {
            return Fit::Complete(());
        }
        let hello = match heard {
            Heard::Hello(hello) => hello,
            Heard::Other => return Fit::Other(()),
            // What cannot be QUIC's needs no more to be told.
            Heard::Some if !condition.spoken.is_empty() && !condition.spoken.contains(&Spoken::Quic) => {
                return Fit::Other(());
            }
            Heard::Some => return Fit::NeedMore { length: 1 },
        };
        let named = |name: &str| condition.names.iter().any(|pattern| pattern.matches(name));
        let offers = |protocol: &[u8]| condition.alpn.iter().any(|pattern| pattern.matches(protocol));
        match (condition.spoken.is_empty() || condition.spoken.contains(&Spoken::Quic))
            && (condition.names.is_empty() || hello.server_name().is_some_and(named))
            && (condition.alpn.is_empty() || hello.alpn().any(offers))
        {
            true => Fit::Complete(()),
            false => Fit::Other(()),
        }
    };
    first(conditions.into_iter().enumerate().filter(|(_, condition)| condition.has(source)), fits, patience)
}

/// The first that fits, as far as that is known.
fn first<'a>(
    mut conditions: impl Iterator<Item = (usize, &'a Condition)>,
    fits: impl Fn(&Condition) -> Fit,
    patience: Patience,
) -> Choice {
    conditions
        .find_map(|(index, condition)| match fits(condition) {
            Prefix::Complete(()) => Some(Choice::Route(index)),
            // One in front of others decides before them.
            Prefix::NeedMore { length } if patience == Patience::Left => {
                Some(Choice::Needs(length.min(MOST)))
            }
            Prefix::NeedMore { .. } | Prefix::Other(()) => None,
        })
        .unwrap_or(Choice::None)
}

/// What a connection began with, each reading of it made once.
struct Beginning<'a> {
    bytes: &'a [u8],
    patience: Patience,
    hello: OnceCell<Prefix<ClientHello<'a>, NotTls>>,
    line: OnceCell<Prefix<RequestLine<'a>, NotHttp>>,
}

/// A yes, a not yet, a no.
type Fit = Prefix<(), ()>;

impl<'a> Beginning<'a> {
    fn of(bytes: &'a [u8], patience: Patience) -> Self {
        Self { bytes, patience, hello: OnceCell::new(), line: OnceCell::new() }
    }

    fn hello(&self) -> &Prefix<ClientHello<'a>, NotTls> {
        self.hello.get_or_init(|| ClientHello::read(self.bytes))
    }

    fn line(&self) -> &Prefix<RequestLine<'a>, NotHttp> {
        self.line.get_or_init(|| RequestLine::read(self.bytes))
    }

    fn fits(&self, condition: &Condition) -> Fit {
        let spoken = match condition.spoken.as_slice() {
            [] => Fit::Complete(()),
            list => any_of(list.iter().map(|&spoken| self.is(spoken))),
        };
        // Names and protocols are those of one or the other: what is TLS has no request line.
        let named = match condition.names.as_slice() {
            [] => Fit::Complete(()),
            names => any_of([
                self.in_hello(|hello| {
                    hello.server_name().is_some_and(|name| names.iter().any(|pattern| pattern.matches(name)))
                }),
                self.in_request(names),
            ]),
        };
        let alpn = match condition.alpn.as_slice() {
            [] => Fit::Complete(()),
            patterns => self.in_hello(|hello| {
                hello.alpn().any(|protocol| patterns.iter().any(|pattern| pattern.matches(protocol)))
            }),
        };
        all_of([spoken, named, alpn])
    }

    fn is(&self, spoken: Spoken) -> Fit {
        match spoken {
            Spoken::Tls => hello_begins(self.bytes),
            Spoken::Ssh => begins(self.bytes, b"SSH-"),
            Spoken::Http1 => without(self.line()),
            Spoken::Http2 => http::preface(self.bytes),
            Spoken::ProxyHeader => proxy_protocol::begins(self.bytes),
            Spoken::Quic => Fit::Other(()),
        }
    }

    fn in_hello(&self, fits: impl FnOnce(&ClientHello<'a>) -> bool) -> Fit {
        match self.hello() {
            Prefix::Complete(hello) if fits(hello) => Fit::Complete(()),
            Prefix::Complete(_) => Fit::Other(()),
            other => without(other),
        }
    }

    fn in_request(&self, names: &[NamePattern]) -> Fit {
        let line = match self.line() {
            Prefix::Complete(line) => line,
            other => return without(other),
        };
        match http::host(line, self.patience) {
            None => Fit::NeedMore { length: self.bytes.len() + 1 },
            Some(Some(host)) if names.iter().any(|pattern| pattern.matches(host)) => Fit::Complete(()),
            Some(_) => Fit::Other(()),
        }
    }
}

/// A record's header and the type of the message in it say TLS, with more to come or not.
fn hello_begins(bytes: &[u8]) -> Fit {
    /// Record header (RFC 8446 section 5.1), type of the message (section 4).
    const ENOUGH: usize = 6;
    match ClientHello::read(&bytes[..bytes.len().min(ENOUGH)]) {
        Prefix::Other(_) => Fit::Other(()),
        _ if bytes.len() < ENOUGH => Fit::NeedMore { length: ENOUGH },
        _ => Fit::Complete(()),
    }
}

fn begins(bytes: &[u8], wanted: &[u8]) -> Fit {
    let common = bytes.iter().zip(wanted).take_while(|(byte, wanted)| byte == wanted).count();
    match () {
        () if common == wanted.len() => Fit::Complete(()),
        () if common == bytes.len() => Fit::NeedMore { length: wanted.len() },
        () => Fit::Other(()),
    }
}

fn without<T, E>(prefix: &Prefix<T, E>) -> Fit {
    match prefix {
        Prefix::Complete(_) => Fit::Complete(()),
        Prefix::NeedMore { length } => Fit::NeedMore { length: *length },
        Prefix::Other(_) => Fit::Other(()),
    }
}

/// One yes is a yes; to be asked again when the first may change.
fn any_of(fits: impl IntoIterator<Item = Fit>) -> Fit {
    fits.into_iter().fold(Fit::Other(()), |sum, fit| match (sum, fit) {
        (Fit::Complete(()), _) | (_, Fit::Complete(())) => Fit::Complete(()),
        (Fit::NeedMore { length: one }, Fit::NeedMore { length: other }) => {
            Fit::NeedMore { length: one.min(other) }
        }
        (more @ Fit::NeedMore { .. }, _) | (_, more @ Fit::NeedMore { .. }) => more,
        (Fit::Other(()), Fit::Other(())) => Fit::Other(()),
    })
}

/// One no is a no; to be asked again when the first may change.
fn all_of(fits: impl IntoIterator<Item = Fit>) -> Fit {
    fits.into_iter().fold(Fit::Complete(()), |sum, fit| match (sum, fit) {
        (Fit::Other(()), _) | (_, Fit::Other(())) => Fit::Other(()),
        (Fit::NeedMore { length: one }, Fit::NeedMore { length: other }) => {
            Fit::NeedMore { length: one.min(other) }
        }
        (more @ Fit::NeedMore { .. }, _) | (_, more @ Fit::NeedMore { .. }) => more,
        (Fit::Complete(()), Fit::Complete(())) => Fit::Complete(()),
    })
}

#[cfg(test)]
mod tests;
