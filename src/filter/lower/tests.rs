//! What differs from libpcap, and the kernel's view. That the rest does not differ is for the comparison with libpcap itself.

use crate::filter::Filter;
use crate::filter::bpf::Program;
use crate::frame::{Frame, LinkType};
use crate::sys::classic_bpf::Seen;
use std::time::{Duration, Instant};

/// Two addresses.
const STATIONS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// IPv4 with a UDP datagram to that port.
fn datagram(port: u16) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    for field in [40_000, port, 8, 0] {
        bytes.extend(u16::to_be_bytes(field));
    }
    bytes
}

/// An Ethernet frame with these tags, in front of an EtherType and what it is for.
fn tagged(tags: &[u16], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = STATIONS.to_vec();
    for tag in tags {
        bytes.extend([0x8100_u16, *tag].map(u16::to_be_bytes).concat());
    }
    bytes.extend(kind.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The answer for a frame in a file; and for what the kernel would have of it, which must be the same.
fn matches(text: &str, bytes: &[u8]) -> bool {
    let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    let here = filter.on(LinkType::ETHERNET).unwrap_or_else(|error| panic!("{text}: {error}"));
    let here = here.matches(&Frame::new(LinkType::ETHERNET, bytes));
    let socket =
        filter.socket_program(LinkType::ETHERNET, 96).unwrap_or_else(|error| panic!("{text}: {error}"));
    // A tag may be beside the frame, or, of some that are sent, in it.
    assert_eq!(run(&socket, bytes, None), here, "{text}: as it is");
    if let [0x81, 0x00, high, low, ..] = bytes[12..] {
        let without = [&bytes[..12], &bytes[16..]].concat();
        let tag = (0x8100, u16::from_be_bytes([high, low]));
        assert_eq!(run(&socket, &without, Some(tag)), here, "{text}: with the tag beside it");
    }
    here
}

fn run(program: &Program, bytes: &[u8], vlan: Option<(u16, u16)>) -> bool {
    match program.run(&Seen { bytes, vlan, ..Seen::default() }) {
        0 => false,
        kept => {
            assert_eq!(kept, 96);
            true
        }
    }
}

#[test]
fn behind_a_tag_is_what_is_joined_to_it() {
    let plain = tagged(&[], 0x0800, &datagram(53));
    let [five, six] = [0x2005, 0x4006].map(|tag| tagged(&[tag], 0x0800, &datagram(53)));
    let both = tagged(&[5, 6], 0x0800, &datagram(53));
    let arp = tagged(&[], 0x0806, &[0; 28]);
    for (text, expected) in [
        // Plain, tagged with 5, with 6, with both, ARP.
        ("ip", [true, false, false, false, false]),
        ("vlan", [false, true, true, true, false]),
        ("vlan 5", [false, true, false, true, false]),
        ("vlan and ip", [false, true, true, false, false]),
        ("vlan 5 and vlan 6 and port 53", [false, false, false, true, false]),
        ("vlan 5 or vlan 6", [false, true, true, true, false]),
        ("vlan 6 or vlan 5", [false, true, true, true, false]),
        ("(vlan 5 or vlan 6) and ip", [false, true, true, false, false]),
        ("vlan 5 or arp", [false, true, false, true, true]),
        ("arp or vlan 5", [false, true, false, true, true]),
        ("not vlan and ip", [true, false, false, false, false]),
        ("not vlan 5 and port 53", [true, false, false, false, false]),
        ("port 53 or vlan and port 53", [true, true, true, false, false]),
        ("(ip or vlan) and port 53", [true, true, true, false, false]),
        ("(ip or vlan 5) and udp dst port 53 and len = 46", [false, true, false, false, false]),
        ("ether proto 0x8100", [false, true, true, true, false]),
        ("ether src 2:0:0:0:0:1 and ether dst 2:0:0:0:0:2", [true; 5]),
        ("ether[0] = 2 and ether[11] = 1", [true; 5]),
        ("ether[16:2] = 0x0800", [false, true, true, false, false]),
        ("len = 46", [false, true, true, false, false]),
        ("less 42", [true, false, false, false, true]),
    ] {
        let found = [&plain, &five, &six, &both, &arp].map(|frame| matches(text, frame));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn bytes_of_a_tag_are_left_to_who_has_the_whole_frame() {
    let filter: Filter = "ether[14:2] & 0xfff = 5".parse().unwrap();
    assert!(filter.socket_test(LinkType::ETHERNET).is_err());
    let frame = tagged(&[5], 0x0800, &datagram(53));
    assert!(filter.on(LinkType::ETHERNET).unwrap().matches(&Frame::new(LinkType::ETHERNET, &frame)));
}

#[test]
fn labels_sessions_and_tunnels() {
    let label = |label: u32, bottom: u8| {
        [(label << 4 >> 8 >> 8) as u8, (label << 4 >> 8) as u8, (label << 4) as u8 | bottom, 64]
    };
    let labelled = |labels: &[[u8; 4]]| tagged(&[], 0x8847, &[labels.concat(), datagram(53)].concat());
    let one = labelled(&[label(7, 1)]);
    let two = labelled(&[label(7, 0), label(8, 1)]);
    let session = tagged(&[], 0x8864, &[&[0x11, 0, 0, 9, 0, 30, 0, 0x21][..], &datagram(53)].concat());
    let geneve = |protocol: u16, inner: &[u8]| {
        let header = [&[0x01, 0][..], &protocol.to_be_bytes(), &[0, 0, 0xb, 0], &[0; 4]].concat();
        tagged(&[], 0x0800, &[datagram(6081), header, inner.to_vec()].concat())
    };
    let bare = geneve(0x0800, &datagram(53));
    let bridged = geneve(0x6558, &tagged(&[], 0x0800, &datagram(53)));
    for (text, expected) in [
        // One label, two, PPPoE, IP in Geneve, Ethernet in Geneve.
        ("mpls", [true, true, false, false, false]),
        ("mpls 7 and mpls 8", [false, true, false, false, false]),
        ("mpls and ip and port 53", [true, false, false, false, false]),
        ("mpls 8 or mpls 7 and port 53", [true, false, false, false, false]),
        ("pppoes", [false, false, true, false, false]),
        ("pppoes 9 and udp dst port 53", [false, false, true, false, false]),
        ("pppoes 8", [false; 5]),
        ("geneve", [false, false, false, true, true]),
        ("geneve 0xb and udp port 53", [false, false, false, true, true]),
        ("geneve 0xc", [false; 5]),
        ("geneve and ether src 2:0:0:0:0:1", [false, false, false, false, true]),
        ("port 6081", [false, false, false, true, true]),
        ("port 53", [false; 5]),
        ("(mpls or pppoes or geneve) and port 53", [true, false, true, true, true]),
    ] {
        let found = [&one, &two, &session, &bare, &bridged].map(|frame| matches(text, frame));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn guards_stand_before_both_sides_of_an_operator() {
    let datagram = tagged(&[], 0x0800, &datagram(53));
    // In libpcap 1.10 the right side is taken of whatever is there.
    assert!(!matches("0 + tcp[2:2] = 53", &datagram));
    assert!(matches("0 + udp[2:2] = 53", &datagram));
    assert!(matches("byte 11 & 1", &datagram) && !matches("byte 11 & 2", &datagram));
}

#[test]
fn chains_are_followed_behind_authentication_headers() {
    let headers = |next: u8, chain: &[&[u8]]| {
        let mut ip = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        ip.extend([0; 32]);
        ip.extend(chain.concat());
        tagged(&[], 0x86dd, &ip)
    };
    let options = |next: u8| [next, 0, 0, 0, 0, 0, 0, 0];
    // 24 bytes: the length is in units of 4, less 2.
    let authentication = |next: u8| [&[next, 4][..], &[0; 22]].concat();
    let udp = [0; 8];
    let chained = headers(0, &[&options(51), &authentication(60), &options(17), &udp]);
    let plain = headers(17, &[&udp]);
    for (text, expected) in [
        ("ip6 protochain 17", [true, true]),
        ("protochain 51", [true, false]),
        ("ip6 protochain 6", [false, false]),
        ("udp", [false, true]),
    ] {
        assert_eq!([&chained, &plain].map(|frame| matches(text, frame)), expected, "{text}");
    }
    let nine = headers(60, &[&options(60)[..]; 9]);
    assert!(!matches("ip6 protochain 17", &nine));
}

#[test]
fn what_has_no_meaning_says_where() {
    for (link_type, text, column) in [
        (LinkType::RAW, "tcp and ether host 2:0:0:0:0:1", 20),
        (LinkType::LINUX_SLL2, "vlan 5", 1),
        (LinkType::ETHERNET, "tcp or type mgt", 8),
        (LinkType::ETHERNET, "ifindex 3", 1),
        (LinkType::ETHERNET, "mpls and arp", 10),
        (LinkType::ETHERNET, "mpls and vlan", 10),
        (LinkType::ETHERNET, "radio[0] = 1", 1),
        (LinkType::ETHERNET, "esp[0] = 1", 1),
        (LinkType(65_000), "ip", 1),
    ] {
        let error = text.parse::<Filter>().unwrap().on(link_type).map(|_| ()).expect_err(text);
        assert_eq!(error.column(), column, "{text}: {error}");
    }
    assert!("ether[0] = 1".parse::<Filter>().unwrap().on(LinkType(65_000)).is_ok());
}

#[test]
fn ways_are_bounded() {
    let started = Instant::now();
    for (alternatives, times) in
        [("vlan or ip", 100), ("vlan or ip", 15), ("geneve or ip", 5), ("ip or geneve", 50)]
    {
        let many = format!("({alternatives}) and ").repeat(times) + "ip";
        let error =
            many.parse::<Filter>().unwrap().on(LinkType::ETHERNET).map(|_| ()).expect_err(alternatives);
        assert!(error.reason().contains("too many places"), "{error}");
    }
    let many =
        (0..10_000).map(|host| format!("not host 10.0.{}.{}", host / 256, host % 256)).collect::<Vec<_>>();
    let many = many.join(" and ").parse::<Filter>().unwrap();
    assert!(many.test(LinkType::ETHERNET).is_ok());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // As many alternatives as one likes that lead to the same place.
    let vlans = (0..1_000).map(|number| format!("vlan {number}")).collect::<Vec<_>>().join(" or ");
    assert!(matches(&format!("({vlans}) and port 53"), &tagged(&[5], 0x0800, &datagram(53))));
}

#[test]
fn addresses_of_wireless_frames() {
    let frame = |control: [u8; 2]| {
        let mut bytes = vec![control[0], control[1], 0, 0];
        (1..=3).for_each(|address| bytes.extend([2, 0, 0, 0, 0, address]));
        bytes.extend([0, 0, 2, 0, 0, 0, 0, 4, 0, 0]);
        bytes
    };
    // Data: within the cell, to and from the system, between access points; management; an acknowledgement.
    let frames = [[8, 0], [8, 1], [8, 2], [8, 3], [0x80, 0], [0xd4, 0]].map(frame);
    for (text, expected) in [
        ("wlan src 2:0:0:0:0:2", [true, true, false, false, true, false]),
        ("wlan src 2:0:0:0:0:3", [false, false, true, false, false, false]),
        ("wlan src 2:0:0:0:0:4", [false, false, false, true, false, false]),
        ("wlan dst 2:0:0:0:0:1", [true, false, true, false, true, false]),
        ("wlan dst 2:0:0:0:0:3", [false, true, false, true, false, false]),
        ("wlan addr1 2:0:0:0:0:1", [true; 6]),
        ("wlan addr2 2:0:0:0:0:2", [true, true, true, true, true, false]),
        ("wlan addr4 2:0:0:0:0:4", [false, false, false, true, false, false]),
        ("wlan ra 2:0:0:0:0:1", [true, true, true, true, false, false]),
        ("dir dstods", [false, false, false, true, false, false]),
        ("type data", [true, true, true, true, false, false]),
        ("subtype beacon or subtype ack", [false, false, false, false, true, true]),
    ] {
        let matcher = text.parse::<Filter>().unwrap().on(LinkType::IEEE802_11).unwrap();
        let found = frames.each_ref().map(|bytes| matcher.matches(&Frame::new(LinkType::IEEE802_11, bytes)));
        assert_eq!(found, expected, "{text}");
    }
}
