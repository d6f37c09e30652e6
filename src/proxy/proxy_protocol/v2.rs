//! Version 2, section 2.2: binary.

use super::{Decoded, Error, Header, MAX_LENGTH, Transport, of_one_family};
use crate::checksum;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

/// What every header begins with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Up to the addresses: the signature, version and command, family and transport, length of what follows.
const FIXED: usize = 16;

/// `PP2_TYPE_CRC32C`: the CRC32c of the header with these four bytes 0.
const CRC32C: u8 = 0x03;

/// Reads a header that begins with the signature.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, Error> {
    let Some(&[version_command, family_transport, high, low]) =
        bytes.get(SIGNATURE.len()..FIXED).and_then(|rest| rest.first_chunk())
    else {
        return Ok(Decoded::Needs(FIXED));
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_LENGTH {
        return Err(Error::TooLong(length));
    }
    if version_command >> 4 != 2 {
        return Err(Error::Undefined { what: "version", value: version_command >> 4 });
    }
    let Some(header) = bytes.get(..length) else { return Ok(Decoded::Needs(length)) };
    let local = match version_command & 15 {
        0 => true,
        1 => false,
        value => return Err(Error::Undefined { what: "command", value }),
    };
    let transport = match family_transport & 15 {
        0 => None,
        1 => Some(Transport::Tcp),
        2 => Some(Transport::Udp),
        value => return Err(Error::Undefined { what: "transport", value }),
    };
    let (block, rest) = match family_transport >> 4 {
        0 => (&[][..], &[][..]),
        1 => block(header, 12)?,
        2 => block(header, 36)?,
        3 => block(header, 216)?,
        value => return Err(Error::Undefined { what: "address family", value }),
    };
    check_fields(header, rest)?;
    let decoded = match (local, transport, addresses(block)) {
        // Whatever it has for addresses is to be ignored.
        (true, ..) => Header::Local,
        (false, Some(transport), Some((source, destination))) => {
            Header::Proxied { transport, source, destination }
        }
        _ => Header::Unknown,
    };
    Ok(Decoded::Header(decoded, length))
}

/// The block of addresses, and the fields behind it.
fn block(header: &[u8], need: usize) -> Result<(&[u8], &[u8]), Error> {
    let body = &header[FIXED..];
    body.split_at_checked(need).ok_or(Error::TooShort { need, have: body.len() })
}

/// Source and destination out of a block of IPv4's or IPv6's length.
fn addresses(block: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (addresses, ports) = block.split_last_chunk::<4>()?;
    let (source, destination): (IpAddr, IpAddr) = match addresses.len() {
        8 => (
            <[u8; 4]>::try_from(&addresses[..4]).ok()?.into(),
            <[u8; 4]>::try_from(&addresses[4..]).ok()?.into(),
        ),
        32 => (
            <[u8; 16]>::try_from(&addresses[..16]).ok()?.into(),
            <[u8; 16]>::try_from(&addresses[16..]).ok()?.into(),
        ),
        _ => return None,
    };
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some((SocketAddr::new(source, port(0)), SocketAddr::new(destination, port(2))))
}

/// The fields end where the header does; one with a CRC32c has the right one (section 2.2.3).
fn check_fields(header: &[u8], mut fields: &[u8]) -> Result<(), Error> {
    while let [kind, behind @ ..] = fields {
        let Some(([high, low], behind)) = behind.split_first_chunk() else {
            return Err(Error::Field { kind: *kind });
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = behind.split_at_checked(length).ok_or(Error::Field { kind: *kind })?;
        if *kind == CRC32C {
            let found = value.try_into().map(u32::from_be_bytes).map_err(|_| Error::Field { kind: *kind })?;
            let at = header.len() - rest.len() - value.len();
            let mut zeroed = header.to_vec();
            zeroed[at..at + 4].fill(0);
            let expected = checksum::crc32c(&zeroed);
            if found != expected {
                return Err(Error::Checksum { found, expected });
            }
        }
        fields = rest;
    }
    Ok(())
}

/// Writes the header, without fields.
pub(super) fn encode(header: &Header, out: &mut impl Write) -> io::Result<()> {
    out.write_all(SIGNATURE)?;
    let Header::Proxied { transport, source, destination } = *header else {
        let command = if *header == Header::Local { 0x20 } else { 0x21 };
        return out.write_all(&[command, 0, 0, 0]);
    };
    let (source, destination) = of_one_family(source, destination);
    let transport = match transport {
        Transport::Tcp => 1,
        Transport::Udp => 2,
    };
    let (family, length) = if source.is_ipv4() { (0x10, 12) } else { (0x20, 36) };
    out.write_all(&[0x21, family | transport, 0, length])?;
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(address) => out.write_all(&address.octets())?,
            IpAddr::V6(address) => out.write_all(&address.octets())?,
        }
    }
    for port in [source.port(), destination.port()] {
        out.write_all(&port.to_be_bytes())?;
    }
    Ok(())
}
