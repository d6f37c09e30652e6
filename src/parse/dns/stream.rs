//! DNS over TCP: messages behind their lengths in a stream (RFC 1035 4.2.2, RFC 7766).

use std::mem;

/// Bytes of the length before each message.
const PREFIX: usize = 2;

/// Cuts one direction of a connection into messages, from in-order slices of any size.
///
/// A message that lies in one slice is handed out where it is; one that does not is put together first. Holds no more
/// than one message: 65,537 bytes.
///
/// ```
/// use wharf::parse::dns::TcpMessages;
/// let mut messages = TcpMessages::default();
/// let mut ids = Vec::new();
/// for slice in [&b"\0"[..], b"\x0c\0\x01\x80\0\0", b"\0\0\0\0\0\0\0"] {
///     messages.push(slice, |message| ids.push(message[1]));
/// }
/// assert_eq!(ids, [1]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct TcpMessages {
    /// The beginning of a message with its prefix, not whole.
    partial: Vec<u8>,
    broken: bool,
}

impl TcpMessages {
    /// Takes what comes next in the stream, and hands out each message that is whole now, without its length.
    pub fn push(&mut self, mut slice: &[u8], mut each: impl FnMut(&[u8])) {
        if self.broken {
            return;
        }
        while !self.partial.is_empty() && !slice.is_empty() {
            let missing = length_with_prefix(&self.partial).unwrap_or(PREFIX) - self.partial.len();
            let (head, rest) = slice.split_at(missing.min(slice.len()));
            self.partial.extend_from_slice(head);
            slice = rest;
            if length_with_prefix(&self.partial) == Some(self.partial.len()) {
                // What a long message took is given back.
                each(&mem::take(&mut self.partial)[PREFIX..]);
            }
        }
        while let Some(length) = length_with_prefix(slice) {
            let Some((message, rest)) = slice.split_at_checked(length) else { break };
            each(&message[PREFIX..]);
            slice = rest;
        }
        self.partial.extend_from_slice(slice);
    }

    /// Bytes are missing: where the next message begins is not known, so nothing more is handed out.
    pub fn gap(&mut self) {
        *self = Self { partial: Vec::new(), broken: true };
    }

    /// Bytes kept of a message that is not whole.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.partial.len()
    }
}

fn length_with_prefix(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|prefix| PREFIX + usize::from(u16::from_be_bytes(*prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(messages: &[&[u8]]) -> Vec<u8> {
        let framed = |message: &&[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
        messages.iter().flat_map(framed).collect()
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_is_cut() {
        let expected: [&[u8]; 5] = [b"first", b"", b"second", &[7; 700], b"x"];
        let stream = framed(&expected);
        for size in 1..stream.len() {
            let (mut messages, mut found) = (TcpMessages::default(), Vec::new());
            for slice in stream.chunks(size) {
                messages.push(slice, |message| found.push(message.to_vec()));
            }
            assert_eq!(found, expected, "slices of {size}");
            assert_eq!(messages.pending(), 0);
        }
    }

    #[test]
    fn whole_messages_are_not_copied() {
        let stream = framed(&[b"one", b"two"]);
        let mut messages = TcpMessages::default();
        let mut inside = 0;
        messages.push(&stream, |message| {
            inside += usize::from(stream.as_ptr_range().contains(&message.as_ptr()));
        });
        assert_eq!(inside, 2);
    }

    #[test]
    fn nothing_comes_after_a_gap() {
        let mut messages = TcpMessages::default();
        messages.push(b"\0\x09abc", |_| panic!("not whole"));
        assert_eq!(messages.pending(), 5);
        messages.gap();
        messages.push(&framed(&[b"one"]), |_| panic!("where does it begin?"));
        assert_eq!(messages.pending(), 0);
    }
}
