//! The ring between two threads, by item size and batch: items a second and the time of a round trip.
//!
//! Both ends wait as they would in the engine. Each run asserts that every item came out, in order.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wharf::ring;

const CAPACITY: usize = 1024;

/// An item of a given size that knows its place.
trait Item: Copy + Send + Sync + 'static {
    fn numbered(number: u64) -> Self;
    fn number(self) -> u64;
}

impl Item for u64 {
    fn numbered(number: u64) -> Self {
        number
    }

    fn number(self) -> u64 {
        self
    }
}

/// One cache line, as a packet's descriptor is.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

impl Item for Line {
    fn numbered(number: u64) -> Self {
        Self([number; 8])
    }

    fn number(self) -> u64 {
        self.0[0]
    }
}

fn pin(core: usize) {
    // On a machine with one core, or a part of the cores: unpinned, and noisier.
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
}

/// The time that `batches` bursts take from one core to the other.
fn transfer<T: Item>(batch: usize, batches: u64) -> Duration {
    let (producer, mut consumer) = ring::spsc::<T>(CAPACITY);
    let items: Vec<T> = (0..batch as u64).map(T::numbered).collect();
    thread::scope(|scope| {
        let items = &items;
        scope.spawn(move || {
            pin(0);
            let mut producer = producer;
            for _ in 0..batches {
                let mut rest = items.as_slice();
                loop {
                    rest = &rest[producer.push_slice(rest)..];
                    if rest.is_empty() {
                        break;
                    }
                    producer.wait().expect("the consumer stays");
                }
            }
        });
        pin(1);
        let start = Instant::now();
        let (mut count, mut next, mut in_order) = (0, 0, true);
        while count < batches * batch as u64 {
            consumer.wait().expect("there is more to come");
            for item in consumer.chunk(batch).iter() {
                in_order &= item.number() == next;
                next = if next + 1 == batch as u64 { 0 } else { next + 1 };
                count += 1;
            }
        }
        assert!(in_order && next == 0);
        start.elapsed()
    })
}

/// The time of `trips` round trips over two rings.
fn round_trips(trips: u64) -> Duration {
    let (mut there, mut arrived) = ring::spsc(CAPACITY);
    let (mut back, mut returned) = ring::spsc(CAPACITY);
    thread::scope(|scope| {
        scope.spawn(move || {
            pin(0);
            while arrived.wait().is_ok() {
                for number in arrived.drain(1) {
                    back.push(number).expect("one at a time always fits");
                }
            }
        });
        pin(1);
        let start = Instant::now();
        for number in 0..trips {
            there.push(number).expect("one at a time always fits");
            returned.wait().expect("the other end stays");
            assert_eq!(returned.pop(), Some(number));
        }
        let elapsed = start.elapsed();
        drop(there);
        elapsed
    })
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    group.sample_size(20);
    for batch in [1, 32, 256] {
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_with_input(BenchmarkId::new("8 B", batch), &batch, |bencher, &batch| {
            bencher.iter_custom(|batches| transfer::<u64>(batch, batches));
        });
        group.bench_with_input(BenchmarkId::new("64 B", batch), &batch, |bencher, &batch| {
            bencher.iter_custom(|batches| transfer::<Line>(batch, batches));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("round trip", |bencher| bencher.iter_custom(round_trips));
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
