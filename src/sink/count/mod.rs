//! Packets, bytes and checksum verdicts by protocol and port.

mod rows;
mod table;

pub use table::{CountTable, Row};

use super::{Brief, Deliveries, Error, InterfaceStatistics, Part, Sink};
use crate::frame::{LinkType, Timestamp};
use crate::parse::{Layer, Packet, Transport};
use crate::verify::{Verdict, VerdictCounts};
use rows::Rows;
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
    rows: Rows,
    /// What is not IP: few different keys, and few packets.
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
    /// Neither: what it is, as far as that is known, or `other`.
    Other(&'static str),
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
        CountTable::new(self.counts().collect(), self.span.0)
    }

    fn counts(&self) -> impl Iterator<Item = (Key, Counts)> {
        self.rows.rows().chain(self.others.iter().map(|(key, counts)| (*key, *counts)))
    }

    /// Counts a packet of which the summary does not tell enough, or the first one of its row.
    #[inline(never)]
    fn add_unusual(&mut self, packets: Deliveries<'_>, at: usize) {
        let packet = packets.brief(at);
        let (record, summary) = (packet.record, packets.finished(packet));
        let bytes = u64::from(record.wire_length);
        let key = Rows::key_of(summary).unwrap_or_else(|| key_without_ports(&packets.packet(packet)));
        if let Key::Port(..) | Key::Ip(_) = key {
            return self.rows.add_to(key, summary, bytes);
        }
        let counts = self.others.entry(key).or_default();
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
    /// Takes in a time.
    #[inline]
    fn take_in(&mut self, time: Timestamp) {
        match &mut self.0 {
            None => self.0 = Some((time, time)),
            Some((earliest, latest)) => {
                *earliest = time.min(*earliest);
                *latest = time.max(*latest);
            }
        }
    }

    /// Takes in many: each as one number, where seconds leave room for the nanoseconds (1970 to 2242).
    fn take_all<T: Iterator<Item = Timestamp>>(&mut self, times: impl Fn() -> T) {
        const BITS: u32 = 30;
        let (mut earliest, mut latest, mut seconds, mut nanos) = (i64::MAX, i64::MIN, 0, 0);
        for time in times() {
            let number = time.seconds << BITS | i64::from(time.nanos);
            earliest = earliest.min(number);
            latest = latest.max(number);
            seconds |= time.seconds;
            nanos |= time.nanos;
        }
        let beyond = seconds as u64 >> (63 - BITS) != 0 || nanos >> BITS != 0;
        if beyond {
            times().for_each(|time| self.take_in(time));
        } else if earliest <= latest {
            let time = |number: i64| Timestamp {
                seconds: number >> BITS,
                nanos: (number & ((1 << BITS) - 1)) as u32,
            };
            self.take_in(time(earliest));
            self.take_in(time(latest));
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

fn key_without_ports(packet: &Packet<'_>) -> Key {
    let layers = packet.layers();
    match (&layers.outer, layers.ether_type) {
        (Some(ip), _) => Key::Ip(ip.protocol),
        (None, 0) => Key::Other(name_of(packet)),
        (None, ether_type) => Key::EtherType(ether_type),
    }
}

/// What has neither IP nor an EtherType: by its 802.2 header, if it has one.
#[cold]
fn name_of(packet: &Packet<'_>) -> &'static str {
    let headers = packet.headers();
    let header = headers.iter().rev().find(|header| matches!(header.layer, Layer::Llc | Layer::Snap));
    let behind = header.and_then(|header| packet.frame().data.get(header.start as usize..));
    match (header.map(|header| header.layer), behind) {
        (Some(Layer::Llc), Some([0x42, 0x42, ..])) => "stp",
        (Some(Layer::Snap), Some([0, 0, 0x0c, 0x20, 0, ..])) => "cdp",
        (Some(Layer::Snap), Some([0, 0, 0x0c, 0x01, 0x0b, ..])) => "pvst",
        (Some(_), _) => "llc",
        _ if packet.layers().malformed.is_some() => "malformed",
        _ if packet.frame().record.link_type == LinkType::ETHERNET => "802.3",
        _ => "other",
    }
}

impl Sink for Count {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        self.span.take_all(|| packets.records().filter_map(|record| record.time));
        self.rows.expect(packets.len());
        // Of those that are wrong, the packets tell which were left to a device.
        let any_bad = packets.any_bad();
        for (at, Brief { record, summary, .. }) in packets.briefs().enumerate() {
            let is_bad = any_bad && (summary.ip_code() == BAD || summary.l4_code() == BAD);
            if is_bad || !self.rows.add(summary, record.wire_length.into()) {
                // Told by its place, which is at hand: the packet itself would have to be kept ready for it.
                self.add_unusual(packets, at);
            }
        }
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
        part.rows.rows().for_each(|(key, more)| self.rows.merge(key, &more));
        for (key, more) in part.others {
            let counts = self.others.entry(key).or_default();
            counts.packets += more.packets;
            counts.bytes += more.bytes;
            counts.bad_ip += more.bad_ip;
            counts.l4.merge(&more.l4);
        }
        self.span.merge(part.span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where seconds and nanoseconds do not fit into one number.
    #[test]
    fn a_span_goes_from_the_earliest_to_the_latest() {
        let time = |seconds, nanos| Timestamp { seconds, nanos };
        let far = 1 << 33;
        let times = [
            time(7, 5),
            time(7, 4),
            time(-1, 999_999_999),
            time(far - 1, 999_999_999),
            time(far, 0),
            time(-far - 1, 3),
            time(i64::MIN, 0),
            time(8, u32::MAX),
            time(i64::MAX, 1),
        ];
        for (start, end) in
            (0..times.len()).flat_map(|start| (start..=times.len()).map(move |end| (start, end)))
        {
            let mut span = Span::default();
            span.take_all(|| times[start..end].iter().copied());
            let (earliest, latest) = (times[start..end].iter().min(), times[start..end].iter().max());
            assert_eq!(span.0, earliest.copied().zip(latest.copied()), "{start}..{end}");
        }
    }
}
