//! The line in memory: demultiplexing alone by number of rules, packet by packet and by batch, and a whole run from the
//! synthetic source to counts, on one core and on two. Counts are held to what the generator promised.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::hint::black_box;
use std::time::Duration;
use wharf::batch::{Findings, Summary};
use wharf::demux::{OutputId, PortMap, Rule};
use wharf::engine::Engine;
use wharf::frame::Batch;
use wharf::parse::{Layers, parse};
use wharf::sink::Count;
use wharf::source::BATCH;
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};
use wharf::verify::Verdict;

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

/// The same, by batch.
fn named_by_batch(map: &PortMap, packets: &[Summary], outputs: &mut Vec<OutputId>) -> u64 {
    let batches = packets.chunks(BATCH).map(|packets| {
        map.route(black_box(packets), outputs);
        outputs.iter().filter(|output| **output == OutputId(0)).count() as u64
    });
    batches.sum()
}

/// What is known in short of every frame.
fn summaries(table: Batch<'_>) -> Vec<Summary> {
    let mut findings = Findings::new();
    let batches = table.records().chunks(BATCH).flat_map(|records| {
        findings.read(Batch::new(table.slab(), records, table.interfaces()));
        findings.summaries().to_vec()
    });
    batches.collect()
}

fn demux(criterion: &mut Criterion) {
    let source = Synthetic::new(&traffic(4_096));
    let packets: Vec<Layers> = source.table().frames().map(|frame| parse(&frame)).collect();
    let summaries = summaries(source.table());
    let (expected, mut outputs) = (source.expected(), Vec::new());
    let mut group = criterion.benchmark_group("demux by rules");
    group.throughput(Throughput::Elements(packets.len() as u64));
    for rules in [1, 64, 10_000, 49_152] {
        // Clients send from 49,152 on, so that no rule here names their side.
        let map = map(rules);
        let below = expected.ports.iter().filter(|((_, port), _)| u32::from(*port) < rules);
        let below = below.map(|(_, tally)| tally.frames).sum::<u64>();
        assert_eq!(named(&map, &packets), below);
        assert_eq!(named_by_batch(&map, &summaries, &mut outputs), below);
        group.bench_with_input(BenchmarkId::new("packet by packet", rules), &map, |bench, map| {
            bench.iter(|| named(map, &packets));
        });
        group.bench_with_input(BenchmarkId::new("by batch", rules), &map, |bench, map| {
            bench.iter(|| named_by_batch(map, &summaries, &mut outputs));
        });
    }
    group.finish();
}

fn run(source: Synthetic, cores: &[usize]) -> u64 {
    let expected = source.expected();
    let mut low = Count::new();
    let mut rest = Count::new();
    let engine = Engine::builder().source(source).cores(cores.iter().copied());
    let engine = engine.output("any/0-9999".parse().expect("a rule"), &mut low);
    let report = engine.rest(&mut rest).run().expect("a run in memory");
    assert!(report.balanced());
    assert_eq!(report.checksums.l4.of(Verdict::Bad { found: 0, expected: 0 }), expected.bad);
    let (low, rest) = (low.table(), rest.table());
    let below = expected.ports.iter().filter(|((_, port), _)| *port < 10_000);
    assert_eq!(low.packets, below.map(|(_, tally)| tally.frames).sum::<u64>());
    assert_eq!(low.packets + rest.packets, expected.total.frames);
    assert_eq!(low.bytes + rest.bytes, expected.total.bytes);
    low.packets
}

/// The first CPUs that this process may use, at most two.
fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).expect("the CPUs that may be used");
    (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(2).collect()
}

fn pipeline(criterion: &mut Criterion) {
    const FRAMES: u64 = 500_000;
    let cores = cores();
    let mut group = criterion.benchmark_group("synthetic to counts");
    group.throughput(Throughput::Elements(FRAMES));
    for (name, sizes) in [("64 bytes", Sizes::Fixed(64)), ("imix", Sizes::Imix)] {
        let source = Synthetic::new(&Traffic { sizes, ..traffic(FRAMES) });
        for workers in 1..=cores.len() {
            group.bench_function(BenchmarkId::new(name, workers), |bench| {
                bench.iter(|| run(source.clone(), &cores[..workers]));
            });
        }
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
