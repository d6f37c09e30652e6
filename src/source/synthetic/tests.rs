//! The frames against what the source says of them, by way of parse and verify.

use super::*;
use crate::parse::{IpVersion, Packet, Transport, parse};
use crate::verify::{Verdict, verify};

fn mixed() -> Traffic {
    Traffic {
        frames: 10_000,
        distinct: 3_000,
        sizes: Sizes::Imix,
        protocols: vec![(Protocol::Tcp, 5), (Protocol::Udp, 4), (Protocol::Sctp, 1), (Protocol::Icmp, 1)],
        ports: vec![80..=80, 443..=443, 5_000..=5_009],
        ipv6_percent: 30,
        vlan_percent: 20,
        tunnel_percent: 10,
        bad_percent: 5,
        ..Traffic::default()
    }
}

/// What the frames turn out to be.
fn count(mut source: Synthetic) -> Expected {
    let mut counted = Expected::default();
    let mut number = 0;
    while let Fill::Batch(batch) = source.fill(200).unwrap() {
        assert!(batch.len() <= 200);
        for frame in batch.frames() {
            number += 1;
            assert_eq!(frame.record.number, number);
            let layers = parse(&frame);
            assert_eq!(layers.malformed, None);
            let ip = layers.outer.expect("an IP packet");
            let protocol = match ip.transport {
                Transport::Tcp => Some(Protocol::Tcp),
                Transport::Udp => Some(Protocol::Udp),
                Transport::Sctp => Some(Protocol::Sctp),
                _ => None,
            };
            let verdicts = verify(&Packet::new(frame, &layers));
            let innermost = if layers.inner.is_some() { verdicts.inner_l4 } else { verdicts.l4 };
            assert!(matches!(innermost, Verdict::Good | Verdict::Bad { .. }), "{verdicts:?}");
            let fact = Fact {
                length: frame.record.wire_length,
                port: protocol.map(|protocol| (protocol, ip.destination_port)),
                ipv6: ip.version == IpVersion::V6,
                vlan: layers.vlan_count > 0,
                tunnel: layers.inner.is_some(),
                bad: innermost.is_bad(),
            };
            counted.count(&fact, 1);
        }
    }
    assert!(matches!(source.fill(200), Ok(Fill::End)));
    assert_eq!(source.counters().received, number);
    counted
}

#[test]
fn the_counts_are_exact() {
    let source = Synthetic::new(&mixed());
    let expected = source.expected();
    assert_eq!(count(source), expected);
    assert_eq!(expected.total.frames, 10_000);
    let few = [expected.bad, expected.tunnel, expected.vlan, expected.ipv6, expected.portless.frames];
    assert!(few.iter().all(|count| (100..5_000).contains(count)), "{few:?}");
    assert!(expected.ports.len() > 25, "{:?}", expected.ports);
}

#[test]
fn the_seed_decides() {
    let bytes = |seed| Synthetic::new(&Traffic { seed, ..mixed() }).slab;
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn sizes_are_kept() {
    let lengths = |sizes| {
        let source = Synthetic::new(&Traffic { sizes, distinct: 500, ..Traffic::default() });
        source.table().frames().map(|frame| frame.data.len()).collect::<Vec<_>>()
    };
    assert!(lengths(Sizes::Fixed(60)).iter().all(|length| *length == 60));
    assert!(lengths(Sizes::Fixed(9_000)).iter().all(|length| *length == 9_000));
    assert!(lengths(Sizes::Fixed(0)).iter().all(|length| [42, 54].contains(length)));
    assert!(lengths(Sizes::Uniform(100..=110)).iter().all(|length| (100..=110).contains(length)));
    let imix = lengths(Sizes::Imix);
    assert!(imix.iter().all(|length| [60, 590, 1_514].contains(length)));
    assert!((240..340).contains(&imix.iter().filter(|length| **length == 60).count()));
}

#[test]
fn times_step_by_the_rate() {
    let mut source = Synthetic::new(&Traffic { rate: 3, frames: 7, ..Traffic::default() });
    let Fill::Batch(batch) = source.fill(BATCH).unwrap() else { panic!("seven frames") };
    let times: Vec<_> = batch.frames().map(|frame| frame.record.time.unwrap().to_string()).collect();
    assert_eq!(times[..2], ["1700000000.000000000", "1700000000.333333333"]);
    assert_eq!(times[6], "1700000001.999999998");
}

#[test]
fn stop_is_the_end() {
    let mut source = Synthetic::new(&Traffic::default());
    assert!(matches!(source.fill(10), Ok(Fill::Batch(batch)) if batch.len() == 10));
    source.stop().unwrap();
    assert!(matches!(source.fill(10), Ok(Fill::End)));
    assert_eq!(source.counters().received, 10);
    let mut none = Synthetic::new(&Traffic { frames: 0, ..Traffic::default() });
    assert!(matches!(none.fill(10), Ok(Fill::End)));
    assert_eq!(none.expected(), Expected::default());
}

/// Records are made of what was claimed alone, whoever was served in the meantime.
#[test]
fn chunks_finished_late_hold_what_batches_do() {
    let traffic = Traffic { frames: 5_000, distinct: 300, rate: 3, ..mixed() };
    let (mut source, mut expected) = (Synthetic::new(&traffic), Vec::new());
    while let Fill::Batch(batch) = source.fill(100).unwrap() {
        expected.extend_from_slice(batch.records());
    }
    assert_eq!(expected[4_999].time, Some(traffic.start.plus(Duration::from_nanos(333_333_333) * 4_999)));
    for limit in [1, 7, 700, u64::MAX] {
        let (mut source, mut chunks) = (Synthetic::new(&traffic), Vec::new());
        loop {
            let mut chunk = Chunk::default();
            if !source.claim_chunk(&mut chunk, limit).unwrap() {
                break;
            }
            chunks.push(chunk);
        }
        let claimed: Vec<usize> = chunks.iter().map(Chunk::len).collect();
        chunks.iter_mut().rev().for_each(Chunk::finish);
        let length = |chunk: &Chunk| chunk.batches().map(|batch| batch.len()).sum::<usize>();
        assert_eq!(claimed, chunks.iter().map(length).collect::<Vec<_>>());
        let records: Vec<Record> =
            chunks.iter().flat_map(|chunk| chunk.batches().flat_map(|b| b.records().to_vec())).collect();
        assert_eq!(records, expected, "at most {limit} at once");
    }
}
