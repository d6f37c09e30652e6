//! Counts by protocol and port, kept close together: only the rows there are.

use super::Counts;
use crate::batch::Summary;
use crate::verify::{Verdict, VerdictCounts};

/// Ports of one protocol.
const PORTS: usize = 1 << 16;

/// A verdict's code in summaries.
const BAD: usize = Verdict::Bad { found: 0, expected: 0 }.code();

/// Rows there is room for at first.
const ROWS: usize = 1 << 10;

/// One row of counts for each of 65,536 ports of some protocols.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    /// By protocol and port: the place in `rows` plus 1, or 0. Made when the first packet comes; of what is not touched
    /// the system makes no memory.
    places: Vec<u32>,
    /// In the order in which they began.
    rows: Vec<Row>,
    /// The verdict over the upper layer that needs no count of its own: that of the first packet, by its code. It is
    /// what remains of a row's packets.
    usual: usize,
    rare: Vec<Rare>,
}

// With packets and bytes side by side they would be added to as one vector, and the next packet of the port would wait for it
// three times as long as for two numbers.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Row {
    packets: u64,
    /// Protocol and port, as an index into `places`.
    at: u32,
    /// The place in `rare` plus 1, or 0.
    rare: u32,
    bytes: u64,
}

/// What else was found in a row's packets.
#[derive(Clone, Copy, Debug, Default)]
struct Rare {
    bad_ip: u64,
    /// All but the usual ones.
    l4: VerdictCounts,
}

impl Ports {
    /// Counts a packet if its row is there and it has the usual verdict; else false.
    #[inline]
    pub(super) fn add_usual(&mut self, protocol: usize, port: u16, packet: Summary, bytes: u64) -> bool {
        let place = self.places.get(protocol * PORTS + usize::from(port)).copied().unwrap_or_default();
        if packet.l4_code() != self.usual || packet.ip_code() == BAD {
            return false;
        }
        // 0 is no place, and is beyond them all when 1 is taken from it.
        let Some(row) = self.rows.get_mut((place as usize).wrapping_sub(1)) else { return false };
        row.packets += 1;
        row.bytes += bytes;
        true
    }

    /// Counts a packet of `protocol` (a small number) and `port`, with so many bytes on the wire.
    pub(super) fn add(&mut self, protocol: usize, port: u16, packet: Summary, bytes: u64) {
        let place = self.row(protocol, port, packet.l4_code());
        self.rows[place].packets += 1;
        self.rows[place].bytes += bytes;
        if packet.ip_code() == BAD {
            self.rare_of(place).bad_ip += 1;
        }
        if packet.l4_code() != self.usual {
            self.rare_of(place).l4.add_code(packet.l4_code(), 1);
        }
    }

    /// The place of a row; where there is none a new one begins, the first packet of which has this verdict.
    fn row(&mut self, protocol: usize, port: u16, l4_code: usize) -> usize {
        let at = protocol * PORTS + usize::from(port);
        match self.places.get(at) {
            Some(&place) if place > 0 => place as usize - 1,
            _ => self.begin(at, l4_code),
        }
    }

    /// A new row, the first packet of which has this verdict.
    #[cold]
    fn begin(&mut self, at: usize, l4_code: usize) -> usize {
        if self.rows.is_empty() {
            self.usual = l4_code;
            self.rows.reserve(ROWS);
        }
        if at >= self.places.len() {
            // Asked for as zeros and not written to: memory comes with the first packet of a row.
            let mut more = vec![0; (at / PORTS + 1) * PORTS];
            more[..self.places.len()].copy_from_slice(&self.places);
            self.places = more;
        }
        // No more than there are protocols and ports.
        self.rows.push(Row { at: at as u32, ..Row::default() });
        self.places[at] = self.rows.len() as u32;
        self.rows.len() - 1
    }

    fn rare_of(&mut self, place: usize) -> &mut Rare {
        let row = &mut self.rows[place];
        if row.rare == 0 {
            self.rare.push(Rare::default());
            // No more than there are rows.
            row.rare = self.rare.len() as u32;
        }
        &mut self.rare[row.rare as usize - 1]
    }

