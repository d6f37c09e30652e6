//! Reading capture files: variants, damage, pipes, compression.

mod capture;

use capture::{BIG, Bytes, LITTLE, read_bytes, rich_pcapng, small_pcap};
use std::io::Write;
use wharf::frame::{Direction, LinkType, Timestamp};
use wharf::source::{CaptureFile, Error, Fill, Source};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One packet through a pcap header: its time, lengths and bytes.
fn one(
    order: Bytes,
    magic: u32,
    version: (u16, u16),
    lengths: (u32, u32),
    extra: usize,
) -> (String, u32, Vec<u8>) {
    let mut file = order.pcap(magic, version, 1);
    if magic >> 16 == 0x1C00 {
        file.extend([0; 4]);
    }
    file.extend(order.record((1, 500), lengths, extra, b"abcdef"));
    let taken = read_bytes(&file);
    assert!(taken.error.is_none(), "{:?}", taken.error);
    let frame = &taken.frames[0];
    (frame.time.unwrap().to_string(), frame.wire_length, frame.data.clone())
}

#[test]
fn pcap_variants() {
    let data = b"abcdef".to_vec();
    let (us, ns) = ("1.000500000".to_owned(), "1.000000500".to_owned());
    for order in [LITTLE, BIG] {
        assert_eq!(one(order, 0xA1B2_C3D4, (2, 4), (6, 99), 0), (us.clone(), 99, data.clone()));
        assert_eq!(one(order, 0xA1B2_3C4D, (2, 4), (6, 99), 0), (ns.clone(), 99, data.clone()));
        assert_eq!(one(order, 0xA1B2_CD34, (2, 4), (6, 99), 8), (us.clone(), 99, data.clone()));
        assert_eq!(one(order, 0x1C00_01AC, (2, 4), (6, 99), 0), (ns.clone(), 99, data.clone()));
        assert_eq!(one(order, 0x1C00_01AB, (2, 4), (6, 99), 0), (us.clone(), 99, data.clone()));
        // The lengths the other way round: before 2.3, in 543.0, and by the look of it in 2.3.
        for version in [(2, 2), (543, 0), (2, 3)] {
            assert_eq!(one(order, 0xA1B2_C3D4, version, (99, 6), 0), (us.clone(), 99, data.clone()));
        }
        assert_eq!(one(order, 0xA1B2_C3D4, (2, 3), (6, 99), 0), (us.clone(), 99, data.clone()));
    }
}

#[test]
fn the_early_patch_with_28_bytes_of_record_header_is_told_by_the_second_record() {
    for extra in [8, 12] {
        let mut file = LITTLE.pcap(0xA1B2_CD34, (2, 4), 1);
        for _ in 0..3 {
            file.extend(LITTLE.record((1_700_000_000, 999_999), (6, 6), extra, b"abcdef"));
        }
        let taken = read_bytes(&file);
        assert!(taken.error.is_none() && taken.frames.len() == 3, "{:?}", taken.error);
        assert!(taken.frames.iter().all(|frame| frame.data == b"abcdef"));
    }
}

#[test]
fn link_type_field() {
    let file = |network| {
        let mut file = LITTLE.pcap(0xA1B2_C3D4, (2, 4), network);
        file.extend(LITTLE.record((1, 0), (1, 1), 0, b"x"));
        read_bytes(&file)
    };
    let taken = file(0x2400_0001);
    assert_eq!((taken.frames[0].link_type, taken.interfaces[0].fcs_length), (LinkType::ETHERNET, Some(4)));
    // Without bit 26 the upper bits mean nothing.
    assert_eq!(file(0x3000_0001).interfaces[0].fcs_length, None);
    assert!(matches!(file(0x0001_0001).error, Some(Error::NotACapture { .. })));
}

