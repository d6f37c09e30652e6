//! What switches put around or into an Ethernet frame.

use super::ethernet::ether_type;
use super::walk::{Step, Visit, Walk, be16};
use super::{Layer, Reason};

/// Cisco ISL frames go to 01:00:0c:00:00 or 03:00:0c:00:00 and repeat a SNAP header at 14.
pub(super) fn is_isl(header: &[u8; 14]) -> bool {
    matches!(header[..5], [0x01 | 0x03, 0x00, 0x0c, 0x00, 0x00])
}

impl<V: Visit> Walk<'_, V> {
    /// Cisco inter-switch link: 26 bytes, then the frame. `at` is where the outer destination stands.
    pub(super) fn isl(&mut self, at: usize) -> Step {
        self.network(0, at + 14);
        self.guess(|walk| {
            walk.fixed::<26>(Layer::Isl, at)?;
            walk.pass(Layer::Isl, at + 14, at + 26)?;
            walk.ethernet(at + 26)
        })
    }

    /// Cisco FabricPath: after its EtherType two bytes of tag, then the frame.
    pub(super) fn fabric_path(&mut self, at: usize) -> Step {
        self.fixed::<2>(Layer::FabricPath, at)?;
        self.pass(Layer::FabricPath, at, at + 2)?;
        self.ethernet(at + 2)
    }

    /// Cisco MetaData: version, length in words (one at least), options, EtherType.
    pub(super) fn cisco_metadata(&mut self, at: usize) -> Step {
        let &[_, words] = self.fixed::<2>(Layer::MetaData, at)?;
        let type_at = at + 2 + 4 * usize::from(words.max(1));
        let kind = be16(self.fixed::<2>(Layer::MetaData, type_at)?, 0);
        self.pass(Layer::MetaData, at, type_at + 2)?;
        self.ether_type_or_length(kind, type_at + 2)
    }

    /// Arista's header: subtype, time scale, format (high four bits), a time stamp, EtherType.
    pub(super) fn arista(&mut self, at: usize) -> Step {
        const TIMESTAMP: u16 = 1;
        let header = self.fixed::<4>(Layer::Arista, at)?;
        let length = match (be16(header, 0), header[3] >> 4) {
            (TIMESTAMP, 1) => 12,
            (TIMESTAMP, 2) => 10,
            _ => {
                self.network(ether_type::ARISTA, at);
                return Ok(());
            }
        };
        let kind = be16(self.fixed::<2>(Layer::Arista, at + length)?, 0);
        self.pass(Layer::Arista, at, at + length + 2)?;
        self.ether_type_or_length(kind, at + length + 2)
    }

    /// IEEE 802.1ah 9.7: four bytes of tag, then the customer's frame.
    pub(super) fn backbone(&mut self, at: usize) -> Step {
        self.fixed::<4>(Layer::Pbb, at)?;
        self.pass(Layer::Pbb, at, at + 4)?;
        self.ethernet(at + 4)
    }

    /// RFC 6325 3: six bytes, options counted in 4-byte words by bits 6 to 10, then the frame.
    pub(super) fn trill(&mut self, at: usize) -> Step {
        let header = self.fixed::<6>(Layer::Trill, at)?;
        let length = 6 + 4 * usize::from(be16(header, 0) >> 6 & 0x1f);
        self.bytes(Layer::Trill, at, length)?;
        self.pass(Layer::Trill, at, at + length)?;
        self.ethernet(at + length)
    }

    /// A tag of `length` bytes with the next EtherType at its end.
    pub(super) fn fixed_tag(&mut self, layer: Layer, at: usize, length: usize) -> Step {
        let end = at + length;
        let kind = be16(self.fixed::<2>(layer, end - 2)?, 0);
        self.pass(layer, at, end)?;
        self.ether_type_or_length(kind, end)
    }

    /// batman-adv, version 15: unicast, unicast with a fourth address and broadcast carry a frame.
    pub(super) fn batman_adv(&mut self, at: usize) -> Step {
        let length = match self.fixed::<2>(Layer::BatmanAdv, at)? {
            [0x01, 15] => 14,
            [0x40, 15] => 10,
            [0x42, 15] => 18,
            _ => {
                self.network(ether_type::BATMAN_ADV, at);
                return Ok(());
            }
        };
        self.bytes(Layer::BatmanAdv, at, length)?;
        self.pass(Layer::BatmanAdv, at, at + length)?;
        self.ethernet(at + length)
    }

    /// MACsec (IEEE 802.1AE 9.3): followed where the user data is authenticated but not encrypted. Below 48
    /// bytes of it the tag says how many: padding may follow the check value (9.7).
    pub(super) fn macsec(&mut self, at: usize) -> Step {
        const HAS_CHANNEL: u8 = 0x20;
        const ENCRYPTED_OR_CHANGED: u8 = 0x0c;
        const CHECK_VALUE: usize = 16;
        let header = self.fixed::<6>(Layer::Macsec, at)?;
        let length = if header[0] & HAS_CHANNEL == 0 { 6 } else { 14 };
        self.bytes(Layer::Macsec, at, length)?;
        if header[0] & ENCRYPTED_OR_CHANGED != 0 {
            self.network(ether_type::MACSEC, at);
            return self.pass(Layer::Macsec, at, at + length);
        }
        let kind = be16(self.fixed::<2>(Layer::Macsec, at + length)?, 0);
        self.pass(Layer::Macsec, at, at + length + 2)?;
        self.narrow(match usize::from(header[1] & 0x3f) {
            0 => self.limit.saturating_sub(CHECK_VALUE),
            short => at + length + short,
        });
        self.ether_type_or_length(kind, at + length + 2)
    }

    /// Network service header (RFC 8300 2.2): its length counts 4-byte words.
    pub(super) fn nsh(&mut self, at: usize) -> Step {
        let header = self.fixed::<4>(Layer::Nsh, at)?;
        let length = 4 * usize::from(header[1] & 0x3f);
        if length < 8 {
            return Err(self.bad(Layer::Nsh, Reason::BadLength, 8, length));
        }
        self.bytes(Layer::Nsh, at, length)?;
        self.pass(Layer::Nsh, at, at + length)?;
        self.next_protocol(header[3], at + length)
    }

    /// The numbers NSH (RFC 8300 2.2) and VXLAN-GPE share for what comes next.
    pub(super) fn next_protocol(&mut self, protocol: u8, at: usize) -> Step {
        match protocol {
            1 => self.ipv4(at),
            2 => self.ipv6(at),
            3 => self.ethernet(at),
            4 => self.nsh(at),
            5 => self.mpls(at),
            _ => {
                self.network(0, at);
                Ok(())
            }
        }
    }

    /// Marvell's DSA tag between source address and EtherType (`LINKTYPE_DSA_TAG_DSA`).
    pub(super) fn dsa(&mut self, at: usize) -> Step {
        self.fixed::<12>(Layer::Ethernet, at)?;
        self.pass(Layer::Ethernet, at, at + 12)?;
        self.dsa_tag(at + 12, at + 12)
    }

    /// The same with an EtherType of its own and two reserved bytes before.
    pub(super) fn edsa(&mut self, at: usize) -> Step {
        self.dsa_tag(at, at + 2)
    }

    /// Four bytes, or eight when the extension bit is set, then an EtherType.
    fn dsa_tag(&mut self, start: usize, at: usize) -> Step {
        const EXTENDED: u8 = 0x10;
        let tag = self.fixed::<4>(Layer::SwitchTag, at)?;
        let end = at + if tag[2] & EXTENDED == 0 { 4 } else { 8 };
        self.tag_then_type(start, end)
    }

    /// Broadcom's four bytes between source address and EtherType (`LINKTYPE_DSA_TAG_BRCM`).
    pub(super) fn broadcom(&mut self, at: usize) -> Step {
        self.fixed::<12>(Layer::Ethernet, at)?;
        self.pass(Layer::Ethernet, at, at + 12)?;
        self.tag_then_type(at + 12, at + 16)
    }

    /// Broadcom's four bytes before the frame (`LINKTYPE_DSA_TAG_BRCM_PREPEND`).
    pub(super) fn broadcom_before(&mut self, at: usize) -> Step {
        self.fixed::<4>(Layer::SwitchTag, at)?;
        self.pass(Layer::SwitchTag, at, at + 4)?;
        self.ethernet(at + 4)
    }

    fn tag_then_type(&mut self, start: usize, end: usize) -> Step {
        let kind = be16(self.fixed::<2>(Layer::SwitchTag, end)?, 0);
        self.pass(Layer::SwitchTag, start, end + 2)?;
        self.ether_type_or_length(kind, end + 2)
    }

    /// A type field in its place in an Ethernet frame: also 802.3's length.
    fn ether_type_or_length(&mut self, kind: u16, at: usize) -> Step {
        if kind < ether_type::LEAST { self.length_field(kind, at) } else { self.ether_type(kind, at) }
    }
}
