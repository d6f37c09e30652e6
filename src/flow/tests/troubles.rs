//! What is told of connections and of errors, packet by packet.

use super::*;

const FIN: u16 = Tcp::FIN | Tcp::ACK;

/// A segment of the client (0) or of the server (1): flags, sequence and acknowledgment number, bytes.
fn tcp(bench: &mut Bench, at: i64, side: usize, flags: u16, numbers: (u32, u32), length: usize) {
    let ((from, here), (to, there)) =
        if side == 0 { ((40_000, HERE), (80, THERE)) } else { ((80, THERE), (40_000, HERE)) };
    let tcp = Tcp::new(from, to).flags(flags).sequence(numbers.0).acknowledgment(numbers.1);
    bench.send(at, &vec![0; length], &[&tcp, &Ipv4::new(here, there)]);
}

fn stories(bench: Bench) -> Vec<(EndReason, [u64; 2], TcpStory)> {
    let records = bench.finish().0.into_iter();
    records.map(|record| (record.end, record.packets, *record.tcp.expect("TCP"))).collect()
}

/// A capture that begins in the middle of a connection, which ends, and another follows between the same ports.
#[test]
fn ports_are_used_again_after_a_connection_seen_from_its_middle() {
    let mut bench = Bench::new(MeterOptions::default());
    tcp(&mut bench, 0, 0, Tcp::ACK, (5_000, 900), 100);
    tcp(&mut bench, 10, 1, FIN, (900, 5_100), 0);
    tcp(&mut bench, 20, 0, FIN, (5_100, 901), 0);
    tcp(&mut bench, 1_000, 0, Tcp::SYN, (777_000, 0), 0);
    tcp(&mut bench, 1_010, 1, Tcp::SYN | Tcp::ACK, (333, 777_001), 0);
    tcp(&mut bench, 1_020, 0, Tcp::ACK, (777_001, 334), 0);
    let stories = stories(bench);
    let [(first_end, first, closed), (_, second, open)] = &stories[..] else { panic!("{stories:?}") };
    assert_eq!((*first_end, *first, closed.state), (EndReason::Reused, [2, 1], TcpState::Closed));
    assert_eq!((*second, open.state), ([2, 1], TcpState::Established));
    assert!(open.handshake.is_some());
    assert_eq!(closed.sides[0].trouble, Trouble::default());
    assert_eq!(open.sides.map(|side| side.trouble), [Trouble::default(); 2]);
}

/// The same without an end: it was not captured, or a host has begun anew.
#[test]
fn a_syn_far_from_what_was_seen_opens_another_connection_and_a_late_one_does_not() {
    for (syn, records) in [(5_000, vec![[2, 0]]), (777_000, vec![[1, 0], [1, 0]])] {
        let mut bench = Bench::new(MeterOptions::default());
        tcp(&mut bench, 0, 0, Tcp::ACK, (5_001, 900), 100);
        tcp(&mut bench, 1, 0, Tcp::SYN, (syn, 0), 0);
        let packets: Vec<_> = stories(bench).iter().map(|story| story.1).collect();
        assert_eq!(packets, records, "{syn}");
    }
}

/// Of two connections between the same ports only what the server sends was captured.
#[test]
fn a_servers_answer_with_another_number_is_another_connections() {
    let mut bench = Bench::new(MeterOptions::default());
    for (at, base, client) in [(0, 100, 5_000), (50, 700_000, 9_000)] {
        tcp(&mut bench, at, 1, Tcp::SYN | Tcp::ACK, (base, client), 0);
        // Sent again, it is the same.
        tcp(&mut bench, at + 1, 1, Tcp::SYN | Tcp::ACK, (base, client), 0);
        tcp(&mut bench, at + 2, 1, Tcp::ACK, (base + 1, client + 10), 1_000);
    }
    let stories = stories(bench);
    assert_eq!(
        stories.iter().map(|story| (story.0, story.1)).collect::<Vec<_>>(),
        [(EndReason::Reused, [3, 0]), (EndReason::CaptureEnd, [3, 0])]
    );
    assert_eq!(stories[1].2.sides[0].trouble.gaps, Gaps::default());
}

