//! A connection in half its room, for when there are many.
//!
//! Times are kept as how long they lie before the flow's last packet, in nanoseconds: four seconds fit. What does not fit, and what
//! few connections have, is kept [beside](Beside). Nothing is lost but one thing nobody asks for: of when a side came as far as it
//! is, if that was longer ago, only that it was.

use super::{Connection, Findings, NEXT, Noted, PENDING, PackedOptions, Side, Steps, TO_ACK};
use crate::flow::record::TcpState;
use crate::flow::state::{NEVER, NONE};

/// A connection between two of its segments.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct Compact {
    sides: [CompactSide; 2],
    /// Of the side that has [`PENDING`].
    pending: u32,
    pending_since: u32,
    /// From the SYN to its answer; from that to its acknowledgment, or, before that came, since the last of both. Where the answer
    /// was not seen: from the SYN to what acknowledged it; since then.
    steps: [u32; 2],
    /// The number of what is [beside](Beside) it; [`NONE`] for nothing.
    pub(in crate::flow) beside: u32,
}

const _: () = assert!(size_of::<Compact>() == 108);

#[derive(Clone, Copy, Debug)]
struct CompactSide {
    next: u32,
    acked: u32,
    base: u32,
    /// How long `next` had been reached; `u32::MAX` for that and longer.
    next_since: u32,
    least: u32,
    most: u32,
    sum: u32,
    /// With four bits of what is said of the connection: [`Compact::said`].
    options: u32,
    most_in_flight: u32,
    window: u16,
    epoch: u16,
    count: u16,
    sum_above: u8,
    known: u8,
}

/// What few connections have.
#[derive(Clone, Debug)]
pub(in crate::flow) struct Beside {
    trouble: Option<Box<[Noted; 2]>>,
    to_ack: [u32; 2],
    pending: [u32; 2],
    pending_since: [i64; 2],
    next_since: [i64; 2],
    steps: Steps,
}

/// Beside what a side knows: its last segment was a probe.
const PROBED: u8 = 64;
/// The last of the bits that are said of the connection: beside what the first side knows.
const CONFIRMED: u8 = 128;
/// A record has told of the handshake: beside what the second side knows.
const TOLD: u8 = 128;
/// Bits of packed options that options have no use for.
const SPARE: u32 = 0xf0;

impl Compact {
    /// Of a connection whose flow had its last packet at `last`, with what is to be kept beside it. What is in trouble is taken out.
    /// `None` where times are too long, or too many were measured.
    pub(in crate::flow) fn pack(connection: &mut Connection, last: i64) -> Option<(Self, Option<Beside>)> {
        // What is overtaken is told by the whole round trip: it is to be shorter than what `next_since` tells.
        if connection.first_round_trip().is_some_and(|whole| whole >= u32::MAX.into()) {
            return None;
        }
        let steps = pack_steps(connection, last);
        let [a, b] = &connection.sides;
        let mut sides = [CompactSide::pack(a, last)?, CompactSide::pack(b, last)?];
        let said = said(connection);
        for (side, bits) in sides.iter_mut().zip([said, said >> 4]) {
            side.options = side.options & !SPARE | u32::from(bits) << 4 & SPARE;
        }
        sides[0].known |= if said >> 8 & 1 == 0 { 0 } else { CONFIRMED };
        sides[1].known |= if connection.told { TOLD } else { 0 };
        let mut pending = connection.sides.iter().filter(|side| side.knows(PENDING));
        let one = match (pending.next(), pending.next()) {
            (None, _) => Some((0, 0)),
            (Some(side), None) => Some((side.pending, last.saturating_sub(side.pending_since))),
            _ => None,
        };
        let fitting = one.and_then(|(pending, since)| Some((pending, u32::try_from(since).ok()?)));
        let apart = connection.sides.iter().any(|side| side.knows(TO_ACK) && side.to_ack != side.next);
        // How long the handshake takes is not known yet: it may be longer than what can be told here.
        let half_open = matches!(connection.state, TcpState::Attempt | TcpState::HalfOpen);
        let long_ago = half_open && sides.iter().any(|side| side.next_since == u32::MAX);
        let beside =
            (connection.trouble.is_some() || apart || fitting.is_none() || steps.is_none() || long_ago).then(
                || Beside {
                    to_ack: connection.sides.map(|side| side.to_ack),
                    pending: connection.sides.map(|side| side.pending),
                    pending_since: connection.sides.map(|side| side.pending_since),
                    next_since: connection.sides.map(|side| side.next_since),
                    steps: connection.steps,
                    trouble: connection.trouble.take(),
                },
            );
        let ((pending, pending_since), steps) = (fitting.unwrap_or_default(), steps.unwrap_or_default());
        Some((Self { sides, pending, pending_since, steps, beside: NONE }, beside))
    }

