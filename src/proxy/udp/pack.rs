//! Datagrams for one receiver, put together in as few messages as the kernel takes.

use crate::sys::datagrams::{Inbox, MOST_BYTES, MOST_SEGMENTS, Message, Part, Received};
use std::net::{IpAddr, SocketAddr};

/// Messages for one receiver.
#[derive(Debug, Default)]
pub(super) struct Pack {
    pub(super) messages: Vec<Message>,
    pub(super) parts: Vec<Part>,
    /// Datagrams and bytes of each message.
    pub(super) sizes: Vec<Size>,
}

/// How much a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    pub(super) to: Option<SocketAddr>,
    pub(super) from: Option<IpAddr>,
    /// Several datagrams may travel in one message.
    pub(super) together: bool,
}

impl Pack {
    /// Empties it.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.parts.clear();
        self.sizes.clear();
    }

    /// Adds what was received as number `received`, behind all before it.
    pub(super) fn add(&mut self, inbox: &Inbox, received: u16, way: Way) {
        let Some(message) = inbox.get(received.into()) else { return };
        let length = message.bytes.len();
        if !way.together
            && let Some(segment) = message.segment
        {
            for start in (0..length).step_by(segment.into()) {
                self.begin(received, start..length.min(start + usize::from(segment)), None, way);
            }
            return;
        }
        if way.together && self.join(received, &message) {
            return;
        }
        self.begin(received, 0..length, message.segment.filter(|&segment| length > segment.into()), way);
        if let Some(size) = self.sizes.last_mut() {
            size.datagrams = message.datagrams();
        }
    }

    fn begin(&mut self, received: u16, bytes: std::ops::Range<usize>, segment: Option<u16>, way: Way) {
        let at = self.parts.len();
        self.sizes.push(Size { datagrams: 1, bytes: bytes.len() as u64 });
        self.parts.push(Part { received, bytes });
        self.messages.push(Message { parts: at..at + 1, to: way.to, from: way.from, segment });
    }

    /// Puts it behind the last message's datagrams, where these are all of one length, and it is of that or ends them.
    fn join(&mut self, received: u16, message: &Received<'_>) -> bool {
        let (Some(last), Some(size)) = (self.messages.last_mut(), self.sizes.last_mut()) else {
            return false;
        };
        let before = size.bytes as usize;
        let segment = usize::from(last.segment.unwrap_or(0).max(u16::try_from(before).unwrap_or(0)));
        let segment = last.segment.map_or(segment, usize::from);
        let length = message.bytes.len();
        let of_one_length = segment > 0 && before.is_multiple_of(segment);
        let fits = match message.segment {
            Some(own) => usize::from(own) == segment,
            None => 0 < length && length <= segment,
        };
        let together = before + length;
        let datagrams = size.datagrams + message.datagrams();
        if !of_one_length || !fits || together > MOST_BYTES || datagrams > MOST_SEGMENTS as u64 {
            return false;
        }
        let Ok(segment) = u16::try_from(segment) else { return false };
        last.segment = Some(segment);
        last.parts.end += 1;
        self.parts.push(Part { received, bytes: 0..length });
        *size = Size { datagrams, bytes: together as u64 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// Datagrams of these lengths, received.
    fn inbox(lengths: &[usize]) -> Inbox {
        let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        for &length in lengths {
            far.send_to(&vec![length as u8; length], near.local_addr().unwrap()).unwrap();
        }
        let mut inbox = Inbox::new(lengths.len(), 1 << 16);
        assert_eq!(inbox.receive(&near, lengths.len()).unwrap(), lengths.len());
        inbox
    }

    fn packed(lengths: &[usize], together: bool) -> Vec<(usize, Option<u16>, Size)> {
        let inbox = inbox(lengths);
        let mut pack = Pack::default();
        for received in 0..lengths.len() as u16 {
            pack.add(&inbox, received, Way { together, ..Way::default() });
        }
        let whole: usize = pack.parts.iter().map(|part| part.bytes.len()).sum();
        assert_eq!(whole, lengths.iter().sum::<usize>());
        let parts = pack.messages.iter().map(|message| (message.parts.len(), message.segment));
        parts.zip(&pack.sizes).map(|((parts, segment), &size)| (parts, segment, size)).collect()
    }

    fn size(datagrams: u64, bytes: u64) -> Size {
        Size { datagrams, bytes }
    }

    #[test]
    fn equal_ones_go_together_and_a_shorter_one_ends_them() {
        assert_eq!(packed(&[9, 9, 9], true), [(3, Some(9), size(3, 27))]);
        assert_eq!(packed(&[9, 9, 4, 4], true), [(3, Some(9), size(3, 22)), (1, None, size(1, 4))]);
        assert_eq!(packed(&[4, 9], true), [(1, None, size(1, 4)), (1, None, size(1, 9))]);
        assert_eq!(packed(&[0, 0, 5], true).len(), 3);
        assert_eq!(packed(&[5, 0], true).len(), 2);
        assert_eq!(packed(&[9, 9, 9], false), [(1, None, size(1, 9)); 3]);
    }

    #[test]
    fn no_message_is_beyond_what_the_kernel_takes() {
        let many = packed(&[1; 100], true);
        assert_eq!(many, [(64, Some(1), size(64, 64)), (36, Some(1), size(36, 36))]);
        let long = packed(&[30_000; 5], true);
        assert_eq!(long.iter().map(|(parts, ..)| *parts).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
