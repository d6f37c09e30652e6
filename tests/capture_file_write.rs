//! Writing capture files: what was read is what is written, in every variant; rotation; failures.

mod capture;
#[path = "support/oracles.rs"]
mod oracles;

use capture::{BIG, Frames, LITTLE, Taken, blocks, copy, deliver, read, read_bytes, rich_pcapng};
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use proptest::prelude::*;
use std::io::Cursor;
use std::path::Path;
use wharf::frame::pcapng::block;
use wharf::frame::{Direction, Interface, InterfaceId, LinkType, Offload, Record, Timestamp};
use wharf::sink::{CaptureFileOptions, CaptureFileWriter, Error, InterfaceStatistics, PcapPrecision, Sink};
use wharf::source::CaptureFile;

fn write(frames: &Frames, options: CaptureFileOptions, path: &Path) {
    let mut writer = options.interfaces(&frames.interfaces).create(path).unwrap();
    frames.batches().for_each(|batch| deliver(batch, &mut writer).unwrap());
    writer.finish(&[]).unwrap();
    assert_eq!(writer.packets(), frames.records.len() as u64);
}

fn options() -> CaptureFileOptions {
    CaptureFileWriter::options()
}

/// A packet as another reader finds it: time in nanoseconds (pcapng only), length on the wire, bytes.
type Found = (Option<u64>, u32, Vec<u8>);

/// All packets of a file, or `None` where the other reader cannot read it whole.
fn oracle(path: &Path) -> Option<Vec<Found>> {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = create_reader(1 << 21, file).ok()?;
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::Legacy(record) => {
                        packets.push((None, record.origlen, record.data[..record.caplen as usize].to_vec()));
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(epb)) => {
                        let units = (u64::from(epb.ts_high) << 32) | u64::from(epb.ts_low);
                        packets.push((Some(units), epb.origlen, epb.data[..epb.caplen as usize].to_vec()));
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(spb)) => {
                        let length = spb.data.len().min(spb.origlen as usize);
                        packets.push((None, spb.origlen, spb.data[..length].to_vec()));
                    }
                    PcapBlockOwned::NG(Block::Unknown(unknown)) if unknown.block_type == block::PACKET => {
                        return None;
                    }
                    _ => {}
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => return Some(packets),
            Err(PcapError::Incomplete(_)) => reader.refill().ok()?,
            Err(_) => return None,
        }
    }
}

