//! Counts by protocol and port, kept close together: only the rows there are.

use super::{BAD, Counts, Key, PORT_PROTOCOLS};
use crate::batch::Summary;
use crate::parse::Transport;
use crate::verify::{Verdict, VerdictCounts};

/// Ports of one protocol.
const PORTS: usize = 1 << 16;

/// Where, behind all ports of all protocols that have some, the places of IP protocols begin.
const PROTOCOLS: usize = PORT_PROTOCOLS.len() * PORTS;

/// Of ports and protocols together.
const PLACES: usize = PROTOCOLS + (1 << 8);

/// Rows there is room for at first.
const ROWS: usize = 1 << 10;

/// By a transport's number: its first place, and which bits of a port count from there. A table, because which transport comes
/// next is hard to guess for a branch. What has no place of its own is beyond them all.
const OF_TRANSPORT: [(u32, u16); 16] = {
    let mut places = [(PLACES as u32, 0); 16];
    let mut at = 0;
    while at < PORT_PROTOCOLS.len() {
        places[PORT_PROTOCOLS[at].0 as usize] = ((at * PORTS) as u32, u16::MAX);
        at += 1;
    }
    let others = [Transport::Icmp, Transport::Icmpv6, Transport::Igmp];
    at = 0;
    while at < others.len() {
        if let Some(protocol) = others[at].protocol() {
            places[others[at] as usize] = (PROTOCOLS as u32 + protocol as u32, 0);
        }
        at += 1;
    }
    places
};

/// The place of a packet's row: below [`PLACES`] where its summary alone tells.
#[inline(always)]
fn place_of(summary: Summary) -> usize {
    let (first, mask) = OF_TRANSPORT[summary.transport_number()];
    first as usize + usize::from(summary.lower_port() & mask)
}

/// One row of counts for each of 65,536 ports of some protocols, and for each IP protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// By place: the index in `rows` plus 1, or 0. Made when the first packet comes; of what is not touched the system makes
    /// no memory.
    indices: Vec<u32>,
    /// In the order in which they began.
    rows: Vec<Row>,
    /// What was carried over from those with the same index, and merged.
    carried: Vec<Carried>,
    /// Packets that may come before the counts in `rows` must be carried over.
    left: u32,
}

/// One row. Whatever the verdict over a packet, counting it is the same three additions, within one cache line: a branch would
/// be guessed wrong as often as verdicts change.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Row {
    bytes: u64,
    place: u32,
    bad_ip: u32,
    /// By the code of the verdict over the upper layer. Together these are the packets.
    l4: [u32; Verdict::NAMES.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    bad_ip: u64,
    l4: VerdictCounts,
}

impl Row {
    #[inline(always)]
    fn add(&mut self, summary: Summary, bytes: u64) {
        self.bytes += bytes;
        self.bad_ip += u32::from(summary.ip_code() == BAD);
        self.l4[summary.l4_code()] += 1;
    }
}

impl Rows {
    /// To be called before so many packets are counted.
    pub(super) fn expect(&mut self, packets: usize) {
        let packets = u32::try_from(packets).expect("a batch has fewer packets");
        self.left = self.left.checked_sub(packets).unwrap_or_else(|| {
            self.carry();
            u32::MAX - packets
        });
    }

    /// Counts a packet, with so many bytes on the wire, if its summary tells which row is its, and that is there; else false.
    #[inline(always)]
    pub(super) fn add(&mut self, summary: Summary, bytes: u64) -> bool {
        let index = self.indices.get(place_of(summary)).copied().unwrap_or_default();
        // 0 is no index, and is beyond them all when 1 is taken from it.
        let Some(row) = self.rows.get_mut((index as usize).wrapping_sub(1)) else { return false };
        row.add(summary, bytes);
        true
    }

    /// Where a packet counts whose summary tells it.
    pub(super) fn key_of(summary: Summary) -> Option<Key> {
        let place = place_of(summary);
        (place < PLACES).then(|| key_at(place))
    }

    /// Counts a packet in the row of `key`, which has a place.
    pub(super) fn add_to(&mut self, key: Key, summary: Summary, bytes: u64) {
        if let Some(index) = self.index(key) {
            self.rows[index].add(summary, bytes);
        }
    }

    /// The index of a row, which begins if it is not there; `None` for a key without a place.
    fn index(&mut self, key: Key) -> Option<usize> {
        let place = match key {
            Key::Port(protocol, port) => protocol * PORTS + usize::from(port),
            Key::Ip(protocol) => PROTOCOLS + usize::from(protocol),
            Key::EtherType(_) | Key::Other(_) => return None,
        };
        if self.indices.is_empty() {
            // Asked for as zeros and not written to: memory comes with the first packet of a row.
            self.indices = vec![0; PLACES];
            self.rows.reserve(ROWS);
        }
        let index = &mut self.indices[place];
        if *index == 0 {
            // Both are no more than places.
            self.rows.push(Row { place: place as u32, ..Row::default() });
            *index = self.rows.len() as u32;
        }
        Some(*index as usize - 1)
    }

    /// Empties the counts that might grow too large.
    #[cold]
    fn carry(&mut self) {
        self.carried.resize(self.rows.len(), Carried::default());
        for (row, carried) in self.rows.iter_mut().zip(&mut self.carried) {
            carried.bad_ip += u64::from(std::mem::take(&mut row.bad_ip));
            let counts = std::mem::take(&mut row.l4);
            (0..).zip(counts).for_each(|(code, count)| carried.l4.add_code(code, count.into()));
        }
    }

