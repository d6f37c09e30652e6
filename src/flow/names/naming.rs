//! Names for the records of flows.

use super::generations::Generations;
use super::{Hint, Names, NamesOptions};
use crate::flow::{EndReason, FlowKey, FlowNames, FlowRecord};
use crate::frame::Timestamp;
use crate::parse::{IpLayer, Packet};

/// Connections between the same ends of which it is known what they named.
const MAX_TOLD: usize = 8;
/// Seconds for which the rest of an opening is waited for, and up to twice as long.
const PATIENCE: i64 = 5;
/// Of the ports of a connection whose opening is not whole, a bit.
const BITS: usize = 1 << 12;

/// Gives each record the name that its client asked for: the one that the conversation itself tells (TLS, QUIC, HTTP/1), else
/// the one for which DNS had given the client the server's address before the flow began.
///
/// It looks at all packets in their order, and at a record when it is written. What a record is called goes by its own times,
/// so it does not matter how much later that is.
///
/// ```
/// use wharf::build::{DnsMessage, DnsRecord, DnsType, Ipv4, Stack, Tcp, Udp};
/// use wharf::flow::names::{Naming, NamesOptions};
/// use wharf::flow::{Meter, MeterOptions};
/// use wharf::parse::{Packet, parse};
///
/// let (client, resolver, server) = ([10, 0, 0, 1], [10, 0, 0, 53], [192, 0, 2, 7]);
/// let answer = DnsMessage::response(&DnsMessage::query(1, "wharf.test", DnsType::A)?).answer(60, DnsRecord::A(server.into()))?;
/// let (mut told, mut syn) = (Stack::new(), Stack::new());
/// told.message(answer.bytes()).wrap(Udp::new(53, 40_000)).wrap(Ipv4::new(resolver, client));
/// syn.message(&[]).wrap(Tcp::new(40_000, 443).flags(Tcp::SYN)).wrap(Ipv4::new(client, server));
///
/// let (mut naming, mut meter) = (Naming::new(NamesOptions::default()), Meter::new(MeterOptions::default()));
/// let layers = [parse(&told.frame()), parse(&syn.frame())];
/// for packet in [Packet::new(told.frame(), &layers[0]), Packet::new(syn.frame(), &layers[1])] {
///     naming.observe(&packet);
///     meter.observe([packet], |_| {});
/// }
/// let mut names = Vec::new();
/// meter.finish(|mut record| {
///     naming.name(&mut record);
///     names.extend(record.names.and_then(|names| names.server));
/// });
/// assert_eq!(names, ["wharf.test".into()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Naming {
    names: Names,
    /// What conversations have named, and what DNS had told before those over TCP began, by their ends; the latest at the end.
    told: Generations<FlowKey, Vec<Told>>,
    /// The names of flows that go on after a record.
    going_on: Generations<FlowKey, FlowNames>,
    /// Flows whose names were forgotten for those of others.
    forgotten: u64,
    /// Ports of openings that are not whole, of late and of the time before.
    open: [Vec<u64>; 2],
    turned: i64,
    last: Timestamp,
}

/// What is known of the ends of a flow from a time on.
#[derive(Debug)]
struct Told {
    time: Timestamp,
    /// What was named; `None` where a connection has begun of which nothing is known.
    names: Option<FlowNames>,
    /// The upper end of the key asked for it.
    reversed: bool,
}

impl Naming {
    /// With nothing known yet. What becomes of DNS questions is not kept.
    #[must_use]
    pub fn new(options: NamesOptions) -> Self {
        Self {
            names: Names::new(NamesOptions { questions: 0, ..options }),
            told: Generations::new(options.flows),
            going_on: Generations::new(options.flows),
            forgotten: 0,
            open: std::array::from_fn(|_| vec![0; BITS / 64]),
            turned: 0,
            last: Timestamp::default(),
        }
    }

    /// Looks at a packet.
    pub fn observe(&mut self, packet: &Packet<'_>) {
        if let Some(time) = packet.frame().record.time {
            self.last = time;
        }
        match Hint::of(packet) {
            Hint::Look | Hint::Opening(..) => self.look(packet),
            // Most segments are in the middle of something.
            Hint::Rest(ports) if self.is_open(ports) => self.look(packet),
            Hint::Rest(_) | Hint::Nothing => {}
        }
    }

    #[inline(never)]
    fn look(&mut self, packet: &Packet<'_>) {
        let Some(keyed) = FlowKey::of(packet) else { return };
        let (key, ip, time) = (keyed.key, keyed.ip, self.last);
        let tcp = packet.tcp(ip).map(|tcp| tcp.flags());
        if tcp.is_some_and(|flags| flags.syn() && !flags.ack()) {
            self.begin(&key, keyed.reversed);
        }
        let names = self.names.observe(packet, &keyed, time);
        if tcp.is_some() && self.names.waits_for_opening(&key, keyed.reversed) {
            self.open(ip);
        }
        if let Some(names) = names {
            self.tell(key, Told { time, names: Some(names), reversed: keyed.reversed });
        }
    }

