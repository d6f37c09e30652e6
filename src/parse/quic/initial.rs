//! Initial packets and what of their headers is not protected (RFC 9000 17.2, RFC 9369 3.2).

use super::QuicVersion;
use super::keys::Keys;
use crate::parse::cursor::Cursor;

/// Header form and fixed bit: a long header of QUIC, RFC 9000 17.2.
const LONG_HEADER: u8 = 0xc0;
/// Longest connection id in the versions known here, RFC 9000 17.2.
const MAX_CONNECTION_ID: usize = 20;
/// Bytes of ciphertext that protect the header, RFC 9001 5.4.2.
const SAMPLE: usize = 16;
/// Longest packet number.
const MAX_NUMBER: usize = 4;
/// A client never needs more in a datagram; each costs a decryption.
const MAX_COALESCED: usize = 4;

/// An Initial packet as it came, still sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initial<'a> {
    /// Version.
    pub version: QuicVersion,
    /// Connection id of whom it is for: in a client's first packets the id it chose, at least 8 bytes (RFC 9000
    /// 7.2), from which the keys are made.
    pub destination: &'a [u8],
    /// Connection id of its sender.
    pub source: &'a [u8],
    /// What a Retry or an earlier connection gave the client to show; mostly empty.
    pub token: &'a [u8],
    /// The packet to its end, header first.
    packet: &'a [u8],
    /// Where in it the packet number is.
    number_at: usize,
}

impl Initial<'_> {
    /// Takes off the header's protection and opens the payload; `None` where the keys are not its own, or a bit of
    /// it has changed.
    pub(super) fn open(&self, keys: &Keys) -> Option<Vec<u8>> {
        let sample = self.packet.get(self.number_at + MAX_NUMBER..)?.first_chunk::<SAMPLE>()?;
        let mask = keys.header_mask(*sample);
        // RFC 9001 5.4.1: the low 4 bits of a long header, and the number, whose length is in them.
        let first = self.packet[0] ^ (mask[0] & 0x0f);
        let number_length = usize::from(first & 3) + 1;
        let (header, sealed) = self.packet.split_at_checked(self.number_at + number_length)?;
        let mut header = header.to_vec();
        header[0] = first;
        let mut number = 0;
        for (byte, mask) in header[self.number_at..].iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
            number = number << 8 | u64::from(*byte);
        }
        // A hello comes in the first packets, whose numbers are not yet cut short (RFC 9000 17.1).
        keys.open(number, &header, sealed)
    }
}

/// The Initial packets of a datagram, in their order.
///
/// Packets for another connection id than the first one's are left out (RFC 9000 12.2), as are those after an
/// unreadable header and more than four.
///
/// ```
/// let datagram = b"\xc0\0\0\0\x01\x08ABCDEFGH\0\0\x40\x19(25 protected bytes here)";
/// let initial = wharf::parse::quic::initials(datagram).next().expect("an Initial packet");
/// assert_eq!((initial.destination, initial.source), (&b"ABCDEFGH"[..], &b""[..]));
/// ```
#[must_use]
pub fn initials(datagram: &[u8]) -> Initials<'_> {
    Initials { rest: Cursor(datagram), destination: None, left: MAX_COALESCED }
}

/// Iterator over the Initial packets of a datagram.
#[derive(Clone, Debug)]
pub struct Initials<'a> {
    rest: Cursor<'a>,
    destination: Option<&'a [u8]>,
    left: usize,
}

impl<'a> Iterator for Initials<'a> {
    type Item = Initial<'a>;

    fn next(&mut self) -> Option<Initial<'a>> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let (destination, initial) = packet(&mut self.rest)?;
            if *self.destination.get_or_insert(destination) != destination {
                continue;
            }
            if initial.is_some() {
                return initial;
            }
        }
        None
    }
}

/// Takes the packet `rest` begins with: its destination, and itself if it is an Initial packet. `None` for a short
/// header, which ends a datagram, and for what is not of a known version.
fn packet<'a>(rest: &mut Cursor<'a>) -> Option<(&'a [u8], Option<Initial<'a>>)> {
    let whole = rest.0;
    let first = rest.u8()?;
    if first & LONG_HEADER != LONG_HEADER {
        return None;
    }
    let version = QuicVersion::from_number(rest.array().map(u32::from_be_bytes)?)?;
    let destination = rest.vector8().filter(|id| id.len() <= MAX_CONNECTION_ID)?;
    let source = rest.vector8().filter(|id| id.len() <= MAX_CONNECTION_ID)?;
    // The two bits mean one type further on in version 2 (RFC 9369 3.2).
    let kind = match version {
        QuicVersion::V1 => first >> 4 & 3,
        QuicVersion::V2 => (first >> 4 & 3).wrapping_sub(1) & 3,
    };
    const INITIAL: u8 = 0;
    const RETRY: u8 = 3;
    let token = match kind {
        INITIAL => {
            let length = variable(rest)?;
            rest.take(length)?
        }
        // Has no length: it is the last.
        RETRY => return None,
        _ => &[],
    };
    let length = variable(rest)?;
    let number_at = whole.len() - rest.0.len();
    rest.take(length)?;
    let packet = &whole[..number_at + length];
    let initial = Initial { version, destination, source, token, packet, number_at };
    Some((destination, (kind == INITIAL).then_some(initial)))
}

/// A variable-length integer (RFC 9000 16) that can count bytes here; `None` also where it is far too large.
pub(super) fn variable(rest: &mut Cursor<'_>) -> Option<usize> {
    let first = rest.u8()?;
    let mut value = u64::from(first & 0x3f);
    for _ in 1..1 << (first >> 6) {
        value = value << 8 | u64::from(rest.u8()?);
    }
    usize::try_from(value).ok()
}
