//! The record layer, as far as a first handshake message needs it (RFC 8446 5.1).

use super::{MAX_HELLO, NotTls};
use crate::parse::Prefix;
use std::borrow::Cow;

/// Type, version, length.
const RECORD_HEADER: usize = 5;
/// Type and 24 bits of length, RFC 8446 4.
const HANDSHAKE_HEADER: usize = 4;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Most bytes in a record, RFC 8446 5.1.
const MAX_FRAGMENT: usize = 1 << 14;
/// No peer may ask for records of less than 64 bytes (RFC 8449 4): what a longest hello can need.
const MAX_RECORDS: usize = MAX_HELLO / 64;

/// The body of the `ClientHello` a stream begins with.
///
/// Work is bounded by [`MAX_RECORDS`], whatever `stream` holds.
pub(super) fn first_hello(stream: &[u8]) -> Prefix<Cow<'_, [u8]>, NotTls> {
    match fragments(stream) {
        Ok(Ok(message)) => Prefix::Complete(message),
        Ok(Err(length)) => Prefix::NeedMore { length },
        Err(reason) => Prefix::Other(reason),
    }
}

/// The message, or how long the stream must be before one can tell more.
fn fragments(stream: &[u8]) -> Result<Result<Cow<'_, [u8]>, usize>, NotTls> {
    let mut message = Cow::Borrowed(&[][..]);
    let mut at = 0;
    for _ in 0..MAX_RECORDS {
        let (fragment, declared) = match record(&stream[at..])? {
            Some(record) => record,
            None => return Ok(Err(at + RECORD_HEADER)),
        };
        if message.is_empty() {
            message = Cow::Borrowed(fragment);
        } else {
            message.to_mut().extend_from_slice(fragment);
        }
        let end = at + RECORD_HEADER + declared;
        match hello_length(&message)? {
            Some(length) if message.len() >= length => {
                return Ok(Ok(match message {
                    Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[HANDSHAKE_HEADER..length]),
                    Cow::Owned(mut bytes) => {
                        bytes.truncate(length);
                        bytes.drain(..HANDSHAKE_HEADER);
                        Cow::Owned(bytes)
                    }
                }));
            }
            length if stream.len() < end => {
                // Within this record: to its end, or to the message's where that comes first.
                let missing = length.unwrap_or(HANDSHAKE_HEADER).saturating_sub(message.len());
                return Ok(Err(end.min(stream.len() + missing)));
            }
            _ => at = end,
        }
    }
    Err(NotTls::TooLong)
}

/// What is there of the record that `bytes` begin with, and its length by its header; `None` where its
/// header is not whole but could be one.
fn record(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, NotTls> {
    let plausible = bytes.iter().zip([HANDSHAKE, 3]).all(|(&found, expected)| found == expected);
    if !plausible {
        return Err(NotTls::NotARecord);
    }
    let Some((&[_, _, minor, high, low], rest)) = bytes.split_first_chunk::<RECORD_HEADER>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    // Versions up to 1.3's; empty fragments of handshake messages are forbidden.
    if minor > 4 || !(1..=MAX_FRAGMENT).contains(&length) {
        return Err(NotTls::NotARecord);
    }
    Ok(Some((&rest[..length.min(rest.len())], length)))
}

/// Length of the message with its header, once that is there.
fn hello_length(message: &[u8]) -> Result<Option<usize>, NotTls> {
    if message.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(NotTls::NotAHello);
    }
    let Some((&[_, high, middle, low], _)) = message.split_first_chunk::<HANDSHAKE_HEADER>() else {
        return Ok(None);
    };
    let length = HANDSHAKE_HEADER + u32::from_be_bytes([0, high, middle, low]) as usize;
    if length > MAX_HELLO { Err(NotTls::TooLong) } else { Ok(Some(length)) }
}

/// The hello that a handshake stream without records begins with, as QUIC carries it.
pub(super) fn unframed_hello(handshake: &[u8]) -> Prefix<&[u8], NotTls> {
    match hello_length(handshake) {
        Err(reason) => Prefix::Other(reason),
        Ok(Some(length)) if handshake.len() >= length => {
            Prefix::Complete(&handshake[HANDSHAKE_HEADER..length])
        }
        Ok(length) => Prefix::NeedMore { length: length.unwrap_or(HANDSHAKE_HEADER) },
    }
}