/// A host that was refused asks again with the same number, and is answered.
#[test]
fn an_answer_after_a_refusal_belongs_to_the_syn_that_it_acknowledges() {
    let mut bench = Bench::new(MeterOptions::default());
    tcp(&mut bench, 0, 0, Tcp::SYN, (5_000, 0), 0);
    tcp(&mut bench, 1, 1, Tcp::RST | Tcp::ACK, (0, 5_001), 0);
    tcp(&mut bench, 500, 0, Tcp::SYN, (5_000, 0), 0);
    tcp(&mut bench, 501, 1, Tcp::SYN | Tcp::ACK, (900_000, 5_001), 0);
    assert_eq!(stories(bench).len(), 1);
}

/// A reset that its receiver would not take changes nothing.
#[test]
fn a_reset_out_of_any_window_is_not_believed() {
    const BASE: u32 = 2_000_000_000;
    let cases = [
        (BASE + 101, TcpState::Reset),
        (BASE + 150, TcpState::Reset),
        (BASE + 1_500_000_000, TcpState::Established),
        (0, TcpState::Established),
    ];
    for (sequence, state) in cases {
        let mut bench = Bench::new(MeterOptions::default());
        tcp(&mut bench, 0, 0, Tcp::SYN, (BASE, 0), 0);
        tcp(&mut bench, 1, 1, Tcp::SYN | Tcp::ACK, (900, BASE + 1), 0);
        tcp(&mut bench, 2, 0, Tcp::ACK, (BASE + 1, 901), 100);
        tcp(&mut bench, 3, 1, Tcp::ACK, (901, BASE + 101), 0);
        tcp(&mut bench, 4, 0, Tcp::RST, (sequence, 0), 0);
        tcp(&mut bench, 5, 0, Tcp::ACK, (BASE + 101, 901), 100);
        let stories = stories(bench);
        assert_eq!((stories.len(), stories[0].2.state), (1, state), "{sequence}");
        if state == TcpState::Established {
            assert_eq!(stories[0].2.sides[0].trouble, Trouble::default(), "{sequence}");
        }
    }
}

/// A capture on two ports of a switch has every packet twice: that is told, and nothing else.
#[test]
fn what_was_captured_twice_is_not_told_as_sent_again() {
    let mut bench = Bench::new(MeterOptions::default());
    let segments = [
        (0, Tcp::SYN, (100, 0), 0),
        (1, Tcp::SYN | Tcp::ACK, (900, 101), 0),
        (0, Tcp::ACK, (101, 901), 0),
        (0, Tcp::ACK, (101, 901), 300),
        (1, Tcp::ACK, (901, 401), 0),
        (1, Tcp::ACK, (901, 401), 500),
        (0, Tcp::ACK, (401, 1_401), 0),
    ];
    for (number, (side, flags, numbers, length)) in (1..).zip(segments) {
        let (from, to) =
            if side == 0 { ((HERE, 40_000), (THERE, 80)) } else { ((THERE, 80), (HERE, 40_000)) };
        for ttl in [64, 63] {
            let tcp = Tcp::new(from.1, to.1).flags(flags).sequence(numbers.0).acknowledgment(numbers.1);
            let ip = Ipv4::new(from.0, to.0).identification(number).ttl(ttl);
            bench.send(number.into(), &vec![7; length], &[&tcp, &ip]);
        }
    }
    let (records, _) = bench.finish();
    let [record] = &records[..] else { panic!("{records:?}") };
    let tcp = record.tcp.as_ref().unwrap();
    assert_eq!((record.packets, record.duplicates), ([8, 6], [4, 3]));
    assert_eq!(tcp.sides.map(|side| side.trouble), [Trouble::default(); 2]);
}

#[test]
fn a_handshake_is_told_once() {
    let mut bench = Bench::new(MeterOptions { active_timeout: seconds(1), ..MeterOptions::default() });
    tcp(&mut bench, 0, 0, Tcp::SYN, (100, 0), 0);
    tcp(&mut bench, 1, 1, Tcp::SYN | Tcp::ACK, (900, 101), 0);
    tcp(&mut bench, 2, 0, Tcp::ACK, (101, 901), 0);
    for at in 1..5 {
        tcp(&mut bench, i64::from(at) * 1_500, 0, Tcp::ACK, (at, 901), 1);
    }
    let stories = stories(bench);
    assert!(stories.len() > 2 && stories.iter().all(|story| story.2.state == TcpState::Established));
    let told: Vec<bool> = stories.iter().map(|story| story.2.handshake.is_some()).collect();
    assert_eq!(told.iter().position(|told| *told), Some(0));
    assert_eq!(told.iter().filter(|told| **told).count(), 1);
}

