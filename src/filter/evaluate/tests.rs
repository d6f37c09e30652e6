//! Kinds of frames, sets, and what is too large.

use super::*;
use crate::filter::Filter;
use crate::source::synthetic::{Protocol, Synthetic, Traffic};

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

/// Frames cut everywhere, by every machine, in batches of any size; in the order in which they stand.
#[test]
fn machines_agree_with_the_walk_of_each_frame() {
    let source = Synthetic::new(&Traffic {
        frames: 150,
        distinct: 150,
        ipv6_percent: 30,
        vlan_percent: 20,
        protocols: vec![(Protocol::Tcp, 3), (Protocol::Udp, 3), (Protocol::Icmp, 1), (Protocol::Sctp, 1)],
        ports: vec![53..=53, 80..=81, 2_000..=60_000],
        ..Traffic::default()
    });
    let table = source.table();
    let mut records = table.records().to_vec();
    for (index, record) in records.iter_mut().enumerate().skip(40) {
        record.captured = record.captured.min(index as u32 - 40);
    }
    // Options, so that ports stand elsewhere.
    let mut slab = table.slab().to_vec();
    for record in records.iter().step_by(7) {
        slab[record.offset as usize + 14] |= 7;
    }
    // The last frame ends where the slab does.
    let last = records.len() - 1;
    slab.truncate((records[last].offset + records[last].captured) as usize);
    let v6 = "ip6 host 2001:db8:1:2:3:4:5:6 or ip6 host 2001:db8::1 or ip6 net 2001:db8::/32";
    let words = (0..20).map(|at| format!("ether[{}:4] = {at}", 5 * at)).collect::<Vec<_>>().join(" or ");
    let far = "ether[0x7fffffff:4] = 1 or ether[0xfffffffe:1] = 1 or ether[0xfffffff0:4] = 1";
    for expression in [
        "",
        "not ip6",
        "tcp",
        "port 53",
        "tcp port 80 or udp port 53",
        "host 10.0.0.1 or not host 10.0.0.2",
        "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
        "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
        "ip[8] / ip[9] > 3 or udp[ip[8]] % ip[1] = 1 or ip[0] << ip[1] = 0x45",
        "ip protochain 6 or ip6 protochain 17",
        "vlan and (tcp port 80 or ip6)",
        "port 1 or 2 or 3 or 53 or 80 or 81 or 443",
        "len > 100 and less 200",
        "tcp[2:2] = tcp[0:2] or udp[0:2] >= udp[2:2]",
        "inbound or outbound",
        "ip[-1] = 3 or -ip[1] = 3",
        v6,
        &words,
        far,
    ] {
        let evaluator = evaluator(expression);
        for frames in [0, 1, 7, 8, 63, 64, 65, 150] {
            let batch = Batch::new(&slab, &records[150 - frames..], table.interfaces());
            let walked: Vec<u16> = (0..frames)
                .filter(|at| evaluator.matches_frame(&batch.frame(*at)))
                .map(|at| at as u16)
                .collect();
            let mut wanted = vec![7];
            evaluator.choose(batch, &mut wanted);
            assert_eq!(wanted[1..], walked, "{expression:?} of {frames}");
            let Some(plan) = evaluator.plan.as_ref() else { continue };
            wanted.clear();
            lanes::choose(Portable, plan, &evaluator.flat, batch, &mut wanted);
            assert_eq!(wanted, walked, "{expression:?} of {frames}");
            #[cfg(target_arch = "x86_64")]
            {
                wanted.clear();
                if x86_64::choose_by_avx2(plan, &evaluator.flat, batch, &mut wanted) {
                    assert_eq!(wanted, walked, "{expression:?} of {frames}, by AVX2");
                }
            }
        }
        // What is asked here is asked in lanes, but for what is said to be too much.
        assert_eq!(evaluator.plan.is_none(), expression.contains("protochain"), "{expression}");
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
