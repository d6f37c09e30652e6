//! Frames of every shape the walk knows, written by hand from the RFCs' diagrams: each header is a
//! function from its payload to bytes.

use wharf::frame::LinkType;

/// A frame and the headers that must be found in it, by key.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) link_type: LinkType,
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: &'static str,
}

fn join(head: &[u8], payload: &[u8]) -> Vec<u8> {
    [head, payload].concat()
}

fn be(value: usize) -> [u8; 2] {
    u16::try_from(value).expect("a length of 16 bits").to_be_bytes()
}

pub(crate) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let addresses = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    [&addresses[..], &kind.to_be_bytes(), payload].concat()
}

/// What follows a VLAN's EtherType.
pub(crate) fn tag(id: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &kind.to_be_bytes(), payload].concat()
}

pub(crate) fn label(value: u32, bottom: bool, payload: &[u8]) -> Vec<u8> {
    join(&((value << 12) | (u32::from(bottom) << 8) | 64).to_be_bytes(), payload)
}

pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(&[], 0, protocol, payload)
}

pub(crate) fn ipv4_with(options: &[u8], fragment: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut head = vec![0x40 | (header / 4) as u8, 0];
    head.extend(be(header + payload.len()));
    head.extend([0x12, 0x34]);
    head.extend(fragment.to_be_bytes());
    head.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    [&head, options, payload].concat()
}

pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    ipv6_with(payload.len(), next_header, payload)
}

pub(crate) fn ipv6_with(length: usize, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = vec![0x60, 0, 0, 0];
    head.extend(be(length));
    head.extend([next_header, 64]);
    for last in [1, 2] {
        head.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    join(&head, payload)
}

/// An options header: 8 bytes, or more with the options' own.
pub(crate) fn options(next_header: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (2 + options.len()).next_multiple_of(8);
    let mut head = vec![next_header, (length / 8 - 1) as u8];
    head.extend(options);
    head.resize(length, 0);
    join(&head, payload)
}

pub(crate) fn fragment(next_header: u8, offset_and_more: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = offset_and_more.to_be_bytes();
    join(&[next_header, 0, high, low, 0, 0, 0, 9], payload)
}

pub(crate) fn authentication(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = [0; 24];
    (head[0], head[1]) = (next_header, 4);
    join(&head, payload)
}

pub(crate) fn routing(
    kind: u8,
    segments_left: u8,
    addresses: usize,
    next_header: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut head = vec![next_header, 2 * addresses as u8, kind, segments_left, 0, 0, 0, 0];
    if kind == 4 {
        head[4] = addresses as u8 - 1;
    }
    for index in 0..addresses {
        head.extend([0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, index as u8]);
    }
    join(&head, payload)
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    [&ports[..], &be(8 + payload.len()), &[0, 0], payload].concat()
}

pub(crate) fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut head = vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2];
    head.extend([((20 + options.len()) << 2) as u8, 0x18, 1, 0, 0, 0, 0, 0]);
    [&head, options, payload].concat()
}

/// MSS, SACK permitted, timestamps, no operation, window scale.
pub(crate) const TCP_OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7];

pub(crate) fn echo() -> Vec<u8> {
    vec![8, 0, 0, 0, 0, 1, 0, 1, b'p', b'i', b'n', b'g']
}

/// The packet inside every tunnel.
pub(crate) fn inside4() -> Vec<u8> {
    ipv4(6, &tcp(&[], b"inside"))
}

pub(crate) fn inside6() -> Vec<u8> {
    ipv6(17, &udp(4000, 53, b"inside"))
}

fn arp() -> Vec<u8> {
    join(&[0, 1, 8, 0, 6, 4, 0, 1], &[0; 20])
}

fn gre(flags: u16, protocol: u16, optional: &[u8], payload: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes()[..], &protocol.to_be_bytes(), optional, payload].concat()
}

fn over_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(17, &udp(40000, port, payload)))
}

fn over_ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(protocol, payload))
}

fn llc_snap(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[0xaa, 0xaa, 3, 0, 0, 0][..], &kind.to_be_bytes(), payload].concat()
}

/// An 802.11 QoS data frame from an access point.
fn wireless(payload: &[u8]) -> Vec<u8> {
    let mut head = vec![0x88, 0x02];
    head.resize(26, 0);
    join(&head, payload)
}

