//! However a file is read, in bulk or by steps, whole or in pieces, by one or by many: the same comes of it.

mod mapping;

use super::step::Stretch;
use super::*;
use crate::frame::Batch;
use crate::frame::pcapng::block;
use crate::source::{Chunk, ChunkSource, Fill, Source};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{Cursor, Write};

/// All that a reader brings, comparable.
#[derive(Debug, Default, PartialEq)]
struct Taken {
    /// Each record, its place left out, with its bytes and options.
    frames: Vec<(Record, Vec<u8>, Vec<u8>)>,
    annotations: Vec<Annotation>,
    interfaces: Vec<Interface>,
    error: Option<String>,
}

impl Taken {
    /// The file, or nothing and the error kept.
    fn opens(&mut self, opened: Result<CaptureFile, Error>) -> Option<CaptureFile> {
        opened.inspect_err(|error| self.fails(error)).ok()
    }

    fn frame(&mut self, record: Record, slab: &[u8]) {
        let cut = |at: u32, length: u32| slab[at as usize..][..length as usize].to_vec();
        let data = cut(record.offset, record.captured);
        let options = if record.options_length == 0 {
            Vec::new()
        } else {
            cut(record.options_offset, record.options_length)
        };
        self.frames.push((Record { offset: 0, options_offset: 0, ..record }, data, options));
    }

    fn batch(&mut self, batch: Batch<'_>) {
        for frame in batch.frames() {
            let record = Record { offset: 0, options_offset: 0, ..frame.record };
            self.frames.push((record, frame.data.to_vec(), frame.options.raw.to_vec()));
        }
        self.annotations.extend_from_slice(batch.annotations());
    }

    fn fails(&mut self, error: &Error) {
        self.error = Some(match error {
            Error::Damaged { offset, frames, reason, .. } => format!("{reason} at {offset} after {frames}"),
            Error::NotACapture { .. } => "not a capture".into(),
            other => panic!("{other}"),
        });
    }
}

/// The reference: one step after the other over all bytes.
fn step_by_step(bytes: &[u8]) -> Taken {
    let mut taken = Taken::default();
    let (mut at, mut format) = if pcapng::recognise(bytes) {
        (0, Format::PcapNg(pcapng::PcapNg::new()))
    } else if let Ok(Some(opened)) = pcap::open(bytes) {
        taken.interfaces.push(opened.interface);
        (opened.length, Format::Pcap(opened.format))
    } else {
        taken.error = Some("not a capture".into());
        return taken;
    };
    let reason = loop {
        let rest = &bytes[at..];
        let step = match &mut format {
            Format::Pcap(pcap) => pcap.step(rest),
            Format::PcapNg(pcapng) => pcapng.step(rest, &mut taken.interfaces),
            Format::Unknown => unreachable!(),
        };
        at += match step {
            Step::Packet { record, length } => {
                let number = taken.frames.len() as u64 + 1;
                taken.frame(Record { number, ..record }, rest);
                length
            }
            Step::Annotation { annotation, length } => {
                taken.annotations.push(annotation);
                length
            }
            Step::Skip { length } => length,
            Step::Need(_) if rest.is_empty() => return taken,
            Step::Need(bytes) => break format!("the file ends here, with {} of {bytes} bytes", rest.len()),
            Step::Damaged(reason) => break reason,
        };
    };
    taken.error = Some(match at {
        0 => "not a capture".into(),
        _ => format!("{reason} at {at} after {}", taken.frames.len()),
    });
    taken
}

/// By [`Source::fill`]; the lengths of the batches too.
fn filled(opened: Result<CaptureFile, Error>, limit: usize) -> (Taken, Vec<usize>) {
    let (mut taken, mut batches) = (Taken::default(), Vec::new());
    let Some(mut file) = taken.opens(opened) else { return (taken, batches) };
    loop {
        match file.fill(limit) {
            Ok(Fill::Batch(batch)) => {
                batches.push(batch.len());
                taken.batch(batch);
            }
            Ok(Fill::Idle) => {}
            Ok(Fill::End) => break,
            Err(error) => taken.fails(&error),
        }
    }
    taken.interfaces = file.interfaces().to_vec();
    (taken, batches)
}

