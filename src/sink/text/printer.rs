//! What every protocol's printer shares: the line, the options, the packet's verdicts.

use super::options::TextOptions;
use super::sequence::Sequences;
use super::span::Span;
use crate::parse::{IpLayer, IpVersion, Layers, Reason, Transport};
use crate::sink::Delivery;
use crate::sink::format::{Hex4, show};
use crate::sink::services::Services;
use crate::verify::{self, Verdict, Verdicts};

/// What outlives a packet.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) sequences: Sequences,
    services: Services,
}

impl Tables {
    pub(super) fn new(options: &TextOptions) -> Self {
        let services = if options.numeric { Services::default() } else { Services::system() };
        Self { sequences: Sequences::default(), services }
    }
}

/// Headers within headers that are followed; the line says so when there are more.
const DEEPEST: u8 = 32;

/// Where a printer stopped because the bytes ended; see [`Span`].
pub(super) type Printed = Option<()>;

/// Prints one packet. Each protocol's file adds its methods.
pub(super) struct Printer<'p> {
    pub(super) out: &'p mut Vec<u8>,
    pub(super) options: &'p TextOptions,
    pub(super) tables: &'p mut Tables,
    pub(super) delivery: &'p Delivery<'p>,
    /// What the sending host has left to its device is not called wrong, whatever the source knew of it.
    verdicts: Verdicts,
    depth: u8,
    /// The outermost IP header is on the line.
    outer_seen: bool,
    /// The innermost one is.
    inner_seen: bool,
}

impl<'p> Printer<'p> {
    pub(super) fn new(
        out: &'p mut Vec<u8>,
        options: &'p TextOptions,
        tables: &'p mut Tables,
        delivery: &'p Delivery<'p>,
    ) -> Self {
        let verdicts = verify::finished(&delivery.packet, delivery.verdicts);
        Self { out, options, tables, delivery, verdicts, depth: 0, outer_seen: false, inner_seen: false }
    }

    /// Prints the packet without time and line end; gives the length of its link-layer header.
    pub(super) fn packet(mut self) -> usize {
        let frame = self.delivery.packet.frame();
        let span = Span::frame(frame.data, frame.record.wire_length as usize);
        let header = self.link(frame.record.link_type, span);
        // Headers and tunnels that have no printer of their own: the walk has found what is in them.
        let layers = self.layers();
        for (ip, seen) in [(layers.outer, self.outer_seen), (layers.inner, self.inner_seen)] {
            if let Some(ip) = ip
                && !seen
            {
                show!(self.out, ": ");
                self.ip_by_version(span.skip(ip.start as usize));
            }
        }
        self.remarks();
        header
    }

