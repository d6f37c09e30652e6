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
        [l4, inner_l4]
            .into_iter()
            .filter(|verdict| verdict.is_bad())
            .for_each(|bad| *bad = Verdict::NotReady);
    }
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
