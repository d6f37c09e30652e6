//! What the walk finds in frames of every shape.

mod frames;

use frames::*;
use wharf::frame::{Frame, LinkType};
use wharf::parse::{Fragment, IpLayer, Layers, Packet, Reason, Transport, parse};

fn layers(bytes: &[u8]) -> Layers {
    parse(&Frame::new(LinkType::ETHERNET, bytes))
}

fn outer(bytes: &[u8]) -> IpLayer {
    layers(bytes).outer.expect("an IP layer")
}

#[test]
fn every_header_of_every_shape_is_found() {
    for shape in shapes().iter().filter(|shape| !shape.headers.is_empty()) {
        let frame = Frame::new(shape.link_type, &shape.bytes);
        let layers = parse(&frame);
        assert_eq!(layers.malformed, None, "{}", shape.name);
        let headers = Packet::new(frame, &layers).headers();
        let keys: Vec<_> = headers.iter().map(|span| span.layer.key()).collect();
        assert_eq!(keys.join(" "), shape.headers, "{}", shape.name);

        let depth = keys.iter().filter(|key| matches!(**key, "ipv4" | "ipv6")).count();
        assert_eq!(usize::from(layers.ip_depth), depth, "{}", shape.name);
        assert_eq!(layers.inner.is_some(), depth > 1, "{}", shape.name);
        let tags = keys.iter().filter(|key| key.ends_with("vlan")).count();
        assert_eq!(usize::from(layers.vlan_count), tags, "{}", shape.name);
        assert!(headers.is_sorted_by(|a, b| a.end <= b.start), "{}: {headers:?}", shape.name);
    }
}

#[test]
fn the_innermost_packet_is_the_one_that_was_put_in() {
    for shape in shapes() {
        let frame = Frame::new(shape.link_type, &shape.bytes);
        let layers = parse(&frame);
        let packet = Packet::new(frame, &layers);
        let Some(inner) = packet.innermost() else { continue };
        if packet.payload(inner) == b"inside" {
            let ports = if inner.transport == Transport::Tcp { (12345, 80) } else { (4000, 53) };
            assert_eq!(packet.ports(inner), Some(ports), "{}", shape.name);
            assert_eq!(packet.payload_length(inner), 6, "{}", shape.name);
        } else {
            let opened = shape.headers.split(' ').filter(|key| matches!(*key, "ipv4" | "ipv6")).count();
            assert_eq!(opened, usize::from(!shape.headers.is_empty()), "{}", shape.name);
        }
    }
}

#[test]
fn vlan_tags_come_outermost_first() {
    let inner = ethernet(0x8100, &tag(0xe007, 0x0800, &inside4()));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 5, 0][..], &inner].concat();
    let bytes = ethernet(0x88a8, &tag(9, 0x8100, &tag(8, 0x0800, &ipv4(17, &udp(1, 4789, &vxlan)))));
    let frame = Frame::new(LinkType::ETHERNET, &bytes);
    let layers = parse(&frame);
    let tags: Vec<_> = Packet::new(frame, &layers).vlans().map(|tag| (tag.id(), tag.service)).collect();
    assert_eq!(tags, [(9, true), (8, false), (7, false)]);
    assert_eq!((layers.vlan_count, layers.vlan_tags), (3, [9, 8]));
}

#[test]
fn a_hundred_extension_headers_are_all_listed() {
    let shape = shapes().into_iter().find(|shape| shape.name == "many extensions").unwrap();
    let frame = Frame::new(shape.link_type, &shape.bytes);
    let layers = parse(&frame);
    assert_eq!(Packet::new(frame, &layers).headers().len(), 2 + 120 + 1);
    assert_eq!(layers.outer.unwrap().transport, Transport::Udp);
}

#[test]
fn padding_is_not_part_of_the_packet() {
    let mut bytes = ethernet(0x0800, &ipv4(17, &udp(1, 2, b"abc")));
    bytes.resize(60, 0xee);
    let frame = Frame::new(LinkType::ETHERNET, &bytes);
    let layers = parse(&frame);
    let packet = Packet::new(frame, &layers);
    assert_eq!(packet.payload(packet.outer().unwrap()), b"abc");
}

#[test]
fn udp_length_bounds_the_payload() {
    let mut datagram = udp(1, 2, b"abc");
    datagram.extend(b"surplus");
    let bytes = ethernet(0x0800, &ipv4(17, &datagram));
    let frame = Frame::new(LinkType::ETHERNET, &bytes);
    let layers = parse(&frame);
    let packet = Packet::new(frame, &layers);
    assert_eq!(packet.payload(packet.outer().unwrap()), b"abc");
}

#[test]
fn length_zero_means_the_whole_frame() {
    for name in ["tso", "big tcp"] {
        let shape = shapes().into_iter().find(|shape| shape.name == name).unwrap();
        let ip = outer(&shape.bytes);
        assert_eq!((ip.declared_end as usize, ip.end as usize), (shape.bytes.len(), shape.bytes.len()));
    }
}

