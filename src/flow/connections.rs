//! The connections of a meter: some as they are, the others in less room.

use super::record::TcpStory;
use super::slab::Slab;
use super::state::NONE;
use super::tcp::{Beside, Compact, Connection, Opening, Segment};

/// One in so many connections may be as it is: with those few most captures make do, and the others take about half the room.
const AT_HAND: usize = 32;

/// Connections by number, which says in its upper two bits how a connection is kept, and changes with that.
#[derive(Debug)]
pub(super) struct Connections {
    at_hand: usize,
    open: Slab<Connection>,
    compact: Slab<Compact>,
    openings: Slab<Opening>,
    beside: Slab<Option<Beside>>,
}

/// Where a connection is.
enum Place {
    Nowhere,
    Open(u32),
    Compact(u32),
    Opening(u32),
}

const SHIFT: u32 = 30;

impl Place {
    #[inline(always)]
    fn of(number: u32) -> Self {
        let at = number & ((1 << SHIFT) - 1);
        match number >> SHIFT {
            0 => Self::Open(at),
            1 => Self::Compact(at),
            2 => Self::Opening(at),
            _ => Self::Nowhere,
        }
    }
}

impl Connections {
    /// For a meter of at most so many flows.
    pub(super) fn new(max_flows: usize) -> Self {
        Self {
            at_hand: max_flows / AT_HAND,
            open: Slab::default(),
            compact: Slab::default(),
            openings: Slab::default(),
            beside: Slab::default(),
        }
    }

    /// Bytes that they take, without the troubles of connections.
    pub(super) fn bytes(&self) -> usize {
        self.open.bytes() + self.compact.bytes() + self.openings.bytes() + self.beside.bytes()
    }

    /// Asks for the lines of a connection.
    #[inline(always)]
    pub(super) fn ask(&self, number: u32) {
        match Place::of(number) {
            Place::Open(at) => self.open.ask(at),
            Place::Compact(at) => self.compact.ask(at),
            Place::Opening(at) => self.openings.ask(at),
            Place::Nowhere => {}
        }
    }

    /// Takes in a segment of a flow whose last packet was `before` and is `after` now; whether the connection is over by then.
    /// `number` is [`NONE`] for the first.
    #[inline]
    pub(super) fn observe(
        &mut self,
        number: &mut u32,
        (before, after): (i64, i64),
        (segment, from): (&Segment, usize),
        time: i64,
        epoch: u16,
    ) -> bool {
        self.change(number, (before, after), |connection| {
            connection.observe(segment, from, time, epoch);
            connection.is_over()
        })
    }

    /// Nothing of what a packet of the flow says is believed: a connection that is there counts its times from that packet
    /// from now on, and one that is not is begun, of which nothing is known, if it is a segment.
    #[inline]
    pub(super) fn pass(&mut self, number: &mut u32, times: (i64, i64), is_segment: bool) {
        if *number != NONE || is_segment {
            self.change(number, times, |_| ());
        }
    }

    /// Goes on after a record.
    pub(super) fn restart(&mut self, number: &mut u32, last: i64) {
        if *number != NONE {
            self.change(number, (last, last), Connection::restart);
        }
    }

    /// Whether the segment opens another connection.
    pub(super) fn is_followed_by(&self, number: u32, last: i64, segment: &Segment, from: usize) -> bool {
        self.look(number, last).is_some_and(|connection| connection.is_followed_by(segment, from))
    }

    /// What there is to tell of one, if it is one.
    pub(super) fn story(&self, number: u32, last: i64) -> Option<TcpStory> {
        match Place::of(number) {
            Place::Open(at) => Some(self.open[at].story([0, 1])),
            _ => Some(self.look(number, last)?.story([0, 1])),
        }
    }

    fn look(&self, number: u32, last: i64) -> Option<Connection> {
        Some(match Place::of(number) {
            Place::Open(at) => self.open[at].clone(),
            Place::Compact(at) => {
                let compact = &self.compact[at];
                let beside = (compact.beside != NONE).then(|| self.beside[compact.beside].clone());
                compact.unpack(last, beside.flatten())
            }
            Place::Opening(at) => self.openings[at].unpack(last),
            Place::Nowhere => return None,
        })
    }

