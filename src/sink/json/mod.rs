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
//! | `lost_before` | how many packets its pcapng file says were lost between this one and the one before (`epb_dropcount`) |
//! | `vlan` | ids of all VLAN tags (IEEE 802.1Q), outermost first |
//! | `svlan` | ids of all service tags (0x88a8, IEEE 802.1ad), which number their VLANs apart, likewise |
//! | `ether_type` | what the outermost link layer carries |
//! | `arp` | `operation`, `sender`, `sender_mac`, `target`, `target_mac` |
//! | `src`, `dst` | addresses of the outermost IP header, as far as they were captured |
//! | `ttl`, `id`, `fragment` | time to live or hop limit; IPv4 identification; `first` or `later` |
//! | `proto` | `tcp`, `udp`, `icmp`, ..., or the number as text |
//! | `sport`, `dport` | where the protocol has ports |
//! | `ip_checksum`, `l4_checksum` | a [`Verdict`](crate::verify::Verdict)'s name: `good`, `bad`, `absent`, `not_ready`, ... |
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

mod head;
mod ip;
mod members;
mod object;

use super::lines::Lines;
use super::{Deliveries, Delivery, Error, InterfaceStatistics, Sink};
use crate::frame::Interface;
use crate::parse::dns::{DNS_PORT, DnsMessage, LLMNR_PORT, MDNS_PORT, Question, Record};
use crate::parse::{IpLayer, Layers, Packet, Transport, ether_type};
use crate::sink::format::Put;
use head::Heads;
use members::Members;
use object::Object;
use std::io::Write;

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
    heads: Heads,
}

impl<W: Write> Json<W> {
    /// Lines on `writer`, which an error calls `standard output`; see [`Json::named`].
    #[must_use]
    pub fn new(writer: W) -> Self {
        Self { lines: Lines::new(writer), line_buffered: false, heads: Heads::default() }
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
            packet(&mut self.lines.buffer, &mut self.heads, &delivery, packets.interfaces());
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
        self.heads.forget();
        self.lines.flush()
    }

    /// What the writer has taken.
    fn kept(&self) -> Option<u64> {
        Some(self.lines.kept())
    }
}

/// One packet's line.
fn packet(line: &mut Vec<u8>, heads: &mut Heads, delivery: &Delivery<'_>, interfaces: &[Interface]) {
    let (packet, verdicts) = (&delivery.packet, &delivery.verdicts);
    let (frame, layers) = (packet.frame(), packet.layers());
    heads.write(line, &frame.record, frame.data.len(), interfaces);
    if !frame.options.raw.is_empty() {
        options(line, packet);
    }
    if layers.vlan_count > 0 {
        vlans(&mut Object::more(line), packet);
    }
    if layers.ether_type == ether_type::ARP {
        arp(&mut Object::more(line), packet);
    }
    Members::append(line, |members| {
        if layers.ether_type != 0 && layers.ether_type != ether_type::ARP {
            members.small(b",\"ether_type\":", layers.ether_type);
        }
        if let Some(outer) = packet.outer() {
            ip::layer(members, packet, outer, Some([&verdicts.ip, &verdicts.l4]));
        }
    });
    if needs_more(layers) {
        rest(line, delivery);
    }
    line.extend_from_slice(b"}\n");
}

/// What a packet's options in a pcapng file say.
#[cold]
fn options(line: &mut Vec<u8>, packet: &Packet<'_>) {
    let options = packet.frame().options;
    if options.comments().next().is_some() {
        Object::more(line).display("comment", Comments(packet));
    }
    if let Some(lost) = options.lost().filter(|&lost| lost > 0) {
        Object::more(line).number("lost_before", lost);
    }
}

/// True when there may be more to say of a packet than what its outermost IP header has, and what that carries.
#[inline(always)]
fn needs_more(layers: &Layers) -> bool {
    let only_tcp = |ip: &IpLayer| ip.transport == Transport::Tcp && !has_port(ip, DNS_PORT);
    layers.inner.is_some() || layers.malformed.is_some() || !layers.outer.as_ref().is_none_or(only_tcp)
}

fn has_port(ip: &IpLayer, port: u16) -> bool {
    ip.source_port == port || ip.destination_port == port
}

/// The members behind those of the outermost IP header.
#[inline(never)]
fn rest(line: &mut Vec<u8>, delivery: &Delivery<'_>) {
    let (packet, verdicts) = (&delivery.packet, &delivery.verdicts);
    if let Some(carried) = packet.carried() {
        let layers = carried.layers();
        let packet = Packet::new(carried.frame(), &layers);
        if let Some(inner) = packet.innermost() {
            object(line, |members| ip::layer(members, &packet, inner, None));
        }
    } else if let Some(inner) = packet.inner() {
        object(line, |members| {
            ip::layer(members, packet, inner, Some([&verdicts.inner_ip, &verdicts.inner_l4]));
        });
    }
    let object = &mut Object::more(line);
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
}

/// The member `inner`.
fn object(line: &mut Vec<u8>, write: impl FnOnce(&mut Members<'_>)) {
    Members::append(line, |members| {
        members.fixed(b",\"inner\":");
        members.object(write);
    });
}

/// The EtherType of ARP, and the packet where it is whole.
#[inline(never)]
fn arp(object: &mut Object<'_>, packet: &Packet<'_>) {
    object.number("ether_type", ether_type::ARP);
    let Some(arp) = packet.arp() else { return };
    object.object("arp", |object| {
        object.number("operation", arp.operation());
        if let (Some((sender, target)), Some((sender_mac, target_mac))) = (arp.ipv4(), arp.mac()) {
            object.plain("sender", |line| line.ipv4(sender.octets()));
            object.plain("sender_mac", |line| line.mac(&sender_mac.0));
            object.plain("target", |line| line.ipv4(target.octets()));
            object.plain("target_mac", |line| line.mac(&target_mac.0));
        }
    });
}

/// The VLAN tags. Up to two ordinary ones stand in the layers; anything else is rare enough for a second walk.
#[inline(never)]
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

/// The DNS message a packet carries: by UDP, mDNS and LLMNR too, or whole in one TCP segment.
fn dns_message<'a>(packet: &Packet<'a>, ip: &IpLayer) -> Option<DnsMessage<'a>> {
    let on = |port| has_port(ip, port);
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
