//! IEEE 802.2 logical link control and SNAP (RFC 1042, RFC 2684).

use super::Layer;
use super::ethernet::ether_type;
use super::walk::{Step, Visit, Walk, be16};

/// Service access points.
const SAP_IP: u8 = 0x06;
const SAP_OSI: u8 = 0xfe;
const SAP_SNAP: u8 = 0xaa;
/// Organization codes under which the protocol field is an EtherType: IEEE's own, Cisco's, Apple's.
const ETHER_TYPE_CODES: [[u8; 3]; 3] = [[0, 0, 0], [0, 0, 0xf8], [0x08, 0, 0x07]];
/// RFC 2684 5.2: bridged protocols.
const BRIDGED: [u8; 3] = [0x00, 0x80, 0xc2];

impl<V: Visit> Walk<'_, V> {
    /// From the destination service access point on.
    pub(super) fn llc(&mut self, at: usize) -> Step {
        let &[destination, source, control] = self.fixed::<3>(Layer::Llc, at)?;
        // Unnumbered frames have one control byte, all others two (802.2 5.2).
        let length = if control & 3 == 3 { 3 } else { 4 };
        self.bytes(Layer::Llc, at, length)?;
        self.pass(Layer::Llc, at, at + length)?;
        let next = at + length;
        match (destination, source, control) {
            (SAP_SNAP, SAP_SNAP, 3) => self.snap(next),
            (SAP_IP, SAP_IP, 3) => self.ip(next),
            (SAP_OSI, SAP_OSI, 3) => self.network_protocol(next),
            _ => {
                self.network(0, next);
                Ok(())
            }
        }
    }

    /// The network layer protocol identifier (ISO/IEC TR 9577; RFC 2427 3, RFC 2684 5.1) and what it names.
    pub(super) fn network_protocol(&mut self, at: usize) -> Step {
        let next = at + 1;
        match self.fixed::<1>(Layer::Llc, at)?[0] {
            0xcc => self.ipv4(next),
            0x8e => self.ipv6(next),
            0x80 => self.snap(next),
            0xcf => self.ppp(next),
            _ => {
                self.network(0, next);
                Ok(())
            }
        }
    }

    /// Organization code and protocol.
    pub(super) fn snap(&mut self, at: usize) -> Step {
        let header = self.fixed::<5>(Layer::Snap, at)?;
        self.pass(Layer::Snap, at, at + 5)?;
        let (code, protocol, next) = ([header[0], header[1], header[2]], be16(header, 3), at + 5);
        if ETHER_TYPE_CODES.contains(&code) && protocol >= ether_type::LEAST {
            return self.ether_type(protocol, next);
        }
        match (code, protocol) {
            // Ethernet with and without its check sequence; over ATM two bytes of padding come first.
            (BRIDGED, 1 | 7) => {
                let padded = self.peek::<2>(next) == Some(&[0, 0]);
                self.ethernet(if padded { next + 2 } else { next })
            }
            _ => {
                self.network(0, next);
                Ok(())
            }
        }
    }
}
