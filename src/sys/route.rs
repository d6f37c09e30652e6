//! Which interfaces lead to the rest of the world: default routes, read over rtnetlink.

use super::link::LinkMessage;
use super::netlink::{Message, Netlink, attributes};
use std::collections::BTreeSet;
use std::io;
use zerocopy::{Immutable, IntoBytes};

/// `struct rtmsg` of `linux/rtnetlink.h`, Linux 6.1.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
struct RouteMessage {
    family: u8,
    destination_length: u8,
    source_length: u8,
    service: u8,
    table: u8,
    protocol: u8,
    scope: u8,
    kind: u8,
    flags: u32,
}

/// `struct rtnexthop` of the same: length, flags, hops, interface.
const NEXT_HOP: usize = 8;

const _: () = assert!(size_of::<RouteMessage>() == 12);

/// Indices of the interfaces that carry a default route, IPv4 or IPv6, in any routing table of the calling thread's
/// namespace. So do those below them: ports of a bridge or bond, and the device under a VLAN. And what is sent on those
/// that stand on any of these (a VLAN, a macvlan) goes out there too.
///
/// A route to a half of the IPv4 world counts (VPNs set two of them), as does one to all global IPv6 addresses
/// (`2000::/3`).
///
/// # Errors
/// When the kernel does not answer over rtnetlink.
pub(crate) fn with_default_route() -> io::Result<BTreeSet<u32>> {
    let netlink = Netlink::open()?;
    let mut carriers = BTreeSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let request = RouteMessage { family: family as u8, ..RouteMessage::default() };
        netlink.dump(Message::new(libc::RTM_GETROUTE, 0, &request), |kind, body| {
            if kind == libc::RTM_NEWROUTE && is_default(body) {
                carriers.extend(interfaces_of(body));
            }
        })?;
    }
    // From each interface to those above it: its master, and what says that it stands on it.
    let mut pairs = Vec::new();
    let links = Message::new(libc::RTM_GETLINK, 0, &LinkMessage::default());
    netlink.dump(links, |_, body| pairs.extend(stacked(body)))?;
    Ok(lead_out(carriers, &pairs))
}

/// Those that carry a default route, all below them, and all above any of these. Not what is below one of the last: a
/// bridge's other port leads elsewhere.
fn lead_out(mut carriers: BTreeSet<u32>, stacked: &[(u32, u32)]) -> BTreeSet<u32> {
    let downwards: Vec<_> = stacked.iter().map(|(below, over)| (*over, *below)).collect();
    for steps in [&downwards[..], stacked] {
        // Stacks are a few interfaces high; each round reaches one further.
        loop {
            let known = carriers.len();
            let reached = steps.iter().filter(|(from, _)| carriers.contains(from)).map(|(_, to)| *to);
            let reached: Vec<u32> = reached.collect();
            carriers.extend(reached);
            if carriers.len() == known {
                break;
            }
        }
    }
    carriers
}

/// Body of `RTM_NEWROUTE`: a route out of this host to most of the world.
fn is_default(body: &[u8]) -> bool {
    let &[family, length, _, _, _, _, _, kind, ..] = body else { return false };
    let most = match i32::from(family) {
        libc::AF_INET => 1,
        libc::AF_INET6 => 3,
        _ => return false,
    };
    length <= most && kind == libc::RTN_UNICAST
}