/// A data frame without quality of service.
fn wireless_plain(payload: &[u8]) -> Vec<u8> {
    [&[8, 0][..], &[0; 22], &llc_snap(0x0800, payload)].concat()
}

fn sll(protocol: u16, payload: &[u8]) -> Vec<u8> {
    let head = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    [&head[..], &protocol.to_be_bytes(), payload].concat()
}

fn sll2(protocol: u16, payload: &[u8]) -> Vec<u8> {
    let head = [0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    [&protocol.to_be_bytes()[..], &head, payload].concat()
}

fn nflog(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0];
    bytes.extend([8, 0, 1, 0, 8, 0, 1, 0]);
    bytes.extend([(4 + payload.len()) as u8, 0, 9, 0]);
    join(&bytes, payload)
}

fn many_extensions() -> Vec<u8> {
    let upper = udp(1, 2, b"deep");
    let chain = (0..120).fold((17, upper), |(next, payload), _| (60, options(next, &[], &payload)));
    ethernet(0x86dd, &ipv6(chain.0, &chain.1))
}

macro_rules! shapes {
    ($($name:literal, $link_type:ident, $bytes:expr, $headers:literal;)*) => {
        vec![$(Shape {
            name: $name, link_type: LinkType::$link_type, bytes: $bytes, headers: $headers,
        },)*]
    };
}

/// One of each.
#[rustfmt::skip]
pub(crate) fn shapes() -> Vec<Shape> {
    let mut shapes = links();
    shapes.extend(networks());
    shapes.extend(tunnels());
    shapes
}