#[test]
fn a_length_beyond_the_frame_is_kept_but_not_followed() {
    let mut bytes = ethernet(0x0800, &inside4());
    bytes[17] += 10;
    let ip = outer(&bytes);
    assert_eq!((ip.end as usize, ip.declared_end as usize), (bytes.len(), bytes.len() + 10));
    assert_eq!(layers(&bytes).malformed, None);
}

#[test]
fn jumbograms_take_their_length_from_the_option() {
    let jumbo = options(17, &[0xc2, 4, 0, 1, 0, 0], &udp(1, 2, &[7; 100]));
    let bytes = ethernet(0x86dd, &ipv6_with(0, 0, &jumbo));
    let ip = outer(&bytes);
    assert_eq!(ip.declared_end, 14 + 40 + 0x1_0000);
    assert_eq!((ip.transport, ip.end as usize), (Transport::Udp, bytes.len()));

    let small = options(17, &[0xc2, 4, 0, 0, 0, 9], &udp(1, 2, &[7; 100]));
    let bytes = ethernet(0x86dd, &ipv6_with(0, 0, &small));
    assert_eq!(outer(&bytes).declared_end as usize, bytes.len(), "RFC 2675 3: not for small packets");
}

#[test]
fn fragments_and_their_protocols() {
    let of = |bytes: &[u8]| {
        let ip = outer(bytes);
        (ip.fragment, ip.protocol, ip.transport)
    };
    let datagram = udp(1, 2, b"x");
    let four = |fragment| ethernet(0x0800, &ipv4_with(&[], fragment, 17, &datagram));
    assert_eq!(of(&four(0x4000)), (Fragment::Whole, 17, Transport::Udp));
    assert_eq!(of(&four(0x2000)), (Fragment::First, 17, Transport::Udp));
    assert_eq!(of(&four(0x0001)), (Fragment::Later, 17, Transport::None));
    let six = |field| ethernet(0x86dd, &ipv6(44, &fragment(17, field, &datagram)));
    assert_eq!(of(&six(0)), (Fragment::Whole, 17, Transport::Udp), "RFC 6946: atomic");
    assert_eq!(of(&six(1)), (Fragment::First, 17, Transport::Udp));
    assert_eq!(of(&six(8)), (Fragment::Later, 17, Transport::None));
    assert_eq!(outer(&four(1)).source_port, 0, "a later fragment has no ports");
    let middle = ethernet(0x0800, &ipv4_with(&[], 1, 51, &authentication(17, &datagram)));
    assert_eq!(of(&middle), (Fragment::Later, 51, Transport::None), "nor an authentication header");
}

#[test]
fn the_pseudo_header_sees_the_ends_of_the_way() {
    let last_byte = |bytes: &[u8], at: u32| bytes[at as usize..at as usize + 16][15];
    let datagram = udp(1, 2, b"x");
    let six = |next, payload: &[u8]| ethernet(0x86dd, &ipv6(next, payload));

    let plain = six(17, &datagram);
    assert_eq!(outer(&plain).pseudo_source, 14 + 8);
    assert_eq!(outer(&plain).pseudo_destination, 14 + 24);

    // Type 0 ends with its last address, type 4 with its first (RFC 8754 2), type 2 has one.
    for (kind, addresses, last) in [(0, 3, 2), (4, 3, 0), (2, 1, 0)] {
        let bytes = six(43, &routing(kind, 1, addresses, 17, &datagram));
        let ip = outer(&bytes);
        assert_eq!(bytes[ip.pseudo_destination as usize + 1], 1, "an address of the routing header");
        assert_eq!(last_byte(&bytes, ip.pseudo_destination), last, "type {kind}");
        let arrived = six(43, &routing(kind, 0, addresses, 17, &datagram));
        assert_eq!(outer(&arrived).pseudo_destination, 14 + 24);
    }

    let mut home = vec![0xc9, 16];
    home.extend([0xee; 16]);
    let bytes = six(60, &options(17, &[&[1, 2, 0, 0][..], &home].concat(), &datagram));
    let ip = outer(&bytes);
    assert_eq!(bytes[ip.pseudo_source as usize..][..16], [0xee; 16]);
}

#[test]
fn an_ipv4_source_route_names_the_destination() {
    let route = [137, 7, 4, 192, 0, 2, 9, 0];
    let mut bytes = ethernet(0x0800, &ipv4_with(&route, 0, 17, &udp(1, 2, b"x")));
    let destination = |bytes: &[u8]| {
        let frame = Frame::new(LinkType::ETHERNET, bytes);
        let layers = parse(&frame);
        let packet = Packet::new(frame, &layers);
        packet.addresses(packet.outer().unwrap()).unwrap().1.to_string()
    };
    assert_eq!(destination(&bytes), "192.0.2.9");
    bytes[14 + 20 + 2] = 8;
    assert_eq!(destination(&bytes), "10.0.0.2", "the route is at its end");
}

