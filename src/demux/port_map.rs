//! The compiled form of port rules: direct tables.

use super::{OutputId, Protocol, Rule};
use crate::batch::Summary;
use crate::parse::{Layers, Transport};

/// Entries of one table: every port.
const PORTS: usize = 1 << 16;

/// Tables: TCP, UDP (and UDP-Lite), SCTP. Behind them stands one entry for all that has no ports.
const TABLES: usize = 3;

/// Entries of all tables, and one that only a gather of four bytes reads, behind the last.
pub(super) const ENTRIES: usize = TABLES * PORTS + 2;

/// Where the table of a transport begins, by its number, and which bits of a port count in it.
pub(super) const PLACES: [(u32, u16); 16] = {
    let mut places = [((TABLES * PORTS) as u32, 0); 16];
    places[Transport::Tcp as usize] = (0, u16::MAX);
    places[Transport::Udp as usize] = (PORTS as u32, u16::MAX);
    places[Transport::UdpLite as usize] = (PORTS as u32, u16::MAX);
    places[Transport::Sctp as usize] = (2 * PORTS as u32, u16::MAX);
    places
};

/// Sends a packet to an output by its ports.
///
/// The destination port is looked up first, then the source port: a request and its reply meet at
/// the same output. Where several rules name one port, the first in order has it. What no rule names,
/// what has no ports, and later fragments, whose ports are in the first one, go to the rest.
///
/// ```
/// use wharf::demux::{OutputId, PortMap};
/// use wharf::parse::{IpLayer, Layers, Transport};
///
/// let map = PortMap::new([(&"tcp/443".parse()?, OutputId(0)), (&"any/53".parse()?, OutputId(1))], OutputId(2));
/// let ip = IpLayer { transport: Transport::Udp, source_port: 40_000, destination_port: 53, ..IpLayer::default() };
/// assert_eq!(map.output(&Layers { outer: Some(ip), ..Layers::default() }), OutputId(1));
/// assert_eq!(map.output(&Layers::default()), OutputId(2));
/// # Ok::<(), wharf::demux::RuleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PortMap {
    /// For each protocol and port the output's number plus 1, or 0 where no rule names it.
    tables: Box<[u16]>,
    rest: OutputId,
}

