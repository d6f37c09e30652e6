//! One frame of every kind that `build` can write, for the tests that read them back.

use std::net::{Ipv4Addr, Ipv6Addr};
use wharf::build::*;
use wharf::frame::LinkType;

/// A frame and what it is.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) link_type: LinkType,
    /// How an independent dissector's list of protocols ends.
    pub(crate) protocols: &'static str,
    /// Checksums in it that can be verified.
    pub(crate) checksums: usize,
}

pub(crate) const MAC_A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
pub(crate) const MAC_B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
pub(crate) const A4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const B4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const C6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);

/// One frame of every kind, its transport checksums as asked for.
pub(crate) fn all(checksum: Checksum) -> Vec<Named> {
    let mut all = Vec::new();
    let mut stack = Stack::new();
    let mut add = |name, protocols, checksums, stack: &Stack| {
        let frame = stack.frame();
        let link_type = frame.record.link_type;
        all.push(Named { name, bytes: frame.data.to_vec(), link_type, protocols, checksums });
    };
    let v4 = Ipv4::new(A4, B4);
    let v6 = Ipv6::new(A6, B6);
    let ethernet = Ethernet::new(MAC_A, MAC_B);
    let tcp =
        Tcp::new(40_000, 9_999).flags(Tcp::PSH | Tcp::ACK).sequence(7).acknowledgment(9).checksum(checksum);
    let udp = Udp::new(40_000, 9_999).checksum(checksum);

    let options = [
        TcpOption::MaximumSegmentSize(1460),
        TcpOption::SackPermitted,
        TcpOption::Timestamps { value: 1, echo: 0 },
        TcpOption::NoOperation,
        TcpOption::WindowScale(7),
    ];
    let blocks = [(10, 20), (30, 40)];
    let sack = [TcpOption::NoOperation, TcpOption::NoOperation, TcpOption::Sack(&blocks)];

    add("tcp", ":ip:tcp:data", 2, stack.message(b"Hello").wrap(tcp).wrap(v4).wrap(ethernet));
    add(
        "tcp options",
        ":ip:tcp",
        2,
        stack.message(b"").wrap(tcp.flags(Tcp::SYN).options(&options)).wrap(v4).wrap(ethernet),
    );
    add(
        "tcp sack",
        ":ip:tcp",
        2,
        stack.message(b"").wrap(tcp.flags(Tcp::ACK).options(&sack)).wrap(v4).wrap(ethernet),
    );
    add("tcp padded", ":ip:tcp", 2, stack.message(b"").wrap(tcp).wrap(v4).wrap(ethernet).pad(60));
    add("tcp6", ":ipv6:tcp:data", 1, stack.message(b"Hello").wrap(tcp).wrap(v6).wrap(ethernet));
    add("udp", ":ip:udp:data", 2, stack.message(b"odd").wrap(udp).wrap(v4).wrap(ethernet));
    add("udp empty", ":ip:udp", 2, stack.message(b"").wrap(udp).wrap(v4).wrap(ethernet));
    add("udp6", ":ipv6:udp:data", 1, stack.message(b"odd").wrap(udp).wrap(v6).wrap(ethernet));
    add(
        "ip options",
        ":ip:udp:data",
        2,
        stack.message(b"x").wrap(udp).wrap(v4.options(&[0x94, 4, 0, 0, 1])).wrap(ethernet),
    );
    add(
        "vlan stack",
        ":ip:udp:data",
        2,
        stack
            .message(b"x")
            .wrap(udp)
            .wrap(v4)
            .wrap(Vlan::new(100))
            .wrap(Vlan::new(7).service())
            .wrap(ethernet),
    );
    add(
        "vlan snap",
        ":ip:udp:data",
        2,
        stack.message(b"x").wrap(udp).wrap(v4).wrap(Snap).wrap(Vlan::new(9)).wrap(ethernet),
    );
    add("snap", ":ip:udp:data", 2, stack.message(b"x").wrap(udp).wrap(v4).wrap(Snap).wrap(ethernet));
    add(
        "mpls",
        ":ip:udp:data",
        2,
        stack
            .message(b"x")
            .wrap(udp)
            .wrap(v4)
            .wrap(Mpls::new(16))
            .wrap(Mpls::new(1000).ttl(9))
            .wrap(ethernet),
    );
    add(
        "pppoe",
        ":ip:udp:data",
        2,
        stack.message(b"x").wrap(udp).wrap(v4).wrap(Pppoe::session(3)).wrap(ethernet),
    );
    add(
        "pppoe v6",
        ":ipv6:udp:data",
        1,
        stack.message(b"x").wrap(udp).wrap(v6).wrap(Pppoe::session(3)).wrap(ethernet),
    );
    add(
        "arp request",
        ":arp",
        0,
        stack.message(b"").wrap(Arp::request(MAC_A, A4, B4)).wrap(Ethernet::broadcast(MAC_A)).pad(60),
    );
    add("arp reply", ":arp", 0, stack.message(b"").wrap(Arp::reply(MAC_B, B4, MAC_A, A4)).wrap(ethernet));
    add("sll", ":ip:tcp:data", 2, stack.message(b"x").wrap(tcp).wrap(v4).wrap(Sll::new(0, MAC_A)));
    add("sll2", ":ipv6:tcp:data", 1, stack.message(b"x").wrap(tcp).wrap(v6).wrap(Sll2::new(3, 4, MAC_A)));
    add("null", ":ip:tcp:data", 2, stack.message(b"x").wrap(tcp).wrap(v4).wrap(Loopback::null()));
    add("null v6", ":ipv6:tcp:data", 1, stack.message(b"x").wrap(tcp).wrap(v6).wrap(Loopback::null()));
    add("loop", ":ipv6:tcp:data", 1, stack.message(b"x").wrap(tcp).wrap(v6).wrap(Loopback::openbsd()));
    add("ppp", ":ip:tcp:data", 2, stack.message(b"x").wrap(tcp).wrap(v4).wrap(Ppp));
    add("raw v4", ":ip:tcp:data", 2, stack.message(b"x").wrap(tcp).wrap(v4));
    add("raw v6", ":ipv6:tcp:data", 1, stack.message(b"x").wrap(tcp).wrap(v6));

    let data = SctpData::new(1).stream(2, 3);
    let sctp = Sctp::new(40_000, 9_999).tag(5).checksum(checksum);
    add("sctp", ":ip:sctp:data", 2, stack.message(b"Hello").wrap(data).wrap(sctp).wrap(v4).wrap(ethernet));
    add(
        "sctp6",
        ":ipv6:sctp:data",
        1,
        stack.message(b"Hello").wrap(SctpData::new(2)).wrap(sctp).wrap(v6).wrap(ethernet),
    );
    let lite = UdpLite::new(40_000, 9_999).checksum(checksum);
    add("udplite", ":ip:udplite:data", 2, stack.message(b"Hello").wrap(lite).wrap(v4).wrap(ethernet));
    add(
        "udplite part",
        ":ip:udplite:data",
        2,
        stack.message(b"Hello").wrap(lite.coverage(9)).wrap(v4).wrap(ethernet),
    );
    add(
        "udplite6",
        ":ipv6:udplite:data",
        1,
        stack.message(b"Hello").wrap(lite.coverage(8)).wrap(v6).wrap(ethernet),
    );

    add(
        "echo",
        ":ip:icmp:data",
        2,
        stack.message(b"ping").wrap(Icmp::echo_request(1, 2).checksum(checksum)).wrap(v4).wrap(ethernet),
    );
    add(
        "echo reply",
        ":ip:icmp:data",
        2,
        stack.message(b"ping").wrap(Icmp::echo_reply(1, 2).checksum(checksum)).wrap(v4).wrap(ethernet),
    );
    let quoted = stack.message(b"x").wrap(Udp::new(40_000, 9_999)).wrap(Ipv4::new(B4, A4)).bytes().to_vec();
    add(
        "unreachable",
        ":ip:icmp:ip:udp:data",
        2,
        stack.message(&quoted).wrap(Icmp::unreachable(3).checksum(checksum)).wrap(v4).wrap(ethernet),
    );
    add(
        "too big",
        ":ip:icmp:ip:udp:data",
        2,
        stack
            .message(&quoted)
            .wrap(Icmp::fragmentation_needed(1400).checksum(checksum))
            .wrap(v4)
            .wrap(ethernet),
    );
    add(
        "ttl exceeded",
        ":ip:icmp:ip:udp:data",
        2,
        stack.message(&quoted).wrap(Icmp::time_exceeded().checksum(checksum)).wrap(v4).wrap(ethernet),
    );
    add(
        "echo6",
        ":ipv6:icmpv6:data",
        1,
        stack.message(b"ping").wrap(Icmpv6::echo_request(1, 2).checksum(checksum)).wrap(v6).wrap(ethernet),
    );
    let quoted = stack.message(b"x").wrap(Udp::new(40_000, 9_999)).wrap(Ipv6::new(B6, A6)).bytes().to_vec();
    add(
        "unreachable6",
        ":ipv6:icmpv6:ipv6:udp:data",
        1,
        stack.message(&quoted).wrap(Icmpv6::unreachable(4).checksum(checksum)).wrap(v6).wrap(ethernet),
    );
    add(
        "solicitation",
        ":ipv6:icmpv6",
        1,
        stack
            .message(&[1, 1, 2, 0, 0, 0, 0, 0xa])
            .wrap(Icmpv6::neighbor_solicitation(B6).checksum(checksum))
            .wrap(v6.hop_limit(255))
            .wrap(ethernet),
    );
    add(
        "advertisement",
        ":ipv6:icmpv6",
        1,
        stack
            .message(&[2, 1, 2, 0, 0, 0, 0, 0xa])
            .wrap(Icmpv6::neighbor_advertisement(A6).checksum(checksum))
            .wrap(v6.hop_limit(255))
            .wrap(ethernet),
    );
    add(
        "igmp query",
        ":ip:igmp:igmp",
        2,
        stack.message(b"").wrap(Igmp::query([0; 4], 100).checksum(checksum)).wrap(v4.ttl(1)).wrap(ethernet),
    );
    add(
        "igmp report",
        ":ip:igmp:igmp",
        2,
        stack
            .message(b"")
            .wrap(Igmp::report([239, 1, 2, 3]).checksum(checksum))
            .wrap(v4.ttl(1))
            .wrap(ethernet),
    );

    add(
        "hop by hop",
        ":ipv6:ipv6.hopopts:udp:data",
        1,
        stack.message(b"x").wrap(udp).wrap(HopByHop::new(&[5, 2, 0, 0])).wrap(v6).wrap(ethernet),
    );
    add(
        "destination options",
        ":ipv6:ipv6.dstopts:udp:data",
        1,
        stack
            .message(b"x")
            .wrap(udp)
            .wrap(DestinationOptions::new(&[0x1e, 3, 1, 2, 3]))
            .wrap(v6)
            .wrap(ethernet),
    );
    add(
        "home address",
        ":ipv6:ipv6.dstopts:udp:data",
        1,
        stack.message(b"x").wrap(udp).wrap(DestinationOptions::home_address(C6)).wrap(v6).wrap(ethernet),
    );
    add(
        "routing 0",
        ":ipv6:ipv6.routing:udp:data",
        1,
        stack.message(b"x").wrap(udp).wrap(Routing::new(0, 2, &[A6, C6])).wrap(v6).wrap(ethernet),
    );
    add(
        "routing 2",
        ":ipv6:ipv6.routing:udp:data",
        1,
        stack.message(b"x").wrap(udp).wrap(Routing::new(2, 1, &[C6])).wrap(v6).wrap(ethernet),
    );
    add(
        "segment routing",
        ":ipv6:ipv6.routing:udp:data",
        1,
        stack.message(b"x").wrap(udp).wrap(Routing::new(4, 1, &[C6, B6])).wrap(v6).wrap(ethernet),
    );
    add(
        "routing done",
        ":ipv6:ipv6.routing:udp:data",
        1,
        stack.message(b"x").wrap(udp).wrap(Routing::new(0, 0, &[A6, C6])).wrap(v6).wrap(ethernet),
    );
    add(
        "atomic fragment",
        ":ipv6:ipv6.fraghdr:udp:data",
        1,
        stack.message(b"x").wrap(udp).wrap(Ipv6Fragment::new(77)).wrap(v6).wrap(ethernet),
    );
    add(
        "authentication",
        ":ipv6:ah:tcp:data",
        1,
        stack.message(b"x").wrap(tcp).wrap(Authentication::new(256, 1)).wrap(v6).wrap(ethernet),
    );
    add(
        "authentication v4",
        ":ip:ah:tcp:data",
        2,
        stack.message(b"x").wrap(tcp).wrap(Authentication::new(256, 1)).wrap(v4).wrap(ethernet),
    );
    add(
        "all extensions",
        ":ipv6:ipv6.hopopts:ipv6.dstopts:ipv6.routing:ipv6.fraghdr:ah:ipv6.dstopts:tcp:data",
        1,
        stack
            .message(b"x")
            .wrap(tcp)
            .wrap(DestinationOptions::home_address(A6))
            .wrap(Authentication::new(300, 1))
            .wrap(Ipv6Fragment::new(5))
            .wrap(Routing::new(0, 1, &[C6]))
            .wrap(DestinationOptions::new(&[]))
            .wrap(HopByHop::new(&[]))
            .wrap(v6)
            .wrap(ethernet),
    );
    add(
        "jumbogram",
        ":ipv6:ipv6.hopopts:udp:data",
        1,
        stack.message(&vec![7; 70_000]).wrap(udp).wrap(HopByHop::jumbo()).wrap(v6).wrap(ethernet),
    );
    add(
        "jumbo segment",
        ":ipv6:ipv6.hopopts:tcp:data",
        1,
        stack.message(&vec![7; 70_001]).wrap(tcp).wrap(HopByHop::jumbo()).wrap(v6).wrap(ethernet),
    );

    let outer4 = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2]).identification(1);
    let outer6 = Ipv6::new(C6, A6);
    add("ip in ip", ":ip:ip:tcp:data", 3, stack.message(b"x").wrap(tcp).wrap(v4).wrap(outer4).wrap(ethernet));
    add("6in4", ":ip:ipv6:tcp:data", 2, stack.message(b"x").wrap(tcp).wrap(v6).wrap(outer4).wrap(ethernet));
    add("4in6", ":ipv6:ip:tcp:data", 2, stack.message(b"x").wrap(tcp).wrap(v4).wrap(outer6).wrap(ethernet));
    add(
        "gre",
        ":ip:gre:ip:udp:data",
        3,
        stack.message(b"x").wrap(udp).wrap(v4).wrap(Gre::new()).wrap(outer4).wrap(ethernet),
    );
    add(
        "gre all",
        ":ip:gre:ipv6:udp:data",
        2,
        stack
            .message(b"x")
            .wrap(udp)
            .wrap(v6)
            .wrap(Gre::new().checksum(Checksum::Right).key(7).sequence(1))
            .wrap(outer4)
            .wrap(ethernet),
    );
    add(
        "gre bridging",
        ":ip:gre:eth:ethertype:ip:udp:data",
        3,
        stack
            .message(b"x")
            .wrap(udp)
            .wrap(v4)
            .wrap(ethernet)
            .wrap(Gre::new().key(1))
            .wrap(outer4)
            .wrap(ethernet),
    );
    add(
        "erspan",
        ":ip:gre:erspan:eth:ethertype:ip:udp:data",
        3,
        stack
            .message(b"x")
            .wrap(udp)
            .wrap(v4)
            .wrap(ethernet)
            .wrap(Erspan::new(5))
            .wrap(Gre::new().sequence(1))
            .wrap(outer4)
            .wrap(ethernet),
    );
    let carrier = |port| Udp::new(50_000, port);
    add(
        "vxlan",
        ":ip:udp:vxlan:eth:ethertype:ip:tcp:data",
        4,
        stack
            .message(b"x")
            .wrap(tcp)
            .wrap(v4)
            .wrap(ethernet)
            .wrap(Vxlan::new(42))
            .wrap(carrier(4789))
            .wrap(outer4)
            .wrap(ethernet),
    );
    add(
        "geneve",
        ":ip:udp:geneve:eth:ethertype:ipv6:tcp:data",
        3,
        stack
            .message(b"x")
            .wrap(tcp)
            .wrap(v6)
            .wrap(ethernet)
            .wrap(Geneve::new(42).options(&[1, 2, 3, 0]))
            .wrap(carrier(6081))
            .wrap(outer4)
            .wrap(ethernet),
    );
    add(
        "gtp",
        ":ip:udp:gtp:ip:tcp:data",
        4,
        stack
            .message(b"x")
            .wrap(tcp)
            .wrap(v4)
            .wrap(Gtpu::new(9))
            .wrap(carrier(2152))
            .wrap(outer4)
            .wrap(ethernet),
    );
    add(
        "gtp sequence",
        ":ipv6:udp:gtp:ip:tcp:data",
        3,
        stack
            .message(b"x")
            .wrap(tcp)
            .wrap(v4)
            .wrap(Gtpu::new(9).sequence(4))
            .wrap(carrier(2152))
            .wrap(outer6)
            .wrap(ethernet),
    );
    add(
        "teredo",
        ":ip:udp:teredo:ipv6:tcp:data",
        3,
        stack
            .message(b"x")
            .wrap(tcp)
            .wrap(Ipv6::new("2001:0:1::1".parse().unwrap(), B6))
            .wrap(carrier(3544))
            .wrap(outer4)
            .wrap(ethernet),
    );

    let query = DnsMessage::query(7, "wharf.example.", DnsType::A).unwrap();
    add(
        "dns query",
        ":ip:udp:dns",
        2,
        stack.message(query.bytes()).wrap(Udp::new(40_000, 53).checksum(checksum)).wrap(v4).wrap(ethernet),
    );
    let answer = DnsMessage::response(&query)
        .answer(60, DnsRecord::Cname("ship.wharf.example"))
        .unwrap()
        .answer(60, DnsRecord::A(B4))
        .unwrap()
        .answer(60, DnsRecord::Aaaa(B6))
        .unwrap()
        .answer(60, DnsRecord::Txt("moored"))
        .unwrap();
    add(
        "dns answer",
        ":ip:udp:dns",
        2,
        stack.message(answer.bytes()).wrap(Udp::new(53, 40_000).checksum(checksum)).wrap(v4).wrap(ethernet),
    );
    all
}
