//! Which elements a record has, in order (IANA "IPFIX Information Elements").

use crate::parse::IpVersion;

/// RFC 5103 6.1: the number under which an element is of the reverse direction.
const REVERSE: u32 = 29_305;
/// Set in an element's number where an enterprise number follows (RFC 7011 3.2).
const ENTERPRISE: u16 = 0x8000;

/// Elements before those of the addresses: number, bytes.
pub(super) const HEAD: [(u16, u16); 2] = [
    (152, 8), // flowStartMilliseconds
    (153, 8), // flowEndMilliseconds
];

/// sourceIPv4Address and destinationIPv4Address, or those of IPv6.
const ADDRESSES: [[(u16, u16); 2]; 2] = [[(8, 4), (12, 4)], [(27, 16), (28, 16)]];

/// icmpTypeCodeIPv4, or that of IPv6.
const ICMP: [(u16, u16); 2] = [(32, 2), (139, 2)];

/// Elements after those of the addresses.
pub(super) const COMMON: [(u16, u16); 6] = [
    (7, 2),   // sourceTransportPort
    (11, 2),  // destinationTransportPort
    (4, 1),   // protocolIdentifier
    (136, 1), // flowEndReason
    (58, 2),  // vlanId
    (245, 2), // dot1qCustomerVlanId
];

/// Elements between that of ICMP and those of each direction.
const TUNNEL: [(u16, u16); 1] = [
    (351, 8), // layer2SegmentId
];

/// Elements of each direction.
pub(super) const DIRECTION: [(u16, u16); 6] = [
    (1, 8),   // octetDeltaCount
    (352, 8), // layer2OctetDeltaCount
    (2, 8),   // packetDeltaCount
    (6, 2),   // tcpControlBits
    (52, 1),  // minimumTTL
    (53, 1),  // maximumTTL
];

/// ntop's elements (IANA "Private Enterprise Numbers").
const NTOP: u32 = 35_632;
/// Of which each value begins with its length (RFC 7011 7).
const VARIABLE: u16 = u16::MAX;

/// Elements of a flow that has names: number, enterprise.
const NAMES: [(u16, Option<u32>); 3] = [
    (122, Some(NTOP)), // FLOW_SERVER_NAME: the registry of RFC 7012 has none for what TLS or DNS tell
    (460, None),       // httpRequestHost
    (96, None),        // applicationName
];

/// A template: of which version, of both directions or one, and whether there are names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) version: IpVersion,
    pub(super) both: bool,
    pub(super) named: bool,
}

impl Template {
    /// Every template.
    pub(super) const ALL: [Self; 8] = {
        const fn of(at: u8) -> Template {
            let version = if at & 2 == 0 { IpVersion::V4 } else { IpVersion::V6 };
            Template { version, both: at & 1 != 0, named: at & 4 != 0 }
        }
        [of(0), of(1), of(2), of(3), of(4), of(5), of(6), of(7)]
    };

    /// Its number, and that of its sets: 256 and on (RFC 7011 3.4.1).
    pub(super) fn id(self) -> u16 {
        256 + 4 * u16::from(self.named) + 2 * u16::from(self.version == IpVersion::V6) + u16::from(self.both)
    }

    /// Bytes of a record without its names.
    pub(super) fn length(self) -> usize {
        let sum =
            |elements: &[(u16, u16)]| elements.iter().map(|(_, bytes)| usize::from(*bytes)).sum::<usize>();
        let directions = if self.both { 2 } else { 1 };
        let either = sum(&ADDRESSES[self.version()]) + sum(&ICMP[self.version()..=self.version()]);
        sum(&HEAD) + either + sum(&COMMON) + sum(&TUNNEL) + directions * sum(&DIRECTION)
    }

    fn version(self) -> usize {
        usize::from(self.version == IpVersion::V6)
    }

    /// Appends the template record (RFC 7011 3.4.1).
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let version = self.version();
        let forward = HEAD.iter().chain(&ADDRESSES[version]).chain(&COMMON);
        let forward = forward.chain([&ICMP[version]]).chain(&TUNNEL).chain(&DIRECTION);
        let reverse = if self.both { &DIRECTION[..] } else { &[] };
        let names = if self.named { &NAMES[..] } else { &[] };
        let count = forward.clone().count() + reverse.len() + names.len();
        for number in [self.id(), count as u16] {
            out.extend(number.to_be_bytes());
        }
        for (element, bytes) in forward {
            out.extend(element.to_be_bytes());
            out.extend(bytes.to_be_bytes());
        }
        for (element, bytes) in reverse {
            out.extend((element | ENTERPRISE).to_be_bytes());
            out.extend(bytes.to_be_bytes());
            out.extend(REVERSE.to_be_bytes());
        }
        for (element, enterprise) in names {
            out.extend((element | enterprise.map_or(0, |_| ENTERPRISE)).to_be_bytes());
            out.extend(VARIABLE.to_be_bytes());
            enterprise.iter().for_each(|number| out.extend(number.to_be_bytes()));
        }
    }
}
