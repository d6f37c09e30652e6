//! The meter over frames that are built here.

mod bounds;
mod troubles;

use super::*;
use crate::build::{
    DestinationOptions, Ethernet, Gre, Header, HopByHop, Icmp, Icmpv6, Ipv4, Ipv6, Stack, Tcp, TcpOption,
    Udp, Vlan, Vxlan,
};
use crate::frame::{Record, Timestamp};
use crate::parse::{Packet, parse};
use std::time::Duration;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const HERE: [u8; 4] = [10, 0, 0, 1];
const THERE: [u8; 4] = [10, 0, 0, 2];

/// A meter, and the records it has given.
struct Bench {
    meter: Meter,
    records: Vec<FlowRecord>,
}

impl Bench {
    fn new(options: MeterOptions) -> Self {
        Self { meter: Meter::new(options), records: Vec::new() }
    }

    /// A frame at a time in milliseconds.
    fn frame(&mut self, at: i64, bytes: &[u8]) {
        let time = Timestamp::new(1_000 + at.div_euclid(1_000), at.rem_euclid(1_000) as u32 * 1_000_000);
        let mut frame = crate::frame::Frame::new(crate::frame::LinkType::ETHERNET, bytes);
        frame.record = Record { time: Some(time), ..frame.record };
        let layers = parse(&frame);
        let Self { meter, records } = self;
        meter.observe([Packet::new(frame, &layers)], |record| records.push(record));
    }

    /// A frame of which so many bytes were captured.
    fn snapped(&mut self, at: i64, bytes: &[u8], captured: usize) {
        let time = Timestamp::new(1_000, at as u32 * 1_000_000);
        let mut frame = crate::frame::Frame::new(crate::frame::LinkType::ETHERNET, &bytes[..captured]);
        frame.record = Record { time: Some(time), wire_length: bytes.len() as u32, ..frame.record };
        let layers = parse(&frame);
        let Self { meter, records } = self;
        meter.observe([Packet::new(frame, &layers)], |record| records.push(record));
    }

    fn send(&mut self, at: i64, message: &[u8], headers: &[&dyn Header]) {
        let mut stack = Stack::new();
        stack.message(message);
        headers.iter().for_each(|header| {
            stack.wrap(*header);
        });
        stack.wrap(Ethernet::new(MAC, MAC));
        let bytes = stack.bytes().to_vec();
        self.frame(at, &bytes);
    }

    fn udp(&mut self, at: i64, port: u16) {
        self.send(at, b"1234", &[&Udp::new(port, 53), &Ipv4::new(HERE, THERE)]);
    }

    fn finish(mut self) -> (Vec<FlowRecord>, MeterCounts) {
        let Self { meter, records } = &mut self;
        meter.finish(|record| records.push(record));
        assert!(meter.is_empty());
        let counts = self.meter.counts();
        let packets: u64 = self.records.iter().map(FlowRecord::all_packets).sum();
        assert_eq!((packets, counts.records), (counts.packets, self.records.len() as u64));
        (self.records, counts)
    }
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn both_directions_are_one_record() {
    let mut bench = Bench::new(MeterOptions::default());
    bench.send(0, b"12345678", &[&Udp::new(53, 4_000), &Ipv4::new(THERE, HERE)]);
    bench.send(5, b"1234", &[&Udp::new(4_000, 53), &Ipv4::new(HERE, THERE)]);
    bench.send(9, b"", &[&Udp::new(4_000, 53), &Ipv4::new(HERE, THERE)]);
    let (records, _) = bench.finish();
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.source().0, record.source().1, record.destination().1), (THERE.into(), 53, 4_000));
    assert_eq!((record.packets, record.payload, record.bytes), ([1, 2], [8, 4], [50, 46 + 42]));
    assert_eq!((record.duration(), record.end), (Duration::from_millis(9), EndReason::CaptureEnd));
    assert_eq!(record.ttl, [(64, 64); 2]);
}

#[test]
fn a_silence_ends_a_flow_and_a_long_life_its_record() {
    let options =
        MeterOptions { idle_timeout: seconds(10), active_timeout: seconds(60), ..MeterOptions::default() };
    let mut bench = Bench::new(options);
    bench.udp(0, 1);
    bench.udp(10_000, 1);
    bench.udp(20_001, 1);
    // Time comes from other flows, too.
    bench.udp(40_000, 2);
    assert_eq!(bench.records.len(), 2, "it is over without a further packet");
    for at in (40_000..=150_000).step_by(5_000) {
        bench.udp(at, 3);
    }
    let (records, _) = bench.finish();
    let of = |port| records.iter().filter(|record| record.source().1 == port).collect::<Vec<_>>();
    let ends = |port| of(port).iter().map(|record| (record.packets[0], record.end)).collect::<Vec<_>>();
    assert_eq!(ends(1), [(2, EndReason::IdleTimeout), (1, EndReason::IdleTimeout)]);
    assert_eq!(ends(2), [(1, EndReason::IdleTimeout)]);
    let long = of(3);
    assert!(long.len() == 2 && long[0].end == EndReason::ActiveTimeout, "{long:?}");
    assert!(long[0].duration() <= Duration::from_secs(60));
}