#[rustfmt::skip]
fn links() -> Vec<Shape> {
    let (four, six) = (&inside4()[..], &inside6()[..]);
    let frame = &ethernet(0x0800, four)[..];
    shapes! {
        "ethernet", ETHERNET, ethernet(0x0800, four), "ethernet ipv4 tcp";
        "ethernet ipv6", ETHERNET, ethernet(0x86dd, six), "ethernet ipv6 udp";
        "arp", ETHERNET, ethernet(0x0806, &arp()), "ethernet arp";
        "vlan", ETHERNET, ethernet(0x8100, &tag(7, 0x0800, four)), "ethernet vlan ipv4 tcp";
        "802.1ad", ETHERNET, ethernet(0x88a8, &tag(9, 0x8100, &tag(7, 0x86dd, six))), "ethernet svlan vlan ipv6 udp";
        "0x9100", ETHERNET, ethernet(0x9100, &tag(9, 0x9100, &tag(8, 0x8100, &tag(7, 0x0800, four)))), "ethernet vlan vlan vlan ipv4 tcp";
        "vlan llc", ETHERNET, ethernet(0x8100, &tag(7, 8 + four.len() as u16, &llc_snap(0x0800, four))), "ethernet vlan llc snap ipv4 tcp";
        "snap", ETHERNET, ethernet(8 + four.len() as u16, &llc_snap(0x0800, four)), "ethernet llc snap ipv4 tcp";
        "llc ip", ETHERNET, ethernet(3 + four.len() as u16, &join(&[6, 6, 3], four)), "ethernet llc ipv4 tcp";
        "stp", ETHERNET, ethernet(38, &join(&[0x42, 0x42, 3], &[0; 35])), "ethernet llc";
        "novell", ETHERNET, ethernet(30, &[0xff; 30]), "ethernet";
        "empty 802.3", ETHERNET, ethernet(0, &[0; 46]), "ethernet";
        "mpls", ETHERNET, ethernet(0x8847, &label(16, false, &label(17, true, four))), "ethernet mpls mpls ipv4 tcp";
        "mpls ipv6", ETHERNET, ethernet(0x8848, &label(16, true, six)), "ethernet mpls ipv6 udp";
        "pseudowire", ETHERNET, ethernet(0x8847, &label(16, true, &ethernet(0x0800, four))), "ethernet mpls ethernet ipv4 tcp";
        "control word", ETHERNET, ethernet(0x8847, &label(16, true, &join(&[0; 4], &ethernet(0x8100, &tag(7, 0x0800, four))))), "ethernet mpls control_word ethernet vlan ipv4 tcp";
        "pppoe", ETHERNET, ethernet(0x8864, &join(&[0x11, 0, 0, 1, 0, 48, 0, 0x21], four)), "ethernet pppoe ppp ipv4 tcp";
        "pppoe ipv6", ETHERNET, ethernet(0x8864, &join(&[0x11, 0, 0, 1, 0, 64, 0x57], six)), "ethernet pppoe ppp ipv6 udp";
        "isl", ETHERNET, join(&[1, 0, 0x0c, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 80, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0, 2, 0, 0, 0, 0], &ethernet(0x0800, four)), "ethernet isl ethernet ipv4 tcp";
        "fabricpath", ETHERNET, ethernet(0x8903, &join(&[0x40, 0x20], &ethernet(0x0800, four))), "ethernet fabricpath ethernet ipv4 tcp";
        "metadata", ETHERNET, ethernet(0x8909, &join(&[1, 1, 0, 1, 0, 5, 8, 0], four)), "ethernet cisco_metadata ipv4 tcp";
        "arista", ETHERNET, ethernet(0xd28b, &join(&[0, 1, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], four)), "ethernet arista ipv4 tcp";
        "macsec", ETHERNET, ethernet(0x88e5, &[&[0x20, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 8, 0][..], four, &[0; 16]].concat()), "ethernet macsec ipv4 tcp";
        "macsec of few bytes, padded", ETHERNET, ethernet(0x88e5, &[&[0, (four.len() + 2) as u8, 0, 0, 0, 1, 8, 0][..], four, &[0; 16], &[0; 9]].concat()), "ethernet macsec ipv4 tcp";
        "backbone", ETHERNET, ethernet(0x88a8, &tag(9, 0x88e7, &join(&[0, 0, 0, 5], frame))), "ethernet svlan pbb ethernet ipv4 tcp";
        "trill", ETHERNET, ethernet(0x22f3, &join(&[0, 8, 0, 1, 0, 2], frame)), "ethernet trill ethernet ipv4 tcp";
        "trill options", ETHERNET, ethernet(0x22f3, &join(&[0, 0x48, 0, 1, 0, 2, 0, 0, 0, 0], frame)), "ethernet trill ethernet ipv4 tcp";
        "hsr", ETHERNET, ethernet(0x892f, &join(&[0, 60, 0, 9, 8, 0], four)), "ethernet hsr ipv4 tcp";
        "redundancy tag", ETHERNET, ethernet(0xf1c1, &join(&[0, 0, 0, 9, 8, 0], four)), "ethernet rtag ipv4 tcp";
        "vn-tag", ETHERNET, ethernet(0x8926, &join(&[0, 0, 0, 1, 0x81, 0], &tag(5, 0x0800, four))), "ethernet port_tag vlan ipv4 tcp";
        "e-tag", ETHERNET, ethernet(0x893f, &join(&[0, 0, 0, 1, 0, 0, 8, 0], four)), "ethernet port_tag ipv4 tcp";
        "batman-adv unicast", ETHERNET, ethernet(0x4305, &join(&[0x40, 15, 50, 1, 2, 0, 0, 0, 0, 5], frame)), "ethernet batman_adv ethernet ipv4 tcp";
        "batman-adv ogm", ETHERNET, ethernet(0x4305, &join(&[0x00, 15, 50, 1], &[0; 20])), "ethernet";
        "jumbo llc", ETHERNET, ethernet(0x8870, &llc_snap(0x0800, four)), "ethernet llc snap ipv4 tcp";
        "llc nlpid", ATM_RFC1483, join(&[0xfe, 0xfe, 3, 0xcc], four), "llc ipv4 tcp";
        "hdlc nlpid", C_HDLC, join(&[0x0f, 0, 0xfe, 0xfe, 3, 0xcc], four), "hdlc ipv4 tcp";
        "ppp ether type", PPP, join(&[0xff, 3, 8, 0], four), "ppp ipv4 tcp";
        "mpls link", MPLS, label(5, true, four), "mpls ipv4 tcp";
        "tzsp link", TZSP, join(&[1, 0, 0, 1, 1], frame), "tzsp ethernet ipv4 tcp";
        "juniper ppp", JUNIPER_PPP, join(&[0x4d, 0x47, 0x43, 0, 0xff, 3, 0, 0x21], four), "capture_header ppp ipv4 tcp";
        "juniper frame relay", JUNIPER_FRELAY, join(&[0x4d, 0x47, 0x43, 0, 0x18, 0x41, 3, 0xcc], four), "capture_header frame_relay ipv4 tcp";
        "juniper hdlc", JUNIPER_CHDLC, join(&[0x4d, 0x47, 0x43, 0, 0x0f, 0, 8, 0], four), "capture_header hdlc ipv4 tcp";
        "sll ethernet", LINUX_SLL, sll(3, frame), "sll ethernet ipv4 tcp";
        "sll ppp", LINUX_SLL, sll(7, &join(&[0xff, 3, 0, 0x21], four)), "sll ppp ipv4 tcp";
        "macsec encrypted", ETHERNET, ethernet(0x88e5, &join(&[0x0c, 0, 0, 0, 0, 1], &[0x45; 40])), "ethernet macsec";
        "edsa", ETHERNET, ethernet(0xdada, &join(&[0, 0, 0xc0, 0, 0, 1, 8, 0], four)), "ethernet switch_tag ipv4 tcp";
        "dsa", DSA_TAG_DSA, [&ethernet(0, &[])[..12], &[0xc0, 0, 0, 1, 8, 0], four].concat(), "ethernet switch_tag ipv4 tcp";
        "broadcom", DSA_TAG_BRCM, [&ethernet(0, &[])[..12], &[0, 0, 0, 1, 8, 0], four].concat(), "ethernet switch_tag ipv4 tcp";
        "broadcom before", DSA_TAG_BRCM_PREPEND, join(&[0; 4], &ethernet(0x0800, four)), "switch_tag ethernet ipv4 tcp";
        "sll", LINUX_SLL, sll(0x0800, four), "sll ipv4 tcp";
        "sll vlan", LINUX_SLL, sll(0x8100, &tag(7, 0x86dd, six)), "sll vlan ipv6 udp";
        "sll llc", LINUX_SLL, sll(4, &llc_snap(0x0800, four)), "sll llc snap ipv4 tcp";
        "sll2", LINUX_SLL2, sll2(0x86dd, six), "sll2 ipv6 udp";
        "null little-endian", NULL, join(&[2, 0, 0, 0], four), "loopback ipv4 tcp";
        "null big-endian", NULL, join(&[0, 0, 0, 30], six), "loopback ipv6 udp";
        "loop", LOOP, join(&[0, 0, 0, 24], six), "loopback ipv6 udp";
        "raw", RAW, six.to_vec(), "ipv6 udp";
        "ipv4", IPV4, four.to_vec(), "ipv4 tcp";
        "ipv6", IPV6, six.to_vec(), "ipv6 udp";
        "ppp", PPP, join(&[0xff, 3, 0, 0x21], four), "ppp ipv4 tcp";
        "ppp without address", PPP, join(&[0, 0x57], six), "ppp ipv6 udp";
        "ppp compressed", PPP_HDLC, join(&[0x21], four), "ppp ipv4 tcp";
        "ppp multilink", PPP, join(&[0xff, 3, 0, 0x3d, 0xc0, 0, 0, 1, 0x21], four), "ppp ppp ipv4 tcp";
        "ppp mpls", PPP, join(&[0xff, 3, 2, 0x81], &label(5, true, four)), "ppp mpls ipv4 tcp";
        "hdlc", C_HDLC, join(&[0x0f, 0, 8, 0], four), "hdlc ipv4 tcp";
        "hdlc as ppp", PPP, join(&[0x0f, 0, 8, 0], four), "hdlc ipv4 tcp";
        "frame relay", FRELAY, join(&[0x18, 0x41, 3, 0xcc], four), "frame_relay ipv4 tcp";
        "frame relay snap", FRELAY, join(&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 0x86, 0xdd], six), "frame_relay snap ipv6 udp";
        "frame relay cisco", FRELAY, join(&[0x18, 0x41, 8, 0], four), "frame_relay ipv4 tcp";
        "802.11", IEEE802_11, wireless(&llc_snap(0x0800, four)), "wlan llc snap ipv4 tcp";
        "radiotap", IEEE802_11_RADIOTAP, [&[0, 0, 9, 0, 2, 0, 0, 0, 0x10][..], &wireless(&llc_snap(0x86dd, six)), &[0; 4]].concat(), "radiotap wlan llc snap ipv6 udp";
        "avs", IEEE802_11_AVS, join(&[0x80, 0x21, 0x10, 1, 0, 0, 0, 8], &wireless(&llc_snap(0x0800, four))), "avs wlan llc snap ipv4 tcp";
        "prism", IEEE802_11_PRISM, join(&[0x44, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0], &wireless(&llc_snap(0x0800, four))), "prism wlan llc snap ipv4 tcp";
        "ppi", PPI, join(&[0, 0, 8, 0, 1, 0, 0, 0], &ethernet(0x0800, four)), "ppi ethernet ipv4 tcp";
        "nflog", NFLOG, nflog(four), "nflog ipv4 tcp";
        "token ring", TOKEN_RING, [&[0x10, 0x40, 2, 0, 0, 0, 0, 2, 0x82, 0, 0, 0, 0, 1, 2, 0][..], &llc_snap(0x0800, four)].concat(), "token_ring llc snap ipv4 tcp";
        "fddi", FDDI, join(&[0x50, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &llc_snap(0x0800, four)), "fddi llc snap ipv4 tcp";
        "arcnet", ARCNET, join(&[1, 2, 0xd4, 0, 0, 1], four), "arcnet ipv4 tcp";
        "ipoib", IPOIB, [&[0; 40][..], &[8, 0, 0, 0], four].concat(), "ipoib ipv4 tcp";
        "atm", ATM_RFC1483, llc_snap(0x0800, four), "llc snap ipv4 tcp";
        "slip", SLIP, join(&[0; 16], four), "capture_header ipv4 tcp";
        "pflog", PFLOG, [&[61, 2][..], &[0; 62], four].concat(), "capture_header ipv4 tcp";
        "pktap", PKTAP, [&[12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0][..], &ethernet(0x0800, four)].concat(), "capture_header ethernet ipv4 tcp";
        "unknown link type", LINUX_SLL, sll(1, &[1, 2, 3]), "sll";
    }
}