/// By [`ChunkSource::fill_chunk`] and, `ahead` of it, so many pieces fetched, the last one first.
fn chunked(opened: Result<CaptureFile, Error>, limit: u64, ahead: usize) -> (Taken, Vec<usize>) {
    let (mut taken, mut batches) = (Taken::default(), Vec::new());
    let Some(mut file) = taken.opens(opened) else { return (taken, batches) };
    let read_ahead = file.ahead().expect("a file");
    let mut chunks: Vec<Chunk> = (0..ahead.max(1)).map(|_| Chunk::default()).collect();
    let mut more = true;
    while more {
        if ahead > 0 {
            let pieces: Vec<u64> = chunks.iter().map(|_| read_ahead.claim()).collect();
            let of_chunks = pieces.iter().zip(&mut chunks).rev();
            of_chunks.for_each(|(&piece, chunk)| read_ahead.fetch(piece, chunk));
        }
        for chunk in &mut chunks {
            match file.fill_chunk(chunk, limit) {
                Ok(goes_on) => more = goes_on,
                Err(error) => {
                    taken.fails(&error);
                    more = false;
                }
            }
            assert!(chunk.len() as u64 <= limit);
            batches.extend(chunk.batches().map(|batch| batch.len()));
            chunk.batches().for_each(|batch| taken.batch(batch));
        }
    }
    taken.interfaces = file.interfaces().to_vec();
    (taken, batches)
}

/// Every way to read `bytes` against the reference, in pieces of `size` bytes and at most `limit` frames at a time.
fn same_by_all_ways(bytes: &[u8], size: usize, limit: usize) {
    let expected = step_by_step(bytes);
    let stream = || Ok(CaptureFile::from_reader(Cursor::new(bytes.to_vec()), "bytes"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    // Nobody writes to it any more.
    let file = file.into_temp_path();
    let opened = |map| CaptureFile::of_file(File::open(&file), "file".into(), size, map);
    let (open, mapped) = (|| opened(false), || opened(true));
    // A file that is wrong from the beginning is refused before there are interfaces.
    let is = |(mut taken, _): (Taken, Vec<usize>), way: &str| {
        if expected.error.as_deref() == Some("not a capture") {
            taken.interfaces.clone_from(&expected.interfaces);
        }
        let way = format!("{way} in pieces of {size}, {limit} at a time");
        assert_eq!(taken.error, expected.error, "{way}");
        assert_eq!(taken.frames.len(), expected.frames.len(), "{way}");
        for (index, frames) in taken.frames.iter().zip(&expected.frames).enumerate() {
            assert_eq!(frames.0, frames.1, "frame {index}: {way}");
        }
        assert!(taken == expected, "{way}");
    };
    is(filled(stream(), limit), "a stream");
    is(filled(open(), limit), "a file");
    is(filled(mapped(), limit), "a file mapped");
    is(filled(mapped().map(CaptureFile::without_mapping), limit), "a file that might have been mapped");
    is(chunked(mapped(), limit as u64, 0), "chunks mapped");
    is(chunked(mapped(), limit as u64, 3), "chunks mapped ahead, limited");
    is(chunked(open(), limit as u64, 0), "chunks");
    is(chunked(open(), limit as u64, 3), "chunks fetched ahead, limited");
    let (alone, whole) = filled(open(), BATCH);
    is((alone, Vec::new()), "a file in full batches");
    for ahead in [0, 1, 4] {
        let (shared, batches) = chunked(open(), u64::MAX, ahead);
        is((shared, Vec::new()), "chunks in full");
        assert_eq!(batches, whole, "the same batches, {ahead} ahead, in pieces of {size}");
        let (shared, batches) = chunked(mapped(), u64::MAX, ahead);
        is((shared, Vec::new()), "chunks mapped in full");
        assert_eq!(batches, whole, "the same batches, {ahead} ahead, in mapped pieces of {size}");
    }
}

#[derive(Clone, Copy, Debug)]
struct Numbers {
    big_endian: bool,
}

impl Numbers {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|&word| self.u32(word)).collect()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.u32(12 + padded as u32);
        let padding = vec![0; padded - body.len()];
        [&self.u32(kind), &length, body, &padding, &length].concat()
    }
}

