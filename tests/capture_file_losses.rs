//! What a pcapng file says of packets that are not in it, and that every write ends with a whole record.

mod capture;

use capture::{BIG, Bytes, Frames, LITTLE, blocks, copy, deliver, read};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use wharf::engine::{Engine, Report};
use wharf::frame::pcapng::{block, option};
use wharf::frame::{Batch, InterfaceStatistics};
use wharf::sink::{CaptureFileOptions, CaptureFileWriter, CaptureFormat, Json, Rotation, Sink, Split};
use wharf::source::CaptureFile;

fn options() -> CaptureFileOptions {
    CaptureFileWriter::options()
}

/// `epb_dropcount` of every packet of a file.
fn drop_counts(path: &Path) -> Vec<u64> {
    let mut counts = Vec::new();
    let mut source = CaptureFile::open(path).unwrap();
    while let wharf::source::Fill::Batch(batch) = wharf::source::Source::fill(&mut source, 256).unwrap() {
        counts.extend(batch.frames().map(|frame| frame.options.lost().unwrap_or(0)));
    }
    counts
}

/// Reads a file to its end and gives the account.
fn report(path: &Path) -> Report {
    Engine::builder().source(CaptureFile::open(path).unwrap()).run().unwrap()
}

/// Hands over the frames in batches, before each of which so many were lost.
fn write(frames: &Frames, lost: &[u64], sink: &mut impl Sink) {
    for (batch, &lost) in frames.batches().zip(lost) {
        deliver(batch.after_loss(lost), sink).unwrap();
    }
}

#[test]
fn the_first_packet_after_a_loss_says_how_many() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcapng");
    let frames = Frames::many(600);
    let mut writer = options().create(&path).unwrap();
    write(&frames, &[0, 7, 1 << 40], &mut writer);
    writer.finish(&[]).unwrap();
    let counts = drop_counts(&path);
    assert_eq!((counts[256], counts[512]), (7, 1 << 40));
    assert_eq!(counts.iter().sum::<u64>(), (1 << 40) + 7);
    let report = report(&path);
    assert_eq!(report.lost_earlier, (1 << 40) + 7);
    assert!(report.balanced(), "they are in no ledger: {report}");
    let line = "\nthe file says that 1099511627783 packets were lost while it was written";
    assert!(report.to_string().ends_with(line), "{report}");
    assert!(!self::report(&{ plain(directory.path()) }).to_string().contains("the file says"));
}

/// A file of which nothing is missing.
fn plain(directory: &Path) -> std::path::PathBuf {
    let path = directory.join("plain.pcapng");
    let mut writer = options().create(&path).unwrap();
    write(&Frames::many(10), &[0], &mut writer);
    writer.finish(&[InterfaceStatistics { received: 10, ..Default::default() }]).unwrap();
    path
}

#[test]
fn a_loss_is_told_once_wherever_the_next_packet_goes() {
    let directory = tempfile::tempdir().unwrap();
    let (frames, lost) = (Frames::many(1000), [3, 5, 7, 9]);
    let told = |name: &str| -> u64 {
        let files = std::fs::read_dir(directory.path().join(name)).unwrap();
        files.flat_map(|file| drop_counts(&file.unwrap().path())).sum()
    };
    std::fs::create_dir(directory.path().join("rotated")).unwrap();
    let rotation = Rotation { packets: Some(100), ..Rotation::default() };
    let mut rotated = options().rotation(rotation).create(directory.path().join("rotated/a.pcapng")).unwrap();
    write(&frames, &lost, &mut rotated);
    rotated.finish(&[]).unwrap();
    assert_eq!(told("rotated"), 24);

    let template = directory.path().join("split/{proto}-{port}.pcapng").display().to_string();
    let mut split = Split::new(template.parse().unwrap());
    write(&frames, &lost, &mut split);
    split.finish(&[]).unwrap();
    assert_eq!(told("split"), 24);
}

/// A file with a packet, options as given, and interface statistics.
fn file(order: Bytes, packet: &[u8], statistics: &[u8]) -> Vec<u8> {
    let mut body = [order.u32(0), order.u32(0), order.u32(0)].concat();
    body.extend_from_slice(statistics);
    [
        order.section(),
        order.interface(1, 0, &[]),
        order.enhanced(0, 1, &[0; 60], 60, packet),
        order.block(block::STATISTICS, &body),
    ]
    .concat()
}

