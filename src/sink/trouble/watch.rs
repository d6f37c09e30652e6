//! Which flows have had trouble, and when.

use super::super::Delivery;
use super::{TroubleKind, TroubleKinds};
use crate::flow::{FlowKey, Keyed, is_wrong, mark_of, tcp_of};
use crate::parse::{Packet, Transport};
use std::collections::HashMap;

/// Flows that are watched at a time, some 200 bytes each.
const MOST: usize = 1 << 18;

/// What is known of one flow. Times are in nanoseconds since the run's first packet.
#[derive(Default)]
struct Flow {
    /// Of each side of the key: sequence number of the next byte, once known.
    next: [Option<u32>; 2],
    /// Of each side: how often the capture had lost packets when that was last known.
    epoch: [u64; 2],
    /// Of each side: sequence number of its SYN.
    syn: [Option<u32>; 2],
    /// Of each side: by which its last packet would be known if the capture saw it once more; 0 where it would not.
    mark: [u32; 2],
    /// Of each side: its oldest packet that wants an answer and has none.
    asked: [Option<i64>; 2],
    /// From when to when its packets are wanted.
    wanted: Vec<(i64, i64)>,
    last: i64,
}

/// What a packet is.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// It wants an answer.
    pub(super) asks: bool,
}

/// Watches flows.
pub(super) struct Watch {
    kinds: TroubleKinds,
    before: i64,
    after: i64,
    flows: HashMap<FlowKey, Flow>,
    /// How often the capture has lost packets.
    epoch: u64,
    pub(super) found: [u64; 4],
    pub(super) forgotten: u64,
}

impl Watch {
    pub(super) fn new(kinds: TroubleKinds, before: i64, after: i64) -> Self {
        Self { kinds, before, after, flows: HashMap::new(), epoch: 0, found: [0; 4], forgotten: 0 }
    }

    /// The capture has lost packets here: a gap in what comes next need not be the network's doing.
    pub(super) fn loss(&mut self) {
        self.epoch += 1;
    }

    /// Takes a packet.
    pub(super) fn packet(&mut self, delivery: &Delivery<'_>, keyed: &Keyed, now: i64) -> Seen {
        self.make_room(now);
        let side = usize::from(keyed.reversed);
        let flow = self.flows.entry(keyed.key).or_default();
        flow.last = now;
        // Its receiver throws it away: it says nothing, and neither asks nor answers.
        let wrong = is_wrong(&delivery.packet, || delivery.verdicts);
        let asks = !wrong && asks(&delivery.packet, keyed);
        let (mut loss, mut reset) = (false, false);
        if !wrong {
            flow.asked[1 - side] = None;
            if asks {
                flow.asked[side].get_or_insert(now);
            }
            let mark = mark_of(&delivery.packet, &keyed.ip);
            // A copy of the capture's own, such as of two ports of a switch, was not sent again.
            if std::mem::replace(&mut flow.mark[side], mark) != mark || mark == 0 {
                (loss, reset) = flow.tcp(&delivery.packet, keyed, side, self.epoch);
            }
        }
        for (kind, there) in
            [(TroubleKind::Loss, loss), (TroubleKind::Reset, reset), (TroubleKind::Checksum, wrong)]
        {
            if there && self.kinds.contains(kind) {
                self.found[kind as usize] += 1;
                flow.want(now - self.before, now + self.after);
            }
        }
        Seen { asks }
    }

    /// Whether a packet that leaves the memory is to be written. `asks`: it wants an answer, and has waited for it.
    pub(super) fn is_wanted(&mut self, key: &FlowKey, time: i64, asks: bool) -> bool {
        let Some(flow) = self.flows.get_mut(key) else { return false };
        // Asked when it came, and nobody has answered since.
        let unanswered = asks && flow.asked.iter().flatten().any(|asked| *asked <= time);
        if unanswered && self.kinds.contains(TroubleKind::Unanswered) {
            self.found[TroubleKind::Unanswered as usize] += 1;
            flow.want(time, time + self.before + self.after);
        }
        flow.wanted.retain(|(_, until)| *until >= time);
        flow.wanted.iter().any(|(from, _)| *from <= time)
    }

    /// Forgets flows that are at rest, and if need be others, so that there is room for half of all at least.
    fn make_room(&mut self, now: i64) {
        if self.flows.len() < MOST {
            return;
        }
        let oldest = now - self.before - self.after;
        self.flows.retain(|_, flow| flow.last >= oldest);
        if self.flows.len() > MOST / 2 {
            let before = self.flows.len();
            self.flows.retain(|_, flow| !flow.wanted.is_empty());
            if self.flows.len() > MOST / 2 {
                self.flows.clear();
            }
            self.forgotten += (before - self.flows.len()) as u64;
        }
    }
}

impl Flow {
    /// Whether bytes were lost on the way, and whether the connection was cut off. A gap since whose beginning the capture has
    /// itself lost packets is none of the network's.
    fn tcp(&mut self, packet: &Packet<'_>, keyed: &Keyed, side: usize, epoch: u64) -> (bool, bool) {
        let Some((tcp, length)) = tcp_of(packet, &keyed.ip) else { return (false, false) };
        let flags = tcp.flags();
        if flags.rst() {
            return (false, true);
        }
        let sequence = tcp.sequence();
        let ours = std::mem::replace(&mut self.epoch[side], epoch) != epoch;
        if flags.syn() {
            let again = self.syn[side] == Some(sequence);
            self.syn[side] = Some(sequence);
            // Of another connection, be it between the same ports.
            self.next[side] = Some(sequence.wrapping_add(1));
            return (again, false);
        }
        let end = sequence.wrapping_add(length).wrapping_add(flags.fin().into());
        let Some(next) = self.next[side] else {
            self.next[side] = Some(end);
            return (false, false);
        };
        let ahead = sequence.wrapping_sub(next) as i32;
        // A keep-alive repeats one byte at most, that before the next (RFC 9293 3.8.4).
        let keep_alive = ahead == -1 && length <= 1 && !flags.fin();
        let lost = ahead > 0 && !ours || ahead < 0 && length > 0 && !keep_alive;
        if end.wrapping_sub(next) as i32 > 0 {
            self.next[side] = Some(end);
        }
        (lost, false)
    }

    fn want(&mut self, from: i64, until: i64) {
        match self.wanted.last_mut() {
            Some((first, last)) if *last >= from => (*first, *last) = (from.min(*first), until.max(*last)),
            _ => self.wanted.push((from, until)),
        }
    }
}

/// Whether a packet wants an answer.
fn asks(packet: &Packet<'_>, keyed: &Keyed) -> bool {
    let ip = &keyed.ip;
    match ip.transport {
        Transport::Tcp | Transport::None => {
            tcp_of(packet, ip).is_some_and(|(tcp, _)| tcp.flags().syn() && !tcp.flags().ack())
        }
        Transport::Udp => ip.destination_port == 53,
        Transport::Icmp => packet.icmp(ip).is_some_and(|icmp| icmp.icmp_type() == 8),
        Transport::Icmpv6 => packet.icmpv6(ip).is_some_and(|icmp| icmp.icmp_type() == 128),
        _ => false,
    }
}