    /// The connection again; its flow has had no packet since it was packed.
    pub(in crate::flow) fn unpack(&self, last: i64, beside: Option<Beside>) -> Connection {
        let mut sides = self.sides.map(|side| side.unpack(last));
        for side in &mut sides {
            side.to_ack = side.next;
            (side.pending, side.pending_since) =
                (self.pending, last.saturating_sub(self.pending_since.into()));
        }
        let said = self.said();
        let (mut trouble, mut steps) = (None, self.unpack_steps(said, last));
        if let Some(beside) = beside {
            for (at, side) in sides.iter_mut().enumerate() {
                (side.to_ack, side.pending, side.pending_since) =
                    (beside.to_ack[at], beside.pending[at], beside.pending_since[at]);
                side.next_since = beside.next_since[at];
            }
            (trouble, steps) = (beside.trouble, beside.steps);
        }
        let opener = match said >> 4 & 3 {
            0 => None,
            from => Some(from == 2),
        };
        Connection {
            sides,
            steps,
            trouble,
            state: STATES[usize::from(said & 7)],
            opener,
            simultaneous: said & 8 != 0,
            told: self.sides[1].known & TOLD != 0,
        }
    }

    /// Nine bits: three of the state, simultaneous, two of who opened it, and which steps were seen.
    fn said(&self) -> u16 {
        let [a, b] = self.sides.map(|side| (side.options & SPARE) as u16 >> 4);
        a | b << 4 | u16::from(self.sides[0].known & CONFIRMED != 0) << 8
    }

    fn unpack_steps(&self, said: u16, last: i64) -> Steps {
        let [first, second, third] = [6, 7, 8].map(|bit| said >> bit & 1 != 0);
        let [answered, since] = self.steps.map(i64::from);
        let seen = |there: bool, time: i64| if there { time } else { NEVER };
        if third && !second {
            let went_on = last.saturating_sub(since);
            return Steps([seen(first, went_on.saturating_sub(answered)), NEVER, went_on]);
        }
        let latest = if third { last } else { last.saturating_sub(since) };
        let answer = if third { latest.saturating_sub(since) } else { latest };
        let syn = if second { answer.saturating_sub(answered) } else { latest };
        Steps([seen(first, syn), seen(second, answer), seen(third, latest)])
    }
}

const STATES: [TcpState; 8] = [
    TcpState::Underway,
    TcpState::Attempt,
    TcpState::Refused,
    TcpState::HalfOpen,
    TcpState::Established,
    TcpState::Closing,
    TcpState::Closed,
    TcpState::Reset,
];

fn said(connection: &Connection) -> u16 {
    let opener = connection.opener.map_or(0, |upper| 1 + u16::from(upper));
    let steps = [0, 1, 2].map(|step| u16::from(connection.steps.at(step).is_some()));
    let state = connection.state as u16;
    let simultaneous = u16::from(connection.simultaneous);
    state | simultaneous << 3 | opener << 4 | steps[0] << 6 | steps[1] << 7 | steps[2] << 8
}

