//! Flows: what a packet costs the table at a million flows, and the whole meter over frames of few and of many flows.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use wharf::batch::Findings;
use wharf::flow::{Meter, MeterOptions, Seed, Table};
use wharf::parse::Packet;
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};

/// What a flow has in the table: with its key, a line.
type Counters = [u64; 6];

fn table(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow table");
    group.measurement_time(Duration::from_secs(2)).sample_size(20);
    for flows in [1_000_u128, 100_000, 1_000_000] {
        let mut table = Table::<Counters>::new(Seed::fixed(1));
        let keys: Vec<u128> = (1..=flows).map(|flow| flow << 64 | 0x0a00_0001_0a00_0002).collect();
        table.update(&keys, |_, counters| counters[0] = 0);
        // A step that has no factor in common with the number of flows comes by all of them, in no order.
        let packets: Vec<u128> = (0..65_536).map(|at| keys[(at * 7_919 * 613 % flows) as usize]).collect();
        group.throughput(Throughput::Elements(packets.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(flows), |bencher| {
            bencher.iter(|| {
                let mut sum = 0;
                table.update(&packets, |_, counters| {
                    counters[0] += 1;
                    sum += u64::from(counters[0] > 0);
                });
                assert_eq!(sum, packets.len() as u64);
            });
        });
        assert_eq!(table.len() as u128, flows);
    }
    group.finish();
}

fn meter(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow meter");
    group.measurement_time(Duration::from_secs(2)).sample_size(20);
    for (name, flows, ipv6_percent) in
        [("ipv4, 100 flows", 100, 0), ("ipv4, 20000 flows", 20_000, 0), ("ipv6, 100 flows", 100, 100)]
    {
        let traffic =
            Traffic { distinct: 16_384, flows, ipv6_percent, sizes: Sizes::Fixed(100), ..Traffic::default() };
        let source = Synthetic::new(&traffic);
        let (batch, mut findings) = (source.table(), Findings::new());
        findings.read(batch);
        let packets: Vec<Packet<'_>> = batch
            .frames()
            .enumerate()
            .map(|(at, frame)| Packet::new(frame, findings.layers(&frame, at)))
            .collect();
        let mut meter = Meter::new(MeterOptions::default());
        group.throughput(Throughput::Elements(packets.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let before = meter.counts().packets;
                meter.observe(packets.iter().copied(), |_| {});
                assert_eq!(meter.counts().packets - before, packets.len() as u64);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, table, meter);
criterion_main!(benches);
