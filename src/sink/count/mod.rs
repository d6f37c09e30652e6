//! Packets, bytes and checksum verdicts by protocol and port.

mod table;

pub use table::{CountTable, Row};

use super::{Brief, Deliveries, Error, InterfaceStatistics, Part, Sink};
use crate::demux;
use crate::frame::Timestamp;
use crate::parse::{Layers, Transport};
use crate::verify::{Verdict, VerdictCounts};
use std::any::Any;
use std::collections::HashMap;

/// Counts packets by protocol and port, and what has no ports by protocol.
///
/// A packet is counted once, by its outermost IP layer and there under its
/// [service port](demux::service_port): the smaller of the two.
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
    /// In order of first appearance.
    counts: Vec<(Key, Counts)>,
    /// By protocol and port: the place in `counts` plus 1. A table is made when its protocol first shows.
    ports: [Option<Box<[u32]>>; PORT_PROTOCOLS.len()],
    /// Everything else, likewise; few different keys, and few packets.
    others: HashMap<Key, u32>,
    span: Option<(Timestamp, Timestamp)>,
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
        CountTable::new(&self.counts, self.span)
    }

    fn add(&mut self, packet: &Brief<'_>) {
        let Brief { record, summary, .. } = packet;
        if let Some(time) = record.time {
            self.widen(time, time);
        }
        let key = match demux::service_port_of(*summary) {
            Some(port) => Key::Port(place(summary.transport()), port),
            None => key_without_ports(packet.layers()),
        };
        let counts = self.counts_of(key);
        counts.packets += 1;
        counts.bytes += u64::from(record.wire_length);
        counts.bad_ip += u64::from(summary.ip_code() == BAD);
        counts.l4.add_code(summary.l4_code(), 1);
    }

    /// The span from the earliest packet to the latest takes these in.
    fn widen(&mut self, earliest: Timestamp, latest: Timestamp) {
        let (first, last) = self.span.get_or_insert((earliest, latest));
        *first = earliest.min(*first);
        *last = latest.max(*last);
    }

    fn counts_of(&mut self, key: Key) -> &mut Counts {
        let slot = match key {
            Key::Port(protocol, port) => {
                let table = self.ports[protocol].get_or_insert_with(|| vec![0; 1 << 16].into_boxed_slice());
                &mut table[usize::from(port)]
            }
            _ => self.others.entry(key).or_default(),
        };
        if *slot == 0 {
            self.counts.push((key, Counts::default()));
            // At most five times 65,536 ports, and as many others.
            *slot = u32::try_from(self.counts.len()).unwrap_or(u32::MAX);
        }
        &mut self.counts[*slot as usize - 1].1
    }
}

/// A verdict's code in summaries.
const BAD: usize = Verdict::Bad { found: 0, expected: 0 }.code();

/// The place in [`PORT_PROTOCOLS`] of a transport that has ports.
fn place(transport: Transport) -> usize {
    match transport {
        Transport::Udp => 1,
        Transport::UdpLite => 2,
        Transport::Sctp => 3,
        Transport::Dccp => 4,
        _ => 0,
    }
}

fn key_without_ports(layers: &Layers) -> Key {
    match (&layers.outer, layers.ether_type) {
        (Some(ip), _) => Key::Ip(ip.protocol),
        (None, 0) => Key::Other,
        (None, ether_type) => Key::EtherType(ether_type),
    }
}

impl Sink for Count {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        packets.briefs().for_each(|packet| self.add(&packet));
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        Ok(())
    }

    fn part(&self) -> Option<Box<dyn Part>> {
        Some(Box::new(Self::new()))
    }

    fn merge(&mut self, part: Box<dyn Any>) {
        let part = part.downcast::<Self>().expect("a part of this sink");
        for (key, more) in &part.counts {
            let counts = self.counts_of(*key);
            counts.packets += more.packets;
            counts.bytes += more.bytes;
            counts.bad_ip += more.bad_ip;
            counts.l4.merge(&more.l4);
        }
        if let Some((earliest, latest)) = part.span {
            self.widen(earliest, latest);
        }
    }
}
