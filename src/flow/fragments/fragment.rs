//! What one fragment says of itself.

use crate::flow::Tunnel;
use crate::flow::key::tunnel_to;
use crate::parse::{self, IpLayer, IpVersion, Layer, Packet};
use std::net::IpAddr;

/// What tells the fragments of one packet from those of others (RFC 791 3.2, RFC 8200 4.5), on the VLANs and in the tunnel it came
/// in: behind other tunnels the same addresses are other hosts'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    /// Of IPv4; IPv6 has it in the first fragment only.
    protocol: u8,
    vlans: [u16; 2],
    /// What it is within, if it is within another packet, and that one's source and destination.
    within: Option<(Tunnel, Option<(IpAddr, IpAddr)>)>,
}

/// A fragment, as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) key: Key,
    pub(super) version: IpVersion,
    /// Where its bytes belong.
    pub(super) offset: u64,
    pub(super) more: bool,
    pub(super) bytes: &'a [u8],
    /// What stands before the bytes of the first fragment, without the fragment header.
    pub(super) head: &'a [u8],
    /// IPv6: offset in `head` of the number of what follows, and that number.
    pub(super) next_header: (usize, u8),
}

/// Why a fragment cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Snapped,
    Malformed,
}

/// Most bytes that the length fields of either version can count.
pub(super) const LONGEST: u64 = 65_535;

/// The layer of a packet that is a fragment.
pub(crate) fn layer<'a>(packet: &Packet<'a>) -> Option<&'a IpLayer> {
    let is_fragment = |ip: &&IpLayer| ip.fragment != parse::Fragment::Whole;
    packet.outer().filter(is_fragment).or_else(|| packet.inner().filter(is_fragment))
}

impl<'a> Fragment<'a> {
    pub(super) fn of(packet: &Packet<'a>, ip: &IpLayer) -> Result<Self, Fault> {
        let whole = packet.frame().data.get(ip.start as usize..ip.end as usize).ok_or(Fault::Snapped)?;
        let (source, destination) = match ip.version {
            // Not the end of a source route: what the header says.
            IpVersion::V4 => {
                let header = packet.ipv4(ip).ok_or(Fault::Snapped)?;
                (header.source().into(), header.destination().into())
            }
            IpVersion::V6 => packet.addresses(ip).ok_or(Fault::Snapped)?,
        };
        let vlans = packet.layers().vlan_tags.map(|tag| tag & 0xfff);
        let outer = packet.outer().filter(|outer| *outer != ip);
        let within = outer.map(|outer| (tunnel_to(packet, ip), packet.addresses(outer)));
        let key = Key { source, destination, id: 0, protocol: 0, vlans, within };
        let fragment = match ip.version {
            IpVersion::V4 => Self::of_v4(packet, ip, key, whole)?,
            IpVersion::V6 => Self::of_v6(packet, ip, key, whole)?,
        };
        if ip.end < ip.declared_end {
            return Err(Fault::Snapped);
        }
        let (length, end) = (fragment.bytes.len() as u64, fragment.offset + fragment.bytes.len() as u64);
        // RFC 8200 4.5: all but the last count in units of 8 bytes, and the whole has a length that can be written.
        let odd = fragment.more && length % 8 != 0;
        if length == 0 || odd || end > LONGEST { Err(Fault::Malformed) } else { Ok(fragment) }
    }

    fn of_v4(packet: &Packet<'a>, ip: &IpLayer, key: Key, whole: &'a [u8]) -> Result<Self, Fault> {
        let header = packet.ipv4(ip).ok_or(Fault::Snapped)?;
        let (head, bytes) = whole.split_at_checked(header.header_length()).ok_or(Fault::Snapped)?;
        Ok(Self {
            key: Key { id: header.id().into(), protocol: header.protocol(), ..key },
            version: IpVersion::V4,
            offset: header.fragment_offset().into(),
            more: header.more_fragments(),
            bytes,
            head,
            next_header: (9, header.protocol()),
        })
    }

    fn of_v6(packet: &Packet<'a>, ip: &IpLayer, key: Key, whole: &'a [u8]) -> Result<Self, Fault> {
        let header = packet.ipv6(ip).ok_or(Fault::Snapped)?;
        // The next header field of the IPv6 header; of each extension header it is the first byte.
        let (mut at, mut field) = (40, 6);
        for extension in header.extensions() {
            let extension = extension.map_err(|_| Fault::Malformed)?;
            if extension.layer == Layer::Fragment {
                let fragment = parse::FragmentHeader::parse(extension.bytes).map_err(|_| Fault::Malformed)?;
                let bytes = whole.get(at + extension.bytes.len()..).ok_or(Fault::Snapped)?;
                return Ok(Self {
                    key: Key { id: fragment.id(), ..key },
                    version: IpVersion::V6,
                    offset: fragment.offset().into(),
                    more: fragment.more(),
                    bytes,
                    head: whole.get(..at).ok_or(Fault::Snapped)?,
                    next_header: (field, fragment.next_header()),
                });
            }
            field = at;
            at += extension.bytes.len();
        }
        Err(Fault::Malformed)
    }
}
