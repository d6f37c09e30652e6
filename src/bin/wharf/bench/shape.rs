//! What traffic is measured, by which rules it is told apart, and what must come of it.

use std::array;
use wharf::demux::{OutputId, PortMap, Ports, Protocol, Rule};
use wharf::source::BATCH;
use wharf::source::synthetic::{self, Expected, Sizes, Synthetic, Tally, Traffic};

/// Outputs that rules send packets to, and one for the rest: as many as people have, however many the rules.
const OUTPUTS: u16 = 8;
/// A power of two above them.
pub(super) const SLOTS: usize = 16;
/// Lengths on the wire over lengths in memory: the frame check sequence; and preamble and gap between frames.
const CHECK_SEQUENCE: u64 = 4;
const BETWEEN_FRAMES: u64 = 20;

/// Traffic of one kind.
pub(super) struct Shape {
    /// Lengths in it are those on the wire, with the frame check sequence.
    pub(super) name: &'static str,
    /// Each distinct frame once.
    pub(super) traffic: Traffic,
}

/// All shapes, the plainest first. The distinct frames of each take at most half of a cache of `l2` bytes.
pub(super) fn all(l2: usize, flows: u32) -> Vec<Shape> {
    let base = Traffic { flows, ports: vec![0..=1_023, 1_024..=49_151], ..Traffic::default() };
    let mix =
        vec![(synthetic::Protocol::Tcp, 70), (synthetic::Protocol::Udp, 29), (synthetic::Protocol::Icmp, 1)];
    let shape = |name, mean: usize, traffic: Traffic| {
        let distinct = (l2 / 2 / mean).clamp(BATCH, 4_096) / BATCH * BATCH;
        Shape { name, traffic: Traffic { frames: distinct as u64, distinct, ..traffic } }
    };
    vec![
        shape("64 B", 60, Traffic { sizes: Sizes::Fixed(60), ..base.clone() }),
        shape("imix", 358, Traffic { sizes: Sizes::Imix, ..base.clone() }),
        shape("1518 B", 1_514, Traffic { sizes: Sizes::Fixed(1_514), ..base.clone() }),
        shape(
            "IPv6, VLAN",
            358,
            Traffic { sizes: Sizes::Imix, protocols: mix, ipv6_percent: 50, vlan_percent: 50, ..base },
        ),
    ]
}

/// So many rules, one for each of the lowest ports, in turn for each output.
#[derive(Clone, Copy)]
pub(super) struct Rules(pub(super) u32);

impl Rules {
    pub(super) fn map(self) -> PortMap {
        let rules: Vec<_> =
            (0..self.0).map(|port| (rule(&[port as u16]), self.output(port as u16))).collect();
        PortMap::new(rules.iter().map(|(rule, output)| (rule, *output)), OutputId(OUTPUTS))
    }

    /// All of them in one.
    pub(super) fn together(self) -> Rule {
        rule(&(0..self.0).map(|port| port as u16).collect::<Vec<_>>())
    }

    /// Where a packet to this port goes.
    fn output(self, port: u16) -> OutputId {
        OutputId(if u32::from(port) < self.0 { port % OUTPUTS } else { OUTPUTS })
    }
}

fn rule(ports: &[u16]) -> Rule {
    Rule::Ports(Ports { protocol: Protocol::Any, ranges: ports.iter().map(|&port| port..=port).collect() })
}

/// What must be counted over every distinct frame once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) total: Tally,
    /// Checksums over what IP carries that are right, and that are wrong.
    pub(super) good: u64,
    pub(super) bad: u64,
    pub(super) outputs: [Tally; SLOTS],
}

impl Promise {
    /// No client's port has a rule of its own unless all servers' ports have one, and those come first: where a packet
    /// goes is settled by the port it is sent to.
    pub(super) fn of(source: &Synthetic, rules: Rules) -> Self {
        let Expected { total, ports, portless, bad, .. } = source.expected();
        let mut outputs = [Tally::default(); SLOTS];
        let mut add = |OutputId(output), tally: Tally| {
            outputs[usize::from(output)].frames += tally.frames;
            outputs[usize::from(output)].bytes += tally.bytes;
        };
        ports.iter().for_each(|(&(_, port), &tally)| add(rules.output(port), tally));
        add(OutputId(OUTPUTS), portless);
        Self { total, good: total.frames - bad, bad, outputs }
    }

    /// So many times over.
    pub(super) fn times(&self, turns: u64) -> Self {
        let times = |tally: Tally| Tally { frames: tally.frames * turns, bytes: tally.bytes * turns };
        Self {
            total: times(self.total),
            good: self.good * turns,
            bad: self.bad * turns,
            outputs: array::from_fn(|output| times(self.outputs[output])),
        }
    }

    /// Packets that rules name, and those that none names.
    pub(super) fn named_and_rest(&self) -> (u64, u64) {
        let rest = self.outputs[usize::from(OUTPUTS)].frames;
        (self.total.frames - rest, rest)
    }

    /// The line rate that so many million packets a second are, in Gbit/s.
    pub(super) fn line_rate(&self, mpps: f64) -> f64 {
        let around = CHECK_SEQUENCE + BETWEEN_FRAMES;
        let bytes = self.total.bytes as f64 / self.total.frames as f64 + around as f64;
        mpps * bytes * 8.0 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_gigabits_are_14_88_million_of_the_smallest_frames() {
        let source = Synthetic::new(&all(1 << 20, 16)[0].traffic);
        let rate = Promise::of(&source, Rules(1)).line_rate(14.880_952);
        assert!((rate - 10.0).abs() < 1e-5, "{rate}");
    }

    #[test]
    fn promises_add_up_whatever_the_rules() {
        for shape in all(1 << 20, 64) {
            let source = Synthetic::new(&shape.traffic);
            for rules in [0, 1, 1_024, 65_536] {
                let promise = Promise::of(&source, Rules(rules));
                let frames: u64 = promise.outputs.iter().map(|tally| tally.frames).sum();
                let (named, rest) = promise.named_and_rest();
                assert_eq!((frames, named + rest), (promise.total.frames, frames));
                assert_eq!(named == 0, rules == 0 || (rules == 1 && named == 0), "{}", shape.name);
                assert_eq!(promise.times(3).total.bytes, promise.total.bytes * 3);
            }
        }
    }
}
