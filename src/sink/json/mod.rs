//! One JSON object a packet, one packet a line: [`Json`].
//!
//! | key | value |
//! | --- | --- |
//! | `n` | position in the source, from 1 |
//! | `time` | `"seconds.nanoseconds"` since 1970, UTC; `null` where the source has no time for it |
//! | `len`, `caplen` | bytes on the wire, bytes captured |
//! | `interface`, `direction` | name of the interface; `in` or `out` |
//! | `link` | name or number of the link-layer header type |
//! | `comment` | the packet's comments in a pcapng file |
//! | `vlan` | ids of all VLAN tags (IEEE 802.1Q), outermost first |
//! | `svlan` | ids of all service tags (0x88a8, IEEE 802.1ad), which number their VLANs apart, likewise |
//! | `ether_type` | what the outermost link layer carries |
//! | `arp` | `operation`, `sender`, `sender_mac`, `target`, `target_mac` |
//! | `src`, `dst` | addresses of the outermost IP header, as far as they were captured |
//! | `ttl`, `id`, `fragment` | time to live or hop limit; IPv4 identification; `first` or `later` |
//! | `proto` | `tcp`, `udp`, `icmp`, ..., or the number as text |
//! | `sport`, `dport` | where the protocol has ports |
//! | `ip_checksum`, `l4_checksum` | a [`Verdict`]'s name: `good`, `bad`, `absent`, `not_ready`, ... |
//! | `ip_expected`, `l4_expected` | what a bad checksum should have been |
//! | `tcp` | `flags` (number), `seq`, `ack`, `len` (payload), `window` |
//! | `icmp` | `type`, `code` |
//! | `payload` | bytes above the upper-layer header, by the length fields |
//! | `inner` | the keys from `src` on, of the innermost IP header where there is more than one; without verdicts when it was inflated from IPComp or sampled by sFlow |
//! | `dns` | of the innermost DNS message: `id`, `response`, `opcode`, `rcode`, `questions`, `answers` |
//! | `malformed` | `layer`, `reason`, `need`, `have` |
//!
//! A key that does not apply is absent. `questions` have `name` and `type`; `answers` are the resource records
//! of all three sections with `section` (`answer`, `authority`, `additional`), `name`, `type`, `ttl`, `data`. A damaged
//! message has those that stand before the damage.

mod object;

use super::lines::Lines;
use super::{Deliveries, Delivery, Error, InterfaceStatistics, Sink};
use crate::frame::{Direction, Interface};
use crate::parse::dns::{DNS_PORT, DnsMessage, LLMNR_PORT, MDNS_PORT, Question, Record};
use crate::parse::{Fragment, IpLayer, Packet, Transport, protocol_name};
use crate::sink::format::Put;
use crate::verify::Verdict;
use object::Object;
use std::io::Write;
use std::net::IpAddr;

/// Writes packets as lines of JSON; the module's table says what is in them.
///
/// A batch's lines are put together in one buffer, kept from batch to batch, and handed to the writer in
/// one piece.
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::sink::Json;
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let mut lines = Vec::new();
/// let source = Synthetic::new(&Traffic { frames: 2, ..Traffic::default() });
/// Engine::builder().source(source).rest(Json::new(&mut lines)).run()?;
///
/// let objects: Vec<serde_json::Value> =
///     String::from_utf8(lines)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
/// assert_eq!((&objects[0]["n"], &objects[1]["n"]), (&1.into(), &2.into()));
/// assert_eq!((&objects[0]["dport"], &objects[0]["l4_checksum"]), (&9999.into(), &"good".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Json<W> {
    lines: Lines<W>,
    line_buffered: bool,
}

impl<W: Write> Json<W> {
    /// Lines on `writer`, which an error calls `standard output`; see [`Json::named`].
    #[must_use]
    pub fn new(writer: W) -> Self {
        Self { lines: Lines::new(writer), line_buffered: false }
    }

    /// What an error calls the writer: a file's path.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { lines: self.lines.named(name.into()), ..self }
    }

    /// Hands every line on at once, not a batch of them.
    #[must_use]
    pub fn line_buffered(self, line_buffered: bool) -> Self {
        Self { line_buffered, ..self }
    }
}

impl<W: Write> Sink for Json<W> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        for delivery in packets.iter() {
            packet(&mut self.lines.buffer, &delivery, packets.interfaces());
            if self.line_buffered {
                self.lines.write(1)?;
                self.lines.flush()?;
            }
        }
        if self.line_buffered { Ok(()) } else { self.lines.write(packets.len()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.lines.flush()
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        self.lines.flush()
    }

    /// What the writer has taken.
    fn kept(&self) -> Option<u64> {
        Some(self.lines.kept())
    }
}