impl PortMap {
    /// Compiles rules, the first that names a port winning; `rest` serves when no rule is [`Rule::Rest`]. Rules that are
    /// [filters](Rule::Filter) are for the engine, and have no part in the map.
    ///
    /// # Panics
    /// When an output's number is above [`OutputId::MAX`].
    #[must_use]
    pub fn new<'a>(rules: impl IntoIterator<Item = (&'a Rule, OutputId)>, rest: OutputId) -> Self {
        let mut tables = vec![0; ENTRIES].into_boxed_slice();
        let mut named_rest = None;
        for (rule, output) in rules {
            assert!(output <= OutputId::MAX, "output number {} is out of range", output.0);
            let ports = match rule {
                Rule::Ports(ports) => ports,
                // Which packets those are, ports do not tell.
                Rule::Filter(_) => continue,
                Rule::Rest => {
                    named_rest.get_or_insert(output);
                    continue;
                }
            };
            for table in tables_of(ports.protocol) {
                for range in &ports.ranges {
                    let (first, last) = (usize::from(*range.start()), usize::from(*range.end()));
                    for entry in &mut tables[table * PORTS..][first..=last] {
                        if *entry == 0 {
                            *entry = output.0 + 1;
                        }
                    }
                }
            }
        }
        Self { tables, rest: named_rest.unwrap_or(rest) }
    }

    /// The output of a packet. The cost does not depend on the number of rules.
    #[must_use]
    pub fn output(&self, layers: &Layers) -> OutputId {
        match &layers.outer {
            Some(ip) => self.output_of(ip.transport, ip.source_port, ip.destination_port),
            None => self.rest,
        }
    }

    /// The same, where transport and ports of the outermost IP layer are at hand.
    #[inline]
    #[must_use]
    pub fn output_of(&self, transport: Transport, source_port: u16, destination_port: u16) -> OutputId {
        // Without a branch: which transport comes next is as hard to guess as which port.
        let (table, mask) = PLACES[transport as usize & 15];
        let entry = |port: u16| self.tables[table as usize + usize::from(port & mask)];
        let (by_destination, by_source) = (entry(destination_port), entry(source_port));
        let named = if by_destination == 0 { by_source } else { by_destination };
        if named == 0 { self.rest } else { OutputId(named - 1) }
    }

    /// The outputs of the packets of a batch, in order, in place of what `outputs` held. The same as [`Self::output`] for
    /// each of them.
    ///
    /// ```
    /// use wharf::batch::Findings;
    /// use wharf::demux::{OutputId, PortMap};
    /// use wharf::source::synthetic::{Synthetic, Traffic};
    ///
    /// let source = Synthetic::new(&Traffic { ports: vec![53..=53, 443..=443], ..Traffic::default() });
    /// let map = PortMap::new([(&"any/53".parse()?, OutputId(0))], OutputId(1));
    /// let (mut findings, mut outputs) = (Findings::new(), Vec::new());
    /// findings.read(source.table());
    /// map.route(findings.summaries(), &mut outputs);
    /// for (packet, output) in findings.summaries().iter().zip(outputs) {
    ///     let named = packet.ports().is_some_and(|(source, destination)| source == 53 || destination == 53);
    ///     assert_eq!(output, OutputId(if named { 0 } else { 1 }));
    /// }
    /// # Ok::<(), wharf::demux::RuleError>(())
    /// ```
    pub fn route(&self, packets: &[Summary], outputs: &mut Vec<OutputId>) {
        outputs.clear();
        #[cfg(target_arch = "x86_64")]
        super::x86_64::route(&self.tables, self.rest, packets, outputs);
        // What is left over, or all.
        outputs.extend(packets[outputs.len()..].iter().map(|packet| {
            let (source, destination) = packet.port_fields();
            self.output_of(packet.transport(), source, destination)
        }));
    }

    /// The output of what no rule names.
    #[must_use]
    pub fn rest(&self) -> OutputId {
        self.rest
    }
}

