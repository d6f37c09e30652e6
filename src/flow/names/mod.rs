//! Names: what clients asked for, of whom, and what they then spoke to.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`Naming`] | gives the records of flows the names that their clients asked for |
//! | [`Names`] | looks at every packet and keeps what tells of names |
//! | [`AddressNames`] | for each client, the name it asked for by the address it was given |
//! | [`Lookups`] | questions matched to answers: latency, result, repeats, silence |
//! | [`Lookup`] | one question and what became of it |
//!
//! Everything is bounded, and nothing looks at a clock.

mod addresses;
mod generations;
mod hashing;
mod in_order;
mod lookup;
mod lookups;
mod naming;
mod notes;
mod openings;
mod streams;
mod told;

pub use addresses::AddressNames;
pub use lookup::{Answer, Lookup, LookupCounts, Outcome, Reply, Service};
pub use lookups::{Lookups, Seen};
pub use naming::Naming;
pub(crate) use notes::{Hint, Notes, Second, Sieve};

use super::{FlowKey, FlowNames, Keyed};
use crate::frame::Timestamp;
use crate::parse::dns::{DNS_PORT, DnsMessage, LLMNR_PORT, MDNS_PORT, TcpMessages};
use crate::parse::{IpLayer, Packet, TcpFlags, Transport};
use in_order::InOrder;
use openings::Openings;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use streams::{Held, Streams};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamesOptions {
    /// Addresses with names; bytes for as many, 256 each, bound long ones.
    pub addresses: usize,
    /// Open questions; 0 where what becomes of questions is not wanted.
    pub questions: usize,
    /// After how long a question counts as unanswered.
    pub timeout: Duration,
    /// Connections whose first bytes, or next DNS message, are not whole yet; of each kind.
    pub streams: usize,
    /// Bytes kept of them; of each kind.
    pub stream_bytes: usize,
    /// Conversations of which [`Naming`] keeps what they have named; likewise, 384 bytes each.
    pub flows: usize,
}

impl Default for NamesOptions {
    /// At most some 65 MB when all of it is taken, 50 MB more where what becomes of questions is wanted, and 110 MB more of
    /// [`Naming`]. Long names and many of an address count in bytes: then fewer are kept.
    fn default() -> Self {
        Self {
            addresses: 1 << 17,
            questions: 1 << 16,
            timeout: Duration::from_secs(10),
            streams: 1 << 14,
            stream_bytes: 8 << 20,
            flows: 1 << 18,
        }
    }
}

/// All that is known of names: told by DNS, multicast DNS and LLMNR, and by the first bytes of TLS, QUIC and HTTP/1.
///
/// ```
/// use wharf::build::{DnsMessage, Ethernet, Ipv4, Stack, Udp};
/// use wharf::flow::FlowKey;
/// use wharf::flow::names::{Names, NamesOptions};
/// use wharf::frame::Timestamp;
/// use wharf::parse::{Packet, parse};
///
/// let (client, resolver, server) = ([10, 0, 0, 1], [10, 0, 0, 53], [192, 0, 2, 7]);
/// let mut names = Names::new(NamesOptions::default());
/// let answer = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x05wharf\x04test\0\0\x01\0\x01\
///     \xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07";
/// let mut stack = Stack::new();
/// stack.message(answer).wrap(&Udp::new(53, 40_000)).wrap(&Ipv4::new(resolver, client));
/// let frame = stack.frame();
/// let layers = parse(&frame);
/// let packet = Packet::new(frame, &layers);
/// let keyed = FlowKey::of(&packet).expect("an IPv4 packet");
/// names.observe(&packet, &keyed, Timestamp::new(0, 0));
/// let name = |seconds| names.name_for(client.into(), server.into(), Timestamp::new(seconds, 0));
/// assert_eq!(name(1), Some("wharf.test"));
/// assert_eq!(name(60 + 300 + 1), None, "it held for a minute, and some more");
/// ```
#[derive(Debug)]
pub struct Names {
    resolution: Resolution,
    openings: Openings,
    dns_streams: Streams<(FlowKey, bool), DnsStream>,
}

/// What DNS messages tell.
#[derive(Debug)]
struct Resolution {
    addresses: AddressNames,
    lookups: Lookups,
    /// What becomes of questions is wanted.
    follows: bool,
}

/// One direction of DNS over TCP.
#[derive(Debug)]
struct DnsStream {
    order: InOrder,
    messages: TcpMessages,
}

impl Held for DnsStream {
    fn held(&self) -> usize {
        self.order.held() + self.messages.pending()
    }
}

impl Names {
    /// With nothing known yet.
    #[must_use]
    pub fn new(options: NamesOptions) -> Self {
        Self {
            resolution: Resolution {
                addresses: AddressNames::new(options.addresses),
                lookups: Lookups::new(options.timeout, options.questions),
                follows: options.questions > 0,
            },
            openings: Openings::new(options.streams, options.stream_bytes),
            dns_streams: Streams::new(options.streams, options.stream_bytes),
        }
    }

