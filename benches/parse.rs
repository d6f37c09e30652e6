//! Parsing, and parsing with verification, by shape of traffic; 4,096 frames, which lie in the caches for
//! small ones. What parse and verify find is held to what the generator wrote first.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use wharf::frame::Frame;
use wharf::parse::{Packet, parse};
use wharf::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};
use wharf::verify::verify;

const FRAMES: usize = 4_096;

/// The shapes by name.
fn shapes() -> Vec<(&'static str, Traffic)> {
    let base = Traffic { frames: FRAMES as u64, distinct: FRAMES, bad_percent: 1, ..Traffic::default() };
    let only = |protocol| Traffic { protocols: vec![(protocol, 1)], ..base.clone() };
    vec![
        ("tcp 60", only(Protocol::Tcp)),
        ("udp 60", only(Protocol::Udp)),
        ("tcp and udp 60", base.clone()),
        ("imix", Traffic { sizes: Sizes::Imix, ..base.clone() }),
        ("full", Traffic { sizes: Sizes::Fixed(1_514), ..base.clone() }),
        (
            "ipv6 and vlan 100",
            Traffic { sizes: Sizes::Fixed(100), ipv6_percent: 100, vlan_percent: 100, ..base.clone() },
        ),
        ("vxlan 200", Traffic { sizes: Sizes::Fixed(200), tunnel_percent: 100, ..base.clone() }),
        ("sctp 200", Traffic { sizes: Sizes::Fixed(200), ..only(Protocol::Sctp) }),
    ]
}

/// Sums the destination ports of the outermost layer: something that depends on every frame.
fn ports(frames: &[Frame<'_>]) -> u64 {
    let layers = frames.iter().map(|frame| parse(black_box(frame)));
    layers.filter_map(|layers| layers.outer).map(|ip| u64::from(ip.destination_port)).sum()
}

/// Counts the frames with a wrong checksum.
fn bad(frames: &[Frame<'_>]) -> u64 {
    let wrong = frames.iter().filter(|frame| {
        let layers = parse(black_box(frame));
        verify(&Packet::new(**frame, &layers)).any_bad()
    });
    wrong.count() as u64
}

fn shape(criterion: &mut Criterion) {
    for (name, traffic) in shapes() {
        let source = Synthetic::new(&traffic);
        let expected = source.expected();
        let frames: Vec<_> = source.table().frames().collect();
        let sum =
            expected.ports.iter().map(|((_, port), tally)| u64::from(*port) * tally.frames).sum::<u64>();
        assert_eq!(ports(&frames), sum, "{name}");
        assert_eq!(bad(&frames), expected.bad, "{name}");

        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(FRAMES as u64));
        group.bench_function("parse", |bench| bench.iter(|| ports(&frames)));
        group.bench_function("parse and verify", |bench| bench.iter(|| bad(&frames)));
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = shape
}
criterion_main!(benches);
