//! The line in memory: demultiplexing alone by number of rules, and a whole run from the synthetic source to
//! counts. Counts are held to what the generator promised.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use wharf::demux::{OutputId, PortMap, Rule};
use wharf::engine::Engine;
use wharf::parse::{Layers, parse};
use wharf::sink::Count;
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};

/// Some frames, half of them to ports below 10,000.
fn traffic(frames: u64) -> Traffic {
    Traffic { frames, ports: vec![0..=9_999, 10_000..=65_535], bad_percent: 1, ..Traffic::default() }
}

/// One rule for each of the lowest ports.
fn map(rules: u32) -> PortMap {
    let rules: Vec<Rule> = (0..rules).map(|port| format!("any/{port}").parse().expect("a rule")).collect();
    PortMap::new(rules.iter().zip(std::iter::repeat(OutputId(0))), OutputId(1))
}

/// How many packets the rules name.
fn named(map: &PortMap, packets: &[Layers]) -> u64 {
    packets.iter().filter(|layers| map.output(black_box(layers)) == OutputId(0)).count() as u64
}

fn demux(criterion: &mut Criterion) {
    let source = Synthetic::new(&traffic(4_096));
    let packets: Vec<Layers> = source.table().frames().map(|frame| parse(&frame)).collect();
    let expected = source.expected();
    let mut group = criterion.benchmark_group("demux by rules");
    group.throughput(Throughput::Elements(packets.len() as u64));
    for rules in [1, 10_000, 49_152] {
        // Clients send from 49,152 on, so that no rule here names their side.
        let map = map(rules);
        let below = expected.ports.iter().filter(|((_, port), _)| u32::from(*port) < rules);
        assert_eq!(named(&map, &packets), below.map(|(_, tally)| tally.frames).sum::<u64>());
        group.bench_with_input(BenchmarkId::from_parameter(rules), &map, |bench, map| {
            bench.iter(|| named(map, &packets));
        });
    }
    group.finish();
}

fn run(source: Synthetic) -> u64 {
    let expected = source.expected();
    let mut low = Count::new();
    let mut rest = Count::new();
    let engine = Engine::builder().source(source).output("any/0-9999".parse().expect("a rule"), &mut low);
    let report = engine.rest(&mut rest).run().expect("a run in memory");
    assert!(report.balanced());
    let (low, rest) = (low.table(), rest.table());
    let below = expected.ports.iter().filter(|((_, port), _)| *port < 10_000);
    assert_eq!(low.packets, below.map(|(_, tally)| tally.frames).sum::<u64>());
    assert_eq!(low.packets + rest.packets, expected.total.frames);
    assert_eq!(low.bytes + rest.bytes, expected.total.bytes);
    low.packets
}

fn pipeline(criterion: &mut Criterion) {
    const FRAMES: u64 = 500_000;
    let mut group = criterion.benchmark_group("synthetic to counts");
    group.throughput(Throughput::Elements(FRAMES));
    for (name, sizes) in [("60 bytes", Sizes::Fixed(60)), ("imix", Sizes::Imix)] {
        let source = Synthetic::new(&Traffic { sizes, ..traffic(FRAMES) });
        group.bench_function(name, |bench| bench.iter(|| run(source.clone())));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = demux, pipeline
}
criterion_main!(benches);