#[test]
fn what_contradicts_itself_is_malformed() {
    let reason = |bytes: &[u8]| layers(bytes).malformed.map(|m| (m.layer.key(), m.reason));
    let good = ethernet(0x0800, &inside4());
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    assert_eq!(reason(&good), None);
    assert_eq!(reason(&with(14, 0x55)), Some(("ipv4", Reason::BadVersion)));
    assert_eq!(reason(&with(14, 0x44)), Some(("ipv4", Reason::BadLength)));
    assert_eq!(reason(&with(17, 19)), Some(("ipv4", Reason::BadLength)));
    assert_eq!(reason(&with(46, 0x40)), Some(("tcp", Reason::BadLength)));
    assert_eq!(reason(&with(46, 0xf0)), Some(("tcp", Reason::TooShort)));
    assert_eq!(reason(&good[..10]), Some(("ethernet", Reason::TooShort)));

    let mut datagram = udp(7, 9, b"x");
    datagram[5] = 7;
    let bytes = ethernet(0x0800, &ipv4(17, &datagram));
    assert_eq!(reason(&bytes), Some(("udp", Reason::BadLength)));
    assert_eq!((outer(&bytes).source_port, outer(&bytes).destination_port), (7, 9));

    let mut frame = Frame::new(LinkType::ETHERNET, &good[..40]);
    assert_eq!(parse(&frame).malformed.unwrap().reason, Reason::TooShort);
    frame.record.wire_length = good.len() as u32;
    assert_eq!(parse(&frame).malformed.unwrap().reason, Reason::Snapped);
    assert!(parse(&frame).outer.is_some(), "the addresses stay");

    // Snapped or not: an IP length that ends within the TCP header is its sender's doing.
    let short = with(17, 30);
    let mut frame = Frame::new(LinkType::ETHERNET, &short[..40]);
    frame.record.wire_length = short.len() as u32;
    assert_eq!(parse(&frame).malformed.unwrap().reason, Reason::TooShort);
}

#[test]
fn endless_nesting_ends() {
    let matryoshka = (0..40).fold(inside4(), |payload, _| ipv4(4, &payload));
    let found = layers(&ethernet(0x0800, &matryoshka));
    assert_eq!((found.ip_depth, found.malformed.unwrap().reason), (16, Reason::TooDeep));
    let tags = (0..200).fold(inside4(), |payload, n| tag(1, if n == 0 { 0x0800 } else { 0x8100 }, &payload));
    let found = layers(&ethernet(0x8100, &tags));
    assert_eq!(found.malformed.unwrap().reason, Reason::TooDeep);
}

#[test]
fn a_wrong_guess_leaves_a_plain_datagram() {
    // On a tunnel's port, an Ethernet frame that announces IPv4 and has none.
    let vxlan = [&[8, 0, 0, 0, 0, 0, 5, 0][..], &ethernet(0x8100, &tag(7, 0x0800, &[0xff; 30]))].concat();
    let bytes = ethernet(0x0800, &ipv4(17, &udp(1, 4789, &vxlan)));
    let found = layers(&bytes);
    assert_eq!((found.malformed, found.ip_depth, found.vlan_count), (None, 1, 0));
    let frame = Frame::new(LinkType::ETHERNET, &bytes);
    assert_eq!(Packet::new(frame, &found).headers().len(), 3);
}

#[test]
fn a_header_cut_after_its_addresses_keeps_them() {
    let whole = ipv4(6, &tcp(&[], b"inside"));
    for (length, source, both) in [(15, false, false), (16, true, false), (19, true, false)] {
        let mut frame = Frame::new(LinkType::RAW, &whole[..length]);
        frame.record.wire_length = whole.len() as u32;
        let layers = parse(&frame);
        assert_eq!(layers.malformed.map(|malformed| malformed.reason), Some(Reason::Snapped));
        let packet = Packet::new(frame, &layers);
        assert_eq!(packet.outer().and_then(|ip| packet.source(ip)).is_some(), source, "{length}");
        assert_eq!(packet.outer().and_then(|ip| packet.addresses(ip)).is_some(), both, "{length}");
    }
    let whole = ipv6(6, &tcp(&[], b"inside"));
    let layers = parse(&Frame::new(LinkType::RAW, &whole[..39]));
    let packet = Packet::new(Frame::new(LinkType::RAW, &whole[..39]), &layers);
    let ip = packet.outer().expect("a layer");
    assert_eq!((ip.protocol, ip.transport, packet.segment(ip)), (6, Transport::None, &[][..]));
    assert_eq!(packet.source(ip).unwrap().to_string(), "fd00::1");
    assert_eq!((packet.addresses(ip), packet.ports(ip)), (None, None));
}
