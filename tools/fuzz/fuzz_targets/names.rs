//! Names of a flow of packets of any bytes: nothing panics, and the account sums.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use wharf::build::{Ipv4, Stack, Tcp, Udp};
use wharf::flow::FlowKey;
use wharf::flow::names::{Names, NamesOptions, Naming};
use wharf::frame::Timestamp;
use wharf::parse::{Packet, parse};

const PORTS: [u16; 8] = [53, 5353, 5355, 443, 80, 40_000, 40_001, 53];

fuzz_target!(|bytes: &[u8]| {
    let options = NamesOptions {
        addresses: 8,
        questions: 4,
        timeout: Duration::from_secs(2),
        streams: 4,
        stream_bytes: 4_000,
        flows: 4,
    };
    let (mut names, mut naming) = (Names::new(options), Naming::new(options));
    let (mut rest, mut asked, mut over) = (bytes, 0, 0);
    // Each packet: what it is, how much later, where in its stream, how long.
    while let Some((&[what, later, place, length], tail)) = rest.split_first_chunk::<4>() {
        let (data, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        asked += i64::from(later % 4);
        let (from, to) = (PORTS[usize::from(what & 7)], PORTS[usize::from(what >> 3 & 7)]);
        let mut stack = Stack::new();
        stack.message(data);
        match what >> 6 & 1 {
            0 => stack.wrap(Udp::new(from, to)),
            _ => stack.wrap(Tcp::new(from, to).sequence(u32::from(place)).flags(if later > 250 {
                Tcp::SYN
            } else {
                Tcp::ACK
            })),
        };
        let ends = [[10, 0, 0, 1], if what & 128 == 0 { [10, 0, 0, 2] } else { [224, 0, 0, 251] }];
        stack.wrap(if later & 64 == 0 { Ipv4::new(ends[0], ends[1]) } else { Ipv4::new(ends[1], ends[0]) });
        let frame = stack.frame();
        let layers = parse(&frame);
        let packet = Packet::new(frame, &layers);
        if let Some(keyed) = FlowKey::of(&packet) {
            let time = Timestamp::new(asked, 0);
            let _ = names.observe(&packet, &keyed, time);
            naming.observe(&packet);
        }
        assert!(names.addresses().len() <= 8);
        over += std::iter::from_fn(|| names.lookups().take()).count();
    }
    let counts = *names.lookups().counts();
    assert_eq!(counts.answered + counts.unanswered + counts.evicted, over as u64);
    assert!(counts.open() <= 4);
    assert_eq!(
        counts.responses,
        counts.answers + counts.duplicates + counts.mismatched + counts.unsolicited + counts.announcements
    );
});
