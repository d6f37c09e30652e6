//! Which ports an expression wants at most: what can be asked by a table of ports alone, before the expression itself is.

use super::ast::{Node, Primitive, Transport};
use std::ops::RangeInclusive;

/// An IP protocol's number, and ports.
pub(super) type Wanted = (u8, RangeInclusive<u16>);

/// Ports one of which every matching packet has at an end; `None` where others may match, or where it is asked behind a tag or
/// a label.
pub(super) fn at_most(node: &Node) -> Option<Vec<Wanted>> {
    if stays_outside(node) { wanted(node) } else { None }
}

fn wanted(node: &Node) -> Option<Vec<Wanted>> {
    match node {
        Node::Any(nodes) => {
            let each: Option<Vec<_>> = nodes.iter().map(wanted).collect();
            each.map(|each| each.concat())
        }
        // What matches all of them matches any one.
        Node::All(nodes) => nodes.iter().find_map(wanted),
        Node::Primitive(Primitive::Port { transport, low, high, .. }, _) => {
            let protocols: &[u8] = match transport {
                Some(Transport::Tcp) => &[6],
                Some(Transport::Udp) => &[17],
                Some(Transport::Sctp) => &[132],
                None => &[6, 17, 132],
            };
            Some(protocols.iter().map(|&protocol| (protocol, *low..=*high)).collect())
        }
        Node::Not(_) | Node::Compare { .. } | Node::Primitive(..) => None,
    }
}

/// Nothing in it is asked of what stands behind a tag, a label or another header.
fn stays_outside(node: &Node) -> bool {
    match node {
        Node::All(nodes) | Node::Any(nodes) => nodes.iter().all(stays_outside),
        Node::Not(node) => stays_outside(node),
        Node::Compare { .. } => true,
        Node::Primitive(primitive, _) => !matches!(
            primitive,
            Primitive::Vlan(_)
                | Primitive::Mpls(_)
                | Primitive::PppoeSession(_)
                | Primitive::PppoeDiscovery
                | Primitive::Geneve(_)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    fn of(text: &str) -> Option<Vec<Wanted>> {
        text.parse::<Filter>().unwrap().ports_at_most()
    }

    #[test]
    fn ports_alone_or_with_more_beside_them() {
        assert_eq!(of("udp port 53"), Some(vec![(17, 53..=53)]));
        assert_eq!(of("dst port 53"), Some(vec![(6, 53..=53), (17, 53..=53), (132, 53..=53)]));
        let web = Some(vec![(6, 80..=80), (6, 443..=443), (17, 1000..=1010)]);
        assert_eq!(of("tcp port 80 or 443 or udp src portrange 1000-1010"), web);
        for text in ["udp port 53 and not host 10.0.0.1", "ip and udp and len > 100 and udp port 53"] {
            assert_eq!(of(text), Some(vec![(17, 53..=53)]), "{text}");
        }
    }

    #[test]
    fn whatever_may_be_something_else_is_not_told_by_ports() {
        for text in [
            "",
            "arp",
            "udp",
            "udp port 53 or arp",
            "not udp port 53",
            "udp[0:2] = 53",
            "vlan and udp port 53",
            "udp port 53 and mpls",
            "not (pppoes and ip) and udp port 53",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