    /// A TCP connection begins, or tries to: what comes is no more of one before it between the same ports.
    fn begin(&mut self, key: &FlowKey, reversed: bool) {
        self.names.forget_opening(key);
        let [client, server] = [reversed, !reversed].map(|upper| key.end(upper).0);
        let names = self.names.name_for(client, server, self.last).map(by_dns);
        let told = Told { time: self.last, names, reversed };
        match self.told.get_mut(key) {
            Some(known) if known.last().is_some_and(|last| last.names.is_none() && told.names.is_none()) => {}
            // Also where the name is the same: it is that of the one before, to which nothing more is added.
            Some(known) => push(known, told),
            None if told.names.is_some() => self.forgotten += self.told.insert(*key, vec![told]).len() as u64,
            None => {}
        }
    }

    /// A conversation has named something.
    fn tell(&mut self, key: FlowKey, told: Told) {
        let Some(known) = self.told.get_mut(&key) else {
            self.forgotten += self.told.insert(key, vec![told]).len() as u64;
            return;
        };
        match known.last_mut() {
            Some(Told { names: Some(last), reversed, .. }) => {
                let Some(names) = told.names.filter(|names| gives_way(last, names)) else { return };
                // What DNS has told stays where the conversation names no host.
                last.application = names.application.or(last.application.take());
                if names.server.is_some() {
                    (last.server, last.server_from, *reversed) =
                        (names.server, names.server_from, told.reversed);
                }
            }
            _ => push(known, told),
        }
    }

    /// Names a record.
    pub fn name(&mut self, record: &mut FlowRecord) {
        let named = self.name_last(record);
        match record.end {
            EndReason::ActiveTimeout => {
                if let Some(names) = record.names.as_deref().filter(|_| named) {
                    self.forgotten += self.going_on.insert(record.key, names.clone()).len() as u64;
                }
            }
            // Or it is only looked at.
            EndReason::CaptureEnd => {}
            _ if self.going_on.len() > 0 && named => drop(self.going_on.remove(&record.key)),
            _ => {}
        }
    }

    /// Names a record of a flow that goes on no more, or is only looked at; whether it has any name.
    pub(crate) fn name_last(&self, record: &mut FlowRecord) -> bool {
        let goes_on = || self.going_on.get(&record.key).cloned();
        let mut names = self.told_of(record).or_else(goes_on).unwrap_or_default();
        if names.server.is_none() {
            let (client, server) = (record.source().0, record.destination().0);
            let name = self.names.name_for(client, server, record.first.unwrap_or_default());
            (names.server, names.server_from) = (name.map(Into::into), name.map(|_| "dns"));
        }
        let named = names != FlowNames::default();
        record.names = named.then(|| Box::new(names));
        named
    }

    /// Conversations of which too many were going on at a time, so that what they have named may not be known. Not all of them
    /// still went on.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.names.streams_given_up() + self.forgotten
    }

    fn told_of(&self, record: &FlowRecord) -> Option<FlowNames> {
        let last = record.last.unwrap_or_default();
        let told = self.told.get(&record.key)?.iter().rev().find(|told| told.time <= last)?;
        let names = told.names.clone()?;
        // Who asks is the client, whoever was seen first.
        let of_source = names.server.is_some() && told.reversed != record.reversed;
        Some(FlowNames { of_source, ..names })
    }

    /// An opening between these ports may not be whole.
    fn is_open(&mut self, ports: (u16, u16)) -> bool {
        self.turn();
        let (word, bit) = place(ports);
        (self.open[0][word] | self.open[1][word]) & bit != 0
    }

    fn open(&mut self, ip: &IpLayer) {
        self.turn();
        let (word, bit) = place((ip.source_port, ip.destination_port));
        self.open[0][word] |= bit;
    }

    /// What is old is forgotten.
    fn turn(&mut self) {
        let turn = self.last.seconds.div_euclid(PATIENCE);
        if turn > self.turned {
            self.open.swap(0, 1);
            self.open[0].fill(0);
            if turn > self.turned + 1 {
                self.open[1].fill(0);
            }
            self.turned = turn;
        }
    }
}

/// Of several requests the first counts; of what goes through a proxy's tunnel, the TLS inside.
fn gives_way(known: &FlowNames, later: &FlowNames) -> bool {
    match known.server_from {
        Some("dns") | None => true,
        Some(from) => from == "http" && later.server_from == Some("tls"),
    }
}

fn by_dns(name: &str) -> FlowNames {
    FlowNames { server: Some(name.into()), server_from: Some("dns"), ..FlowNames::default() }
}

fn push(known: &mut Vec<Told>, told: Told) {
    known.push(told);
    if known.len() > MAX_TOLD {
        known.remove(0);
    }
}

/// The place of a direction's ports among the bits.
fn place((source, destination): (u16, u16)) -> (usize, u64) {
    let at = usize::from(source.wrapping_mul(31) ^ destination) % BITS;
    (at / 64, 1 << (at % 64))
}