#[test]
fn a_copy_keeps_what_its_source_says_and_adds_its_own() {
    let directory = tempfile::tempdir().unwrap();
    for order in [LITTLE, BIG] {
        let (from, to) = (directory.path().join("from.pcapng"), directory.path().join("to.pcapng"));
        let packet = [order.option(4, &order.u64(1 << 33)), order.option(6, &order.u32(1))].concat();
        let said = [(4, 100), (5, 9), (6, 90), (7, 9), (8, 81_u64)];
        let statistics = said.map(|(code, count)| order.option(code, &order.u64(count))).concat();
        std::fs::write(&from, file(order, &packet, &statistics)).unwrap();

        let mut writer = CaptureFileWriter::create(&to).unwrap();
        let run = Engine::builder().source(CaptureFile::open(&from).unwrap()).rest(&mut writer).run();
        assert_eq!(run.unwrap().lost_earlier, 1 << 33, "more than the statistics say");
        assert_eq!(drop_counts(&to), [1 << 33]);
        let blocks = blocks(&std::fs::read(&to).unwrap());
        let (kind, body) = blocks.last().unwrap();
        let kept = said.map(|(code, count)| LITTLE.option(code, &count.to_le_bytes())).concat();
        assert!(*kind == block::STATISTICS && body.windows(kept.len()).any(|part| part == kept), "{body:x?}");

        // One more lost on the way to the copy.
        let mut source = CaptureFile::open(&from).unwrap();
        let mut writer = CaptureFileWriter::create(&to).unwrap();
        let batch = wharf::source::Source::fill(&mut source, 256).unwrap();
        let wharf::source::Fill::Batch(batch) = batch else { panic!("a packet") };
        deliver(batch.after_loss(1), &mut writer).unwrap();
        writer.finish(&[]).unwrap();
        assert_eq!(drop_counts(&to), [(1 << 33) + 1]);
    }
}

#[test]
fn statistics_alone_tell_of_losses_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcapng");
    let both = [(option::ISB_DROPPED, 5), (option::ISB_DROPPED_BY_SYSTEM, 3_u64)];
    for (said, lost) in [(&both[..], 5), (&both[1..], 3), (&[], 0)] {
        let options: Vec<u8> =
            said.iter().flat_map(|(code, count)| LITTLE.option(*code, &count.to_le_bytes())).collect();
        std::fs::write(&path, file(LITTLE, &[], &options)).unwrap();
        assert_eq!(report(&path).lost_earlier, lost, "{said:?}");
    }
    // One that is cut off, or speaks of an interface that there is not, is passed over.
    for body in
        [vec![0; 3], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0].to_vec()]
    {
        let bytes = [file(LITTLE, &[], &[]), LITTLE.block(block::STATISTICS, &body)].concat();
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(report(&path).lost_earlier, 0);
    }
}

#[test]
fn json_says_what_is_missing_before_a_packet() {
    let bytes = file(LITTLE, &LITTLE.option(4, &12_u64.to_le_bytes()), &[]);
    let mut out = Vec::new();
    let mut json = Json::new(&mut out);
    copy(&mut CaptureFile::from_reader(std::io::Cursor::new(bytes), "bytes"), &mut json);
    drop(json);
    assert!(String::from_utf8(out).unwrap().contains(",\"lost_before\":12"));
}

/// Keeps the lengths of what has been written after each write.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<(Vec<u8>, Vec<usize>)>>);

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let (all, ends) = &mut *self.0.lock().unwrap();
        all.extend_from_slice(bytes);
        ends.push(all.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_write_ends_with_a_whole_record() {
    let frames = Frames::many(3000);
    for (format, queue) in [CaptureFormat::Pcap, CaptureFormat::PcapNg].into_iter().zip([0, 1 << 20]) {
        let recorder = Recorder::default();
        let mut writer = options().format(format).queue(queue).write_to(recorder.clone(), "here").unwrap();
        frames.batches().for_each(|batch: Batch<'_>| deliver(batch, &mut writer).unwrap());
        writer.finish(&[]).unwrap();
        let (all, ends) = &*recorder.0.lock().unwrap();
        assert!(ends.len() >= 6, "{ends:?}");
        for &end in ends {
            let taken = capture::read_bytes(&all[..end]);
            assert!(taken.error.is_none(), "{format:?} {end}: {:?}", taken.error);
        }
        assert_eq!(read_all(all), 3000);
    }
}

fn read_all(bytes: &[u8]) -> usize {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    read(file.path()).frames.len()
}
