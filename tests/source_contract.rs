//! The contract of [`wharf::source::Source`], held by one battery over the implementations that give the same frames each
//! time: capture files, read and mapped, and the synthetic source. AF_PACKET and AF_XDP, whose frames come off a wire, are
//! held to it by `tests/live`.

mod capture;

use capture::{BIG, LITTLE, rich_pcapng, small_pcap, take, take_chunks};
use std::io::{Cursor, Read, Write};
use wharf::source::{BATCH, CaptureFile, Fill, Source};

/// What every source of a fixed list of frames keeps to. `make` gives the same source each time.
fn battery<S: Source>(make: impl Fn() -> S) {
    let expected = take(&mut make(), BATCH);
    assert!(!expected.frames.is_empty(), "a battery needs frames");
    for limit in [0, 1, 2, 7, BATCH, usize::MAX] {
        let taken = take(&mut make(), limit);
        assert_eq!(taken.frames, expected.frames, "the same frames whatever the limit, here {limit}");
        assert_eq!(taken.annotations, expected.annotations, "limit {limit}");
        assert_eq!(taken.interfaces, expected.interfaces, "limit {limit}");

        let mut source = make();
        let mut interfaces = 0;
        let mut errors = 0;
        loop {
            match source.fill(limit) {
                Ok(Fill::Batch(batch)) => {
                    assert!(batch.len() <= limit.clamp(1, BATCH), "{} of {limit}", batch.len());
                    assert!(batch.interfaces().len() >= interfaces, "the list only grows");
                    interfaces = batch.interfaces().len();
                }
                Ok(Fill::Idle) => {}
                Ok(Fill::End) => break,
                Err(_) => errors += 1,
            }
        }
        assert_eq!(errors, usize::from(expected.error.is_some()));
        for _ in 0..3 {
            assert!(matches!(source.fill(limit), Ok(Fill::End)), "after the end there is only the end");
        }
        assert_eq!(source.counters().received, expected.frames.len() as u64);
    }
    for limit in [1, 7, BATCH as u64, 1000, u64::MAX] {
        let taken = take_chunks(&mut make(), limit);
        assert_eq!(taken.frames, expected.frames, "the same frames in chunks, limit {limit}");
        assert_eq!(taken.annotations, expected.annotations, "in chunks, limit {limit}");
        assert_eq!(taken.interfaces, expected.interfaces, "in chunks, limit {limit}");
        assert_eq!(taken.error.is_some(), expected.error.is_some(), "in chunks, limit {limit}");
    }
    stopped(make());
}

/// After a stop a source ends in order, and stays at its end.
fn stopped(mut source: impl Source) {
    let first = match source.fill(1) {
        Ok(Fill::Batch(batch)) => batch.len() as u64,
        _ => 0,
    };
    source.stop().unwrap();
    let mut rest = 0;
    loop {
        match source.fill(BATCH).unwrap() {
            Fill::Batch(batch) => rest += batch.len() as u64,
            Fill::Idle => {}
            Fill::End => break,
        }
    }
    assert!(matches!(source.fill(BATCH), Ok(Fill::End)));
    assert!(source.counters().received >= first + rest);
}

fn bytes(bytes: Vec<u8>) -> impl Fn() -> CaptureFile {
    move || CaptureFile::from_reader(Cursor::new(bytes.clone()), "bytes")
}

/// One byte a read: the slowest pipe there is.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = into.len().min(1);
        self.0.read(&mut into[..length])
    }
}

#[test]
fn pcap() {
    battery(bytes(small_pcap(LITTLE)));
    battery(bytes(small_pcap(BIG)));
}

#[test]
fn pcapng() {
    battery(bytes(rich_pcapng()));
}

/// More than a read takes in, and more than the least that is mapped.
fn large() -> Vec<u8> {
    let mut file = LITTLE.pcap(0xA1B2_3C4D, (2, 4), 1);
    for index in 0..3000_u32 {
        let data = vec![index as u8; (index as usize * 7) % 1500];
        file.extend(LITTLE.record((index, index), (data.len() as u32, 1500), 0, &data));
    }
    assert!(file.len() > 2 << 20);
    file
}

#[test]
fn more_frames_than_a_batch_and_than_a_read() {
    battery(bytes(large()));
}

#[test]
fn a_mapped_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.pcap");
    // Closed again: what somebody may write to is read.
    std::fs::write(&path, large()).unwrap();
    let mut source = CaptureFile::open(&path).unwrap();
    let Ok(Fill::Batch(_)) = source.fill(1) else { panic!("a frame") };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps.contains(path.to_str().unwrap());
    assert!(mapped || std::env::var("WHARF_MAP").as_deref() == Ok("off"), "{maps}");
    drop(source);
    battery(|| CaptureFile::open(&path).unwrap());
}

#[test]
fn a_byte_at_a_time() {
    battery(|| CaptureFile::from_reader(Trickle(Cursor::new(rich_pcapng())), "trickle"));
}

#[test]
fn gzip() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&rich_pcapng()).unwrap();
    let compressed = encoder.finish().unwrap();
    battery(bytes(compressed.clone()));
    battery(move || CaptureFile::from_reader(Trickle(Cursor::new(compressed.clone())), "trickle"));
}

#[test]
fn damaged() {
    let mut file = rich_pcapng();
    file.truncate(file.len() - 150);
    battery(bytes(file));
}

#[test]
fn a_file_on_disk() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rich_pcapng()).unwrap();
    battery(|| CaptureFile::open(file.path()).unwrap());
    let mut source = CaptureFile::open(file.path()).unwrap();
    take(&mut source, BATCH);
    let progress = source.progress().expect("a file knows its length");
    assert_eq!((progress.read, progress.total), (rich_pcapng().len() as u64, rich_pcapng().len() as u64));
}

#[test]
fn synthetic() {
    use wharf::source::synthetic::{Sizes, Synthetic, Traffic};
    let traffic =
        Traffic { frames: 1_000, distinct: 300, sizes: Sizes::Uniform(60..=200), ..Traffic::default() };
    battery(|| Synthetic::new(&traffic));
}