    /// Looks at a packet of a flow, at the time it was captured. Gives what it tells of its own flow: host and application
    /// protocol by TLS, QUIC or HTTP.
    pub fn observe(&mut self, packet: &Packet<'_>, keyed: &Keyed, time: Timestamp) -> Option<FlowNames> {
        let ip = &keyed.ip;
        match ip.transport {
            Transport::Udp => {
                let data = packet.payload(ip);
                let Some(service) = service(ip) else { return self.openings.datagram(keyed.key, data) };
                self.resolution.message(data, &seen(packet, ip, service, time)?);
                None
            }
            Transport::Tcp => {
                let tcp = packet.tcp(ip)?;
                let (key, data) = ((keyed.key, keyed.reversed), packet.payload(ip));
                let syn = tcp.flags().contains(TcpFlags::SYN);
                // A SYN takes a number of its own before the data it may bring.
                let sequence = tcp.sequence().wrapping_add(syn.into());
                let second = Second::of(packet.frame().record.time);
                if syn && service(ip).is_some() {
                    // The ports may have been another connection's.
                    self.dns_streams.remove(&key);
                } else if syn && !tcp.flags().ack() && data.is_empty() {
                    self.openings.begin(key, sequence, second);
                }
                if data.is_empty() {
                    return None;
                }
                let Some(service) = service(ip) else {
                    return self.openings.segment(key, (sequence, second), data);
                };
                self.dns_segment(key, sequence, data, &seen(packet, ip, service, time)?);
                None
            }
            _ => None,
        }
    }

    /// The name that `client` had asked for and been given `server` for, by `time`.
    #[must_use]
    pub fn name_for(&self, client: IpAddr, server: IpAddr, time: Timestamp) -> Option<&str> {
        self.resolution.addresses.name_for(client, server, time)
    }

    /// The same, to be kept with others.
    fn shared_name_for(&self, client: IpAddr, server: IpAddr, time: Timestamp) -> Option<&Arc<str>> {
        self.resolution.addresses.shared_name_for(client, server, time)
    }

    /// The ports of a TCP connection are used anew: what was not whole of the one before it does not belong to what comes.
    pub(super) fn forget_opening(&mut self, key: &FlowKey) {
        self.openings.forget(key);
    }

    /// The first bytes of a direction of a TCP connection are not whole yet, by then.
    fn waits_for_opening(&self, key: &FlowKey, reversed: bool, time: Option<Timestamp>) -> bool {
        self.openings.waits(key, reversed, Second::of(time))
    }

    /// Questions and what became of them.
    #[must_use]
    pub fn lookups(&mut self) -> &mut Lookups {
        &mut self.resolution.lookups
    }

    /// The table of addresses.
    #[must_use]
    pub fn addresses(&self) -> &AddressNames {
        &self.resolution.addresses
    }

    /// How many streams were given up before they told a name or a message, to make room for others.
    #[must_use]
    pub fn streams_given_up(&self) -> u64 {
        self.openings.given_up() + self.dns_streams.given_up()
    }

    fn dns_segment(&mut self, key: (FlowKey, bool), sequence: u32, data: &[u8], seen: &Seen) {
        let Self { resolution, dns_streams, .. } = self;
        let push = |stream: &mut DnsStream| {
            let DnsStream { order, messages } = stream;
            let each = |slice: &[u8]| messages.push(slice, |message| resolution.message(message, seen));
            if order.push(sequence, data, each).is_err() {
                messages.gap();
                resolution.lookups.unreadable();
            }
        };
        if !dns_streams.contains(&key) {
            let stream = DnsStream { order: InOrder::from(sequence), messages: TcpMessages::default() };
            dns_streams.insert(key, stream);
        }
        dns_streams.update(&key, push);
    }
}

impl Resolution {
    fn message(&mut self, bytes: &[u8], seen: &Seen) {
        let Ok(message) = DnsMessage::parse(bytes) else { return self.lookups.unreadable() };
        if self.follows {
            self.lookups.observe(&message, seen);
        }
        if message.is_response() {
            let client = seen.destination.0;
            self.addresses.learn((!client.is_multicast()).then_some(client), &message, seen.time);
        }
    }
}

fn seen(packet: &Packet<'_>, ip: &IpLayer, service: Service, time: Timestamp) -> Option<Seen> {
    let (source, destination) = packet.addresses(ip)?;
    let tcp = ip.transport == Transport::Tcp;
    let (source, destination) = ((source, ip.source_port), (destination, ip.destination_port));
    Some(Seen { time, source, destination, tcp, service })
}

/// The protocol of DNS messages that the ports name: the destination's first.
fn service(ip: &IpLayer) -> Option<Service> {
    service_of((ip.source_port, ip.destination_port), ip.transport == Transport::Udp)
}

#[inline(always)]
fn service_of((source, destination): (u16, u16), udp: bool) -> Option<Service> {
    of_port(destination, udp).or_else(|| of_port(source, udp))
}

#[inline(always)]
fn of_port(port: u16, udp: bool) -> Option<Service> {
    match port {
        DNS_PORT => Some(Service::Dns),
        MDNS_PORT if udp => Some(Service::Mdns),
        LLMNR_PORT => Some(Service::Llmnr),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