#[test]
fn a_captured_length_beyond_the_snap_length_is_read_beyond_the_format_is_damage() {
    let mut file = LITTLE.pcap(0xA1B2_C3D4, (2, 4), 1);
    let data = vec![7; 262_144];
    file.extend(LITTLE.record((1, 0), (262_144, 262_144), 0, &data));
    let good = file.len() as u64;
    file.extend(LITTLE.record((1, 0), (262_145, 262_145), 0, &data));
    let taken = read_bytes(&file);
    assert_eq!(taken.frames.len(), 1);
    match taken.error {
        Some(Error::Damaged { offset, frames, reason, .. }) => {
            assert_eq!((offset, frames), (good, 1));
            assert!(reason.contains("262145"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // D-Bus messages may be larger.
    let mut file = LITTLE.pcap(0xA1B2_C3D4, (2, 4), 231);
    let data = vec![7; 3 << 20];
    file.extend(LITTLE.record((1, 0), (3 << 20, 3 << 20), 0, &data));
    assert_eq!(read_bytes(&file).frames[0].data, data);
}

#[test]
fn a_whole_second_or_more_in_the_microseconds_is_carried() {
    let mut file = LITTLE.pcap(0xA1B2_C3D4, (2, 4), 1);
    file.extend(LITTLE.record((u32::MAX, 4_294_967_295), (0, 0), 0, b""));
    let time = Timestamp::new(i64::from(u32::MAX) + 4294, 967_295_000);
    assert_eq!(read_bytes(&file).frames[0].time, Some(time));
}

#[test]
fn pcapng_with_everything_in_it() {
    let taken = read_bytes(&rich_pcapng());
    assert!(taken.error.is_none(), "{:?}", taken.error);
    assert_eq!(taken.frames.len(), 6);
    let sections: Vec<u32> = taken.interfaces.iter().map(|interface| interface.section).collect();
    assert_eq!(sections, [0, 0, 1, 1]);
    assert_eq!(taken.interfaces[2].name.as_deref(), Some("eth0"));
    for (index, section) in taken.frames.chunks(3).enumerate() {
        let first = 2 * index as u32;
        let [epb, pb, spb] = section else { unreachable!() };
        assert_eq!((epb.data.as_slice(), epb.wire_length, epb.interface), (&b"one"[..], 100, first));
        assert_eq!(epb.time, Some(Timestamp::new(5, 1000)));
        assert_eq!((epb.direction, epb.comments.as_slice()), (Direction::In, &["hello".to_owned()][..]));
        assert!(epb.offload.checksum_not_ready && epb.offload.checksum_valid && epb.offload.segmented);
        assert_eq!((pb.data.as_slice(), pb.interface), (&b"three bytes"[..], first + 1));
        assert_eq!(pb.time, Some(Timestamp::new(1002, 3)));
        assert_eq!(pb.link_type, LinkType::LINUX_SLL);
        assert_eq!((spb.data.as_slice(), spb.time, spb.interface), (&b"spb.."[..], None, first));
    }
    // Secrets, custom, names; the same in both byte orders but for the section they are in.
    let kinds: Vec<u32> = taken.annotations.iter().map(|annotation| annotation.kind).collect();
    assert_eq!(kinds, [10, 0xBAD, 4, 10, 0xBAD, 4]);
    for (one, other) in taken.annotations.iter().zip(&taken.annotations[3..]) {
        assert_eq!((one.section, other.section), (0, 1));
        assert_eq!(one.body, other.body, "numbers are little-endian, whatever they were");
    }
}

#[test]
fn annotations_stand_before_the_first_frame_of_their_batch() {
    let mut file = CaptureFile::from_reader(std::io::Cursor::new(rich_pcapng()), "bytes");
    let mut order = Vec::new();
    while let Fill::Batch(batch) = file.fill(256).unwrap() {
        order.extend(batch.annotations().iter().map(|annotation| format!("{:x}", annotation.kind)));
        order.extend(batch.frames().map(|frame| frame.record.number.to_string()));
    }
    assert_eq!(order, ["a", "1", "bad", "2", "3", "4", "a", "4", "bad", "5", "6", "4"]);
}

#[test]
fn a_simple_packet_is_cut_at_the_snap_length() {
    let mut file = LITTLE.section();
    file.extend(LITTLE.interface(1, 5, &[]));
    file.extend(LITTLE.simple(100, b"12345"));
    let frame = &read_bytes(&file).frames[0];
    assert_eq!((frame.data.as_slice(), frame.wire_length), (&b"12345"[..], 100));
}

#[test]
fn damage_in_a_pcapng_file_is_found_and_named() {
    let good = [LITTLE.section(), LITTLE.interface(1, 0, &[]), LITTLE.enhanced(0, 1, b"ok", 2, &[])].concat();
    let damaged = |block: Vec<u8>, reason: &str| {
        let taken = read_bytes(&[good.clone(), block].concat());
        assert_eq!(taken.frames.len(), 1);
        match taken.error {
            Some(Error::Damaged { offset, frames: 1, reason: found, .. }) => {
                assert_eq!(offset, good.len() as u64);
                assert!(found.contains(reason), "{found} is not about {reason}");
            }
            other => panic!("{reason}: {other:?}"),
        }
    };
    damaged(LITTLE.enhanced(1, 1, b"x", 1, &[]), "interface 1");
    damaged(LITTLE.block(6, &[0; 8]), "packet block of 8");
    damaged(LITTLE.block(1, &[0; 4]), "interface description");
    let mut long = LITTLE.enhanced(0, 1, b"x", 1, &[]);
    long[20] = 200;
    damaged(long, "200 bytes of packet");
    let mut trailer = LITTLE.enhanced(0, 1, b"x", 1, &[]);
    *trailer.last_mut().unwrap() = 1;
    damaged(trailer, "differ");
    damaged(vec![6, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0], "8 bytes long");
    damaged(vec![6, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0, 0, 0], "2147483647 bytes long");
    damaged(LITTLE.enhanced(0, 1, b"x", 1, &[1, 0, 100, 0]), "option 1");
    damaged(LITTLE.simple(100, b"short"), "simple packet");
    damaged(LITTLE.section()[..20].to_vec(), "ends here, with 20 of 28");
    damaged(LITTLE.block(0x0A0D_0D0A, &[0; 16]), "byte-order magic");
    damaged(LITTLE.block(10, &[0, 0, 0, 0, 99, 0, 0, 0]), "contents longer");
}

/// Cut anywhere, a file gives every packet that is whole, then one error, unless the cut is between records.
fn cut_everywhere(file: &[u8]) {
    let whole = read_bytes(file);
    assert!(whole.error.is_none());
    let mut counts = Vec::new();
    for length in 0..file.len() {
        let taken = read_bytes(&file[..length]);
        let count = taken.frames.len();
        assert_eq!(taken.frames, whole.frames[..count], "cut at {length}");
        assert!(counts.last().is_none_or(|last| count == *last || count == last + 1), "cut at {length}");
        match &taken.error {
            Some(Error::Damaged { offset, frames, .. }) => {
                assert_eq!(*frames, count as u64);
                assert!(*offset < length as u64);
            }
            Some(Error::NotACapture { .. }) => assert_eq!(count, 0),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        counts.push(count);
    }
    let clean = (0..file.len()).filter(|length| read_bytes(&file[..*length]).error.is_none()).count();
    assert!(clean < 40, "only cuts between records are no damage, {clean} were none");
}

#[test]
fn cut_at_every_byte() {
    cut_everywhere(&small_pcap(LITTLE));
    cut_everywhere(&small_pcap(BIG));
    cut_everywhere(&rich_pcapng());
}

#[test]
fn every_byte_replaced_is_read_or_refused_without_panic() {
    for file in [small_pcap(LITTLE), rich_pcapng()] {
        for at in 0..file.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut file = file.clone();
                file[at] = value;
                read_bytes(&file);
            }
        }
    }
}

#[test]
fn what_is_no_capture_is_refused_with_a_reason() {
    let refused = |bytes: &[u8], expected: &str| match read_bytes(bytes).error {
        Some(Error::NotACapture { reason, .. }) => {
            assert!(reason.contains(expected), "{reason} does not say {expected}");
        }
        other => panic!("{expected}: {other:?}"),
    };
    refused(b"", "empty");
    refused(b"abc", "3 of 4 bytes");
    refused(b"GET / HTTP/1.1\r\n", "47 45 54 20");
    refused(b"snoop\0\0\0\0\0\0\x02", "snoop");
    refused(b"BZh91AY&SY", "bzip2");
    refused(b"\xFD7zXZ\0", "xz");
    refused(b"\x04\x22\x4D\x18dd", "lz4");
    #[cfg(not(feature = "zstd"))]
    refused(b"\x28\xB5\x2F\xFD\x04\0", "--features zstd");
    refused(&LITTLE.pcap(0xA1B2_C3D4, (1, 4), 1), "version 1.4");
    refused(&LITTLE.pcap(0xA1B2_C3D4, (2, 4), 1)[..20], "20 of 24");
    let mut version = LITTLE.section();
    version[12] = 2;
    refused(&version, "version 2.0");
    refused(&gzip(b"nothing of the kind"), "6e 6f 74 68");
    refused(&gzip(&gzip(b"x")), "twice");
    refused(&gzip(b"snoop\0")[..12], "compressed data");
}

#[test]
fn a_missing_file_and_a_directory_are_errors_of_the_system() {
    assert!(matches!(CaptureFile::open("/nonexistent/file.pcap"), Err(Error::Io { .. })));
    assert!(matches!(CaptureFile::open("/"), Err(Error::Io { .. })));
}

#[test]
fn gzip_of_several_members() {
    let file = rich_pcapng();
    let (one, other) = file.split_at(333);
    let taken = read_bytes(&[gzip(one), gzip(other)].concat());
    assert!(taken.error.is_none() && taken.frames.len() == 6);
}

#[test]
fn damaged_gzip_gives_what_came_before() {
    let mut file = LITTLE.pcap(0xA1B2_C3D4, (2, 4), 1);
    for index in 0..5000_u32 {
        let data: Vec<u8> = (0..100_u32).map(|byte| ((byte * index) >> 3) as u8).collect();
        file.extend(LITTLE.record((index, 0), (100, 100), 0, &data));
    }
    let compressed = gzip(&file);
    let taken = read_bytes(&compressed[..compressed.len() / 2]);
    assert!(taken.frames.len() > 1000);
    assert!(
        matches!(&taken.error, Some(Error::Damaged { reason, .. }) if reason.contains("ends early")),
        "{:?}",
        taken.error
    );
}

/// The trailer is the last eight bytes of it, and a member behind another may be cut anywhere.
#[test]
fn gzip_that_is_cut_ends_early_wherever_that_is() {
    let ends_early = |bytes: &[u8]| {
        let taken = read_bytes(bytes);
        let reason = match taken.error {
            Some(Error::Damaged { reason, .. }) => reason,
            other => panic!("{} bytes: {other:?}", bytes.len()),
        };
        assert_eq!(reason, "the compressed data ends early", "{} bytes", bytes.len());
        taken.frames.len()
    };
    let file = rich_pcapng();
    let compressed = gzip(&file);
    for cut in 1..=20 {
        let frames = ends_early(&compressed[..compressed.len() - cut]);
        assert!(cut > 8 || frames == 6, "{cut}: {frames}");
    }
    let (one, other) = file.split_at(333);
    let (one, other) = (gzip(one), gzip(other));
    for length in 1..other.len() {
        ends_early(&[&one, &other[..length]].concat());
    }
    for byte in 1..=8 {
        let mut wrong = compressed.clone();
        let at = wrong.len() - byte;
        wrong[at] ^= 1;
        let error = read_bytes(&wrong).error;
        let is_wrong = |reason: &str| reason.contains("is damaged: ") && reason.contains("checksum");
        assert!(
            matches!(&error, Some(Error::Damaged { reason, .. }) if is_wrong(reason)),
            "{byte}: {error:?}"
        );
    }
}

/// Wherever it is, also in the first call that decompresses, and of whatever kind.
#[test]
fn damage_within_gzip_loses_nothing_before_it() {
    let mut file = LITTLE.pcap(0xA1B2_C3D4, (2, 4), 1);
    for index in 0..200_u32 {
        let data: Vec<u8> = (0..100_u32).map(|byte| ((byte * index) >> 3) as u8).collect();
        file.extend(LITTLE.record((index, 0), (100, 100), 0, &data));
    }
    let whole = gzip(&file);
    for at in (1..=9).map(|tenth| whole.len() * tenth / 10) {
        let mut compressed = whole.clone();
        compressed[at..at + 8].iter_mut().for_each(|byte| *byte ^= 0xFF);
        // A byte at a time, nothing that was decompressed is lost.
        let mut decoder = flate2::read::MultiGzDecoder::new(compressed.as_slice());
        let mut plain = Vec::new();
        let mut byte = [0];
        while let Ok(1) = std::io::Read::read(&mut decoder, &mut byte) {
            plain.push(byte[0]);
        }
        let (taken, expected) = (read_bytes(&compressed), read_bytes(&plain));
        assert!(taken.error.is_some(), "damage at {at} is told");
        assert_eq!(taken.frames.len(), expected.frames.len(), "damage at {at}");
    }
    let mut compressed = whole.clone();
    *compressed.last_mut().unwrap() ^= 1;
    let taken = read_bytes(&compressed);
    assert!(taken.error.is_some() && taken.frames.len() == 200, "a wrong length in the trailer");
    let taken = read_bytes(&whole[..whole.len() - 3]);
    assert!(taken.error.is_some() && taken.frames.len() == 200, "a cut trailer");
    let taken = read_bytes(&[whole.as_slice(), &[0; 20]].concat());
    assert!(taken.error.is_some() && taken.frames.len() == 200, "what is no member behind one");
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_frames_and_skippable_ones() {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    let file = rich_pcapng();
    let (one, other) = file.split_at(333);
    let mut bytes = compress_to_vec(one, CompressionLevel::Fastest);
    bytes.extend([0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    bytes.extend(compress_to_vec(other, CompressionLevel::Fastest));
    let taken = read_bytes(&bytes);
    assert!(taken.error.is_none() && taken.frames.len() == 6, "{:?}", taken.error);
    let cut = read_bytes(&bytes[..bytes.len() - 5]);
    assert!(cut.error.is_some() && cut.frames.len() < 6);
}

/// Through a named pipe: each packet is there as soon as it was written, and silence is no end.
#[test]
fn a_pipe_that_is_still_being_written() {
    for compressed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let (go, gone) = std::sync::mpsc::channel();
        let to = path.clone();
        let writer = std::thread::spawn(move || {
            let pipe = std::fs::OpenOptions::new().write(true).open(to).unwrap();
            let mut out: Box<dyn Write> = match compressed {
                true => Box::new(flate2::write::GzEncoder::new(pipe, flate2::Compression::fast())),
                false => Box::new(pipe),
            };
            let file = small_pcap(LITTLE);
            // The header, then record by record.
            let ends = [24, 40, 66, 102, 148, file.len()];
            let mut at = 0;
            for end in ends {
                gone.recv().unwrap();
                out.write_all(&file[at..end]).unwrap();
                out.flush().unwrap();
                at = end;
            }
            drop(out);
        });
        let mut source = CaptureFile::open(&path).unwrap();
        assert!(matches!(source.fill(256), Ok(Fill::Idle)), "nothing was written yet");
        let mut frames = 0;
        for written in 0..6 {
            go.send(()).unwrap();
            if written > 0 {
                loop {
                    match source.fill(256).unwrap() {
                        Fill::Batch(batch) => break frames += batch.len(),
                        Fill::Idle => {}
                        Fill::End => panic!("the pipe is still open"),
                    }
                }
            }
            assert_eq!(frames, written, "as soon as it is written");
        }
        drop(go);
        writer.join().unwrap();
        while !matches!(source.fill(256), Ok(Fill::End)) {}
    }
}
