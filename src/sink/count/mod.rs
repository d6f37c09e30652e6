//! Packets, bytes and checksum verdicts by protocol and port.

mod ports;
mod table;

pub use table::{CountTable, Row};

use super::{Brief, Deliveries, Error, InterfaceStatistics, Part, Sink};
use crate::batch::Summary;
use crate::frame::Timestamp;
use crate::parse::{Layers, Transport};
use crate::verify::{Verdict, VerdictCounts};
use ports::Ports;
use std::any::Any;
use std::collections::HashMap;

/// Counts packets by protocol and port, and what has no ports by protocol.
///
/// A packet is counted once, by its outermost IP layer and there under its
/// [service port](crate::demux::service_port): the smaller of the two.
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::sink::Count;
/// use wharf::source::synthetic::{Protocol, Synthetic, Traffic};
///
/// let mut count = Count::new();
/// let protocols = vec![(Protocol::Tcp, 1)];
/// let source = Synthetic::new(&Traffic { frames: 100, protocols, ports: vec![443..=443], ..Traffic::default() });
/// Engine::builder().source(source).rest(&mut count).run()?;
///
/// let row = &count.table().rows[0];
/// assert_eq!((row.protocol.as_str(), row.port, row.packets), ("tcp", Some(443), 100));
/// # Ok::<(), wharf::engine::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Count {
    ports: Ports,
    /// What has no ports: few different keys, and few packets.
    others: HashMap<Key, Counts>,
    span: Span,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    /// A protocol with ports, as an index into [`PORT_PROTOCOLS`].
    Port(usize, u16),
    /// An IP protocol number: no ports, or a later fragment, or a header that could not be read.
    Ip(u8),
    /// Not IP: an EtherType.
    EtherType(u16),
    /// Neither.
    Other,
}

/// Protocols that have ports, with their names.
const PORT_PROTOCOLS: [(Transport, &str); 5] = [
    (Transport::Tcp, "tcp"),
    (Transport::Udp, "udp"),
    (Transport::UdpLite, "udplite"),
    (Transport::Sctp, "sctp"),
    (Transport::Dccp, "dccp"),
];

/// One row's numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    packets: u64,
    bytes: u64,
    bad_ip: u64,
    l4: VerdictCounts,
}

impl Count {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted so far, most packets first.
    #[must_use]
    pub fn table(&self) -> CountTable {
        let ports = self.ports.rows().map(|(protocol, port, counts)| (Key::Port(protocol, port), counts));
        let others = self.others.iter().map(|(key, counts)| (*key, *counts));
        CountTable::new(ports.chain(others).collect(), self.span.0)
    }

    #[inline(never)]
    fn add_other(&mut self, layers: &Layers, summary: Summary, bytes: u64) {
        let counts = self.others.entry(key_without_ports(layers)).or_default();
        counts.packets += 1;
        counts.bytes += bytes;
        counts.bad_ip += u64::from(summary.ip_code() == BAD);
        counts.l4.add_code(summary.l4_code(), 1);
    }
}

/// From the earliest time to the latest, if there is any.
#[derive(Clone, Copy, Debug, Default)]
struct Span(Option<(Timestamp, Timestamp)>);

impl Span {
    /// Takes in a time. They seldom go back: both comparisons are guessed right.
    #[inline]
    fn take_in(&mut self, time: Timestamp) {
        match &mut self.0 {
            None => self.0 = Some((time, time)),
            Some((_, latest)) if time > *latest => *latest = time,
            Some((earliest, _)) if time < *earliest => *earliest = time,
            Some(_) => {}
        }
    }

    fn merge(&mut self, other: Self) {
        if let Some((earliest, latest)) = other.0 {
            self.take_in(earliest);
            self.take_in(latest);
        }
    }
}

/// A verdict's code in summaries.
const BAD: usize = Verdict::Bad { found: 0, expected: 0 }.code();

/// The place in [`PORT_PROTOCOLS`] of a transport, by its number; beyond for one that has no ports. A table, because which
/// transport comes next is hard to guess for a branch.
const PLACES: [u8; 16] = {
    let mut places = [u8::MAX; 16];
    let mut at = 0;
    while at < PORT_PROTOCOLS.len() {
        places[PORT_PROTOCOLS[at].0 as usize] = at as u8;
        at += 1;
    }
    places
};

fn key_without_ports(layers: &Layers) -> Key {
    match (&layers.outer, layers.ether_type) {
        (Some(ip), _) => Key::Ip(ip.protocol),
        (None, 0) => Key::Other,
        (None, ether_type) => Key::EtherType(ether_type),
    }
}

impl Sink for Count {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        // By itself, and so in registers.
        let times = packets.briefs().filter_map(|packet| packet.record.time);
        let mut span = Span::default();
        times.for_each(|time| span.take_in(time));
        for packet in packets.briefs() {
            let Brief { record, summary, .. } = packet;
            let bytes = u64::from(record.wire_length);
            match PLACES[summary.transport_number()] {
                u8::MAX => self.add_other(packets.layers(packet), summary, bytes),
                protocol => self.ports.add(protocol.into(), summary.lower_port(), summary, bytes),
            }
        }
        self.span.merge(span);
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        Ok(())
    }

    fn wants_layers(&self) -> bool {
        false
    }

    fn part(&self) -> Option<Box<dyn Part>> {
        Some(Box::new(Self::new()))
    }

    fn merge(&mut self, part: Box<dyn Any>) {
        let part = part.downcast::<Self>().expect("a part of this sink");
        for (protocol, port, more) in part.ports.rows() {
            self.ports.merge(protocol, port, &more);
        }
        for (key, more) in &part.others {
            let counts = self.others.entry(*key).or_default();
            counts.packets += more.packets;
            counts.bytes += more.bytes;
            counts.bad_ip += more.bad_ip;
            counts.l4.merge(&more.l4);
        }
        self.span.merge(part.span);
    }
}