/// How long each step took, if that fits. Once the last was seen, when it was is of no use any more.
fn pack_steps(connection: &Connection, last: i64) -> Option<[u32; 2]> {
    let between = |from: i64, to: i64| u32::try_from(to.saturating_sub(from)).ok();
    match [0, 1, 2].map(|step| connection.steps.at(step)) {
        [None, None, None] => Some([0, 0]),
        [Some(syn), None, None] if connection.state == TcpState::Attempt => Some([0, between(syn, last)?]),
        // It was refused: when it came is of no use any more.
        [Some(_), None, None] => Some([0, 0]),
        [None, Some(answer), None] => Some([0, between(answer, last)?]),
        [Some(syn), Some(answer), None] => Some([between(syn, answer)?, between(answer, last)?]),
        [None, Some(answer), Some(third)] => Some([0, between(answer, third)?]),
        [Some(syn), Some(answer), Some(third)] => Some([between(syn, answer)?, between(answer, third)?]),
        // After so long no answer is waited for.
        [Some(syn), None, Some(third)] => {
            Some([between(syn, third)?, between(third, last).unwrap_or(u32::MAX)])
        }
        [None, None, Some(_)] => None,
    }
}

impl CompactSide {
    fn pack(side: &Side, last: i64) -> Option<Self> {
        let [least, most, sum] = side.round_trips;
        Some(Self {
            next: side.next,
            acked: side.acked,
            base: side.base,
            next_since: u32::try_from(last.saturating_sub(side.next_since)).unwrap_or(u32::MAX),
            least: u32::try_from(least).ok()?,
            most: u32::try_from(most).ok()?,
            sum: sum as u32,
            options: side.options.bits(),
            most_in_flight: side.most_in_flight,
            window: side.window,
            epoch: side.epoch,
            count: u16::try_from(side.round_trip_count).ok()?,
            sum_above: u8::try_from(sum >> 32).ok()?,
            known: side.known | if side.last.is_probe() { PROBED } else { 0 },
        })
    }

    /// What is acknowledged and what is pending is said elsewhere.
    fn unpack(self, last: i64) -> Side {
        let long_ago = self.next_since == u32::MAX || self.known & NEXT == 0;
        let next_since = if long_ago { NEVER } else { last.saturating_sub(self.next_since.into()) };
        let sum = u64::from(self.sum_above) << 32 | u64::from(self.sum);
        Side {
            pending_since: 0,
            next_since,
            round_trips: [self.least.into(), self.most.into(), sum],
            round_trip_count: self.count.into(),
            next: self.next,
            to_ack: 0,
            acked: self.acked,
            pending: 0,
            base: self.base,
            most_in_flight: self.most_in_flight,
            window: self.window,
            epoch: self.epoch,
            last: if self.known & PROBED == 0 { Findings::default() } else { Findings::KEEP_ALIVE },
            known: self.known & !(PROBED | CONFIRMED | TOLD),
            options: PackedOptions::from_bits(self.options & !SPARE),
        }
    }
}

/// A connection of which one SYN has come and nothing else.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct Opening {
    base: u32,
    next: u32,
    /// With who opened it.
    options: u32,
    window: u16,
    epoch: u16,
}

const _: () = assert!(size_of::<Opening>() == 16);

impl Opening {
    /// Of a connection that is no more than that, its SYN the flow's last packet.
    pub(in crate::flow) fn pack(connection: &Connection, last: i64) -> Option<Self> {
        let upper = connection.opener?;
        let side = &connection.sides[usize::from(upper)];
        let Side { base, next, window, epoch, .. } = *side;
        let options = side.options.bits() & !SPARE | if upper { 0x10 } else { 0 };
        let opening = Self { base, next, options, window, epoch };
        (opening.unpack(last) == *connection).then_some(opening)
    }

    pub(in crate::flow) fn unpack(&self, last: i64) -> Connection {
        let upper = self.options & SPARE != 0;
        let mut connection = Connection {
            state: TcpState::Attempt,
            opener: Some(upper),
            steps: Steps([last, NEVER, NEVER]),
            ..Connection::default()
        };
        connection.sides[usize::from(upper)] = Side {
            pending_since: last,
            next_since: last,
            next: self.next,
            to_ack: self.next,
            pending: self.next,
            base: self.base,
            window: self.window,
            epoch: self.epoch,
            known: NEXT | TO_ACK | PENDING | super::BASE,
            options: PackedOptions::from_bits(self.options & !SPARE),
            ..Side::default()
        };
        connection
    }
}