#[test]
fn without_timeouts_nothing_ends() {
    let options = MeterOptions { idle_timeout: None, active_timeout: None, ..MeterOptions::default() };
    let mut bench = Bench::new(options);
    for at in [0, 100_000, 1_000_000_000, 5_000_000_000] {
        bench.udp(at, 1);
        bench.udp(at + 1, 2);
    }
    let (records, _) = bench.finish();
    assert_eq!(records.iter().map(|record| record.packets[0]).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn a_full_table_makes_room_and_counts_it() {
    let mut bench = Bench::new(MeterOptions { max_flows: 100, ..MeterOptions::default() });
    for round in 0..3 {
        for port in 0..1_000 {
            let at = round * 2_000 + i64::from(port) * 2;
            bench.udp(at, 1_000 + port);
            // This one goes on all the time, and stays.
            bench.udp(at + 1, 7);
            assert!(bench.meter.len() <= 100);
        }
    }
    let (records, counts) = bench.finish();
    assert_eq!((counts.most, counts.evicted), (100, 3_001 - 100));
    let busy: Vec<_> = records.iter().filter(|record| record.source().1 == 7).collect();
    assert_eq!((busy.len(), busy[0].packets[0]), (1, 3_000));
}

#[test]
fn used_again_ports_are_another_flow() {
    let mut bench = Bench::new(MeterOptions::default());
    for (at, sequence) in [(0, 100), (1_000, 100), (2_000, 9_000)] {
        let syn = Tcp::new(40_000, 80).flags(Tcp::SYN).sequence(sequence);
        bench.send(at, b"", &[&syn, &Ipv4::new(HERE, THERE)]);
    }
    let reset = Tcp::new(80, 40_000).flags(Tcp::RST | Tcp::ACK).acknowledgment(9_001);
    bench.send(2_010, b"", &[&reset, &Ipv4::new(THERE, HERE)]);
    bench.udp(10_000, 1);
    assert_eq!(bench.records.len(), 2, "five seconds after its end a connection goes");
    let (records, _) = bench.finish();
    let story = |record: &FlowRecord| (record.end, record.tcp.as_ref().map(|tcp| tcp.state), record.packets);
    assert_eq!(story(&records[0]), (EndReason::Reused, Some(TcpState::Attempt), [2, 0]));
    assert_eq!(story(&records[1]), (EndReason::Closed, Some(TcpState::Refused), [1, 1]));
}

#[test]
fn errors_are_tied_to_what_they_quote() {
    let mut bench = Bench::new(MeterOptions::default());
    bench.udp(0, 4_000);
    let mut quoted = Stack::new();
    quoted.message(b"1234").wrap(Udp::new(4_000, 53)).wrap(Ipv4::new(HERE, THERE));
    let router = [10, 9, 9, 9];
    for length in [28, 27, 32] {
        bench.send(5, &quoted.bytes()[..length], &[&Icmp::unreachable(3), &Ipv4::new(router, HERE)]);
    }
    let (records, _) = bench.finish();
    let asked = records.iter().find(|record| record.source().1 == 4_000).unwrap();
    assert_eq!((asked.icmp_errors, asked.icmp_error), ([3, 0], [Some((3, 3)), None]));
    assert_eq!(records.len(), 2, "the errors are a flow themselves");
}

#[test]
fn changes_of_the_way_and_copies_are_seen() {
    let mut bench = Bench::new(MeterOptions::default());
    let udp = Udp::new(4_000, 53);
    for (at, ttl, identification) in
        [(0, 64, 1), (1, 64, 2), (2, 64, 2), (3, 60, 3), (4, 64, 4), (5, 64, 0), (6, 64, 0)]
    {
        let ip = Ipv4::new(HERE, THERE).ttl(ttl).identification(identification);
        bench.send(at, b"1234", &[&udp, &ip]);
    }
    let (records, _) = bench.finish();
    assert_eq!((records[0].ttl_changes, records[0].duplicates), ([2, 0], [1, 0]));
    assert_eq!(records[0].ttl[0], (60, 64));
}

#[test]
fn frames_without_time_and_leaps_of_it_do_no_harm() {
    let mut bench = Bench::new(MeterOptions { max_flows: 4, ..MeterOptions::default() });
    let mut stack = Stack::new();
    for port in 0..20 {
        stack.message(b"").wrap(Udp::new(port, 9)).wrap(Ipv4::new(HERE, THERE));
        let frame = stack.frame();
        let layers = parse(&frame);
        let Bench { meter, records } = &mut bench;
        meter.observe([Packet::new(frame, &layers)], |record| records.push(record));
    }
    for at in [i64::MAX / 8, -1_000_000, 0, i64::MAX / 1_001, 5] {
        bench.udp(at, 1);
    }
    let (records, counts) = bench.finish();
    assert!(records[0].first.is_none() && counts.packets == 25);
}
