use super::*;
use crate::build::{Content, Ethernet, Gre, Header, Icmp, Icmpv6, Ipv4, Ipv6, Stack, Tcp, Udp, Vlan, Vxlan};
use crate::frame::{Frame, LinkType};
use crate::parse::{Packet, parse};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn key(headers: &[&dyn Header]) -> (FlowKey, bool) {
    let mut stack = Stack::new();
    stack.message(b"message.");
    headers.iter().for_each(|header| {
        stack.wrap(*header);
    });
    assert_eq!(stack.content(), Content::Ethernet);
    let frame = stack.frame();
    let layers = parse(&frame);
    let keyed = FlowKey::of(&Packet::new(frame, &layers)).unwrap();
    (keyed.key, keyed.reversed)
}

#[test]
fn both_directions_have_one_key() {
    let ethernet = Ethernet::new(MAC, MAC);
    let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let there = key(&[&Udp::new(4000, 53), &Ipv4::new(a, b), &ethernet]);
    let back = key(&[&Udp::new(53, 4000), &Ipv4::new(b, a), &ethernet]);
    assert_eq!((there.0, there.1, back.1), (back.0, false, true));
    assert_eq!(there.0.to_string(), "udp 10.0.0.1:4000 10.0.0.2:53");
    assert_ne!(there.0, key(&[&Tcp::new(4000, 53), &Ipv4::new(a, b), &ethernet]).0);
    // Between ports of one host the lower port comes first.
    let there = key(&[&Udp::new(9, 7), &Ipv4::new(a, a), &ethernet]);
    assert_eq!((there.0.end(false).1, there.1), (7, true));

    let (a, b) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    let there = key(&[&Tcp::new(4000, 53), &Ipv6::new(a, b), &ethernet]);
    let back = key(&[&Tcp::new(53, 4000), &Ipv6::new(b, a), &ethernet]);
    assert_eq!((there.0, there.1, back.1), (back.0, false, true));
    assert_eq!(there.0.to_string(), "tcp [fd00::1]:4000 [fd00::2]:53");
}

