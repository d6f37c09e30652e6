//! One direction of a TCP connection as far as names need it: a few segments, in order.

/// Most segments kept ahead of one that is missing.
const MAX_AHEAD: usize = 32;
/// Most of their bytes: what a window without scaling lets be under way.
const MAX_AHEAD_BYTES: usize = 1 << 16;

/// What is missing did not come: more is ahead of it than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap;

/// Hands on segments in the order of their bytes; the first copy of a byte counts.
#[derive(Debug)]
pub(super) struct InOrder {
    next: u32,
    ahead: Vec<(u32, Box<[u8]>)>,
}

impl InOrder {
    /// Of which `next` is the sequence number of the first byte.
    pub(super) fn from(next: u32) -> Self {
        Self { next, ahead: Vec::new() }
    }

    /// Takes a segment and hands on what is in order now, without copying where it came in order.
    pub(super) fn push(
        &mut self,
        sequence: u32,
        data: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Gap> {
        if self.distance(sequence) > 0 {
            return self.keep(sequence, data);
        }
        self.hand_on(sequence, data, &mut each);
        // Each round takes one out.
        while let Some(ready) = self.ahead.iter().position(|(sequence, _)| self.distance(*sequence) <= 0) {
            let (sequence, data) = self.ahead.swap_remove(ready);
            self.hand_on(sequence, &data, &mut each);
        }
        Ok(())
    }

    /// Whether this is the number of the byte that comes next.
    pub(super) fn is_next(&self, sequence: u32) -> bool {
        sequence == self.next
    }

    /// Bytes kept.
    pub(super) fn held(&self) -> usize {
        self.ahead.iter().map(|(_, data)| data.len()).sum()
    }

    /// How far a sequence number is ahead; they wrap (RFC 9293 3.4).
    fn distance(&self, sequence: u32) -> i32 {
        sequence.wrapping_sub(self.next).cast_signed()
    }

    fn hand_on(&mut self, sequence: u32, data: &[u8], each: &mut impl FnMut(&[u8])) {
        let known = self.distance(sequence).unsigned_abs() as usize;
        if let Some(fresh) = data.get(known..).filter(|fresh| !fresh.is_empty()) {
            self.next = self.next.wrapping_add(fresh.len() as u32);
            each(fresh);
        }
    }

    fn keep(&mut self, sequence: u32, data: &[u8]) -> Result<(), Gap> {
        let again = |(at, kept): &(u32, Box<[u8]>)| *at == sequence && kept.len() >= data.len();
        if data.is_empty() || self.ahead.iter().any(again) {
            return Ok(());
        }
        if self.ahead.len() >= MAX_AHEAD || self.held() + data.len() > MAX_AHEAD_BYTES {
            return Err(Gap);
        }
        self.ahead.push((sequence, data.into()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(stream: &mut InOrder, segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (sequence, data) in segments {
            stream.push(*sequence, data, |slice| bytes.extend_from_slice(slice)).unwrap();
        }
        bytes
    }

    #[test]
    fn bytes_come_in_order_over_the_wrap_too() {
        let start = u32::MAX - 3;
        let mut stream = InOrder::from(start);
        let at = |offset: u32| start.wrapping_add(offset);
        let segments: [(u32, &[u8]); 6] = [
            (at(6), b"ghi"),
            (at(0), b"abc"),
            (at(0), b"abc"),
            (at(2), b"XdeX"),
            (at(6), b"gh"),
            (at(9), b"j"),
        ];
        assert_eq!(joined(&mut stream, &segments), b"abcdeXghij");
        assert_eq!(stream.held(), 0);
    }

    #[test]
    fn what_is_kept_ahead_is_bounded() {
        let mut stream = InOrder::from(0);
        for index in 0..MAX_AHEAD as u32 {
            assert_eq!(stream.push(10 + 2 * index, b"x", |_| unreachable!()), Ok(()));
        }
        assert_eq!(stream.push(10, b"x", |_| unreachable!()), Ok(()));
        assert_eq!(stream.push(1000, b"x", |_| unreachable!()), Err(Gap));
        let mut stream = InOrder::from(0);
        assert_eq!(stream.push(1, &[0; MAX_AHEAD_BYTES], |_| unreachable!()), Ok(()));
        assert_eq!((stream.push(0, b"", |_| unreachable!()), stream.held()), (Ok(()), MAX_AHEAD_BYTES));
        assert_eq!(stream.push(9, &[0; 99], |_| unreachable!()), Err(Gap));
    }
}