/// Errors about what went through a tunnel come back through it.
#[test]
fn errors_in_a_tunnel_are_tied_to_what_went_through_it() {
    let ends = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let (gre, there, back) = (Gre::new().key(7), Ipv4::new(ends[0], ends[1]), Ipv4::new(ends[1], ends[0]));
    let mut bench = Bench::new(MeterOptions::default());
    let (udp, ip) = (Udp::new(4_000, 53), Ipv4::new(HERE, THERE));
    bench.send(0, b"1234", &[&udp, &ip, &gre, &there]);
    bench.send(0, b"1234", &[&udp, &ip]);
    let mut quoted = Stack::new();
    quoted.message(b"1234").wrap(udp).wrap(ip);
    let router = Ipv4::new([10, 9, 9, 9], HERE);
    bench.send(5, quoted.bytes(), &[&Icmp::unreachable(3), &router, &gre, &back]);
    let (records, _) = bench.finish();
    let errors = |tunnel: bool| {
        let of = records
            .iter()
            .find(|record| record.source().1 == 4_000 && record.key.tunnel().is_some() == tunnel);
        of.expect("a flow").icmp_errors
    };
    assert_eq!((errors(true), errors(false)), ([1, 0], [0, 0]));
}

/// What an error quotes may have extension headers before its ports.
#[test]
fn errors_are_tied_to_packets_with_extension_headers() {
    let (here, there) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    let ip = Ipv6::new(here, there);
    let mut bench = Bench::new(MeterOptions::default());
    let sent: [&dyn Header; 4] =
        [&Udp::new(4_000, 53), &DestinationOptions::new(&[]), &HopByHop::new(&[]), &ip];
    bench.send(0, b"1234", &sent);
    let mut quoted = Stack::new();
    quoted.message(b"1234");
    sent.iter().for_each(|header| header.wrap(&mut quoted));
    let router = Ipv6::new("fd00::9".parse().unwrap(), here);
    // The last is cut off within an extension header.
    for length in [40 + 8 + 8 + 8, 40 + 8 + 8 + 4, 40 + 12] {
        bench.send(5, &quoted.bytes()[..length], &[&Icmpv6::unreachable(4), &router]);
    }
    let (records, _) = bench.finish();
    let asked = records.iter().find(|record| record.source().1 == 4_000).expect("the flow");
    assert_eq!((asked.icmp_errors, asked.icmp_error), ([2, 0], [Some((1, 4)), None]));
}

/// The snap length has cut options off: what the fixed header says is believed nevertheless.
#[test]
fn segments_without_all_of_their_options_are_segments() {
    let mut bench = Bench::new(MeterOptions::default());
    let timestamps = TcpOption::Timestamps { value: 1, echo: 0 };
    let options = [timestamps];
    let syn_options = [
        TcpOption::MaximumSegmentSize(1_460),
        TcpOption::SackPermitted,
        timestamps,
        TcpOption::WindowScale(7),
    ];
    let mut send = |at: i64, side: usize, flags: u16, numbers: (u32, u32), length: usize, kept: usize| {
        let ((from, here), (to, there)) =
            if side == 0 { ((40_000, HERE), (80, THERE)) } else { ((80, THERE), (40_000, HERE)) };
        let options = if flags & Tcp::SYN != 0 { &syn_options[..] } else { &options[..] };
        let tcp =
            Tcp::new(from, to).flags(flags).sequence(numbers.0).acknowledgment(numbers.1).options(options);
        let mut stack = Stack::new();
        stack.message(&vec![0; length]).wrap(tcp).wrap(Ipv4::new(here, there).identification(at as u16 + 1));
        stack.wrap(Ethernet::new(MAC, MAC));
        bench.snapped(at, stack.bytes(), 14 + 20 + kept);
    };
    send(0, 0, Tcp::SYN, (100, 0), 0, 20 + 4);
    send(1, 1, Tcp::SYN | Tcp::ACK, (900, 101), 0, 20);
    send(2, 0, Tcp::ACK, (101, 901), 0, 30);
    send(3, 0, Tcp::ACK, (101, 901), 500, 30);
    send(4, 0, Tcp::ACK, (1_101, 901), 500, 20);
    // Not a header at all.
    send(5, 1, Tcp::ACK, (901, 101), 70, 19);
    let stories = stories(bench);
    let [(_, packets, tcp)] = &stories[..] else { panic!("{stories:?}") };
    assert_eq!((*packets, tcp.state), ([4, 2], TcpState::Established));
    assert_eq!((tcp.sides[0].trouble.gaps.lost, tcp.sides[0].trouble.gaps.bytes), (1, 500));
    assert_eq!((tcp.sides[0].mss, tcp.sides[1].mss), (Some(1_460), None));
}

