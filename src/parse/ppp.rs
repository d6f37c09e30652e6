//! PPP (RFC 1661, framing RFC 1662), PPPoE (RFC 2516) and Cisco HDLC.

use super::ethernet::ether_type;
use super::walk::{Step, Visit, Walk, be16, head};
use super::{Layer, Malformed, Reason};

/// PPPoE session or discovery header, RFC 2516 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PppoeHeader<'a>(&'a [u8; 6]);

impl<'a> PppoeHeader<'a> {
    /// Bytes of the header.
    pub const LENGTH: usize = 6;

    /// # Errors
    /// When there are fewer than 6 bytes, or version and type are not both 1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; 6] = head(Layer::Pppoe, bytes)?;
        if bytes[0] != 0x11 {
            return Err(super::walk::bad_version(Layer::Pppoe, 0x11, bytes[0].into()));
        }
        Ok(Self(bytes))
    }

    /// 0 in a session; 9, 7, 0x19, 0x65, 0xa7 during discovery.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.0[1]
    }

    /// Session identifier.
    #[must_use]
    pub fn session(&self) -> u16 {
        be16(self.0, 2)
    }

    /// Bytes after this header, by its own count.
    #[must_use]
    pub fn payload_length(&self) -> u16 {
        be16(self.0, 4)
    }
}

impl<V: Visit> Walk<'_, V> {
    /// A PPPoE session frame.
    ///
    /// Its length does not bound the packet: equipment is seen to write it too small, and IP has its own.
    pub(super) fn pppoe(&mut self, at: usize) -> Step {
        let header = self.fixed::<6>(Layer::Pppoe, at)?;
        if header[0] != 0x11 {
            return Err(self.bad(Layer::Pppoe, Reason::BadVersion, 0x11, header[0].into()));
        }
        self.pass(Layer::Pppoe, at, at + 6)?;
        self.ppp(at + 6)
    }

    /// From the address and control bytes, where the link has not agreed to leave them out.
    pub(super) fn ppp(&mut self, at: usize) -> Step {
        let &[first] = self.fixed::<1>(Layer::Ppp, at)?;
        if !matches!(first, 0xff | 0x0f | 0x8f) {
            return self.ppp_protocol(at, at);
        }
        match self.fixed::<2>(Layer::Ppp, at)? {
            [0xff, 0x03] => self.ppp_protocol(at, at + 2),
            // Cisco HDLC's unicast and broadcast address on a line announced as PPP.
            [0x0f | 0x8f, 0x00] => self.hdlc(at),
            _ => self.ppp_protocol(at, at),
        }
    }

    /// The protocol field at `at`, one byte where it was compressed (RFC 1661 6.5: odd means last).
    pub(super) fn ppp_protocol(&mut self, start: usize, at: usize) -> Step {
        let &[first] = self.fixed::<1>(Layer::Ppp, at)?;
        let (protocol, next) = if first & 1 == 1 {
            (u16::from(first), at + 1)
        } else {
            (be16(self.fixed::<2>(Layer::Ppp, at)?, 0), at + 2)
        };
        self.pass(Layer::Ppp, start, next)?;
        match protocol {
            // Senders that put an EtherType here.
            0x0021 | ether_type::IPV4 => self.ipv4(next),
            0x0057 | ether_type::IPV6 => self.ipv6(next),
            0x0281 | 0x0283 => self.mpls(next),
            0x003d => self.multilink(next),
            _ => {
                self.network(0, next);
                Ok(())
            }
        }
    }

    /// Multilink (RFC 1990 3): opened where one piece is the whole packet.
    fn multilink(&mut self, at: usize) -> Step {
        const BEGINS_AND_ENDS: u8 = 0xc0;
        match self.peek::<4>(at) {
            Some([flags, ..]) if flags & BEGINS_AND_ENDS == BEGINS_AND_ENDS => self.ppp_protocol(at, at + 4),
            _ => {
                self.network(0, at);
                Ok(())
            }
        }
    }

    /// Cisco HDLC: address, control, EtherType.
    pub(super) fn hdlc(&mut self, at: usize) -> Step {
        /// LLC's two access points, with its control byte after.
        const OSI: u16 = 0xfefe;
        let header = self.fixed::<4>(Layer::Hdlc, at)?;
        self.pass(Layer::Hdlc, at, at + 4)?;
        match be16(header, 2) {
            OSI if self.peek::<1>(at + 4) == Some(&[0x03]) => self.network_protocol(at + 5),
            kind if kind >= ether_type::LEAST => self.ether_type(kind, at + 4),
            _ => {
                self.network(0, at + 4);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pppoe_header_has_version_and_type_1() {
        let pppoe = PppoeHeader::parse(&[0x11, 9, 0, 7, 0, 20]).unwrap();
        assert_eq!((pppoe.code(), pppoe.session(), pppoe.payload_length()), (9, 7, 20));
        assert_eq!(PppoeHeader::parse(&[0x21; 6]).unwrap_err().reason, Reason::BadVersion);
    }
}