/// Lengths of frames: most are short, a few longer than any piece of the tests.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..200_usize, 4 => 200..1600_usize, 1 => 1600..9000_usize]
}

/// A pcap file of every kind: magic, version, byte order; fractions of a second now and then beyond it.
fn pcap_file() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop_oneof![4 => Just(0xA1B2_C3D4_u32), 2 => Just(0xA1B2_3C4D), 1 => Just(0xA1B2_CD34), 1 => Just(0x1C00_01AC)];
    let version = prop_oneof![6 => Just((2, 4)), 1 => Just((2, 3)), 1 => Just((543, 0))];
    let fraction = prop_oneof![20 => 0..1_000_000_u32, 1 => any::<u32>()];
    let records = vec((any::<u32>(), fraction, length(), 0..100_u32), 0..600);
    (any::<bool>(), magic, version, records).prop_map(|(big_endian, magic, (major, minor), records)| {
        let order = Numbers { big_endian };
        let mut file =
            [&order.u32(magic)[..], &order.u16(major), &order.u16(minor), &order.words(&[0, 0, 65_535, 1])]
                .concat();
        if magic >> 16 == 0x1C00 {
            file.extend([0; 4]);
        }
        for (second, fraction, length, more) in records {
            let (captured, wire) = (length as u32, length as u32 + more);
            let lengths = if major == 543 { [wire, captured] } else { [captured, wire] };
            file.extend(order.words(&[second, fraction, lengths[0], lengths[1]]));
            if magic == 0xA1B2_CD34 {
                file.extend([0; 8]);
            }
            file.extend(vec![second as u8; length]);
        }
        file
    })
}

/// Sections of packets of all three kinds, with and without options, and of blocks that are none.
fn pcapng_file() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![20 => Just(6), 4 => Just(3), 2 => Just(2), 1 => Just(1), 1 => Just(0xBAD), 1 => Just(99), 1 => Just(7)];
    let blocks = vec((kind, any::<u64>(), length()), 0..300);
    vec((any::<bool>(), 0..3_u8, blocks), 1..4).prop_map(|sections| {
        let mut file = Vec::new();
        for (big_endian, resolution, blocks) in sections {
            let order = Numbers { big_endian };
            let section = [
                order.words(&[0x1A2B_3C4D]),
                order.u32(if big_endian { 1 << 16 } else { 1 }).to_vec(),
                vec![0xFF; 8],
            ];
            file.extend(order.block(block::SECTION, &section.concat()));
            let resolution =
                [&order.u16(9)[..], &order.u16(1), &[[6, 9, 0x8A][usize::from(resolution)], 0, 0, 0]]
                    .concat();
            let offset = [&order.u16(14)[..], &order.u16(8), &[0; 7], &[u8::from(big_endian)]].concat();
            let interface = |options: &[u8]| {
                let fixed = [&order.u16(1)[..], &order.u16(0), &order.u32(1500)].concat();
                order.block(block::INTERFACE, &[&fixed[..], options].concat())
            };
            file.extend(interface(&resolution));
            for (kind, random, length) in blocks {
                let data = vec![random as u8; length.next_multiple_of(4)];
                let (wire, time) = (length as u32, [random as u32, (random >> 32) as u32]);
                let flags = [&order.u16(2)[..], &order.u16(4), &order.u32(random as u32)].concat();
                let options: &[u8] = if random.is_multiple_of(3) { &flags } else { &[] };
                let packet = |first: u32| {
                    [&order.words(&[first, time[0], time[1], wire, wire + 7])[..], &data, options].concat()
                };
                file.extend(match kind {
                    6 => order.block(block::ENHANCED_PACKET, &packet(0)),
                    2 => order.block(block::PACKET, &packet(0)),
                    3 => {
                        let kept = length.min(1500).next_multiple_of(4);
                        order.block(block::SIMPLE_PACKET, &[&order.u32(wire)[..], &data[..kept]].concat())
                    }
                    1 => interface(&offset),
                    0xBAD => order.block(block::CUSTOM, &[&order.u32(32_473)[..], &data].concat()),
                    // Its end is written without the padding: read all the same, but not in bulk.
                    7 => {
                        let mut odd = order.block(block::ENHANCED_PACKET, &packet(0));
                        let length = odd.len() as u32 - 3;
                        odd[4..8].copy_from_slice(&order.u32(length));
                        odd
                    }
                    _ => order.block(kind, &data),
                });
            }
        }
        file
    })
}

