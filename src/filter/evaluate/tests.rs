//! Kinds of frames, sets, and what is too large.

use super::*;
use crate::filter::Filter;
use crate::source::synthetic::{Synthetic, Traffic};

fn evaluator(expression: &str) -> Evaluator {
    let filter: Filter = expression.parse().unwrap();
    Evaluator::new(&filter.test(LinkType::ETHERNET).unwrap(), LinkType::ETHERNET).unwrap()
}

/// The same as a program of BPF says, which knows no kinds.
#[test]
fn a_batch_is_judged_as_its_frames() {
    let source = Synthetic::new(&Traffic {
        frames: 200,
        distinct: 200,
        ipv6_percent: 30,
        vlan_percent: 20,
        ..Traffic::default()
    });
    let batch = source.table();
    let ports = "port 1 or port 2 or port 3 or port 53 or port 80 or port 443 or port 8080";
    for expression in
        ["tcp", "udp port 53", "port 80 or 443", "tcp[13] & 2 != 0", "vlan and ip6", "len > 100", ports]
    {
        let filter: Filter = expression.parse().unwrap();
        let test = filter.test(LinkType::ETHERNET).unwrap();
        let program = crate::filter::bpf::Program::compile(&test, 1).unwrap();
        let evaluator = Evaluator::new(&test, LinkType::ETHERNET).unwrap();
        let mut wanted = Vec::new();
        evaluator.choose(batch, &mut wanted);
        let by_program = batch.frames().enumerate().filter(|(_, frame)| {
            let seen = crate::sys::classic_bpf::Seen {
                bytes: frame.data,
                wire_length: Some(frame.record.wire_length),
                ..Default::default()
            };
            program.run(&seen) == 1
        });
        assert_eq!(wanted, by_program.map(|(index, _)| index as u16).collect::<Vec<_>>(), "{expression}");
    }
}

/// A question without consequence may still reject a frame that is too short for it, of every kind.
#[test]
fn what_is_known_of_a_kind_hides_no_load() {
    let mut bytes = [0; 60];
    bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
    bytes[23] = 17;
    let udp = |expression| evaluator(expression).matches_frame(&Frame::new(LinkType::ETHERNET, &bytes));
    assert!(udp("udp"));
    assert!(udp("udp or ip[100] = 1"));
    assert!(!udp("ip[100] = 1 or udp"));
    assert!(!udp("tcp port 80"));
}

/// Of what was asked of the kind, nothing is asked again.
#[test]
fn kinds_leave_few_decisions() {
    let evaluator = evaluator("tcp and not port 22");
    let mut bytes = [0; 60];
    bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
    bytes[23] = 17;
    assert_eq!(evaluator.kinds.entry(&bytes), flat::REJECT);
    bytes[23] = 6;
    assert!(evaluator.kinds.entry(&bytes) >= flat::FIRST);
    // Whether it is a later fragment.
    bytes[21] = 1;
    assert_ne!(evaluator.kinds.entry(&bytes), flat::REJECT);
}
