//! Names for the records of flows.

use super::streams::Streams;
use super::told::{History, Named, Told};
use super::{Hint, Names, NamesOptions};
use crate::flow::{EndReason, FlowKey, FlowNames, FlowRecord};
use crate::frame::Timestamp;
use crate::parse::{IpLayer, Packet};

/// Bytes of memory for what each conversation has named, on average, and for those that go on after a record.
const EACH: [usize; 2] = [256, 128];
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
    /// What conversations have named, and what DNS had told before those over TCP began, by their ends.
    told: Streams<FlowKey, History>,
    /// The names of flows that go on after a record.
    going_on: Streams<FlowKey, Named>,
    /// Ports of openings that are not whole, of late and of the time before.
    open: [Vec<u64>; 2],
    turned: i64,
    /// Time of the last packet that was looked at.
    last: Timestamp,
}

impl Naming {
    /// With nothing known yet. What becomes of DNS questions is not kept.
    #[must_use]
    pub fn new(options: NamesOptions) -> Self {
        Self {
            names: Names::new(NamesOptions { questions: 0, ..options }),
            told: Streams::new(options.flows, options.flows.saturating_mul(EACH[0])),
            going_on: Streams::new(options.flows, options.flows.saturating_mul(EACH[1])),
            open: std::array::from_fn(|_| vec![0; BITS / 64]),
            turned: 0,
            last: Timestamp::default(),
        }
    }

    /// Looks at a packet.
    pub fn observe(&mut self, packet: &Packet<'_>) {
        match Hint::of(packet) {
            Hint::Look | Hint::Begin(_) | Hint::Opening(..) => self.look(packet, false),
            // Most segments are in the middle of something.
            Hint::Rest(ports) if self.is_open(ports) => self.look(packet, true),
            Hint::Rest(_) | Hint::Nothing => {}
        }
    }

    #[inline(never)]
    fn look(&mut self, packet: &Packet<'_>, is_rest: bool) {
        let Some(keyed) = FlowKey::of(packet) else { return };
        let key = keyed.key;
        // Threads that share the work note more of these than one alone does, and not in every run the same: what nothing waits
        // for leaves no trace, not even of its time.
        let time = packet.frame().record.time;
        if is_rest && !self.names.waits_for_opening(&key, keyed.reversed, time) {
            return;
        }
        self.last = time.unwrap_or(self.last);
        let ip = &keyed.ip;
        let tcp = packet.tcp(ip).map(|tcp| tcp.flags());
        if tcp.is_some_and(|flags| flags.syn() && !flags.ack()) {
            self.begin(&key, keyed.reversed);
        }
        let names = self.names.observe(packet, &keyed, self.last);
        if tcp.is_some() && self.names.waits_for_opening(&key, keyed.reversed, time) {
            self.open(ip);
        }
        if let Some(names) = names {
            let told = Told::new(self.last, Some(Named::by_itself(names, keyed.reversed)));
            if self.told.update(&key, |known| known.tell(&told)).is_none() {
                self.told.add(key, History::of(told));
            }
        }
    }

    /// A TCP connection begins, or tries to: what comes is no more of one before it between the same ports.
    fn begin(&mut self, key: &FlowKey, reversed: bool) {
        self.names.forget_opening(key);
        let [client, server] = [reversed, !reversed].map(|upper| key.end(upper).0);
        let name = self.names.shared_name_for(client, server, self.last);
        let told = Told::new(self.last, name.map(|name| Named::by_dns(name, reversed)));
        if self.told.update(key, |known| known.begin(&told)).is_none() && told.is_any() {
            self.told.add(*key, History::of(told));
        }
    }

    /// Names a record.
    pub fn name(&mut self, record: &mut FlowRecord) {
        let named = self.name_last(record);
        match record.end {
            EndReason::ActiveTimeout => {
                if let Some(names) = record.names.as_deref().filter(|_| named) {
                    let reversed = record.reversed != names.of_source;
                    self.going_on.insert(record.key, Named::by_itself(names.clone(), reversed));
                }
            }
            // Or it is only looked at.
            EndReason::CaptureEnd => {}
            _ if self.going_on.len() > 0 && named => self.going_on.remove(&record.key),
            _ => {}
        }
    }

    /// Names a record of a flow that goes on no more, or is only looked at; whether it has any name.
    pub(crate) fn name_last(&self, record: &mut FlowRecord) -> bool {
        let told = self.told.get(&record.key).and_then(|told| told.by(record.last.unwrap_or_default()));
        let known = told.or_else(|| self.going_on.get(&record.key));
        let mut names = known.map(|names| names.of_record(record.reversed)).unwrap_or_default();
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
        self.names.streams_given_up() + self.told.given_up() + self.going_on.given_up()
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

/// The place of a direction's ports among the bits.
fn place((source, destination): (u16, u16)) -> (usize, u64) {
    let at = usize::from(source.wrapping_mul(31) ^ destination) % BITS;
    (at / 64, 1 << (at % 64))
}
