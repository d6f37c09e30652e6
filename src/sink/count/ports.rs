//! Counts by protocol and port, laid out so that an ordinary packet touches 16 bytes of them.

use super::Counts;
use crate::batch::Summary;
use crate::verify::{Verdict, VerdictCounts};

/// Ports of one protocol.
const PORTS: usize = 1 << 16;

/// One row of counts for each of 65,536 ports of some protocols.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    /// Packets by protocol and port. Made when the first one comes; of what is not touched the system makes no memory.
    packets: Vec<u64>,
    /// Their bytes, likewise. Beside the packets they would be added to as one vector with them, and the next packet of
    /// the port would wait for it three times as long as for two numbers.
    bytes: Vec<u64>,
    /// The verdict over the upper layer that needs no count of its own: that of the first packet, by its code. It is
    /// what remains of a row's packets.
    usual: usize,
    /// Likewise by protocol and port: the place in `rare` plus 1, or 0.
    places: Vec<u32>,
    /// What else was found in a row's packets.
    rare: Vec<Rare>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rare {
    bad_ip: u64,
    /// All but the usual ones.
    l4: VerdictCounts,
}

impl Ports {
    /// Counts a packet of `protocol` (a small number) and `port`, with so many bytes on the wire.
    #[inline]
    pub(super) fn add(&mut self, protocol: usize, port: u16, packet: Summary, bytes: u64) {
        const BAD: usize = Verdict::Bad { found: 0, expected: 0 }.code();
        let at = protocol * PORTS + usize::from(port);
        if at >= self.packets.len() {
            self.begin(protocol, packet.l4_code());
        }
        self.packets[at] += 1;
        self.bytes[at] += bytes;
        let bad_ip = packet.ip_code() == BAD;
        if packet.l4_code() != self.usual || bad_ip {
            self.add_rare(at, packet.l4_code(), bad_ip);
        }
    }

    /// Room for the rows of `protocol`, in which the first packet has this verdict.
    #[cold]
    fn begin(&mut self, protocol: usize, l4_code: usize) {
        if self.packets.is_empty() {
            self.usual = l4_code;
        }
        for counts in [&mut self.packets, &mut self.bytes] {
            // Asked for as zeros and not written to: memory comes with the first packet of a row.
            let mut more = vec![0; (protocol + 1) * PORTS];
            more[..counts.len()].copy_from_slice(counts);
            *counts = more;
        }
    }

    fn add_rare(&mut self, at: usize, l4_code: usize, bad_ip: bool) {
        let usual = self.usual;
        let rare = self.rare_of(at);
        rare.bad_ip += u64::from(bad_ip);
        if l4_code != usual {
            rare.l4.add_code(l4_code, 1);
        }
    }

    fn rare_of(&mut self, at: usize) -> &mut Rare {
        if self.places.len() <= at {
            self.places.resize(self.packets.len(), 0);
        }
        if self.places[at] == 0 {
            self.rare.push(Rare::default());
            // No more than there are rows.
            self.places[at] = self.rare.len() as u32;
        }
        &mut self.rare[self.places[at] as usize - 1]
    }

    /// Every row in which there is something, with its protocol and port.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, u16, Counts)> {
        let rows = self.packets.iter().zip(&self.bytes).enumerate().filter(|(_, (packets, _))| **packets > 0);
        rows.map(|(at, (&packets, &bytes))| {
            let place = self.places.get(at).map_or(0, |&place| place as usize);
            let Rare { bad_ip, mut l4 } =
                place.checked_sub(1).map_or_else(Rare::default, |place| self.rare[place]);
            let others: u64 = l4.iter().map(|(_, count)| count).sum();
            l4.add_code(self.usual, packets - others);
            (at / PORTS, (at % PORTS) as u16, Counts { packets, bytes, bad_ip, l4 })
        })
    }

    /// Adds a row of somebody else's.
    pub(super) fn merge(&mut self, protocol: usize, port: u16, more: &Counts) {
        let at = protocol * PORTS + usize::from(port);
        if at >= self.packets.len() {
            self.begin(protocol, Verdict::Good.code());
        }
        self.packets[at] += more.packets;
        self.bytes[at] += more.bytes;
        let usual = self.usual;
        let unusual = (0..Verdict::NAMES.len()).zip(more.l4.iter()).filter(|(code, _)| *code != usual);
        for (code, (_, count)) in unusual.filter(|(_, (_, count))| *count > 0) {
            self.rare_of(at).l4.add_code(code, count);
        }
        if more.bad_ip > 0 {
            self.rare_of(at).bad_ip += more.bad_ip;
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
                ports.add(1, 53, *packet, 100);
                ports.add(4, 65_535, *packet, 1);
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
}
