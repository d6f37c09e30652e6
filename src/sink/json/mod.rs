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
//! | `tcp` | `flags` (number), `seq`, `ack`, `len` (payload), `window`; also where options alone were cut |
//! | `icmp` | `type`, `code` |
//! | `payload` | bytes above the upper-layer header, by the length fields |
//! | `inner` | the keys from `src` on, of the innermost IP header where there is more than one; without verdicts when it was inflated from IPComp or sampled by sFlow |
//! | `dns` | of the innermost DNS message: `id`, `response`, `opcode`, `rcode`, `questions`, `answers` |
//! | `malformed` | `layer`, `reason`, `need`, `have` |
//!
//! A key that does not apply is absent. `questions` have `name` and `type`; `answers` are the resource records
//! of all three sections with `section` (`answer`, `authority`, `additional`), `name`, `type`, `ttl`, `data`. A damaged
//! message has those that stand before the damage.

mod dns;
mod head;
mod ip;
mod members;
pub(super) mod object;

use super::lines::Lines;
use super::{Deliveries, Delivery, Error, InterfaceNames, InterfaceStatistics, Sink};
use crate::frame::Interface;
use crate::parse::dns::DNS_PORT;
use crate::parse::{IpLayer, Layers, Packet, Transport, ether_type};
use crate::sink::format::Put;
use head::Heads;
use members::{Members, Page};
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
    page: Page,
    line_buffered: bool,
    heads: Heads,
}

impl<W: Write> Json<W> {
    /// Lines on `writer`, which an error calls `standard output`; see [`Json::named`].
    #[must_use]
    pub fn new(writer: W) -> Self {
        Self {
            lines: Lines::new(writer),
            page: Page::default(),
            line_buffered: false,
            heads: Heads::default(),
        }
    }

    /// What an error calls the writer: a file's path.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { lines: self.lines.named(name.into()), ..self }
    }

    /// Tells the interface that each packet of a live capture came from, not that all were captured.
    #[must_use]
    pub fn interface_names(mut self, names: InterfaceNames) -> Self {
        self.heads.name(names);
        self
    }

    /// Hands every line on at once, not a batch of them.
    #[must_use]
    pub fn line_buffered(self, line_buffered: bool) -> Self {
        Self { line_buffered, ..self }
    }
}

impl<W: Write> Sink for Json<W> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        let Self { lines, page, heads, line_buffered } = self;
        page.clear();
        for delivery in packets.iter() {
            packet(page, heads, &delivery, packets.interfaces());
            if *line_buffered {
                lines.write_these(page.written(), 1)?;
                lines.flush()?;
                page.clear();
            }
        }
        if *line_buffered { Ok(()) } else { lines.write_these(page.written(), packets.len()) }
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
#[inline(always)]
fn packet(page: &mut Page, heads: &mut Heads, delivery: &Delivery<'_>, interfaces: &[Interface]) {
    let (packet, verdicts) = (&delivery.packet, &delivery.verdicts);
    let (frame, layers) = (packet.frame(), packet.layers());
    let long_origin = heads.meet(frame, interfaces);
    page.members(|members| heads.write(members, &frame.record, frame.data.len()));
    let is_arp = layers.ether_type == ether_type::ARP;
    let tags = plain_tags(layers);
    let aside = long_origin || is_arp || tags.is_none() || !frame.options.raw.is_empty();
    if aside {
        page.text(|line| {
            if long_origin {
                line.extend_from_slice(heads.origin_text());
            }
            link(line, packet);
        });
    }
    let more = needs_more(layers);
    page.members(|members| {
        if !aside && let Some([first, others @ ..]) = tags {
            members.small(b",\"vlan\":[", first & 0xfff);
            others.iter().for_each(|tag| members.small(b",", tag & 0xfff));
            members.fixed(b"]");
        }
        if layers.ether_type != 0 && !is_arp {
            members.small(b",\"ether_type\":", layers.ether_type);
        }
        if let Some(outer) = packet.outer() {
            ip::layer(members, packet, outer, Some([&verdicts.ip, &verdicts.l4]));
        }
        if !more {
            members.fixed(b"}\n");
        }
    });
    if more {
        rest(page, delivery);
        page.members(|members| members.fixed(b"}\n"));
    }
}