    /// Every row, with its protocol and port.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, u16, Counts)> {
        self.rows.iter().map(|&Row { packets, at, rare, bytes }| {
            let place = (rare as usize).checked_sub(1);
            let Rare { bad_ip, mut l4 } = place.map_or_else(Rare::default, |place| self.rare[place]);
            let others: u64 = l4.iter().map(|(_, count)| count).sum();
            l4.add_code(self.usual, packets - others);
            let at = at as usize;
            (at / PORTS, (at % PORTS) as u16, Counts { packets, bytes, bad_ip, l4 })
        })
    }

    /// Adds a row of somebody else's.
    pub(super) fn merge(&mut self, protocol: usize, port: u16, more: &Counts) {
        let place = self.row(protocol, port, Verdict::Good.code());
        self.rows[place].packets += more.packets;
        self.rows[place].bytes += more.bytes;
        let usual = self.usual;
        let unusual = (0..Verdict::NAMES.len()).zip(more.l4.iter()).filter(|(code, _)| *code != usual);
        for (code, (_, count)) in unusual.filter(|(_, (_, count))| *count > 0) {
            self.rare_of(place).l4.add_code(code, count);
        }
        if more.bad_ip > 0 {
            self.rare_of(place).bad_ip += more.bad_ip;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Batch, Record};
    use crate::parse::{IpLayer, Layers, Transport};
    use crate::verify::Verdicts;

    /// Packets of every verdict, as summaries.
    fn packets() -> Vec<Summary> {
        let bad = Verdict::Bad { found: 1, expected: 2 };
        let kinds = [Verdict::Absent, Verdict::Good, bad, Verdict::NotReady, Verdict::Good, Verdict::Vouched];
        let verdicts: Vec<_> = [Verdict::Good, bad]
            .into_iter()
            .flat_map(|ip| kinds.map(|l4| Verdicts { ip, l4, ..Verdicts::default() }))
            .collect();
        let ip = IpLayer { transport: Transport::Udp, ..IpLayer::default() };
        let layers = vec![Layers { outer: Some(ip), ..Layers::default() }; verdicts.len()];
        let records = vec![Record::default(); verdicts.len()];
        let batch = Batch::new(&[], &records, &[]);
        crate::batch::Findings::given(batch, &layers, &verdicts).summaries().to_vec()
    }

    #[test]
    fn what_is_usual_is_what_remains() {
        let packets = packets();
        // Whichever verdict comes first.
        for first in 0..packets.len() {
            let (mut ports, mut merged) = (Ports::default(), Ports::default());
            for packet in packets[first..].iter().chain(&packets[..first]) {
                for (protocol, port, bytes) in [(1, 53, 100), (4, 65_535, 1)] {
                    if !ports.add_usual(protocol, port, *packet, bytes) {
                        ports.add(protocol, port, *packet, bytes);
                    }
                }
            }
            let expect = |rows: &Ports, times: u64| {
                let rows: Vec<_> = rows.rows().collect();
                assert_eq!(rows.len(), 2);
                let (protocol, port, counts) = rows[0];
                assert_eq!((protocol, port), (1, 53));
                assert_eq!(
                    (counts.packets, counts.bytes, counts.bad_ip),
                    (12 * times, 1200 * times, 6 * times)
                );
                let counted: Vec<_> = counts.l4.iter().filter(|(_, count)| *count > 0).collect();
                let each = 2 * times;
                let expected = [
                    ("good", 2 * each),
                    ("bad", each),
                    ("absent", each),
                    ("not_ready", each),
                    ("vouched", each),
                ];
                assert_eq!(counted, expected);
                assert_eq!((rows[1].0, rows[1].1, rows[1].2.bytes), (4, 65_535, 12 * times));
            };
            expect(&ports, 1);
            for _ in 0..2 {
                ports.rows().for_each(|(protocol, port, counts)| merged.merge(protocol, port, &counts));
            }
            expect(&merged, 2);
        }
    }

    /// What is usual was settled by the first packet of all, not by the first of each protocol.
    #[test]
    fn another_protocol_changes_nothing_in_the_rows_there_are() {
        let packets = packets();
        let (absent, good) = (packets[0], packets[1]);
        let mut ports = Ports::default();
        for (protocol, packet) in [(0, absent), (0, good), (1, good), (3, good)] {
            ports.add(protocol, 7, packet, 1);
        }
        let rows: Vec<_> =
            ports.rows().map(|(protocol, _, counts)| (protocol, counts.packets, counts.l4)).collect();
        let counts = |packets: &[Summary]| {
            let mut counts = VerdictCounts::default();
            packets.iter().for_each(|packet| counts.add_code(packet.l4_code(), 1));
            counts
        };
        assert_eq!(rows, [(0, 2, counts(&[absent, good])), (1, 1, counts(&[good])), (3, 1, counts(&[good]))]);
    }
}