/// One packet's line.
fn packet(line: &mut Vec<u8>, delivery: &Delivery<'_>, interfaces: &[Interface]) {
    let (packet, verdicts) = (&delivery.packet, &delivery.verdicts);
    Object::write(line, |object| {
        frame(object, packet, interfaces);
        if let Some(arp) = packet.arp() {
            object.object("arp", |object| {
                object.number("operation", arp.operation());
                if let (Some((sender, target)), Some((sender_mac, target_mac))) = (arp.ipv4(), arp.mac()) {
                    object.plain("sender", |line| line.ipv4(sender.octets()));
                    object.display("sender_mac", sender_mac);
                    object.plain("target", |line| line.ipv4(target.octets()));
                    object.display("target_mac", target_mac);
                }
            });
        }
        if let Some(outer) = packet.outer() {
            ip_layer(object, packet, outer, Some((verdicts.ip, verdicts.l4)));
        }
        if let Some(carried) = packet.carried() {
            let layers = carried.layers();
            let packet = Packet::new(carried.frame(), &layers);
            if let Some(inner) = packet.innermost() {
                object.object("inner", |object| ip_layer(object, &packet, inner, None));
            }
        } else if let Some(inner) = packet.inner() {
            object.object("inner", |object| {
                ip_layer(object, packet, inner, Some((verdicts.inner_ip, verdicts.inner_l4)));
            });
        }
        if let Some(message) = packet.innermost().and_then(|ip| dns_message(packet, ip)) {
            dns(object, &message);
        }
        if let Some(malformed) = packet.layers().malformed {
            object.object("malformed", |object| {
                object.text("layer", malformed.layer.key());
                object.text("reason", malformed.reason.key());
                object.number("need", malformed.need);
                object.number("have", malformed.have);
            });
        }
    });
    line.push(b'\n');
}

/// What is known without looking into the frame, and its link layer.
fn frame(object: &mut Object<'_>, packet: &Packet<'_>, interfaces: &[Interface]) {
    let (frame, layers) = (packet.frame(), packet.layers());
    let record = &frame.record;
    object.number("n", record.number);
    match record.time {
        Some(time) => object.plain("time", |line| {
            if time.seconds < 0 {
                line.push(b'-');
            }
            line.decimal(time.seconds.unsigned_abs());
            line.push(b'.');
            line.decimal_padded(time.nanos.into(), 9);
        }),
        None => object.null("time"),
    }
    object.number("len", record.wire_length);
    object.number("caplen", frame.data.len() as u64);
    let interface = interfaces.get(record.interface.0 as usize);
    if let Some(name) = interface.and_then(|interface| interface.name.as_deref()) {
        object.text("interface", name);
    }
    match record.direction {
        Direction::In => object.text("direction", "in"),
        Direction::Out => object.text("direction", "out"),
        Direction::Unknown => {}
    }
    match record.link_type.name() {
        Some(name) => object.text("link", name),
        None => object.plain("link", |line| line.decimal(record.link_type.0.into())),
    }
    if frame.options.comments().next().is_some() {
        object.display("comment", Comments(packet));
    }
    vlans(object, packet);
    if layers.ether_type != 0 {
        object.number("ether_type", layers.ether_type);
    }
}

/// The VLAN tags. Up to two ordinary ones stand in the layers; anything else is rare enough for a second walk.
fn vlans(object: &mut Object<'_>, packet: &Packet<'_>) {
    let layers = packet.layers();
    match (layers.service_vlan_count, usize::from(layers.vlan_count)) {
        (0, 0) => {}
        (0, count @ 1..=2) => {
            object.array("vlan", &layers.vlan_tags[..count], |line, tag| line.decimal((tag & 0xfff).into()));
        }
        (services, count) => {
            for (name, service, tags) in
                [("vlan", false, count - usize::from(services)), ("svlan", true, usize::from(services))]
            {
                if tags > 0 {
                    let tags = packet.vlans().filter(|tag| tag.service == service);
                    object.array(name, tags, |line, tag| line.decimal(tag.id().into()));
                }
            }
        }
    }
}

/// A packet's comments, one a line.
struct Comments<'a>(&'a Packet<'a>);

