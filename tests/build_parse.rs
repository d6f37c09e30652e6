//! What `build` writes, `parse` reads and `verify` finds right: over one frame of every kind, and as a
//! property over stacks of headers put together at random.

use proptest::collection::vec;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wharf::build::*;
use wharf::frame::Frame;
use wharf::parse::{IpLayer, Packet, Transport, parse};
use wharf::verify::{Verdict, Verdicts, verify};

mod stacks;

fn verdicts(stack: &stacks::Named) -> Verdicts {
    let frame = Frame::new(stack.link_type, &stack.bytes);
    let layers = parse(&frame);
    assert_eq!(layers.malformed, None, "{}", stack.name);
    verify(&Packet::new(frame, &layers))
}

#[test]
fn every_stack_is_whole_and_good() {
    for stack in stacks::all(Checksum::Right) {
        let verdicts = verdicts(&stack).all();
        let good = verdicts.iter().filter(|verdict| **verdict == Verdict::Good).count();
        let none = verdicts.iter().filter(|verdict| **verdict == Verdict::NotApplicable).count();
        assert_eq!((good, good + none), (stack.checksums, 4), "{}: {verdicts:?}", stack.name);
    }
}

#[test]
fn every_wrong_checksum_is_bad() {
    let mut judged = 0;
    for (right, wrong) in stacks::all(Checksum::Right).iter().zip(stacks::all(Checksum::Wrong)) {
        let changed = verdicts(&wrong);
        let innermost =
            if changed.inner_l4 == Verdict::NotApplicable { changed.l4 } else { changed.inner_l4 };
        if right.bytes == wrong.bytes {
            assert!(!changed.any_bad(), "{}", right.name);
            continue;
        }
        let Verdict::Bad { found, expected } = innermost else { panic!("{}: {innermost}", right.name) };
        assert_ne!(found, expected, "{}", right.name);
        judged += 1;
    }
    assert!(judged > 50, "{judged} stacks have a checksum that can be wrong");
}

#[test]
fn headers_around_ip_are_found() {
    for stack in stacks::all(Checksum::Right) {
        let frame = Frame::new(stack.link_type, &stack.bytes);
        let layers = parse(&frame);
        let packet = Packet::new(frame, &layers);
        let Some(ip) = packet.innermost() else {
            assert!(packet.arp().is_some(), "{}", stack.name);
            continue;
        };
        let end = stack.protocols.rsplit(':').find(|name| *name != "data");
        let transport = match end {
            Some("tcp") => Transport::Tcp,
            Some("udplite") => Transport::UdpLite,
            Some("sctp") => Transport::Sctp,
            Some("igmp") => Transport::Igmp,
            Some("icmpv6") => Transport::Icmpv6,
            Some("icmp") => Transport::Icmp,
            _ if stack.protocols.contains(":icmp:") => Transport::Icmp,
            _ if stack.protocols.contains(":icmpv6:") => Transport::Icmpv6,
            _ => Transport::Udp,
        };
        assert_eq!(ip.transport, transport, "{}", stack.name);
        if matches!(transport, Transport::Tcp | Transport::UdpLite | Transport::Sctp) {
            assert_eq!(packet.ports(ip), Some((40_000, 9_999)), "{}", stack.name);
        }
    }
}

/// An IP header's fields.
#[derive(Clone, Debug)]
enum Ip {
    V4 { addresses: (Ipv4Addr, Ipv4Addr), service: u8, id: u16, ttl: u8, options: Vec<u8> },
    V6 { addresses: (Ipv6Addr, Ipv6Addr), class: u8, label: u32, limit: u8, extensions: Vec<Extension> },
}

#[derive(Clone, Debug)]
enum Extension {
    HopByHop(u8),
    Destination(Vec<u8>),
    Home(Ipv6Addr),
    Routing(u8, Vec<Ipv6Addr>),
    Atomic(u32),
    Authentication(u32),
}

#[derive(Clone, Debug)]
enum Upper {
    Tcp { sequence: u32, acknowledgment: u32, flags: u16, window: u16, urgent: u16, options: Vec<u8> },
    Udp,
    UdpLite { coverage: u16 },
    Sctp { tag: u32 },
}

#[derive(Clone, Debug)]
enum Tunnel {
    Direct,
    Gre(Option<u32>, Option<u32>),
    Vxlan(u32),
    Geneve(u32, Vec<u8>),
    Gtpu(u32, Option<u16>),
}

#[derive(Clone, Debug)]
struct Case {
    vlans: Vec<u16>,
    labels: Vec<u32>,
    outer: Option<(Ip, Tunnel)>,
    ip: Ip,
    ports: (u16, u16),
    upper: Upper,
    message: Vec<u8>,
}