#[test]
fn vlans_tell_flows_apart() {
    let (udp, ip) = (Udp::new(4000, 53), Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
    let of = |headers: &[&dyn Header]| key(headers).0;
    let ethernet = Ethernet::new(MAC, MAC);
    let zero = of(&[&udp, &ip, &Vlan::new(0), &ethernet]);
    let five = of(&[&udp, &ip, &Vlan::new(5), &ethernet]);
    let both = of(&[&udp, &ip, &Vlan::new(5), &Vlan::new(6), &ethernet]);
    let none = of(&[&udp, &ip, &ethernet]);
    assert_eq!((zero.vlans(), five.vlans()), ([Some(0), None], [Some(5), None]));
    assert_eq!((both.vlans(), none.vlans()), ([Some(6), Some(5)], [None, None]));
    assert!(zero != none && zero != five && five != both);
    assert_eq!(both.to_string(), "udp 10.0.0.1:4000 10.0.0.2:53 vlan 6 vlan 5");
}

#[test]
fn what_only_carries_another_packet_is_looked_through() {
    let (udp, ip) = (Udp::new(4000, 53), Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
    let (outer, ethernet) = (Ipv4::new([1, 1, 1, 1], [2, 2, 2, 2]), Ethernet::new(MAC, MAC));
    let of = |headers: &[&dyn Header]| key(headers).0;
    let gre = of(&[&udp, &ip, &Gre::new().key(7), &outer, &ethernet]);
    assert_eq!(gre.tunnel(), Some(Tunnel { kind: TunnelKind::Gre, id: 7 }));
    assert_eq!(gre.to_string(), "udp 10.0.0.1:4000 10.0.0.2:53 gre 7");
    let plain = of(&[&udp, &ip, &outer, &ethernet]);
    assert_eq!(plain.tunnel(), Some(Tunnel { kind: TunnelKind::Ip, id: 0 }));
    // A tunnel over UDP is a flow itself, and what it carries is asked for by its layer.
    let headers: [&dyn Header; 7] =
        [&udp, &ip, &ethernet, &Vxlan::new(9), &Udp::new(1, 4789), &outer, &ethernet];
    assert_eq!(of(&headers).to_string(), "udp 1.1.1.1:1 2.2.2.2:4789");
    let mut stack = Stack::new();
    stack.message(b"message.");
    headers.iter().for_each(|header| {
        stack.wrap(*header);
    });
    let layers = parse(&stack.frame());
    let packet = Packet::new(stack.frame(), &layers);
    let inner = FlowKey::of_layer(&packet, packet.inner().unwrap()).unwrap().key;
    assert_eq!(inner.to_string(), "udp 10.0.0.1:4000 10.0.0.2:53 vxlan 9");
}

/// Of three packets in one another, the flow is of the outermost that is more than a wrapping.
#[test]
fn a_tunnel_within_a_tunnel_is_the_flow_itself() {
    let (udp, ip) = (Udp::new(4000, 53), Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
    let (middle, outer) = (Ipv4::new([3, 3, 3, 3], [4, 4, 4, 4]), Ipv4::new([1, 1, 1, 1], [2, 2, 2, 2]));
    let ethernet = Ethernet::new(MAC, MAC);
    let of = |headers: &[&dyn Header]| key(headers).0.to_string();
    let (gre, vxlan, carrier) = (Gre::new().key(7), Vxlan::new(9), Udp::new(1, 4789));
    let within: [&dyn Header; 9] = [&udp, &ip, &ethernet, &vxlan, &carrier, &middle, &gre, &outer, &ethernet];
    assert_eq!(of(&within), "udp 3.3.3.3:1 4.4.4.4:4789 gre 7");
    let twice: [&dyn Header; 6] = [&udp, &ip, &middle, &gre, &outer, &ethernet];
    assert_eq!(of(&twice), "udp 10.0.0.1:4000 10.0.0.2:53 gre 7", "IP in IP has no number");
    assert_eq!(of(&[&udp, &ip, &middle, &outer, &ethernet]), "udp 10.0.0.1:4000 10.0.0.2:53 ip 0");
}

/// An MPLS label is as long as a tag, and PPPoE as two.
#[test]
fn tags_within_a_tunnel_are_not_those_of_the_flow_that_carries_it() {
    let (udp, ip) = (Udp::new(4000, 53), Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
    let (outer, ethernet) = (Ipv4::new([1, 1, 1, 1], [2, 2, 2, 2]), Ethernet::new(MAC, MAC));
    let (inside, outside, vxlan, carrier) = (Vlan::new(5), Vlan::new(6), Vxlan::new(9), Udp::new(1, 4789));
    let of = |headers: &[&dyn Header], at: usize, between: &[u8]| {
        let mut stack = Stack::new();
        stack.message(b"message.");
        headers.iter().for_each(|header| {
            stack.wrap(*header);
        });
        let mut bytes = stack.bytes().to_vec();
        bytes.splice(at..at + 2, between.iter().copied());
        let frame = Frame::new(LinkType::ETHERNET, &bytes);
        let layers = parse(&frame);
        assert!(layers.ip_depth == 2 && layers.vlan_count > 0, "{layers:?}");
        FlowKey::of(&Packet::new(frame, &layers)).unwrap().key.to_string()
    };
    let (label, pppoe) = (b"\x88\x47\0\x01\x01\x40", b"\x88\x64\x11\0\0\x01\0\x70\0\x21");
    let one: [&dyn Header; 8] = [&udp, &ip, &inside, &ethernet, &vxlan, &carrier, &outer, &ethernet];
    let two: [&dyn Header; 9] = [&udp, &ip, &inside, &inside, &ethernet, &vxlan, &carrier, &outer, &ethernet];
    let tagged: [&dyn Header; 9] =
        [&udp, &ip, &inside, &ethernet, &vxlan, &carrier, &outer, &outside, &ethernet];
    assert_eq!(of(&one, 12, label), "udp 1.1.1.1:1 2.2.2.2:4789");
    assert_eq!(of(&two, 12, pppoe), "udp 1.1.1.1:1 2.2.2.2:4789");
    assert_eq!(of(&tagged, 16, label), "udp 1.1.1.1:1 2.2.2.2:4789 vlan 6");
}

#[test]
fn pings_and_their_answers_are_one_flow_and_errors_go_one_way() {
    let ethernet = Ethernet::new(MAC, MAC);
    let (a, b) = ([10, 0, 0, 2], [10, 0, 0, 1]);
    let there = key(&[&Icmp::new(8, 0, 0), &Ipv4::new(a, b), &ethernet]);
    let back = key(&[&Icmp::new(0, 0, 0), &Ipv4::new(b, a), &ethernet]);
    assert_eq!((there.0, there.1, back.1), (back.0, true, false));
    let error = key(&[&Icmp::new(3, 1, 0), &Ipv4::new(a, b), &ethernet]);
    assert_eq!((error.0.end(false), error.1), (([10, 0, 0, 2].into(), 3), false));
    assert_eq!(error.0.end(true).1, 1);
    let (a, b) = ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap());
    let there = key(&[&Icmpv6::new(128, 0, 0), &Ipv6::new(a, b), &ethernet]);
    let back = key(&[&Icmpv6::new(129, 0, 0), &Ipv6::new(b, a), &ethernet]);
    assert_eq!((there.0, there.1, back.1), (back.0, true, false));
}
