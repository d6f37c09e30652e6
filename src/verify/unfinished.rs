//! Checksums that the sending host has left to a device, told by what they are.
//!
//! Where the kernel leaves a checksum to the device (`CHECKSUM_PARTIAL` of `include/linux/skbuff.h`), the field holds the
//! folded sum of the pseudo header, not complemented; the device adds the rest from there on. SCTP's holds 0
//! (`net/sctp/output.c`). A damaged packet looks like that once in 65,536.

use super::{Verdict, Verdicts};
use crate::checksum::{Sum, pseudo};
use crate::parse::protocol::{TCP, UDP};
use crate::parse::{IpLayer, IpVersion, Layers, Transport};

/// Calls transport checksums not ready instead of bad where one of them is unfinished: what is around an unfinished
/// packet in a tunnel has a checksum over the finished one.
#[cold]
pub(super) fn settle(data: &[u8], layers: &Layers, verdicts: &mut Verdicts) {
    let is_unfinished = |ip: &Option<IpLayer>, verdict| match (ip, verdict) {
        (Some(ip), Verdict::Bad { found, .. }) => unfinished(data, ip) == Some(found),
        _ => false,
    };
    let Verdicts { l4, inner_l4, .. } = verdicts;
    if is_unfinished(&layers.outer, *l4) || is_unfinished(&layers.inner, *inner_l4) {
        put_off([l4, inner_l4]);
    }
}

/// The same where nothing is known of the host that the packet was captured on. Others than Linux leave the IPv4 header's
/// checksum to the device as well, as 0 (and TCP's may be 0 beside it), or, where the device is to cut a packet into
/// segments, the length out of the sum (NDIS large send offload).
#[cold]
pub(super) fn settle_of_any_host(data: &[u8], layers: &Layers, verdicts: &mut Verdicts) {
    let Verdicts { ip, l4, inner_ip, inner_l4 } = verdicts;
    let mut any = false;
    for (layer, header, upper) in [(&layers.outer, ip, &*l4), (&layers.inner, inner_ip, &*inner_l4)] {
        let left = matches!(header, Verdict::Bad { found: 0, .. });
        if left {
            *header = Verdict::NotReady;
        }
        let (Some(layer), Verdict::Bad { found, .. }) = (layer, *upper) else { continue };
        any |= left && found == 0 && layer.transport == Transport::Tcp
            || unfinished(data, layer) == Some(found)
            || pseudo_sum(data, layer, layer.protocol, 0).is_some_and(|sum| {
                matches!(layer.transport, Transport::Tcp | Transport::Udp) && u32::from(sum.fold()) == found
            });
    }
    if any {
        put_off([l4, inner_l4]);
    }
}

/// Bad ones are not ready.
fn put_off(verdicts: [&mut Verdict; 2]) {
    verdicts.into_iter().filter(|verdict| verdict.is_bad()).for_each(|bad| *bad = Verdict::NotReady);
}

/// What an unfinished checksum of this upper layer is.
fn unfinished(data: &[u8], ip: &IpLayer) -> Option<u32> {
    let length = ip.declared_end.saturating_sub(ip.payload);
    Some(match ip.transport {
        Transport::Tcp => pseudo_sum(data, ip, TCP, length)?.fold().into(),
        Transport::Udp => pseudo_sum(data, ip, UDP, length)?.fold().into(),
        Transport::Sctp => 0,
        _ => return None,
    })
}

fn pseudo_sum(data: &[u8], ip: &IpLayer, protocol: u8, length: u32) -> Option<Sum> {
    let (source, destination) = (ip.pseudo_source, ip.pseudo_destination);
    Some(match ip.version {
        IpVersion::V4 => {
            pseudo::v4(at::<4>(data, source)?.into(), at::<4>(data, destination)?.into(), protocol, length)
        }
        IpVersion::V6 => {
            pseudo::v6(at::<16>(data, source)?.into(), at::<16>(data, destination)?.into(), protocol, length)
        }
    })
}

fn at<const N: usize>(data: &[u8], offset: u32) -> Option<[u8; N]> {
    data.get(offset as usize..)?.first_chunk().copied()
}