#[rustfmt::skip]
fn networks() -> Vec<Shape> {
    let (tcp_inside, udp_inside) = (&tcp(&TCP_OPTIONS, b"x")[..], &udp(1, 2, b"x")[..]);
    let six = |next, payload: &[u8]| ethernet(0x86dd, &ipv6(next, payload));
    shapes! {
        "tcp options", ETHERNET, over_ip(6, tcp_inside), "ethernet ipv4 tcp";
        "ip options", ETHERNET, ethernet(0x0800, &ipv4_with(&[148, 4, 0, 0], 0, 2, &[0x16, 0, 0, 0, 224, 0, 0, 1])), "ethernet ipv4 igmp";
        "icmp", ETHERNET, over_ip(1, &echo()), "ethernet ipv4 icmp";
        "icmp error", ETHERNET, over_ip(1, &join(&[3, 3, 0, 0, 0, 0, 0, 0], &inside4())), "ethernet ipv4 icmp";
        "sctp", ETHERNET, over_ip(132, &[0, 7, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4]), "ethernet ipv4 sctp";
        "udp-lite", ETHERNET, over_ip(136, udp_inside), "ethernet ipv4 udplite";
        "dccp", ETHERNET, over_ip(33, &[0, 7, 0, 9, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 1]), "ethernet ipv4 dccp";
        "ospf", ETHERNET, over_ip(89, &[2; 24]), "ethernet ipv4";
        "first fragment", ETHERNET, ethernet(0x0800, &ipv4_with(&[], 0x2000, 17, udp_inside)), "ethernet ipv4 udp";
        "later fragment", ETHERNET, ethernet(0x0800, &ipv4_with(&[], 0x2001, 17, udp_inside)), "ethernet ipv4";
        "ah over ipv4", ETHERNET, over_ip(51, &authentication(6, tcp_inside)), "ethernet ipv4 ah tcp";
        "icmpv6", ETHERNET, six(58, &[128, 0, 0, 0, 0, 1, 0, 1]), "ethernet ipv6 icmpv6";
        "hop-by-hop", ETHERNET, six(0, &options(58, &[5, 2, 0, 0], &[131, 0, 0, 0])), "ethernet ipv6 ipv6_hop_by_hop icmpv6";
        "all extensions", ETHERNET, six(0, &options(60, &[], &options(43, &[], &routing(0, 1, 2, 44, &fragment(51, 0, &authentication(60, &options(17, &[], udp_inside))))))), "ethernet ipv6 ipv6_hop_by_hop ipv6_destination_options ipv6_routing ipv6_fragment ah ipv6_destination_options udp";
        "segment routing", ETHERNET, six(43, &routing(4, 1, 2, 6, tcp_inside)), "ethernet ipv6 ipv6_routing tcp";
        "mobility", ETHERNET, six(135, &options(59, &[], &[])), "ethernet ipv6 mobility";
        "hip and shim6", ETHERNET, six(139, &options(140, &[], &options(59, &[], &[]))), "ethernet ipv6 hip shim6";
        "ipv6 first fragment", ETHERNET, six(44, &fragment(17, 1, udp_inside)), "ethernet ipv6 ipv6_fragment udp";
        "ipv6 later fragment", ETHERNET, six(44, &fragment(60, 9, udp_inside)), "ethernet ipv6 ipv6_fragment";
        "no next header", ETHERNET, six(59, &[]), "ethernet ipv6";
        "many extensions", ETHERNET, many_extensions(), "";
        "tso", ETHERNET, { let mut bytes = over_ip(6, tcp_inside); (bytes[16], bytes[17]) = (0, 0); bytes }, "ethernet ipv4 tcp";
        "big tcp", ETHERNET, ethernet(0x86dd, &ipv6_with(0, 6, tcp_inside)), "ethernet ipv6 tcp";
    }
}

