//! Filters over batches as sources hand them out: common expressions, a long list of hosts, and what a single frame costs; and how
//! long it takes to make one ready. How many frames are wanted is held to what the program for the kernel says first.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use wharf::filter::Filter;
use wharf::filter::evaluate::Evaluator;
use wharf::frame::{Batch, LinkType};
use wharf::source::BATCH;
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};
use wharf::sys::classic_bpf::Seen;

/// Frames of a pass: with their records less than second caches hold.
const FRAMES: usize = 16 * BATCH;

const EXPRESSIONS: [(&str, &str); 7] = [
    ("protocol", "tcp"),
    ("port", "tcp port 80 or udp port 53"),
    ("network", "not net 10.0.0.0/12"),
    ("flags", "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-ack"),
    ("payload", "tcp port 80 and ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2) != 0"),
    ("length", "greater 1000"),
    ("ports", "port 22 or 25 or 53 or 80 or 110 or 143 or 443 or 993"),
];

fn source() -> Synthetic {
    let traffic = Traffic {
        frames: FRAMES as u64,
        distinct: FRAMES,
        sizes: Sizes::Fixed(100),
        ports: vec![53..=53, 80..=80, 443..=443, 1_000..=3_000],
        ipv6_percent: 20,
        vlan_percent: 10,
        ..Traffic::default()
    };
    Synthetic::new(&traffic)
}

fn batches(source: &Synthetic) -> impl Iterator<Item = Batch<'_>> {
    let table = source.table();
    table.records().chunks(BATCH).map(move |records| Batch::new(table.slab(), records, table.interfaces()))
}

fn evaluator(filter: &Filter) -> Evaluator {
    let test = filter.test(LinkType::ETHERNET).expect("Ethernet");
    Evaluator::new(&test, LinkType::ETHERNET).expect("small")
}

fn count(evaluator: &Evaluator, source: &Synthetic, wanted: &mut Vec<u16>) -> usize {
    let each = batches(source).map(|batch| {
        wanted.clear();
        evaluator.choose(black_box(batch), wanted);
        wanted.len()
    });
    each.sum()
}

fn count_one_by_one(evaluator: &Evaluator, source: &Synthetic) -> usize {
    source.table().frames().filter(|frame| evaluator.matches_frame(black_box(frame))).count()
}

/// What the program for the kernel says.
fn expected(filter: &Filter, source: &Synthetic) -> usize {
    let program = filter.program(LinkType::ETHERNET, 1).expect("short");
    let wants = |bytes| program.run(&Seen { bytes, ..Seen::default() }) == 1;
    source.table().frames().filter(|frame| wants(frame.data)).count()
}

fn frames(criterion: &mut Criterion) {
    let source = source();
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(FRAMES as u64));
    let mut wanted = Vec::with_capacity(BATCH);
    for (name, expression) in EXPRESSIONS {
        let filter: Filter = expression.parse().expect(expression);
        let (evaluator, expected) = (evaluator(&filter), expected(&filter, &source));
        assert!(expected < FRAMES && (expected > 0 || name == "length"), "{expression}: {expected}");
        assert_eq!(count(&evaluator, &source, &mut wanted), expected, "{expression}");
        assert_eq!(count_one_by_one(&evaluator, &source), expected, "{expression}");
        group.bench_function(BenchmarkId::new("batches", name), |bench| {
            bench.iter(|| count(&evaluator, &source, &mut wanted));
        });
        group.bench_function(BenchmarkId::new("one by one", name), |bench| {
            bench.iter(|| count_one_by_one(&evaluator, &source));
        });
    }
    group.finish();
}

/// From text to what runs, and to the kernel's program.
fn make(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("make a filter");
    let hosts: Vec<String> = (0..100).map(|host| format!("host 10.0.{host}.1")).collect();
    for (name, expression) in [("short", "tcp port 80"), ("100 hosts", &hosts.join(" or "))] {
        let ready = || evaluator(&black_box(expression).parse().expect("an expression"));
        let table = source();
        let filter: Filter = expression.parse().expect("an expression");
        assert_eq!(count(&ready(), &table, &mut Vec::new()), expected(&filter, &table), "{name}");
        group.bench_function(BenchmarkId::new("evaluator", name), |bench| bench.iter(ready));
        let program = || {
            let filter: Filter = black_box(expression).parse().expect("an expression");
            filter.program(LinkType::ETHERNET, 1).expect("short enough")
        };
        assert!(program().instructions().len() < 1_000);
        group.bench_function(BenchmarkId::new("program", name), |bench| bench.iter(program));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = frames, make
}
criterion_main!(benches);
