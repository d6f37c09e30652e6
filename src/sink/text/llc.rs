//! IEEE 802.2 logical link control, and the spanning tree protocol that uses it.

use super::printer::{Printed, Printer};
use super::span::Span;
use crate::sink::format::{Hex, Hex2, Hex4, Mac, Put, show};

/// The name of a service access point (IEEE registry).
fn access_point(address: u8) -> &'static str {
    match address {
        0x00 => "Null",
        0x02 => "802.1B",
        0x06 => "IP",
        0x0e => "ProWay NM",
        0x42 => "STP",
        0x4e => "MMS",
        0x7e => "ISO8208",
        0x80 => "3Com",
        0x8e => "ProWay ASM",
        0xaa => "SNAP",
        0xbc => "Banyan Vines",
        0xe0 => "IPX",
        0xf0 => "NetBeui",
        0xf4 => "LAN Network Manager",
        0xfc => "RPL",
        0xfe => "ISO NS",
        _ => "Unknown",
    }
}

impl Printer<'_> {
    /// 802.2: the few that matter by name.
    pub(super) fn llc(&mut self, span: Span<'_>) {
        self.whole("llc", |printer| {
            let (destination, source, control) = (span.u8(0)?, span.u8(1)?, span.u8(2)?);
            if printer.options.link_header {
                printer.llc_header(destination, source, control);
            }
            if (destination, source, control) == (0xaa, 0xaa, 3) {
                let (oui, kind) = (span.slice(3, 3)?, span.u16(6)?);
                if oui == [0, 0, 0x0c] && kind == 0x2000 {
                    let (version, ttl) = (span.u8(8)?, span.u8(9)?);
                    show!(printer.out, "CDPv", version, ", ttl: ", ttl, "s, length ", span.length - 8);
                    return Some(());
                }
                if printer.options.link_header && oui == [0, 0, 0] {
                    show!(printer.out, "oui Ethernet (0x000000), ");
                    printer.ether_type(kind);
                    show!(printer.out, ", length ", span.length - 8, ": ");
                }
                if matches!(oui, [0, 0, 0] | [0, 0, 0xf8]) && printer.carried(kind, span.skip(8)) {
                    return Some(());
                }
                let number = u32::from_be_bytes([0, oui[0], oui[1], oui[2]]);
                show!(
                    printer.out,
                    "SNAP, oui ",
                    Hex(number),
                    ", pid ",
                    Hex4(kind),
                    ", length ",
                    span.length - 8
                );
                return Some(());
            }
            match (destination, source) {
                (0x42, 0x42) => return printer.spanning_tree(span.skip(3)),
                (0xfe, 0xfe) => show!(printer.out, "OSI, length ", span.length),
                (0xe0, 0xe0) => show!(printer.out, "IPX 802.2, length ", span.length),
                (0xf0, 0xf0) => show!(printer.out, "NetBEUI, length ", span.length),
                (0xff, 0xff) => show!(printer.out, "IPX 802.3, length ", span.length),
                _ => {
                    if !printer.options.link_header {
                        printer.llc_header(destination, source, control);
                    }
                    show!(printer.out, "length ", span.length);
                }
            }
            Some(())
        });
    }

    /// Service access points, with the bit that says group or response taken off, and the control field.
    fn llc_header(&mut self, destination: u8, source: u8, control: u8) {
        let (to, from) = (destination & 0xfe, source & 0xfe);
        show!(self.out, "LLC, dsap ", access_point(to), " (", Hex2(to));
        show!(self.out, if destination & 1 == 0 { ") Individual, ssap " } else { ") Group, ssap " });
        show!(self.out, access_point(from), " (", Hex2(from));
        show!(self.out, if source & 1 == 0 { ") Command, ctrl " } else { ") Response, ctrl " });
        show!(self.out, Hex2(control), ": ");
    }

    /// IEEE 802.1D and 802.1w bridge protocol data units.
    fn spanning_tree(&mut self, span: Span<'_>) -> Printed {
        let (version, kind) = (span.u8(2)?, span.u8(3)?);
        let name = match version {
            0 => "802.1d",
            2 => "802.1w",
            3 => "802.1s",
            4 => "802.1aq",
            _ => "unknown version",
        };
        show!(self.out, "STP ", name, ", ");
        if kind == 0x80 {
            show!(self.out, "Topology Change, length ", span.length);
            return Some(());
        }
        show!(self.out, if kind == 2 { "Rapid STP" } else { "Config" });
        let (flags, bridge, port) = (span.u8(4)?, span.slice(17, 8)?, span.u16(25)?);
        show!(self.out, ", Flags ");
        let names = [
            (0x01, "Topology change"),
            (0x02, "Proposal"),
            (0x10, "Learn"),
            (0x20, "Forward"),
            (0x40, "Agreement"),
            (0x80, "Topology change ACK"),
        ];
        self.flags(flags.into(), &names);
        show!(self.out, ", bridge-id ");
        self.bridge(bridge);
        show!(self.out, ".");
        self.out.hex(port.into(), 4);
        show!(self.out, ", length ", span.length);
        Some(())
    }

    /// Priority and address of a bridge: `8001.00:19:06:ea:b8:80`.
    fn bridge(&mut self, id: &[u8]) {
        let (priority, address) = id.split_at(2);
        self.out.hex_bytes(priority);
        show!(self.out, ".", Mac(address));
    }
}