#[rustfmt::skip]
fn tunnels() -> Vec<Shape> {
    let (four, six) = (&inside4()[..], &inside6()[..]);
    let frame = &ethernet(0x0800, four)[..];
    let teredo = { let mut bytes = six.to_vec(); bytes[8..12].copy_from_slice(&[0x20, 1, 0, 0]); bytes };
    shapes! {
        "ip in ip", ETHERNET, over_ip(4, four), "ethernet ipv4 ipv4 tcp";
        "6in4", ETHERNET, over_ip(41, six), "ethernet ipv4 ipv6 udp";
        "4in6", ETHERNET, ethernet(0x86dd, &ipv6(4, four)), "ethernet ipv6 ipv4 tcp";
        "6in6 after options", ETHERNET, ethernet(0x86dd, &ipv6(60, &options(41, &[4, 1, 4], six))), "ethernet ipv6 ipv6_destination_options ipv6 udp";
        "gre", ETHERNET, over_ip(47, &gre(0, 0x0800, &[], four)), "ethernet ipv4 gre ipv4 tcp";
        "gre all fields", ETHERNET, over_ip(47, &gre(0xb000, 0x86dd, &[0; 12], six)), "ethernet ipv4 gre ipv6 udp";
        "gre source routes", ETHERNET, over_ip(47, &gre(0x4000, 0x0800, &[0, 0, 0, 0, 8, 0, 0, 4, 10, 0, 0, 9, 0, 0, 0, 0], four)), "ethernet ipv4 gre ipv4 tcp";
        "gre in gre", ETHERNET, over_ip(47, &gre(0, 0x0800, &[], &ipv4(47, &gre(0, 0x0800, &[], four)))), "ethernet ipv4 gre ipv4 gre ipv4 tcp";
        "nvgre", ETHERNET, over_ip(47, &gre(0x2000, 0x6558, &[0, 0, 1, 0], frame)), "ethernet ipv4 gre ethernet ipv4 tcp";
        "gre mpls", ETHERNET, over_ip(47, &gre(0, 0x8847, &[], &label(3, true, four))), "ethernet ipv4 gre mpls ipv4 tcp";
        "pptp", ETHERNET, over_ip(47, &gre(0x3081, 0x880b, &[0, 48, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2], &join(&[0xff, 3, 0, 0x21], four))), "ethernet ipv4 gre ppp ipv4 tcp";
        "pptp ack", ETHERNET, over_ip(47, &gre(0x2081, 0x880b, &[0, 0, 0, 1, 0, 0, 0, 2], &[])), "ethernet ipv4 gre";
        "wccp", ETHERNET, over_ip(47, &gre(0, 0x883e, &[], &join(&[0; 4], four))), "ethernet ipv4 gre ipv4 tcp";
        "erspan i", ETHERNET, over_ip(47, &gre(0, 0x88be, &[], frame)), "ethernet ipv4 gre ethernet ipv4 tcp";
        "erspan ii", ETHERNET, over_ip(47, &gre(0x1000, 0x88be, &[0, 0, 0, 1], &join(&[0x10, 0, 0, 0, 0, 0, 0, 0], frame))), "ethernet ipv4 gre erspan ethernet ipv4 tcp";
        "erspan iii", ETHERNET, over_ip(47, &gre(0x1000, 0x22eb, &[0, 0, 0, 1], &join(&[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], frame))), "ethernet ipv4 gre erspan ethernet ipv4 tcp";
        "erspan iii of ip", ETHERNET, over_ip(47, &gre(0x1000, 0x22eb, &[0, 0, 0, 1], &join(&[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], four))), "ethernet ipv4 gre erspan ipv4 tcp";
        "etherip", ETHERNET, over_ip(97, &join(&[0x30, 0], frame)), "ethernet ipv4 etherip ethernet ipv4 tcp";
        "mpls in ip", ETHERNET, over_ip(137, &label(3, true, four)), "ethernet ipv4 mpls ipv4 tcp";
        "ethernet in ipv6", ETHERNET, ethernet(0x86dd, &ipv6(143, frame)), "ethernet ipv6 ethernet ipv4 tcp";
        "pim register of the other version", ETHERNET, over_ip(103, &join(&[0x21, 0, 0, 0, 0, 0, 0, 0], six)), "ethernet ipv4 pim ipv6 udp";
        "ethernet over ipv4", ETHERNET, over_ip(143, frame), "ethernet ipv4 ethernet ipv4 tcp";
        "mpls channel of ip", ETHERNET, ethernet(0x8847, &label(5, true, &join(&[0x10, 0, 0, 0x21], four))), "ethernet mpls control_word ipv4 tcp";
        "gre frame relay", ETHERNET, over_ip(47, &gre(0, 0x6559, &[], &join(&[0x18, 0x41, 3, 0xcc], four))), "ethernet ipv4 gre frame_relay ipv4 tcp";
        "gre 802.11", ETHERNET, over_ip(47, &gre(0, 0x8210, &[], &wireless_plain(four))), "ethernet ipv4 gre wlan llc snap ipv4 tcp";
        "gtp ethernet", ETHERNET, over_udp(2152, &join(&[0x30, 255, 0, 60, 0, 0, 0, 7], frame)), "ethernet ipv4 udp gtp ethernet ipv4 tcp";
        "vxlan without its flag", ETHERNET, over_udp(4789, &join(&[0; 8], frame)), "ethernet ipv4 udp vxlan ethernet ipv4 tcp";
        "vxlan port, no vxlan", ETHERNET, over_udp(4789, &[0; 40]), "ethernet ipv4 udp";
        "amt data", ETHERNET, over_udp(2268, &join(&[6, 0], four)), "ethernet ipv4 udp amt ipv4 tcp";
        "amt membership update", ETHERNET, over_udp(2268, &join(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], four)), "ethernet ipv4 udp amt ipv4 tcp";
        "lwapp", ETHERNET, over_udp(12222, &join(&[0, 0, 0, 60, 0, 0], &wireless_plain(four))), "ethernet ipv4 udp lwapp wlan llc snap ipv4 tcp";
        "lwapp control", ETHERNET, over_udp(12223, &join(&[4, 0, 0, 60, 0, 0], &wireless_plain(four))), "ethernet ipv4 udp";
        "pim register", ETHERNET, over_ip(103, &join(&[0x21, 0, 0, 0, 0, 0, 0, 0], four)), "ethernet ipv4 pim ipv4 tcp";
        "nsh", ETHERNET, ethernet(0x894f, &join(&[0, 6, 1, 1, 0, 0, 1, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], four)), "ethernet nsh ipv4 tcp";
        "vxlan", ETHERNET, over_udp(4789, &join(&[8, 0, 0, 0, 0, 0, 5, 0], &ethernet(0x8100, &tag(7, 0x0800, four)))), "ethernet ipv4 udp vxlan ethernet vlan ipv4 tcp";
        "vxlan of linux", ETHERNET, over_udp(8472, &join(&[8, 0, 0, 0, 0, 0, 5, 0], frame)), "ethernet ipv4 udp vxlan ethernet ipv4 tcp";
        "vxlan-gpe", ETHERNET, over_udp(4790, &join(&[0x0c, 0, 0, 2, 0, 0, 5, 0], six)), "ethernet ipv4 udp vxlan ipv6 udp";
        "geneve", ETHERNET, over_udp(6081, &join(&[1, 0, 0x65, 0x58, 0, 0, 5, 0, 0, 0, 0, 0], frame)), "ethernet ipv4 udp geneve ethernet ipv4 tcp";
        "gtp", ETHERNET, over_udp(2152, &join(&[0x30, 255, 0, 46, 0, 0, 0, 1], four)), "ethernet ipv4 udp gtp ipv4 tcp";
        "gtp extension", ETHERNET, over_udp(2152, &join(&[0x34, 255, 0, 46, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 9, 0], six)), "ethernet ipv4 udp gtp ipv6 udp";
        "gtp echo", ETHERNET, over_udp(2152, &[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0]), "ethernet ipv4 udp";
        "teredo", ETHERNET, over_udp(3544, &teredo), "ethernet ipv4 udp ipv6 udp";
        "teredo origin", ETHERNET, over_udp(3544, &join(&[0, 0, 0x12, 0x34, 1, 2, 3, 4], &teredo)), "ethernet ipv4 udp teredo ipv6 udp";
        "teredo authentication", ETHERNET, over_udp(3544, &join(&[0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6], &teredo)), "ethernet ipv4 udp teredo ipv6 udp";
        "teredo on any port", ETHERNET, over_udp(50000, &teredo), "ethernet ipv4 udp ipv6 udp";
        "no teredo", ETHERNET, over_udp(3544, &[0x60; 50]), "ethernet ipv4 udp";
        "mpls in udp", ETHERNET, over_udp(6635, &label(3, true, four)), "ethernet ipv4 udp mpls ipv4 tcp";
        "l2tp", ETHERNET, over_udp(1701, &join(&[0x4a, 2, 0, 0, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 0xff, 3, 0, 0x21], four)), "ethernet ipv4 udp l2tp ppp ipv4 tcp";
        "l2tp control", ETHERNET, over_udp(1701, &[0xc8, 2, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]), "ethernet ipv4 udp";
        "ayiya", ETHERNET, over_udp(5072, &[&[0x41, 0x52, 0x11, 41][..], &[0; 4], &[0; 16], &[0; 20], six].concat()), "ethernet ipv4 udp ayiya ipv6 udp";
        "lisp", ETHERNET, over_udp(4341, &join(&[0; 8], four)), "ethernet ipv4 udp lisp ipv4 tcp";
        "gre in udp", ETHERNET, over_udp(4754, &gre(0, 0x0800, &[], four)), "ethernet ipv4 udp gre ipv4 tcp";
        "capwap", ETHERNET, over_udp(5247, &join(&[0, 0x10, 0, 0, 0, 0, 0, 0], frame)), "ethernet ipv4 udp capwap ethernet ipv4 tcp";
        "capwap 802.11", ETHERNET, over_udp(5247, &join(&[0, 0x10, 3, 0, 0, 0, 0, 0], &wireless(&llc_snap(0x0800, four)))), "ethernet ipv4 udp capwap wlan llc snap ipv4 tcp";
        "tzsp", ETHERNET, over_udp(37008, &join(&[1, 0, 0, 1, 0, 10, 1, 0, 1], frame)), "ethernet ipv4 udp tzsp ethernet ipv4 tcp";
        "vxlan port, no vxlan", ETHERNET, over_udp(4789, b"hello"), "ethernet ipv4 udp";
        "geneve port, no geneve", ETHERNET, over_udp(6081, &[0xff; 40]), "ethernet ipv4 udp";
        "mpls port, no mpls", ETHERNET, over_udp(6635, b"just some text without labels"), "ethernet ipv4 udp";
    }
}
