//! Who speaks with whom: conversations, numbered as they begin.

use super::super::opened::open;
use super::super::{Deliveries, Error, InterfaceStatistics, Sink};
use crate::flow::fragments::{Defragmenter, Options};
use crate::flow::reassembly::Side;
use crate::flow::{FlowKey, tcp_of};
use crate::frame::Timestamp;
use crate::parse::{IpLayer, Packet, Transport};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What two programs have sent each other, over TCP or UDP. Pairs are by side: who sent first, then the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Counts them from 1, in the order of their first packets.
    pub number: u64,
    /// The flow it is in. A further TCP connection between the same ends is a conversation of its own.
    pub key: FlowKey,
    /// The upper of the key's ends sent first.
    pub reversed: bool,
    /// When the first packet was captured.
    pub first: Option<Timestamp>,
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes that were said, repetitions included.
    pub bytes: [u64; 2],
    /// Of TCP the sequence number of each side's first byte.
    starts: [Option<u32>; 2],
}

impl Conversation {
    /// Address and port of a side.
    #[must_use]
    pub fn end(&self, side: Side) -> (IpAddr, u16) {
        self.key.end(self.reversed != (side == Side::Second))
    }

    /// `tcp` or `udp`.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        crate::parse::protocol_name(self.key.protocol()).unwrap_or("ip")
    }
}

/// `tcp 10.0.0.1:40000 to 10.0.0.2:80`.
impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = [Side::First, Side::Second].map(|side| SocketAddr::from(self.end(side)));
        write!(f, "{} {first} to {second}", self.protocol())
    }
}

impl Serialize for Conversation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ((src, sport), (dst, dport)) = (self.end(Side::First), self.end(Side::Second));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("number", &self.number)?;
        map.serialize_entry("proto", self.protocol())?;
        map.serialize_entry("src", &src)?;
        map.serialize_entry("sport", &sport)?;
        map.serialize_entry("dst", &dst)?;
        map.serialize_entry("dport", &dport)?;
        map.serialize_entry("first", &self.first.map(|first| first.to_string()))?;
        map.serialize_entry("packets", &self.packets)?;
        map.serialize_entry("bytes", &self.bytes)?;
        map.end()
    }
}

/// The conversation of a packet.
pub(super) struct Met {
    pub(super) number: u64,
    /// Who sent it.
    pub(super) side: Side,
}

/// All conversations of a run; a sink that lists them.
///
/// Some 200 bytes each, for as long as the list is kept: at most a million are told apart, later ones are not seen.
#[derive(Debug, Default)]
pub struct Conversations {
    all: Vec<Conversation>,
    by_key: HashMap<FlowKey, usize>,
    unseen: u64,
    /// As a sink: packets count as they are followed.
    defragmenter: Option<Defragmenter>,
}

/// Conversations that are told apart.
const MOST: usize = 1 << 20;

impl Conversations {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// In order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Conversation> {
        self.all.iter()
    }

    /// That of a number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Conversation> {
        self.all.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Packets of conversations beyond the most that are told apart.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        self.unseen
    }

    /// Counts a packet of TCP or UDP. `None` of others.
    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        ip: &IpLayer,
        key: FlowKey,
        reversed: bool,
        time: Option<Timestamp>,
    ) -> Option<Met> {
        let tcp = tcp_of(packet, ip);
        if tcp.is_none() && !matches!(ip.transport, Transport::Tcp | Transport::Udp | Transport::UdpLite) {
            return None;
        }
        let length = tcp.map_or_else(|| packet.payload_length(ip), |(_, length)| length);
        let tcp = tcp.map(|(tcp, _)| tcp);
        let start = tcp.map(|tcp| tcp.sequence().wrapping_add(tcp.flags().syn().into()));
        let syn = tcp.is_some_and(|tcp| tcp.flags().syn());
        let known = self.by_key.get(&key).copied();
        let at = known.filter(|at| {
            let conversation = &self.all[*at];
            let side = side_of(conversation, reversed);
            // A SYN of another number is another connection's: the rule of reassembly.
            !(syn && conversation.starts[side.index()].is_some_and(|known| Some(known) != start))
        });
        let at = match at {
            Some(at) => at,
            None if self.all.len() >= MOST => {
                self.unseen += 1;
                return None;
            }
            None => {
                let at = self.all.len();
                self.all.push(Conversation {
                    number: at as u64 + 1,
                    key,
                    reversed,
                    first: time,
                    packets: [0; 2],
                    bytes: [0; 2],
                    starts: [None; 2],
                });
                self.by_key.insert(key, at);
                at
            }
        };
        let conversation = &mut self.all[at];
        let side = side_of(conversation, reversed);
        conversation.packets[side.index()] += 1;
        conversation.bytes[side.index()] += u64::from(length);
        if tcp.is_some_and(|tcp| !tcp.flags().rst()) {
            conversation.starts[side.index()] = conversation.starts[side.index()].or(start);
        }
        Some(Met { number: conversation.number, side })
    }
}

fn side_of(conversation: &Conversation, reversed: bool) -> Side {
    if conversation.reversed == reversed { Side::First } else { Side::Second }
}

impl Sink for Conversations {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        for delivery in packets.iter() {
            let time = delivery.packet.frame().record.time;
            let defragmenter = self.defragmenter.take();
            let mut defragmenter = defragmenter.unwrap_or_else(|| Defragmenter::new(Options::default()));
            open(&delivery.packet, Some(&mut defragmenter), |packet, ip, (key, reversed)| {
                self.packet(packet, ip, key, reversed, time);
            });
            self.defragmenter = Some(defragmenter);
        }
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        Ok(())
    }

    fn may_wait(&self) -> bool {
        false
    }
}

/// A line a conversation, under a line of headings.
impl fmt::Display for Conversations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = |conversation: &Conversation| {
            [Side::First, Side::Second].map(|side| SocketAddr::from(conversation.end(side)).to_string())
        };
        let widest = self.all.iter().flat_map(ends).map(|end| end.len()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:>6}  proto  {:widest$}  {:widest$}  {:>9}  {:>9}  {:>11}  {:>11}",
            "number", "first", "other", "packets", "back", "bytes", "back"
        )?;
        for conversation in &self.all {
            let Conversation { number, packets, bytes, .. } = conversation;
            let [first, other] = ends(conversation);
            writeln!(
                f,
                "{number:>6}  {:5}  {first:widest$}  {other:widest$}  {:>9}  {:>9}  {:>11}  {:>11}",
                conversation.protocol(),
                packets[0],
                packets[1],
                bytes[0],
                bytes[1]
            )?;
        }
        Ok(())
    }
}