fn any_frames() -> impl Strategy<Value = Frames> {
    let frame = (
        proptest::collection::vec(any::<u8>(), 0..300),
        any::<u32>(),
        (any::<u32>(), 0_u32..1_000_000_000),
        0_u32..4,
        (0_u8..3, any::<[bool; 3]>()),
        proptest::option::of("[ -~]{0,20}"),
    );
    (proptest::collection::vec(frame, 0..40), 1_u32..3).prop_map(|(list, sections)| {
        let mut frames = Frames::default();
        for index in 0..4 {
            frames.interfaces.push(Interface {
                name: (index > 0).then(|| format!("if{index}")),
                description: (index > 1).then(|| "an interface".to_owned()),
                filter: (index > 2).then(|| "tcp port 80".to_owned()),
                os: (index == 1).then(|| "Linux".to_owned()),
                link_type: LinkType::ETHERNET,
                snap_length: index * 100_000,
                fcs_length: (index == 2).then_some(4),
                section: index * sections / 4,
            });
        }
        // Sections come in order in a file.
        let mut list = list;
        list.sort_by_key(|frame| frames.interfaces[frame.3 as usize].section);
        for (data, more, (seconds, nanos), interface, (direction, offload), comment) in list {
            let offset = frames.slab.len() as u32;
            frames.slab.extend_from_slice(&data);
            let options_offset = frames.slab.len() as u32;
            if let Some(comment) = &comment {
                frames.slab.extend(BIG.option(1, comment.as_bytes()));
            }
            frames.records.push(Record {
                offset,
                captured: data.len() as u32,
                wire_length: (data.len() as u32).saturating_add(more),
                interface: InterfaceId(interface),
                number: frames.records.len() as u64 + 1,
                time: Some(Timestamp::new(i64::from(seconds), nanos)),
                link_type: LinkType::ETHERNET,
                direction: [Direction::Unknown, Direction::In, Direction::Out][usize::from(direction)],
                offload: Offload {
                    checksum_not_ready: offload[0],
                    checksum_valid: offload[1],
                    segmented: offload[2],
                    ..Offload::default()
                },
                options_big_endian: true,
                options_offset,
                options_length: frames.slab.len() as u32 - options_offset,
            });
        }
        frames
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(frames in any_frames()) {
        let directory = tempfile::tempdir().unwrap();
        let find = |record: &Record, taken: &Taken| {
            let kept = &taken.frames[record.number as usize - 1];
            let data = &frames.slab[record.offset as usize..][..record.captured as usize];
            assert_eq!(kept.data, data);
            assert_eq!((kept.wire_length, kept.link_type), (record.wire_length, record.link_type));
            kept.clone()
        };
        for name in ["a.pcapng", "a.pcapng.gz"] {
            let path = directory.path().join(name);
            write(&frames, options(), &path);
            let taken = read(&path);
            prop_assert!(taken.error.is_none());
            prop_assert_eq!(&taken.interfaces, &frames.interfaces);
            for record in &frames.records {
                let kept = find(record, &taken);
                prop_assert_eq!(kept.time, record.time);
                prop_assert_eq!(kept.interface, record.interface.0);
                prop_assert_eq!((kept.direction, kept.offload), (record.direction, record.offload));
                prop_assert_eq!(kept.comments.len(), usize::from(record.options_length > 0));
            }
        }
        let other = oracle(&directory.path().join("a.pcapng")).expect("another reader reads it");
        prop_assert_eq!(other.len(), frames.records.len());
        for ((units, wire_length, data), record) in other.iter().zip(&frames.records) {
            let time = record.time.unwrap();
            prop_assert_eq!(*units, Some(time.seconds as u64 * 1_000_000_000 + u64::from(time.nanos)));
            prop_assert_eq!(*wire_length, record.wire_length);
            prop_assert_eq!(data, &frames.slab[record.offset as usize..][..record.captured as usize]);
        }

        for (name, precision, unit) in
            [("n.pcap", PcapPrecision::Nanos, 1), ("u.pcap.gz", PcapPrecision::Micros, 1000)]
        {
            let path = directory.path().join(name);
            write(&frames, options().precision(precision), &path);
            let taken = read(&path);
            prop_assert!(taken.error.is_none());
            for record in &frames.records {
                let time = record.time.unwrap();
                let cut = Timestamp::new(time.seconds, time.nanos / unit * unit);
                prop_assert_eq!(find(record, &taken).time, Some(cut));
            }
        }
        let other = oracle(&directory.path().join("n.pcap")).expect("another reader reads it");
        prop_assert_eq!(other.len(), frames.records.len());
    }
}

#[test]
fn a_copy_has_everything_that_may_be_copied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.pcapng");
    let mut source = CaptureFile::from_reader(Cursor::new(rich_pcapng()), "bytes");
    copy(&mut source, &mut CaptureFileWriter::create(&path).unwrap());
    let (original, copied) = (read_bytes(&rich_pcapng()), read(&path));
    assert!(copied.error.is_none(), "{:?}", copied.error);
    assert_eq!(copied.frames, original.frames);
    assert_eq!(copied.annotations, original.annotations);
    assert_eq!(copied.interfaces, original.interfaces);

    let kinds: Vec<u32> = blocks(&std::fs::read(&path).unwrap()).iter().map(|(kind, _)| *kind).collect();
    let section = |statistics: &[u32]| {
        let mut kinds =
            vec![block::SECTION, block::SECRETS, block::INTERFACE, 6, 0xBAD, block::INTERFACE, 6, 3, 4];
        kinds.extend(statistics);
        kinds
    };
    // The names of the first section stand before its statistics, which come when it ends.
    assert_eq!(kinds, [section(&[5, 5]), section(&[5, 5])].concat());
    // A copy of the copy is the same file.
    let again = directory.path().join("again.pcapng");
    copy(&mut CaptureFile::open(&path).unwrap(), &mut CaptureFileWriter::create(&again).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
}

#[test]
fn packet_options_are_copied_with_their_numbers_turned() {
    let mut options = BIG.option(1, b"comment");
    options.extend(BIG.option(2, &0x0005_0081_u32.to_be_bytes()));
    options.extend(BIG.option(3, &[2, 1, 2, 3, 4]));
    options.extend(BIG.option(4, &7_u64.to_be_bytes()));
    options.extend(BIG.option(6, &8_u32.to_be_bytes()));
    options.extend(BIG.option(7, &[1, 0, 0, 0, 0, 0, 0, 0, 9]));
    options.extend(BIG.option(2988, b"\0\0\x7E\xD9text"));
    options.extend(BIG.option(19372, b"\0\0\x7E\xD9secret"));
    let file = [BIG.section(), BIG.interface(1, 0, &[]), BIG.enhanced(0, 1, b"x", 1, &options)].concat();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcapng");
    let mut source = CaptureFile::from_reader(Cursor::new(file), "bytes");
    copy(&mut source, &mut CaptureFileWriter::create(&path).unwrap());

    let mut expected = LITTLE.option(1, b"comment");
    expected.extend(LITTLE.option(2, &0x0005_0081_u32.to_le_bytes()));
    expected.extend(LITTLE.option(3, &[2, 1, 2, 3, 4]));
    expected.extend(LITTLE.option(4, &7_u64.to_le_bytes()));
    expected.extend(LITTLE.option(6, &8_u32.to_le_bytes()));
    expected.extend(LITTLE.option(7, &[1, 9, 0, 0, 0, 0, 0, 0, 0]));
    expected.extend(LITTLE.option(2988, b"\xD9\x7E\0\0text"));
    expected.extend([0; 4]);
    let blocks = blocks(&std::fs::read(&path).unwrap());
    let (_, packet) = blocks.iter().find(|(kind, _)| *kind == block::ENHANCED_PACKET).unwrap();
    assert_eq!(packet[24..], expected);
}

#[test]
fn statistics_and_comment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcapng");
    let mut writer = options().comment("why it was taken").create(&path).unwrap();
    deliver(Frames::many(10).batches().next().unwrap(), &mut writer).unwrap();
    writer.finish(&[InterfaceStatistics { received: 12, dropped: 2, ..Default::default() }]).unwrap();
    let blocks = blocks(&std::fs::read(&path).unwrap());
    let section = &blocks[0].1;
    assert!(section.windows(16).any(|text| text == b"why it was taken"));
    assert!(section.windows(6).any(|text| text == b"wharf "));
    let (kind, statistics) = blocks.last().unwrap();
    assert_eq!(*kind, block::STATISTICS);
    let start = 1_700_000_000_000_000_001_u64;
    let end = 1_700_000_009_000_000_010_u64;
    let halves = |time: u64| [((time >> 32) as u32).to_le_bytes(), (time as u32).to_le_bytes()].concat();
    let mut expected = [vec![0; 4], halves(end)].concat();
    expected.extend(LITTLE.option(2, &halves(start)));
    expected.extend(LITTLE.option(3, &halves(end)));
    expected.extend(LITTLE.option(4, &12_u64.to_le_bytes()));
    expected.extend(LITTLE.option(5, &2_u64.to_le_bytes()));
    expected.extend([0; 4]);
    assert_eq!(*statistics, expected);
}

#[test]
fn times_far_from_1970_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    for seconds in [-1, -20_000_000_000, 18_446_744_074, 3_000_000_000_000] {
        let path = directory.path().join("a.pcapng");
        let mut frames = Frames::ethernet();
        frames.push(b"x", Timestamp::new(seconds, 999_999_999));
        frames.push(b"y", Timestamp::new(seconds + 1, 1));
        write(&frames, options(), &path);
        let times: Vec<_> = read(&path).frames.iter().map(|frame| frame.time.unwrap()).collect();
        assert_eq!(times, [Timestamp::new(seconds, 999_999_999), Timestamp::new(seconds + 1, 1)]);

        let mut pcap = CaptureFileWriter::create(directory.path().join("a.pcap")).unwrap();
        let error = deliver(frames.batches().next().unwrap(), &mut pcap).unwrap_err();
        assert!(matches!(&error, Error::Format { reason, .. } if reason.contains(".pcapng")), "{error}");
    }
}

