//! Version 1, section 2.1: a line of text.

use super::{Decoded, Error, Header, Transport, of_one_family};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

/// What every header begins with.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line there can be, its end included.
pub(super) const MAX_LENGTH: usize = 107;

/// Reads a line that begins with the signature.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, Error> {
    let head = &bytes[..bytes.len().min(MAX_LENGTH)];
    let Some(end) = head.windows(2).position(|two| two == b"\r\n") else {
        return match head.len() {
            MAX_LENGTH => Err(Error::LineTooLong),
            length => Ok(Decoded::Needs(length + 1)),
        };
    };
    let line = &head[SIGNATURE.len()..end];
    let header = match line.strip_prefix(b"UNKNOWN") {
        // What follows the word is to be ignored.
        Some(rest) if rest.first().is_none_or(|&byte| byte == b' ') => Header::Unknown,
        _ => addresses(line)?,
    };
    Ok(Decoded::Header(header, end + 2))
}

/// `TCP4` or `TCP6`, and four words, with one space between two of them.
fn addresses(line: &[u8]) -> Result<Header, Error> {
    let line = std::str::from_utf8(line).map_err(|_| Error::Expected("a line of ASCII"))?;
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let address: fn(&str) -> Option<IpAddr> = match word() {
        "TCP4" => |word| word.parse().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse().ok().map(IpAddr::V6),
        _ => return Err(Error::Expected("TCP4, TCP6 or UNKNOWN")),
    };
    let [source, destination] = [word(), word()].map(address);
    let [source_port, destination_port] = [word(), word()].map(port);
    let (Some(source), Some(destination)) = (source, destination) else {
        return Err(Error::Expected("two addresses of the family"));
    };
    let (Some(source_port), Some(destination_port)) = (source_port, destination_port) else {
        return Err(Error::Expected("two ports from 0 to 65535"));
    };
    if words.next().is_some() {
        return Err(Error::Expected("the end of the line behind the ports"));
    }
    Ok(Header::Proxied {
        transport: Transport::Tcp,
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

/// A decimal number without a sign or leading zeros.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    plain.then(|| word.parse().ok()).flatten()
}

/// Writes the line.
pub(super) fn encode(header: &Header, out: &mut impl Write) -> io::Result<()> {
    let Header::Proxied { transport: Transport::Tcp, source, destination } = *header else {
        return out.write_all(b"PROXY UNKNOWN\r\n");
    };
    let (source, destination) = of_one_family(source, destination);
    let family = if source.is_ipv4() { 4 } else { 6 };
    let (from, to) = (source.ip(), destination.ip());
    write!(out, "PROXY TCP{family} {from} {to} {} {}\r\n", source.port(), destination.port())
}
