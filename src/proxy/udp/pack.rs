//! Datagrams that leave through one socket, put together in as few messages as the kernel takes.

use crate::sys::datagrams::{MOST_BYTES, MOST_SEGMENTS, Message, Part};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// Messages for one receiver, or for several behind one another.
#[derive(Debug, Default)]
pub(super) struct Pack {
    pub(super) messages: Vec<Message>,
    pub(super) parts: Vec<Part>,
    /// Datagrams and bytes of each message.
    pub(super) sizes: Vec<Size>,
}

/// How much a message is, and whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) session: u32,
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    /// The session whose it is.
    pub(super) session: u32,
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

    /// Adds what was received as number `received`, so many bytes, of which each datagram but the last has `segment` if there are
    /// several, behind all before it.
    pub(super) fn add(&mut self, received: u16, length: usize, segment: Option<u16>, way: Way) {
        if !way.together
            && let Some(segment) = segment
        {
            self.begin_each(received, 0..length, segment, way);
            return;
        }
        let datagrams = segment.map_or(1, |bytes| length.div_ceil(bytes.into()).max(1)) as u64;
        if way.together && self.join(received, length, segment, datagrams, way.session) {
            return;
        }
        self.begin(received, 0..length, segment.filter(|&segment| length > segment.into()), way);
        if let Some(size) = self.sizes.last_mut() {
            size.datagrams = datagrams;
        }
    }

    fn begin(&mut self, received: u16, bytes: Range<usize>, segment: Option<u16>, way: Way) {
        let at = self.parts.len();
        self.sizes.push(Size { session: way.session, datagrams: 1, bytes: bytes.len() as u64 });
        self.parts.push(Part { received, bytes });
        self.messages.push(Message { parts: at..at + 1, to: way.to, from: way.from, segment });
    }

    fn begin_each(&mut self, received: u16, bytes: Range<usize>, segment: u16, way: Way) {
        for start in bytes.clone().step_by(segment.into()) {
            self.begin(received, start..bytes.end.min(start + usize::from(segment)), None, way);
        }
    }

    /// Makes single datagrams of a session's messages from `at` on, and forgets all those before.
    pub(super) fn separate(&mut self, at: usize) {
        let Some(session) = self.sizes.get(at).map(|size| size.session) else { return };
        let messages = std::mem::take(&mut self.messages).into_iter().skip(at);
        let sizes = std::mem::take(&mut self.sizes).into_iter().skip(at);
        for (message, size) in messages.zip(sizes) {
            match message.segment {
                // Each part begins with a datagram.
                Some(segment) if size.session == session => {
                    let way = Way { session, to: message.to, from: message.from, together: false };
                    for index in message.parts {
                        let Part { received, bytes } = self.parts[index].clone();
                        self.begin_each(received, bytes, segment, way);
                    }
                }
                _ => {
                    self.messages.push(message);
                    self.sizes.push(size);
                }
            }
        }
    }

    /// Puts it behind the last message's datagrams, where these are all of one length, and it is of that or ends them.
    fn join(&mut self, received: u16, length: usize, own: Option<u16>, datagrams: u64, session: u32) -> bool {
        let (Some(last), Some(size)) = (self.messages.last_mut(), self.sizes.last_mut()) else {
            return false;
        };
        let before = size.bytes as usize;
        let segment = usize::from(last.segment.unwrap_or(0).max(u16::try_from(before).unwrap_or(0)));
        let segment = last.segment.map_or(segment, usize::from);
        let of_one_length = segment > 0 && before.is_multiple_of(segment);
        let fits = match own {
            Some(own) => usize::from(own) == segment,
            None => 0 < length && length <= segment,
        };
        let together = before + length;
        let datagrams = size.datagrams + datagrams;
        if size.session != session
            || !of_one_length
            || !fits
            || together > MOST_BYTES
            || datagrams > MOST_SEGMENTS as u64
        {
            return false;
        }
        let Ok(segment) = u16::try_from(segment) else { return false };
        last.segment = Some(segment);
        last.parts.end += 1;
        self.parts.push(Part { received, bytes: 0..length });
        *size = Size { session, datagrams, bytes: together as u64 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(lengths: &[usize], together: bool) -> Vec<(usize, Option<u16>, Size)> {
        let mut pack = Pack::default();
        for (received, &length) in (0..).zip(lengths) {
            pack.add(received, length, None, Way { together, ..Way::default() });
        }
        let whole: usize = pack.parts.iter().map(|part| part.bytes.len()).sum();
        assert_eq!(whole, lengths.iter().sum::<usize>());
        let parts = pack.messages.iter().map(|message| (message.parts.len(), message.segment));
        parts.zip(&pack.sizes).map(|((parts, segment), &size)| (parts, segment, size)).collect()
    }

    fn size(datagrams: u64, bytes: u64) -> Size {
        Size { session: 0, datagrams, bytes }
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

    /// The lengths of a pack's messages, with whose they are and their datagrams' length.
    fn messages(pack: &Pack) -> Vec<(u32, usize, Option<u16>)> {
        let length =
            |message: &Message| pack.parts[message.parts.clone()].iter().map(|part| part.bytes.len()).sum();
        let messages = pack.messages.iter().zip(&pack.sizes);
        messages.map(|(message, size)| (size.session, length(message), message.segment)).collect()
    }

    #[test]
    fn what_is_anothers_is_apart_and_stays_as_it_is_where_one_is_separated() {
        let mut pack = Pack::default();
        for (received, (session, length, segment)) in (0..).zip([
            (1, 9, None),
            (2, 9, None),
            (2, 9, None),
            (3, 25, Some(10)),
            (2, 9, None),
            (2, 4, None),
        ]) {
            pack.add(received, length, segment, Way { session, together: true, ..Way::default() });
        }
        let of_others = [(1, 9, None), (2, 18, Some(9)), (3, 25, Some(10)), (2, 13, Some(9))];
        assert_eq!(messages(&pack), of_others);
        pack.separate(1);
        let nine = (2, 9, None);
        assert_eq!(messages(&pack), [nine, nine, (3, 25, Some(10)), nine, (2, 4, None)]);
        assert!(pack.sizes.iter().all(|size| size.datagrams == if size.session == 3 { 3 } else { 1 }));
        pack.separate(2);
        assert_eq!(messages(&pack), [(3, 10, None), (3, 10, None), (3, 5, None), nine, (2, 4, None)]);
    }

    #[test]
    fn no_message_is_beyond_what_the_kernel_takes() {
        let many = packed(&[1; 100], true);
        assert_eq!(many, [(64, Some(1), size(64, 64)), (36, Some(1), size(36, 36))]);
        let long = packed(&[30_000; 5], true);
        assert_eq!(long.iter().map(|(parts, ..)| *parts).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