    /// Every row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Key, Counts)> {
        self.rows.iter().enumerate().map(|(index, row)| {
            let Carried { mut bad_ip, mut l4 } = self.carried.get(index).copied().unwrap_or_default();
            bad_ip += u64::from(row.bad_ip);
            (0..).zip(row.l4).for_each(|(code, count)| l4.add_code(code, count.into()));
            let packets = l4.iter().map(|(_, count)| count).sum();
            (key_at(row.place as usize), Counts { packets, bytes: row.bytes, bad_ip, l4 })
        })
    }

    /// Adds a row of somebody else's.
    pub(super) fn merge(&mut self, key: Key, more: &Counts) {
        let Some(index) = self.index(key) else { return };
        self.rows[index].bytes += more.bytes;
        self.carried.resize(self.rows.len(), Carried::default());
        self.carried[index].bad_ip += more.bad_ip;
        self.carried[index].l4.merge(&more.l4);
    }
}

/// What counts at a place.
fn key_at(place: usize) -> Key {
    match place.checked_sub(PROTOCOLS) {
        Some(protocol) => Key::Ip(protocol as u8),
        None => Key::Port(place / PORTS, (place % PORTS) as u16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Batch, Record};
    use crate::parse::{IpLayer, Layers};
    use crate::verify::Verdicts;

    /// A packet of every verdict, as summaries.
    fn packets(transport: Transport, port: u16) -> Vec<Summary> {
        let bad = Verdict::Bad { found: 1, expected: 2 };
        let kinds = [Verdict::Absent, Verdict::Good, bad, Verdict::NotReady, Verdict::Good, Verdict::Vouched];
        let verdicts: Vec<_> = [Verdict::Good, bad]
            .into_iter()
            .flat_map(|ip| kinds.map(|l4| Verdicts { ip, l4, ..Verdicts::default() }))
            .collect();
        let ip = IpLayer { transport, source_port: 65_535, destination_port: port, ..IpLayer::default() };
        let layers = vec![Layers { outer: Some(ip), ..Layers::default() }; verdicts.len()];
        let records = vec![Record::default(); verdicts.len()];
        let batch = Batch::new(&[], &records, &[]);
        crate::batch::Findings::given(batch, &layers, &verdicts).summaries().to_vec()
    }

    const KINDS: [(Transport, u16, Key); 6] = [
        (Transport::Tcp, 53, Key::Port(0, 53)),
        (Transport::Udp, 53, Key::Port(1, 53)),
        (Transport::Dccp, 65_535, Key::Port(4, 65_535)),
        (Transport::Icmp, 7, Key::Ip(1)),
        (Transport::Icmpv6, 9, Key::Ip(58)),
        (Transport::Igmp, 0, Key::Ip(2)),
    ];

    fn expect(rows: &Rows, times: u64) {
        let rows: Vec<_> = rows.rows().collect();
        assert_eq!(rows.len(), KINDS.len());
        for ((key, counts), (.., expected)) in rows.into_iter().zip(KINDS) {
            assert_eq!(key, expected);
            assert_eq!((counts.packets, counts.bytes, counts.bad_ip), (12 * times, 1200 * times, 6 * times));
            let counted: Vec<_> = counts.l4.iter().filter(|(_, count)| *count > 0).collect();
            let each = 2 * times;
            let verdicts =
                [("good", 2 * each), ("bad", each), ("absent", each), ("not_ready", each), ("vouched", each)];
            assert_eq!(counted, verdicts);
        }
    }

    #[test]
    fn every_verdict_is_counted_in_its_row_and_survives_what_carries_it() {
        for carried_after in [1, 5, usize::MAX] {
            let (mut rows, mut merged) = (Rows::default(), Rows::default());
            for (transport, port, key) in KINDS {
                for (number, packet) in packets(transport, port).into_iter().enumerate() {
                    if number % carried_after == 0 {
                        rows.left = 0;
                    }
                    rows.expect(1);
                    assert_eq!(Rows::key_of(packet), Some(key));
                    if !rows.add(packet, 100) {
                        assert_eq!(number, 0, "the row is there");
                        rows.add_to(key, packet, 100);
                    }
                }
            }
            expect(&rows, 1);
            for _ in 0..2 {
                rows.rows().for_each(|(key, counts)| merged.merge(key, &counts));
            }
            expect(&merged, 2);
        }
    }

    #[test]
    fn what_no_summary_tells_has_no_row() {
        let mut rows = Rows::default();
        for packet in packets(Transport::None, 0) {
            assert!(!rows.add(packet, 1));
            assert_eq!(Rows::key_of(packet), None);
            rows.add_to(Key::EtherType(0x806), packet, 1);
        }
        assert_eq!(rows.rows().count(), 0);
    }

    #[test]
    fn counts_are_carried_before_they_could_be_too_large() {
        let mut rows = Rows::default();
        let packet = packets(Transport::Tcp, 80)[1];
        rows.expect(1);
        rows.add_to(Key::Port(0, 80), packet, 1);
        assert_eq!(rows.left, u32::MAX - 1);
        // As if so many had been counted.
        (rows.rows[0].l4[packet.l4_code()], rows.left) = (u32::MAX, 0);
        rows.expect(2);
        assert!(rows.add(packet, 1) && rows.add(packet, 1));
        assert_eq!(rows.rows().map(|(_, counts)| counts.packets).sum::<u64>(), u64::from(u32::MAX) + 2);
    }
}
