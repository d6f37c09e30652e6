//! Parsing and verifying, frame by frame and by batch, by shape of traffic and by where the frames lie: in the first
//! cache, in the second, or in more memory than caches hold. What is found is held to what the generator wrote first.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use wharf::batch::Findings;
use wharf::frame::{Batch, Frame, Record};
use wharf::parse::{Packet, parse};
use wharf::source::BATCH;
use wharf::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};
use wharf::verify::{Verdict, verify};

/// Bytes that vectors may read behind the last frame.
const SLACK: usize = 64;
/// More than the share of the last cache that one core of a large machine gets, on most.
const MEMORY: usize = 512 << 20;

/// The shapes by name, with the length of most of their frames, and whether they are measured in memory too.
fn shapes() -> Vec<(&'static str, usize, bool, Traffic)> {
    let base = Traffic::default();
    let fixed = |length| Traffic { sizes: Sizes::Fixed(length), ..base.clone() };
    let only = |protocol| Traffic { protocols: vec![(protocol, 1)], ..fixed(64) };
    vec![
        ("tcp 64", 64, false, only(Protocol::Tcp)),
        ("udp 64", 64, false, only(Protocol::Udp)),
        ("tcp and udp 64", 64, true, fixed(64)),
        ("imix", 358, true, Traffic { sizes: Sizes::Imix, ..base.clone() }),
        ("full 1514", 1_514, true, fixed(1_514)),
        ("ipv6 and vlan 100", 100, true, Traffic { ipv6_percent: 50, vlan_percent: 50, ..fixed(100) }),
        ("vxlan 200", 200, false, Traffic { tunnel_percent: 100, ..fixed(200) }),
        ("sctp 200", 200, false, Traffic { sizes: Sizes::Fixed(200), ..only(Protocol::Sctp) }),
    ]
}

/// Working sets by name: how many bytes of distinct frames.
const SETS: [(&str, usize); 2] = [("L1", 16 << 10), ("L2", 768 << 10)];

/// Frames as a source hands them out, so often that they take `bytes`.
struct Frames {
    source: Synthetic,
    slab: Vec<u8>,
    /// Bytes of the distinct frames.
    pass: usize,
}

impl Frames {
    fn new(source: Synthetic, bytes: usize) -> Self {
        let table = source.table();
        let pass = table.captured() as usize;
        let mut slab = table.slab()[..pass].repeat((bytes / pass).max(1));
        slab.resize(slab.len() + SLACK, 0);
        Self { source, slab, pass }
    }

    fn passes(&self) -> usize {
        self.slab.len() / self.pass
    }

    /// The batches of one of the passes, with the records of the distinct frames: of the first few where all frames are of one
    /// length, as a source uses the same memory for its records again and again.
    fn batches(&self, pass: usize) -> impl Iterator<Item = Batch<'_>> {
        let table = self.source.table();
        let length = table.records()[0].captured;
        let at = |(index, record): (usize, &Record)| {
            record.captured == length && record.offset as usize == index * length as usize
        };
        let even = table.records().iter().enumerate().all(at);
        table.records().chunks(BATCH).map(move |records| {
            let begin = if even { records[0].offset as usize } else { 0 };
            let records = if even { &table.records()[..records.len()] } else { records };
            Batch::new(&self.slab[pass * self.pass + begin..], records, table.interfaces())
        })
    }
}

/// Sums the destination ports of the outermost layer: something that depends on every frame.
fn ports<'a>(frames: impl Iterator<Item = Frame<'a>>) -> u64 {
    let layers = frames.map(|frame| parse(black_box(&frame)));
    layers.filter_map(|layers| layers.outer).map(|ip| u64::from(ip.destination_port)).sum()
}

/// Counts the frames with a wrong checksum.
fn bad<'a>(frames: impl Iterator<Item = Frame<'a>>) -> u64 {
    let wrong = frames.filter(|frame| {
        let layers = parse(black_box(frame));
        verify(&Packet::new(*frame, &layers)).any_bad()
    });
    wrong.count() as u64
}

/// The same, a batch at a time.
fn bad_by_batch<'a>(batches: impl Iterator<Item = Batch<'a>>, findings: &mut Findings) -> u64 {
    let wrong = batches.map(|batch| {
        findings.read(black_box(batch));
        let (bad, checksums) = (Verdict::Bad { found: 0, expected: 0 }, findings.checksums());
        // Of a tunnel the innermost checksum is the damaged one, of all else the only one.
        checksums.l4.of(bad) + checksums.inner_l4.of(bad)
    });
    wrong.sum()
}

/// All frames of one pass, in order.
fn each(frames: &Frames, pass: usize) -> impl Iterator<Item = Frame<'_>> {
    frames.batches(pass).flat_map(|batch| batch.frames())
}

/// Times the ways over these frames, a pass at a time.
fn time(group: &mut BenchmarkGroup<'_, WallTime>, set: &str, frames: &Frames, with_parse: bool) {
    let expected = frames.source.expected();
    group.throughput(Throughput::Elements(expected.total.frames));
    let mut findings = Findings::new();
    let last = frames.passes() - 1;
    let sum = expected.ports.iter().map(|((_, port), tally)| u64::from(*port) * tally.frames).sum::<u64>();
    assert_eq!(ports(each(frames, last)), sum);
    assert_eq!(bad(each(frames, last)), expected.bad);
    assert_eq!(bad_by_batch(frames.batches(last), &mut findings), expected.bad);

    let mut passes = (0..frames.passes()).cycle();
    let mut next = || passes.next().unwrap_or_default();
    if with_parse {
        let id = BenchmarkId::new("parse", set);
        group.bench_function(id, |bench| bench.iter(|| ports(each(frames, next()))));
    }
    let id = BenchmarkId::new("parse and verify", set);
    group.bench_function(id, |bench| bench.iter(|| bad(each(frames, next()))));
    let id = BenchmarkId::new("parse and verify by batch", set);
    group.bench_function(id, |bench| {
        bench.iter(|| bad_by_batch(frames.batches(next()), &mut findings));
    });
}

fn shape(criterion: &mut Criterion) {
    for (name, length, in_memory, traffic) in shapes() {
        let mut group = criterion.benchmark_group(name);
        // Damaged frames prove that they are found; those timed are whole, as almost all are on a wire.
        let of = |distinct: usize, bad_percent| {
            Synthetic::new(&Traffic { frames: distinct as u64, distinct, bad_percent, ..traffic.clone() })
        };
        for (set, bytes) in SETS {
            let distinct = (bytes / length).clamp(8, 4_096);
            let damaged = of(distinct, 10);
            assert!(damaged.expected().bad > 0 || distinct < 64, "{name}");
            let (frames, mut findings) = (Frames::new(damaged, 0), Findings::new());
            assert_eq!(
                bad_by_batch(frames.batches(0), &mut findings),
                frames.source.expected().bad,
                "{name}"
            );
            time(&mut group, set, &Frames::new(of(distinct, 0), 0), true);
            if in_memory && set == "L2" {
                time(&mut group, "memory", &Frames::new(of(distinct, 0), MEMORY), false);
            }
        }
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