    /// Forgets one, if it is one.
    pub(super) fn remove(&mut self, number: u32) {
        match Place::of(number) {
            Place::Open(at) => self.open.remove(at),
            Place::Compact(at) => {
                let _ = self.take_beside(at);
                self.compact.remove(at);
            }
            Place::Opening(at) => self.openings.remove(at),
            Place::Nowhere => {}
        }
    }

    #[inline(always)]
    fn change<T>(
        &mut self,
        number: &mut u32,
        (before, after): (i64, i64),
        act: impl FnOnce(&mut Connection) -> T,
    ) -> T {
        let place = Place::of(*number);
        if let Place::Open(at) = place {
            let result = act(&mut self.open[at]);
            if self.open.len() > self.at_hand {
                self.move_away(number, at, after);
            }
            return result;
        }
        let mut connection = match place {
            Place::Compact(at) => {
                let beside = self.take_beside(at);
                self.compact[at].unpack(before, beside)
            }
            Place::Opening(at) => {
                let connection = self.openings[at].unpack(before);
                self.openings.remove(at);
                connection
            }
            Place::Open(_) | Place::Nowhere => Connection::default(),
        };
        let result = act(&mut connection);
        *number = self.put(connection, place, after);
        result
    }

    /// Where it was, if it was and fits there.
    #[inline]
    fn put(&mut self, mut connection: Connection, place: Place, last: i64) -> u32 {
        let room = self.open.len() < self.at_hand;
        if !room {
            if matches!(place, Place::Nowhere)
                && let Some(opening) = Opening::pack(&connection, last)
            {
                return self.openings.insert(opening) | 2 << SHIFT;
            }
            if let Some(packed) = Compact::pack(&mut connection, last) {
                let compact = self.with_beside(packed);
                if let Place::Compact(at) = place {
                    self.compact[at] = compact;
                    return at | 1 << SHIFT;
                }
                return self.compact.insert(compact) | 1 << SHIFT;
            }
        }
        if let Place::Compact(at) = place {
            self.compact.remove(at);
        }
        self.open.insert(connection)
    }

    /// Makes room among those that are as they are.
    #[inline(never)]
    fn move_away(&mut self, number: &mut u32, at: u32, last: i64) {
        if let Some(packed) = Compact::pack(&mut self.open[at], last) {
            let compact = self.with_beside(packed);
            *number = self.compact.insert(compact) | 1 << SHIFT;
            self.open.remove(at);
        }
    }

    fn with_beside(&mut self, (mut compact, beside): (Compact, Option<Beside>)) -> Compact {
        if beside.is_some() {
            compact.beside = self.beside.insert(beside);
        }
        compact
    }