fn ip() -> impl Strategy<Value = Ip> {
    let v4 = (any::<(Ipv4Addr, Ipv4Addr)>(), any::<(u8, u16, u8)>(), 0..=10_usize).prop_map(
        |(addresses, (service, id, ttl), words)| Ip::V4 {
            addresses,
            service,
            id,
            ttl,
            options: vec![1; words * 4],
        },
    );
    // Each at most once, in the order of RFC 8200 section 4.1.
    let extensions = (
        prop::option::of(any::<u8>().prop_map(Extension::HopByHop)),
        prop::option::of(vec(any::<u8>(), 0..40).prop_map(Extension::Destination)),
        prop::option::of(
            (0..2_u8, vec(any::<Ipv6Addr>(), 1..4)).prop_map(|(left, all)| Extension::Routing(left, all)),
        ),
        prop::option::of(any::<u32>().prop_map(Extension::Atomic)),
        prop::option::of(any::<u32>().prop_map(Extension::Authentication)),
        prop::option::of(any::<Ipv6Addr>().prop_map(Extension::Home)),
    )
        .prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f].into_iter().flatten().collect());
    let v6 = (any::<(Ipv6Addr, Ipv6Addr)>(), any::<(u8, u8)>(), 0..1_u32 << 20, extensions).prop_map(
        |(addresses, (class, limit), label, extensions)| Ip::V6 {
            addresses,
            class,
            label,
            limit,
            extensions,
        },
    );
    prop_oneof![v4, v6]
}

fn case() -> impl Strategy<Value = Case> {
    let tcp = (any::<(u32, u32, u16, u16)>(), 0..0x200_u16, 0..=10_usize).prop_map(
        |((sequence, acknowledgment, window, urgent), flags, words)| Upper::Tcp {
            sequence,
            acknowledgment,
            flags,
            window,
            urgent,
            options: vec![1; words * 4],
        },
    );
    let upper = prop_oneof![
        4 => tcp,
        4 => Just(Upper::Udp),
        1 => prop_oneof![Just(0), 8..30_u16].prop_map(|coverage| Upper::UdpLite { coverage }),
        1 => any::<u32>().prop_map(|tag| Upper::Sctp { tag }),
    ];
    let tunnel = prop_oneof![
        Just(Tunnel::Direct),
        any::<(Option<u32>, Option<u32>)>().prop_map(|(key, sequence)| Tunnel::Gre(key, sequence)),
        (0..1_u32 << 24).prop_map(Tunnel::Vxlan),
        (0..1_u32 << 24, 0..5_usize).prop_map(|(vni, words)| Tunnel::Geneve(vni, vec![0; words * 4])),
        any::<(u32, Option<u16>)>().prop_map(|(id, sequence)| Tunnel::Gtpu(id, sequence)),
    ];
    (
        vec(0..4096_u16, 0..3),
        vec(16..1_u32 << 20, 0..3),
        prop::option::weighted(0.4, (ip(), tunnel)),
        ip(),
        // Ports that no tunnel listens on.
        (20_000..30_000_u16, 30_000..40_000_u16),
        upper,
        vec(any::<u8>(), 0..200),
    )
        .prop_map(|(vlans, labels, outer, ip, ports, upper, message)| {
            let upper = match upper {
                Upper::UdpLite { coverage } => {
                    Upper::UdpLite { coverage: coverage.min(8 + message.len() as u16) }
                }
                upper => upper,
            };
            Case { vlans, labels, outer, ip, ports, upper, message }
        })
}

fn wrap_ip(stack: &mut Stack, ip: &Ip) {
    match ip {
        Ip::V4 { addresses: (source, destination), service, id, ttl, options } => {
            let header = Ipv4::new(*source, *destination).service(*service).identification(*id);
            stack.wrap(header.ttl(*ttl).options(options));
        }
        Ip::V6 { addresses: (source, destination), class, label, limit, extensions } => {
            for extension in extensions.iter().rev() {
                match extension {
                    Extension::HopByHop(value) => stack.wrap(HopByHop::new(&[0x1e, 1, *value])),
                    // An option of an experiment (RFC 4727) that holds the bytes.
                    Extension::Destination(data) => {
                        let option = [&[0x1e, data.len() as u8][..], data].concat();
                        stack.wrap(DestinationOptions::new(&option))
                    }
                    Extension::Home(home) => stack.wrap(DestinationOptions::home_address(*home)),
                    Extension::Routing(left, addresses) => stack.wrap(Routing::new(0, *left, addresses)),
                    Extension::Atomic(id) => stack.wrap(Ipv6Fragment::new(*id)),
                    Extension::Authentication(sequence) => stack.wrap(Authentication::new(256, *sequence)),
                };
            }
            let header = Ipv6::new(*source, *destination).traffic_class(*class).flow_label(*label);
            stack.wrap(header.hop_limit(*limit));
        }
    }
}

