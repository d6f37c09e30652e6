//! Rotation of capture files: which packet goes where, and that every file stands alone.

mod capture;

use capture::{Frames, blocks, deliver, read};
use std::path::Path;
use wharf::frame::Annotation;
use wharf::frame::pcapng::block;
use wharf::sink::{CaptureFileOptions, CaptureFileWriter, Error, Rotation, Sink};

fn options() -> CaptureFileOptions {
    CaptureFileWriter::options()
}

fn names(directory: &Path) -> Vec<(String, usize)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), read(entry.path()).frames.len()))
        .collect();
    names.sort();
    names
}

fn named(list: &[(&str, usize)]) -> Vec<(String, usize)> {
    list.iter().map(|(name, packets)| ((*name).to_owned(), *packets)).collect()
}

#[test]
fn rotation_by_count_size_and_time() {
    let run = |rotation: Rotation, name: &str| {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = options().rotation(rotation).create(directory.path().join(name)).unwrap();
        let frames = Frames::many(10);
        let result = frames.batches().try_for_each(|batch| deliver(batch, &mut writer));
        writer.finish(&[]).unwrap();
        (names(directory.path()), result)
    };
    let none = Rotation::default();
    let (files, result) = run(Rotation { packets: Some(4), ..none }, "a.pcap");
    assert_eq!(files, named(&[("a.pcap", 4), ("a.pcap1", 4), ("a.pcap2", 2)]));
    result.unwrap();
    let (files, _) = run(Rotation { packets: Some(2), files: Some(3), ..none }, "a.pcapng");
    assert_eq!(files, named(&[("a.pcapng0", 2), ("a.pcapng1", 2), ("a.pcapng2", 2)]), "a ring");
    // 24 bytes of header, then records of 76 and more: over 200 after three.
    let (files, _) = run(Rotation { bytes: Some(200), ..none }, "a.pcap");
    assert_eq!(files, named(&[("a.pcap", 3), ("a.pcap1", 3), ("a.pcap2", 3), ("a.pcap3", 1)]));
    let (files, result) = run(Rotation { seconds: Some(4), ..none }, "a-%s.pcap");
    assert_eq!(files, named(&[("a-1700000000.pcap", 4), ("a-1700000004.pcap", 4), ("a-1700000008.pcap", 2)]));
    result.unwrap();
    let (files, result) = run(Rotation { seconds: Some(4), files: Some(2), ..none }, "a-%s.pcap");
    assert_eq!(files, named(&[("a-1700000000.pcap", 4), ("a-1700000004.pcap", 4)]));
    assert!(matches!(result, Err(Error::Complete { .. })));
}

#[test]
fn every_rotated_file_has_the_secrets_and_its_statistics() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Rotation { packets: Some(3), ..Rotation::default() };
    let mut writer = options().rotation(rotation).create(directory.path().join("a.pcapng")).unwrap();
    let secrets = Annotation { kind: block::SECRETS, section: 0, body: b"KSLT\x04\0\0\0keys".to_vec() };
    writer.annotate(&secrets).unwrap();
    Frames::many(9).batches().for_each(|batch| deliver(batch, &mut writer).unwrap());
    writer.finish(&[]).unwrap();
    for name in ["a.pcapng", "a.pcapng1", "a.pcapng2"] {
        let path = directory.path().join(name);
        assert_eq!(read(&path).annotations, std::slice::from_ref(&secrets), "{name}");
        let blocks = blocks(&std::fs::read(path).unwrap());
        assert_eq!(blocks.last().unwrap().0, block::STATISTICS);
    }
}

#[test]
fn standard_output_cannot_be_rotated() {
    let rotation = Rotation { packets: Some(3), ..Rotation::default() };
    assert!(matches!(options().rotation(rotation).create("-"), Err(Error::Format { .. })));
}
