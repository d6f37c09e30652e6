//! Taking the records out of capture files in page cache, no work done on them: by format and size of the frames.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;
use wharf::engine::Engine;
use wharf::sink::CaptureFileWriter;
use wharf::source::synthetic::{Sizes, Synthetic, Tally, Traffic};
use wharf::source::{CaptureFile, Chunk, ChunkSource, Fill, Source};

/// Writes a capture and gives what is in it.
fn write(path: &Path, frames: u64, sizes: Sizes) -> Tally {
    let source = Synthetic::new(&Traffic { frames, sizes, ..Traffic::default() });
    let total = source.expected().total;
    let writer = CaptureFileWriter::create(path).expect("a temporary file");
    Engine::builder().source(source).rest(writer).run().expect("a run into a file");
    total
}

/// In batches that borrow, as one worker reads.
fn fill(path: &Path) -> Tally {
    let mut file = CaptureFile::open(path).expect("a capture");
    let mut total = Tally::default();
    while let Fill::Batch(batch) = file.fill(256).expect("a capture") {
        total.frames += batch.len() as u64;
        total.bytes +=
            black_box(batch).records().iter().map(|record| u64::from(record.wire_length)).sum::<u64>();
    }
    total
}

/// In chunks whose bytes are fetched ahead, as each of several workers reads.
fn chunks(path: &Path) -> Tally {
    let mut file = CaptureFile::open(path).expect("a capture");
    let ahead = file.ahead().expect("a file");
    let (mut chunk, mut total) = (Chunk::default(), Tally::default());
    loop {
        ahead.fetch(ahead.claim(), &mut chunk);
        if !file.fill_chunk(&mut chunk, u64::MAX).expect("a capture") {
            return total;
        }
        total.frames += chunk.len() as u64;
        let records = black_box(&chunk).batches().flat_map(|batch| batch.records());
        total.bytes += records.map(|record| u64::from(record.wire_length)).sum::<u64>();
    }
}

fn capture_file(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, frames, sizes) in [("64 bytes", 500_000, Sizes::Fixed(64)), ("imix", 150_000, Sizes::Imix)] {
        let mut group = criterion.benchmark_group(format!("capture file, {name}"));
        group.throughput(Throughput::Elements(frames));
        for format in ["pcap", "pcapng"] {
            let path = directory.path().join(format!("{frames}.{format}"));
            let expected = write(&path, frames, sizes.clone());
            assert_eq!(expected.frames, frames);
            for (way, read) in [("fill", fill as fn(&Path) -> Tally), ("chunks", chunks)] {
                assert_eq!(read(&path), expected, "{way} of {format}");
                group.bench_function(BenchmarkId::new(way, format), |bench| bench.iter(|| read(&path)));
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = capture_file
}
criterion_main!(benches);
