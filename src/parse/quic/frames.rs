//! The CRYPTO frames among those an Initial packet may carry (RFC 9000 12.4, 19).

use super::initial::variable;
use crate::parse::cursor::Cursor;

/// A piece of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crypto<'a> {
    /// Where in the handshake's bytes it begins.
    pub(super) offset: usize,
    pub(super) data: &'a [u8],
}

/// The CRYPTO frames of a payload, up to a frame that must not be in it.
pub(super) fn crypto_frames(payload: &[u8]) -> impl Iterator<Item = Crypto<'_>> {
    let mut rest = Cursor(payload);
    std::iter::from_fn(move || {
        loop {
            if let Some(crypto) = frame(&mut rest)? {
                return Some(crypto);
            }
        }
    })
}

/// Takes a frame: CRYPTO is given, the others are passed over.
fn frame<'a>(rest: &mut Cursor<'a>) -> Option<Option<Crypto<'a>>> {
    const PADDING: usize = 0x00;
    const PING: usize = 0x01;
    const ACK: usize = 0x02;
    const ACK_ECN: usize = 0x03;
    const CRYPTO: usize = 0x06;
    const CONNECTION_CLOSE: usize = 0x1c;

    let skip = |rest: &mut Cursor<'_>, fields: usize| (0..fields).try_for_each(|_| variable(rest).map(drop));
    match variable(rest)? {
        PADDING | PING => {}
        kind @ (ACK | ACK_ECN) => {
            skip(rest, 2)?;
            let ranges = variable(rest)?;
            skip(rest, 1)?;
            // Ends with the payload, however many are announced.
            skip(rest, ranges.checked_mul(2)?)?;
            skip(rest, if kind == ACK_ECN { 3 } else { 0 })?;
        }
        CRYPTO => {
            let (offset, length) = (variable(rest)?, variable(rest)?);
            return Some(Some(Crypto { offset, data: rest.take(length)? }));
        }
        CONNECTION_CLOSE => {
            skip(rest, 2)?;
            let length = variable(rest)?;
            rest.take(length)?;
        }
        _ => return None,
    }
    Some(None)
}