    fn layers(&self) -> &'p Layers {
        self.delivery.packet.layers()
    }

    fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// ` [|tcp]`: the bytes ended within that header.
    pub(super) fn truncated(&mut self, name: &str) {
        show!(self.out, " [|", name, "]");
    }

    /// Runs `print`, and says [`Printer::truncated`] when it ran out of bytes.
    pub(super) fn whole(&mut self, name: &str, print: impl FnOnce(&mut Self) -> Printed) {
        if print(self).is_none() {
            self.truncated(name);
        }
    }

    /// Runs `print` one level deeper, if that is not too deep.
    pub(super) fn nested(&mut self, print: impl FnOnce(&mut Self)) {
        if self.depth >= DEEPEST {
            return show!(self.out, " [too many headers]");
        }
        self.depth += 1;
        print(self);
        self.depth -= 1;
    }

    pub(super) fn verbose(&self) -> bool {
        self.options.verbosity > 0
    }

    /// A port's name, or its number.
    pub(super) fn port(&mut self, port: u16, transport: Transport) {
        match self.tables.services.name(port, transport) {
            Some(name) => self.out.extend_from_slice(name.as_bytes()),
            None => show!(self.out, port),
        }
    }

    /// The names of the bits that are set: `[a, b]`, or `[none]`.
    pub(super) fn flags(&mut self, flags: u16, names: &[(u16, &str)]) {
        show!(self.out, "[");
        let mut separator = "";
        for (_, name) in names.iter().filter(|(bit, _)| flags & bit != 0) {
            show!(self.out, separator, *name);
            separator = ", ";
        }
        show!(self.out, if separator.is_empty() { "none]" } else { "]" });
    }

    /// Bytes of a peer's text: ASCII as it is, the rest as `^A` and `M-a`, so that no terminal is driven by them.
    pub(super) fn caret(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if !byte.is_ascii() {
                show!(self.out, "M-");
            }
            let ascii = byte & 0x7f;
            if ascii.is_ascii_graphic() || ascii == b' ' {
                self.out.push(ascii);
            } else {
                self.out.extend_from_slice(&[b'^', ascii ^ 0x40]);
            }
        }
    }

    /// The verdicts on the IP layer that begins at `start`: header and what it carries.
    pub(super) fn verdicts_at(&self, start: usize) -> (Verdict, Verdict) {
        let at = |layer: Option<IpLayer>| layer.is_some_and(|layer| layer.start as usize == start);
        let (layers, verdicts) = (self.layers(), self.verdicts());
        if at(layers.outer) {
            (verdicts.ip, verdicts.l4)
        } else if at(layers.inner) {
            (verdicts.inner_ip, verdicts.inner_l4)
        } else {
            (Verdict::NotApplicable, Verdict::NotApplicable)
        }
    }

    /// An IP header that begins at `start` is being printed.
    pub(super) fn seen(&mut self, start: usize) {
        let at = |layer: Option<IpLayer>| layer.is_some_and(|layer| layer.start as usize == start);
        self.outer_seen |= at(self.layers().outer);
        self.inner_seen |= at(self.layers().inner);
    }

    /// What a reader must not miss, after the line.
    fn remarks(&mut self) {
        let (layers, verdicts) = (self.layers(), *self.verdicts());
        if !self.verbose() {
            let outer = layers.outer.unwrap_or_default();
            self.bad("", "ip", verdicts.ip);
            self.bad("", name(&outer), verdicts.l4);
            if let Some(inner) = layers.inner {
                self.bad("inner ", "ip", verdicts.inner_ip);
                self.bad("inner ", name(&inner), verdicts.inner_l4);
            }
        }
        // What the snap length cut is not the sender's doing, and the line shows where it ends.
        if let Some(malformed) = layers.malformed
            && malformed.reason != Reason::Snapped
        {
            use std::fmt::Write as _;
            let mut text = Adapter(self.out);
            // Writing to memory cannot fail.
            let _ = write!(text, " [malformed: {malformed}]");
        }
    }

    /// ` [bad tcp cksum 0x1234, expected 0xabcd]`, if it is.
    fn bad(&mut self, place: &str, name: &str, verdict: Verdict) {
        if let Verdict::Bad { found, expected } = verdict {
            show!(
                self.out,
                " [bad ",
                place,
                name,
                " cksum ",
                Hex4(found),
                ", expected ",
                Hex4(expected),
                "]"
            );
        }
    }
}

fn name(layer: &IpLayer) -> &'static str {
    match (layer.transport, layer.version) {
        (Transport::Tcp, _) => "tcp",
        (Transport::Udp, _) => "udp",
        (Transport::UdpLite, _) => "udplite",
        (Transport::Sctp, _) => "sctp",
        (Transport::Dccp, _) => "dccp",
        (Transport::Icmp, _) => "icmp",
        (Transport::Icmpv6, _) => "icmp6",
        (Transport::Igmp, _) => "igmp",
        (_, IpVersion::V4 | IpVersion::V6) => "upper-layer",
    }
}

/// Lets `write!` append to a line: for what is rare and implements `Display`.
pub(super) struct Adapter<'a>(pub(super) &'a mut Vec<u8>);

impl std::fmt::Write for Adapter<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