/// A few bytes changed, and perhaps the end cut off.
fn damage(mut file: Vec<u8>, changes: Vec<(usize, u8)>, cut: Option<usize>) -> Vec<u8> {
    for (at, value) in changes {
        let at = at % file.len().max(1);
        if let Some(byte) = file.get_mut(at) {
            *byte = value;
        }
    }
    if let Some(cut) = cut {
        file.truncate(cut % (file.len() + 1));
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_ways_to_read_bring_the_same(
        file in prop_oneof![pcap_file(), pcapng_file()],
        size in prop_oneof![64..300_usize, 2000..5000_usize, Just(1 << 16)],
        limit in prop_oneof![1..20_usize, Just(256)],
    ) {
        same_by_all_ways(&file, size, limit);
    }

    #[test]
    fn damage_is_the_same_by_all_ways(
        file in prop_oneof![pcap_file(), pcapng_file()],
        changes in vec((any::<usize>(), any::<u8>()), 0..4),
        cut in proptest::option::of(any::<usize>()),
        size in prop_oneof![64..300_usize, 2000..5000_usize, Just(1 << 16)],
        limit in prop_oneof![1..20_usize, Just(256)],
    ) {
        same_by_all_ways(&damage(file, changes, cut), size, limit);
    }
}

#[test]
fn the_usual_is_taken_in_bulk() {
    // Otherwise the comparisons above would be of steps with steps.
    for big_endian in [false, true] {
        let order = Numbers { big_endian };
        let record = order.words(&[1, 2, 4, 4, 0]);
        let file =
            [&order.words(&[0xA1B2_C3D4])[..], &order.u16(2), &order.u16(4), &order.words(&[0, 0, 0, 1])]
                .concat();
        let Ok(Some(opened)) = pcap::open(&file) else { panic!("a header") };
        let slab = record.repeat(10);
        let mut records = Vec::new();
        let stretch = Stretch { slab: &slab, range: 0..slab.len(), room: 7, number: 3 };
        assert_eq!(opened.format.walk(stretch, &mut records), 7 * record.len());
        assert_eq!((records[0].number, records[6].number, records[6].offset), (4, 10, 6 * 20 + 16));
    }
}

#[test]
fn a_file_that_grows_is_read_on() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let order = Numbers { big_endian: false };
    file.write_all(&order.words(&[0xA1B2_C3D4, 0x0004_0002, 0, 0, 0, 1])).unwrap();
    let record = order.words(&[1, 2, 4, 4, 0]);
    file.write_all(&record.repeat(30)).unwrap();
    let mut source = CaptureFile::of_file(File::open(file.path()), "file".into(), 256, true).unwrap();
    let ahead = source.ahead().unwrap();
    let mut chunks: Vec<Chunk> = (0..8).map(|_| Chunk::default()).collect();
    // Fetched while the file ends in the third piece.
    chunks.iter_mut().for_each(|chunk| ahead.fetch(ahead.claim(), chunk));
    file.write_all(&record.repeat(50)).unwrap();
    let mut frames = 0;
    for chunk in &mut chunks {
        source.fill_chunk(chunk, u64::MAX).unwrap();
        frames += chunk.len();
    }
    assert_eq!(frames, 80);
}

#[test]
fn standard_input_begins_where_it_is() {
    use std::io::{Seek, SeekFrom};
    let order = Numbers { big_endian: false };
    let header = order.words(&[0xA1B2_C3D4, 0x0004_0002, 0, 0, 0, 1]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(
        &[&b"read by somebody else"[..], &header, &order.words(&[1, 2, 4, 4, 0]).repeat(3)].concat(),
    )
    .unwrap();
    file.seek(SeekFrom::Start(21)).unwrap();
    let (taken, _) = filled(CaptureFile::of_file(Ok(file), "file".into(), 4096, false), 256);
    assert_eq!((taken.frames.len(), taken.error), (3, None));
}