fn tables_of(protocol: Protocol) -> std::ops::Range<usize> {
    match protocol {
        Protocol::Tcp => 0..1,
        Protocol::Udp => 1..2,
        Protocol::Sctp => 2..3,
        Protocol::Any => 0..TABLES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Findings;
    use crate::demux::Ports;
    use crate::frame::{Batch, Record};
    use crate::parse::{Fragment, IpLayer};
    use crate::verify::Verdicts;
    use proptest::prelude::*;

    const REST: OutputId = OutputId(99);

    fn map(rules: &[&str]) -> PortMap {
        let rules: Vec<Rule> = rules.iter().map(|rule| rule.parse().expect(rule)).collect();
        PortMap::new(rules.iter().zip(0..).map(|(rule, output)| (rule, OutputId(output))), REST)
    }

    fn layers(transport: Transport, source_port: u16, destination_port: u16) -> Layers {
        let ip = IpLayer { transport, source_port, destination_port, ..IpLayer::default() };
        Layers { outer: Some(ip), ..Layers::default() }
    }

    #[test]
    fn destination_comes_before_source_even_when_its_rule_comes_later() {
        let map = map(&["tcp/80", "tcp/443"]);
        assert_eq!(map.output(&layers(Transport::Tcp, 80, 443)), OutputId(1));
        assert_eq!(map.output(&layers(Transport::Tcp, 443, 80)), OutputId(0));
        assert_eq!(map.output(&layers(Transport::Tcp, 443, 50_000)), OutputId(1));
    }

    #[test]
    fn the_first_rule_that_names_a_port_has_it() {
        let map = map(&["tcp/8000-8100", "any/8080", "tcp/0-65535"]);
        assert_eq!(map.output(&layers(Transport::Tcp, 1, 8080)), OutputId(0));
        assert_eq!(map.output(&layers(Transport::Udp, 1, 8080)), OutputId(1));
        assert_eq!(map.output(&layers(Transport::Tcp, 1, 65535)), OutputId(2));
    }

    #[test]
    fn what_has_no_ports_goes_to_the_rest() {
        let map = map(&["any/0-65535"]);
        assert_eq!(map.output(&layers(Transport::UdpLite, 1, 2)), OutputId(0));
        for transport in
            [Transport::None, Transport::Icmp, Transport::Icmpv6, Transport::Igmp, Transport::Dccp]
        {
            assert_eq!(map.output(&layers(transport, 53, 53)), REST, "{transport:?}");
        }
        let later = IpLayer { fragment: Fragment::Later, protocol: 17, ..IpLayer::default() };
        assert_eq!(map.output(&Layers { outer: Some(later), ..Layers::default() }), REST);
        assert_eq!(map.output(&Layers::default()), REST);
    }

    #[test]
    fn a_rest_rule_takes_the_place_of_the_default() {
        assert_eq!(map(&["tcp/1", "rest", "rest"]).rest(), OutputId(1));
    }

    #[test]
    fn the_tunnel_goes_by_its_own_port() {
        let mut layers = layers(Transport::Udp, 50_000, 4789);
        layers.inner =
            Some(IpLayer { transport: Transport::Tcp, destination_port: 80, ..IpLayer::default() });
        assert_eq!(map(&["tcp/80", "udp/4789"]).output(&layers), OutputId(1));
    }

    /// What the rules say, read naively.
    fn by_hand(rules: &[Rule], transport: Transport, source: u16, destination: u16) -> OutputId {
        let protocol = match transport {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp | Transport::UdpLite => Protocol::Udp,
            Transport::Sctp => Protocol::Sctp,
            _ => return REST,
        };
        let names = |rule: &Rule, port| match rule {
            Rule::Ports(ports) => {
                (ports.protocol == protocol || ports.protocol == Protocol::Any)
                    && ports.ranges.iter().any(|range| range.contains(&port))
            }
            Rule::Filter(_) | Rule::Rest => false,
        };
        [destination, source]
            .into_iter()
            .find_map(|port| rules.iter().position(|rule| names(rule, port)))
            .map_or(REST, |index| OutputId(u16::try_from(index).unwrap()))
    }

    /// Few distinct ports, so that rules and packets meet.
    fn port() -> impl Strategy<Value = u16> {
        prop_oneof![0u16..12, Just(65534), Just(65535)]
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let protocol =
            prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp), Just(Protocol::Any)];
        let range = (port(), port()).prop_map(|(a, b)| a.min(b)..=a.max(b));
        (protocol, proptest::collection::vec(range, 1..4))
            .prop_map(|(protocol, ranges)| Rule::Ports(Ports { protocol, ranges }))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_a_naive_reading(
            rules in proptest::collection::vec(rule(), 0..8),
            packets in proptest::collection::vec((0usize..6, port(), port()), 1..64),
        ) {
            let map = PortMap::new(
                rules.iter().zip(0..).map(|(rule, output)| (rule, OutputId(output))),
                REST,
            );
            let mut found = Vec::new();
            let mut expected = Vec::new();
            for (transport, source, destination) in packets {
                let transport = [Transport::Tcp, Transport::Udp, Transport::UdpLite, Transport::Sctp,
                    Transport::Dccp, Transport::None][transport];
                found.push(layers(transport, source, destination));
                expected.push(by_hand(&rules, transport, source, destination));
                prop_assert_eq!(&map.output(found.last().unwrap()), expected.last().unwrap());
            }
            // And all of them at once.
            let records = vec![Record::default(); found.len()];
            let verdicts = vec![Verdicts::default(); found.len()];
            let findings = Findings::given(Batch::new(&[], &records, &[]), &found, &verdicts);
            let mut outputs = vec![OutputId(7); 3];
            map.route(findings.summaries(), &mut outputs);
            prop_assert_eq!(outputs, expected);
        }
    }
}