fn write(case: &Case, stack: &mut Stack) {
    let (source, destination) = case.ports;
    stack.message(&case.message);
    match &case.upper {
        Upper::Tcp { sequence, acknowledgment, flags, window, urgent, options } => {
            let options = vec![TcpOption::NoOperation; options.len()];
            let header = Tcp::new(source, destination).sequence(*sequence).acknowledgment(*acknowledgment);
            stack.wrap(header.flags(*flags).window(*window).urgent(*urgent).options(&options))
        }
        Upper::Udp => stack.wrap(Udp::new(source, destination)),
        Upper::UdpLite { coverage } => stack.wrap(UdpLite::new(source, destination).coverage(*coverage)),
        Upper::Sctp { tag } => stack.wrap(Sctp::new(source, destination).tag(*tag)),
    };
    wrap_ip(stack, &case.ip);
    let ethernet = Ethernet::new(stacks::MAC_A, stacks::MAC_B);
    if let Some((outer, tunnel)) = &case.outer {
        match tunnel {
            Tunnel::Direct => &mut *stack,
            Tunnel::Gre(key, sequence) => {
                let gre = key.map_or(Gre::new(), |key| Gre::new().key(key));
                stack.wrap(sequence.map_or(gre, |sequence| gre.sequence(sequence)))
            }
            Tunnel::Vxlan(vni) => stack.wrap(ethernet).wrap(Vxlan::new(*vni)).wrap(Udp::new(50_000, 4789)),
            Tunnel::Geneve(vni, options) => {
                stack.wrap(ethernet).wrap(Geneve::new(*vni).options(options)).wrap(Udp::new(50_000, 6081))
            }
            Tunnel::Gtpu(id, sequence) => {
                let gtpu = sequence.map_or(Gtpu::new(*id), |sequence| Gtpu::new(*id).sequence(sequence));
                stack.wrap(gtpu).wrap(Udp::new(50_000, 2152))
            }
        };
        wrap_ip(stack, outer);
    }
    for label in case.labels.iter().rev() {
        stack.wrap(Mpls::new(*label));
    }
    for id in case.vlans.iter().rev() {
        stack.wrap(Vlan::new(*id));
    }
    stack.wrap(ethernet).pad(60);
}

fn check_ip(packet: &Packet<'_>, found: &IpLayer, written: &Ip) -> Result<(), TestCaseError> {
    match written {
        Ip::V4 { addresses: (source, destination), service, id, ttl, options } => {
            let header = packet.ipv4(found).expect("an IPv4 header");
            prop_assert_eq!((header.source(), header.destination()), (*source, *destination));
            prop_assert_eq!(
                (header.dscp() << 2 | header.ecn(), header.id(), header.ttl()),
                (*service, *id, *ttl)
            );
            prop_assert_eq!(header.header_length(), 20 + options.len());
        }
        Ip::V6 { addresses: (source, destination), class, label, limit, .. } => {
            let header = packet.ipv6(found).expect("an IPv6 header");
            prop_assert_eq!((header.source(), header.destination()), (*source, *destination));
            prop_assert_eq!(header.traffic_class(), *class);
            prop_assert_eq!((header.flow_label(), header.hop_limit()), (*label, *limit));
        }
    }
    let (source, destination) = packet.addresses(found).expect("addresses");
    let written: (IpAddr, IpAddr) = match written {
        Ip::V4 { addresses: (source, destination), .. } => ((*source).into(), (*destination).into()),
        Ip::V6 { addresses: (source, destination), .. } => ((*source).into(), (*destination).into()),
    };
    prop_assert_eq!((source, destination), written);
    Ok(())
}

proptest! {
    #[test]
    fn what_was_written_is_read(case in case()) {
        let mut stack = Stack::new();
        write(&case, &mut stack);
        let frame = stack.frame();
        let layers = parse(&frame);
        let packet = Packet::new(frame, &layers);
        prop_assert_eq!(layers.malformed, None);
        prop_assert_eq!(usize::from(layers.vlan_count), case.vlans.len());
        for (tag, id) in layers.vlan_tags.iter().zip(&case.vlans) {
            prop_assert_eq!(tag, id);
        }
        prop_assert_eq!(usize::from(layers.ip_depth), 1 + usize::from(case.outer.is_some()));

        if let Some((outer, _)) = &case.outer {
            check_ip(&packet, packet.outer().expect("an outer layer"), outer)?;
        }
        let innermost = packet.innermost().expect("an IP layer");
        check_ip(&packet, innermost, &case.ip)?;
        prop_assert_eq!(packet.ports(innermost), Some(case.ports));
        match &case.upper {
            Upper::Tcp { sequence, acknowledgment, flags, window, urgent, options } => {
                let header = packet.tcp(innermost).expect("a TCP header");
                prop_assert_eq!((header.sequence(), header.acknowledgment()), (*sequence, *acknowledgment));
                prop_assert_eq!((header.window(), header.urgent_pointer()), (*window, *urgent));
                prop_assert_eq!(header.flags().0, *flags);
                prop_assert_eq!(header.header_length(), 20 + options.len());
            }
            Upper::Udp => prop_assert_eq!(innermost.transport, Transport::Udp),
            Upper::UdpLite { .. } => prop_assert_eq!(innermost.transport, Transport::UdpLite),
            Upper::Sctp { .. } => prop_assert_eq!(innermost.transport, Transport::Sctp),
        }
        prop_assert_eq!(packet.payload(innermost), &case.message[..]);

        let verdicts = verify(&packet);
        for verdict in verdicts.all() {
            prop_assert!(matches!(verdict, Verdict::Good | Verdict::NotApplicable), "{verdicts:?}");
        }
        let innermost = if case.outer.is_some() { verdicts.inner_l4 } else { verdicts.l4 };
        prop_assert_eq!(innermost, Verdict::Good);
    }
}