    fn take_beside(&mut self, at: u32) -> Option<Beside> {
        let number = self.compact[at].beside;
        if number == NONE {
            return None;
        }
        self.beside.remove(number);
        self.beside[number].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{SynOptions, TcpState};
    use crate::parse::TcpFlags;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    /// A segment near where both sides are, in one of the ways that segments come.
    fn segment() -> impl Strategy<Value = (Segment, usize, i64, u16)> {
        let flags = prop_oneof![
            6 => Just(TcpFlags::ACK),
            1 => Just(TcpFlags::SYN),
            1 => Just(TcpFlags::SYN | TcpFlags::ACK),
            1 => Just(TcpFlags::FIN | TcpFlags::ACK),
            1 => prop_oneof![Just(TcpFlags::RST), Just(TcpFlags::default())],
        ];
        let wait = prop_oneof![4 => 0..40 * MS, 1 => 0..9_000 * MS];
        let length = prop_oneof![Just(0_u32), Just(1), 1..1_500_u32];
        let window = prop_oneof![Just(0_u16), Just(500)];
        (flags, (0..6_u32, 0..6_u32), length, window, (0..2_usize, wait, 0..3_u16)).prop_map(
            |(flags, (sequence, acknowledgment), length, window, (from, wait, epoch))| {
                let options =
                    SynOptions { mss: Some(1_460), window_scale: Some(7), sack: true, timestamps: false };
                let options = if flags.syn() { options } else { SynOptions::default() };
                let (sequence, acknowledgment) = (sequence * 500, acknowledgment * 500);
                (Segment { sequence, acknowledgment, length, flags, window, options }, from, wait, epoch)
            },
        )
    }

    proptest! {
        /// However a connection is kept, it finds the same in every segment and has the same to tell.
        #[test]
        fn in_less_room_it_is_the_same(segments in prop::collection::vec(segment(), 0..40), restart in 0..40_usize) {
            for max_flows in [0, 32, 1 << 20] {
                let mut connections = Connections::new(max_flows);
                let (mut number, mut plain) = (NONE, Connection::default());
                // Others that come by take what room there is.
                let mut other = NONE;
                let (mut time, mut last) = (1_700_000_000_000 * MS, 1_700_000_000_000 * MS);
                connections.pass(&mut number, (last, last), restart % 2 == 0);
                for (at, (segment, from, wait, epoch)) in segments.iter().enumerate() {
                    time += wait;
                    let before = std::mem::replace(&mut last, time);
                    plain.observe(segment, *from, time, *epoch);
                    let over = connections.observe(&mut number, (before, time), (segment, *from), time, *epoch);
                    prop_assert_eq!(over, plain.is_over());
                    if at % 3 == 0 {
                        connections.observe(&mut other, (before, time), (segment, 1 - from), time, *epoch);
                    }
                    if at % 5 == 4 {
                        time += wait;
                        last = time;
                        connections.pass(&mut number, (time - wait, time), at % 2 == 0);
                    }
                    if at == restart {
                        plain.restart();
                        connections.restart(&mut number, last);
                    }
                    prop_assert_eq!(connections.story(number, last), Some(plain.story([0, 1])));
                    let syn = Segment { flags: TcpFlags::SYN, sequence: 500, ..Segment::default() };
                    for from in [0, 1] {
                        let follows = connections.is_followed_by(number, last, &syn, from);
                        prop_assert_eq!(follows, plain.is_followed_by(&syn, from));
                    }
                }
                connections.remove(number);
                connections.remove(other);
                let Connections { open, compact, openings, beside, .. } = &connections;
                prop_assert_eq!([open.len(), compact.len(), openings.len(), beside.len()], [0; 4]);
            }
        }
    }

    #[test]
    fn a_syn_takes_little_and_what_follows_it_not_much() {
        let mut connections = Connections::new(0);
        let syn = Segment { flags: TcpFlags::SYN, sequence: 7, window: 9, ..Segment::default() };
        let mut number = NONE;
        connections.observe(&mut number, (5, 5), (&syn, 1), 5, 3);
        assert_eq!((connections.openings.len(), connections.compact.len()), (1, 0));
        assert_eq!(connections.story(number, 5).map(|story| story.state), Some(TcpState::Attempt));
        let answer = Segment { flags: TcpFlags::SYN | TcpFlags::ACK, acknowledgment: 8, ..syn };
        connections.observe(&mut number, (5, 9), (&answer, 0), 9, 3);
        let Connections { open, compact, openings, beside, .. } = &connections;
        assert_eq!([open.len(), compact.len(), openings.len(), beside.len()], [0, 1, 0, 0]);
    }

    /// A flood of SYNs whose answers come again and again, as nobody confirms them.
    #[test]
    fn an_answer_that_comes_again_much_later_takes_not_much_more() {
        let mut connections = Connections::new(0);
        let syn = Segment { flags: TcpFlags::SYN, sequence: 7, window: 9, ..Segment::default() };
        let answer = Segment { flags: TcpFlags::SYN | TcpFlags::ACK, acknowledgment: 8, ..syn };
        let (mut number, mut last) = (NONE, 0);
        let later = [
            (&syn, 0),
            (&answer, 10 * MS),
            (&answer, 1_010 * MS),
            (&answer, 7_010 * MS),
            (&answer, 30_000 * MS),
        ];
        for (at, (segment, time)) in later.into_iter().enumerate() {
            let times = (std::mem::replace(&mut last, time), time);
            connections.observe(&mut number, times, (segment, usize::from(at > 0)), time, 0);
            let Connections { open, compact, openings, .. } = &connections;
            assert_eq!((open.len(), compact.len() + openings.len()), (0, 1), "after {time}");
        }
        let story = connections.story(number, last).unwrap();
        let answered = story.handshake.and_then(|handshake| handshake.answered_after);
        assert_eq!((story.state, answered), (TcpState::HalfOpen, Some(std::time::Duration::from_millis(10))));
        assert_eq!(story.sides[1].trouble.retransmissions, 3);
    }
}
