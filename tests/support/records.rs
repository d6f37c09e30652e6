//! Flow records made up, for what takes them in.

use std::net::IpAddr;
use wharf::flow::{CommunityId, EndReason, FlowKey, FlowRecord};
use wharf::parse::TcpFlags;

/// Of a flow between two ends, the first of which has sent first: nothing was counted.
pub(crate) fn record(from: (IpAddr, u16), to: (IpAddr, u16), protocol: u8) -> FlowRecord {
    let (key, reversed) = FlowKey::new(from, to, protocol);
    FlowRecord {
        key,
        reversed,
        first: None,
        last: None,
        packets: [0; 2],
        bytes: [0; 2],
        payload: [0; 2],
        tcp_flags: [TcpFlags(0); 2],
        ttl: [(0, 0); 2],
        ttl_changes: [0; 2],
        duplicates: [0; 2],
        bad_checksums: [0; 2],
        icmp_errors: [0; 2],
        icmp_error: [None; 2],
        community_id: CommunityId::of(&key, 0),
        end: EndReason::Closed,
        tcp: None,
        names: None,
    }
}
