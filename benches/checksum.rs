//! The Internet checksum by variant and length, and CRC32c. Each variant is held to the reference first.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use wharf::checksum::{Sum, Variant, crc32c};

/// Header, minimum frame, common sizes of the Internet mix, full frames, jumbo frames, the largest packet.
const LENGTHS: [usize; 8] = [20, 40, 64, 128, 576, 1_460, 9_000, 65_535];

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 167 + index / 256) as u8).collect()
}

fn internet(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum");
    for length in LENGTHS {
        let bytes = bytes(length);
        group.throughput(Throughput::Bytes(length as u64));
        for variant in Variant::all_available() {
            assert_eq!(variant.sum(&bytes), Variant::Scalar.sum(&bytes), "{variant}");
            group.bench_with_input(BenchmarkId::new(variant.name(), length), &bytes, |bench, bytes| {
                bench.iter(|| variant.sum(black_box(bytes)));
            });
        }
        assert_eq!(Sum::of(&bytes).fold(), Variant::Scalar.sum(&bytes));
        group.bench_with_input(BenchmarkId::new("dispatched", length), &bytes, |bench, bytes| {
            bench.iter(|| Sum::of(black_box(bytes)).checksum());
        });
    }
    group.finish();
}

fn crc(criterion: &mut Criterion) {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    let mut group = criterion.benchmark_group("crc32c");
    for length in [64, 1_460] {
        let bytes = bytes(length);
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_with_input(BenchmarkId::from_parameter(length), &bytes, |bench, bytes| {
            bench.iter(|| crc32c(black_box(bytes)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = internet, crc
}
criterion_main!(benches);