impl std::fmt::Display for Comments<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, comment) in self.0.frame().options.comments().enumerate() {
            f.write_str(if index > 0 { "\n" } else { "" })?;
            f.write_str(comment)?;
        }
        Ok(())
    }
}

/// An IP header and what it carries, with the verdicts over the two where they were verified.
fn ip_layer(
    object: &mut Object<'_>,
    packet: &Packet<'_>,
    ip: &IpLayer,
    verdicts: Option<(Verdict, Verdict)>,
) {
    let destination = packet.addresses(ip).map(|(_, destination)| destination);
    for (name, address) in [("src", packet.source(ip)), ("dst", destination)] {
        if let Some(address) = address {
            object.plain(name, |line| match address {
                IpAddr::V4(address) => line.ipv4(address.octets()),
                IpAddr::V6(address) => line.ipv6(address.octets()),
            });
        }
    }
    if let Some(header) = packet.ipv4(ip) {
        object.number("ttl", header.ttl());
        object.number("id", header.id());
    } else if let Some(header) = packet.ipv6(ip) {
        object.number("ttl", header.hop_limit());
    }
    match ip.fragment {
        Fragment::Whole => {}
        Fragment::First => object.text("fragment", "first"),
        Fragment::Later => object.text("fragment", "later"),
    }
    match protocol_name(ip.protocol) {
        Some(name) => object.text("proto", name),
        None => object.plain("proto", |line| line.decimal(ip.protocol.into())),
    }
    if let Some((source, destination)) = packet.ports(ip) {
        object.number("sport", source);
        object.number("dport", destination);
    }
    if let Some((header, transport)) = verdicts {
        object.text("ip_checksum", header.name());
        if let Verdict::Bad { expected, .. } = header {
            object.number("ip_expected", expected);
        }
        object.text("l4_checksum", transport.name());
        if let Verdict::Bad { expected, .. } = transport {
            object.number("l4_expected", expected);
        }
    }
    if let Some(tcp) = packet.tcp(ip) {
        object.object("tcp", |object| {
            object.number("flags", tcp.flags().0);
            object.number("seq", tcp.sequence());
            object.number("ack", tcp.acknowledgment());
            // How much a fragmented segment holds only its last piece can tell.
            if ip.fragment == Fragment::Whole {
                object.number("len", packet.payload_length(ip));
            }
            object.number("window", tcp.window());
        });
    }
    let icmp = packet.icmp(ip).map(|icmp| (icmp.icmp_type(), icmp.code()));
    let icmpv6 = packet.icmpv6(ip).map(|icmp| (icmp.icmp_type(), icmp.code()));
    if let Some((kind, code)) = icmp.or(icmpv6) {
        object.object("icmp", |object| {
            object.number("type", kind);
            object.number("code", code);
        });
    }
    object.number("payload", packet.payload_length(ip));
}

/// The DNS message a packet carries: by UDP, mDNS and LLMNR too, or whole in one TCP segment.
fn dns_message<'a>(packet: &Packet<'a>, ip: &IpLayer) -> Option<DnsMessage<'a>> {
    let on = |port| ip.source_port == port || ip.destination_port == port;
    match ip.transport {
        Transport::Udp if on(DNS_PORT) || on(MDNS_PORT) || on(LLMNR_PORT) => {
            DnsMessage::parse(packet.payload(ip)).ok()
        }
        Transport::Tcp if on(DNS_PORT) => DnsMessage::from_tcp(packet.payload(ip)),
        _ => None,
    }
}

fn dns(object: &mut Object<'_>, message: &DnsMessage<'_>) {
    object.object("dns", |object| {
        object.number("id", message.id());
        object.boolean("response", message.is_response());
        object.number("opcode", message.opcode());
        object.number("rcode", message.extended_rcode());
        let question = |line: &mut Vec<u8>, question: Question<'_>| {
            Object::write(line, |object| {
                object.display("name", question.name);
                object.display("type", question.kind);
            });
        };
        object.array("questions", message.questions().flatten(), question);
        let sections = [
            ("answer", message.answers()),
            ("authority", message.authority()),
            ("additional", message.additional()),
        ];
        let records = sections
            .into_iter()
            .flat_map(|(section, records)| records.flatten().map(move |record| (section, record)));
        object.array("answers", records, |line: &mut Vec<u8>, (section, record): (&str, Record<'_>)| {
            Object::write(line, |object| {
                object.text("section", section);
                object.display("name", record.name());
                object.display("type", record.kind());
                object.number("ttl", record.ttl());
                object.display("data", record.data());
            });
        });
    });
}