/// The interfaces a route leads to, one or several (multipath).
fn interfaces_of(body: &[u8]) -> Vec<u32> {
    let rest = body.get(size_of::<RouteMessage>()..).unwrap_or_default();
    let mut found = Vec::new();
    for (kind, value) in attributes(rest) {
        match kind {
            libc::RTA_OIF => found.extend(word(value)),
            libc::RTA_MULTIPATH => {
                let mut hops = value;
                while let Some(hop) = hops.first_chunk::<NEXT_HOP>() {
                    found.extend(word(&hop[4..]));
                    let length = usize::from(u16::from_ne_bytes([hop[0], hop[1]])).max(NEXT_HOP);
                    hops = hops.get(length.next_multiple_of(4)..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    found
}

/// Body of `RTM_NEWLINK`: which interface stands on which, as pairs of the lower and the upper one.
fn stacked(body: &[u8]) -> Vec<(u32, u32)> {
    let Some((head, rest)) = body.split_first_chunk::<{ size_of::<LinkMessage>() }>() else {
        return Vec::new();
    };
    let Some(index) = word(&head[4..]) else { return Vec::new() };
    let value = |wanted| attributes(rest).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    // A peer of a veth pair is no interface below; nor is one in another namespace.
    let is_pair = value(libc::IFLA_LINKINFO).is_some_and(|info| {
        attributes(info).any(|(kind, name)| kind == libc::IFLA_INFO_KIND && name.starts_with(b"veth"))
    });
    let is_far = value(libc::IFLA_LINK_NETNSID).is_some();
    let below = value(libc::IFLA_LINK).filter(|_| !is_pair && !is_far).and_then(word);
    let master = value(libc::IFLA_MASTER).and_then(word);
    let below = below.filter(|below| *below != index && *below != 0).map(|below| (below, index));
    below.into_iter().chain(master.map(|master| (index, master))).collect()
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(family: i32, length: u8, kind: u8, attributes: &[u8]) -> Vec<u8> {
        let head = RouteMessage {
            family: family as u8,
            destination_length: length,
            kind,
            ..RouteMessage::default()
        };
        [head.as_bytes(), attributes].concat()
    }

    #[test]
    fn what_is_a_default_route() {
        let unreachable = libc::RTN_UNREACHABLE;
        for (family, length, kind, expected) in [
            (libc::AF_INET, 0, libc::RTN_UNICAST, true),
            (libc::AF_INET, 1, libc::RTN_UNICAST, true),
            (libc::AF_INET, 8, libc::RTN_UNICAST, false),
            (libc::AF_INET, 0, unreachable, false),
            (libc::AF_INET6, 3, libc::RTN_UNICAST, true),
            (libc::AF_INET6, 64, libc::RTN_UNICAST, false),
            (libc::AF_UNIX, 0, libc::RTN_UNICAST, false),
        ] {
            assert_eq!(is_default(&body(family, length, kind, &[])), expected, "{family} {length} {kind}");
        }
        assert!(!is_default(&[2, 0, 0]));
    }

    #[test]
    fn one_way_out_or_several_and_no_panic_on_damage() {
        let attribute = |kind: u16, value: &[u8]| {
            [&(value.len() as u16 + 4).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
        };
        let hop = |index: u32| [&8_u16.to_ne_bytes()[..], &[0, 0], &index.to_ne_bytes()].concat();
        let several = attribute(libc::RTA_MULTIPATH, &[hop(3), hop(5)].concat());
        let both = [attribute(libc::RTA_OIF, &7_u32.to_ne_bytes()), several].concat();
        let whole = body(libc::AF_INET, 0, libc::RTN_UNICAST, &both);
        assert_eq!(interfaces_of(&whole), [7, 3, 5]);
        (0..whole.len()).for_each(|cut| drop(interfaces_of(&whole[..cut])));
    }

    #[test]
    fn a_bridge_port_and_a_device_under_a_vlan_are_below() {
        let attribute = |kind: u16, value: &[u8]| {
            [&(value.len() as u16 + 4).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
        };
        let link = |index: i32, attributes: &[u8]| {
            [LinkMessage { index, ..LinkMessage::default() }.as_bytes(), attributes].concat()
        };
        let number = |kind, value: u32| attribute(kind, &value.to_ne_bytes());
        assert_eq!(stacked(&link(4, &number(libc::IFLA_MASTER, 9))), [(4, 9)]);
        assert_eq!(stacked(&link(8, &number(libc::IFLA_LINK, 2))), [(2, 8)]);
        let kind = attribute(libc::IFLA_INFO_KIND, b"veth");
        let pair = [number(libc::IFLA_LINK, 2), attribute(libc::IFLA_LINKINFO, &kind)].concat();
        assert_eq!(stacked(&link(8, &pair)), []);
        (0..30).for_each(|length| drop(stacked(&vec![1; length])));
    }

    #[test]
    fn out_leads_what_is_below_a_carrier_and_what_is_above_either() {
        // Ports 1 and 2 of bridge 3; VLANs 4 on port 1, 5 on the bridge, 6 on VLAN 5; 7 and 8 apart.
        let stacked = [(1, 3), (2, 3), (1, 4), (3, 5), (5, 6), (7, 8)];
        let of = |carrier: u32| lead_out([carrier].into(), &stacked).into_iter().collect::<Vec<_>>();
        assert_eq!(of(3), [1, 2, 3, 4, 5, 6]);
        assert_eq!(of(6), [1, 2, 3, 4, 5, 6]);
        assert_eq!(of(1), [1, 3, 4, 5, 6], "not the bridge's other port");
        assert_eq!(of(7), [7, 8]);
        assert_eq!(of(9), [9]);
    }
}