#[test]
fn a_second_link_type_does_not_fit_into_pcap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcap");
    let mut frames = Frames::many(3);
    frames.records[2].link_type = LinkType::LINUX_SLL;
    let mut writer = CaptureFileWriter::create(&path).unwrap();
    let error = deliver(frames.batches().next().unwrap(), &mut writer).unwrap_err().to_string();
    assert!(
        error.contains("LINUX_SLL") && error.contains("ETHERNET") && error.contains(".pcapng"),
        "{error}"
    );
    writer.finish(&[]).unwrap();
    assert_eq!(read(&path).frames.len(), 2, "what came before is kept, and readable");
}

#[test]
fn snap_length() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.pcap", "a.pcapng"] {
        let path = directory.path().join(name);
        write(&Frames::many(5), options().snap_length(10), &path);
        let taken = read(&path);
        assert!(taken.frames.iter().all(|frame| frame.data.len() == 10 && frame.wire_length >= 60));
        assert_eq!(taken.interfaces[0].snap_length, 10);
    }
}

#[test]
fn an_empty_file_knows_its_interfaces() {
    let directory = tempfile::tempdir().unwrap();
    let interfaces = [Interface { link_type: LinkType::RAW, ..Interface::default() }];
    for name in ["a.pcap", "a.pcapng"] {
        let path = directory.path().join(name);
        options().interfaces(&interfaces).create(&path).unwrap().finish(&[]).unwrap();
        assert_eq!(read(&path).interfaces[0].link_type, LinkType::RAW);
    }
}

/// The same packets as another reader finds, in every capture of the corpus it can read.
#[test]
fn corpus_against_another_reader() {
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        oracles::missing("WHARF_CORPUS is not set");
        return;
    };
    let mut compared = 0;
    let mut folders = vec![Path::new(&corpus).join("captures")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let Ok(mut source) = CaptureFile::open(&entry) else { continue };
            let taken = capture::take(&mut source, 256);
            let (None, Some(other)) = (&taken.error, oracle(&entry)) else { continue };
            // The other reader does not cut simple packets at the snap length.
            let ours: Vec<_> = taken.frames.iter().map(|kept| (kept.wire_length, &kept.data)).collect();
            assert_eq!(ours.len(), other.len(), "{}", entry.display());
            for (index, (ours, (_, wire_length, data))) in ours.iter().zip(&other).enumerate() {
                assert_eq!(ours.0, *wire_length, "{} #{}", entry.display(), index + 1);
                assert!(data.starts_with(ours.1), "{} #{}", entry.display(), index + 1);
            }
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} files could be compared");
}