/// The VLAN tags where there are but ordinary ones, and no more than the layers have room for.
#[inline(always)]
fn plain_tags(layers: &Layers) -> Option<&[u16]> {
    let count = if layers.service_vlan_count == 0 { usize::from(layers.vlan_count) } else { usize::MAX };
    layers.vlan_tags.get(..count)
}

/// The members between those that every line begins with and what the outermost link layer carries.
#[inline(never)]
fn link(line: &mut Vec<u8>, packet: &Packet<'_>) {
    let object = &mut Object::more(line);
    let options = packet.frame().options;
    if options.comments().next().is_some() {
        object.display("comment", Comments(packet));
    }
    if let Some(lost) = options.lost().filter(|&lost| lost > 0) {
        object.number("lost_before", lost);
    }
    if packet.layers().vlan_count > 0 {
        vlans(object, packet);
    }
    if packet.layers().ether_type == ether_type::ARP {
        arp(object, packet);
    }
}

/// True when there may be more to say of a packet than what its outermost IP header has, and what that carries: DNS
/// over TCP or UDP, and what only a look into UDP and IPComp can [tell](Packet::carried).
#[inline(always)]
fn needs_more(layers: &Layers) -> bool {
    let may_carry = |ip: &IpLayer| match ip.transport {
        Transport::Tcp => has_port(ip, DNS_PORT),
        Transport::Udp | Transport::None => true,
        _ => false,
    };
    layers.inner.is_some() || layers.malformed.is_some() || layers.outer.as_ref().is_some_and(may_carry)
}

fn has_port(ip: &IpLayer, port: u16) -> bool {
    ip.source_port == port || ip.destination_port == port
}

/// The members behind those of the outermost IP header.
#[inline(never)]
fn rest(page: &mut Page, delivery: &Delivery<'_>) {
    let (packet, verdicts) = (&delivery.packet, &delivery.verdicts);
    if let Some(carried) = packet.carried() {
        let layers = carried.layers();
        let packet = Packet::new(carried.frame(), &layers);
        if let Some(inner) = packet.innermost() {
            object(page, |members| ip::layer(members, &packet, inner, None));
        }
    } else if let Some(inner) = packet.inner() {
        object(page, |members| {
            ip::layer(members, packet, inner, Some([&verdicts.inner_ip, &verdicts.inner_l4]));
        });
    }
    if let Some(message) = packet.innermost().and_then(|ip| dns::message(packet, ip)) {
        page.text(|line| dns::write(&mut Object::more(line), &message));
    }
    if let Some(malformed) = packet.layers().malformed {
        page.text(|line| {
            Object::more(line).object("malformed", |object| {
                object.text("layer", malformed.layer.key());
                object.text("reason", malformed.reason.key());
                object.number("need", malformed.need);
                object.number("have", malformed.have);
            });
        });
    }
}

/// The member `inner`.
fn object(page: &mut Page, write: impl FnOnce(&mut Members<'_>)) {
    page.members(|members| {
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

/// The VLAN tags: what is not [plain](plain_tags) is rare enough for a second walk.
#[inline(never)]
fn vlans(object: &mut Object<'_>, packet: &Packet<'_>) {
    let layers = packet.layers();
    if let Some(tags) = plain_tags(layers) {
        object.array("vlan", tags, |line, tag| line.decimal((tag & 0xfff).into()));
        return;
    }
    let (services, count) = (layers.service_vlan_count, layers.vlan_count);
    for (name, service, tags) in [("vlan", false, count - services), ("svlan", true, services)] {
        if tags > 0 {
            let tags = packet.vlans().filter(|tag| tag.service == service);
            object.array(name, tags, |line, tag| line.decimal(tag.id().into()));
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