/// A flow whose connection was over lives on with it.
#[test]
fn a_connection_that_begins_anew_is_not_ended_as_over() {
    let mut bench = Bench::new(MeterOptions::default());
    tcp(&mut bench, 0, 0, Tcp::SYN, (5_000, 0), 0);
    tcp(&mut bench, 1, 1, Tcp::RST | Tcp::ACK, (0, 5_001), 0);
    tcp(&mut bench, 500, 0, Tcp::SYN, (5_000, 0), 0);
    tcp(&mut bench, 501, 1, Tcp::SYN | Tcp::ACK, (900_000, 5_001), 0);
    tcp(&mut bench, 502, 0, Tcp::ACK, (5_001, 900_001), 0);
    tcp(&mut bench, 20_000, 0, Tcp::ACK, (5_001, 900_001), 100);
    bench.udp(75_000, 7);
    tcp(&mut bench, 76_000, 1, Tcp::ACK, (900_001, 5_101), 0);
    bench.udp(200_000, 7);
    let stories: Vec<_> = bench.finish().0.into_iter().filter(|record| record.tcp.is_some()).collect();
    let [record] = &stories[..] else { panic!("{stories:?}") };
    assert_eq!((record.packets, record.end), ([4, 3], EndReason::IdleTimeout));
    assert_eq!(record.tcp.as_ref().unwrap().state, TcpState::Established);
}

/// Packets of several queues are not always in the order of their times.
#[test]
fn a_record_begins_with_its_earliest_packet() {
    let mut bench = Bench::new(MeterOptions::default());
    for at in [20, 10, 30] {
        bench.udp(at, 4_000);
    }
    // Nobody has waited that long: its time is wrong.
    bench.udp(-700_000, 4_000);
    let (records, _) = bench.finish();
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!(record.first, Some(Timestamp::new(1_000, 10_000_000)));
    assert_eq!(record.duration(), Duration::from_millis(20));
}

/// Tags of the frame that a tunnel carries are none of those that the tunnel goes over.
#[test]
fn a_tag_in_a_tunnel_is_not_the_outer_flows() {
    let mut bench = Bench::new(MeterOptions::default());
    let inner = (Udp::new(1, 2), Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2]));
    let outer = (Udp::new(50_000, 4_789), Ipv4::new(HERE, THERE));
    for tag in [5, 6] {
        let (vlan, ethernet) = (Vlan::new(tag), Ethernet::new(MAC, MAC));
        let headers: [&dyn Header; 7] =
            [&inner.0, &inner.1, &vlan, &ethernet, &Vxlan::new(7), &outer.0, &outer.1];
        bench.send(0, b"1234", &headers);
    }
    // Ethernet over GRE: the flow within, on its tag.
    let (vlan, ethernet) = (Vlan::new(5), Ethernet::new(MAC, MAC));
    let headers: [&dyn Header; 6] = [&inner.0, &inner.1, &vlan, &ethernet, &Gre::new(), &outer.1];
    bench.send(0, b"1234", &headers);
    let (records, _) = bench.finish();
    let vlans: Vec<_> = records.iter().map(|record| (record.packets[0], record.key.vlans()[0])).collect();
    assert_eq!(vlans, [(2, None), (1, Some(5))], "{records:?}");
}
