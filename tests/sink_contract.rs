//! The contract of [`wharf::sink::Sink`], held by one battery over the implementations that leave something for each packet:
//! capture files, one or many, lines and objects. What is left by counts, flows, streams, conversations, trouble and
//! transmission is looked at in tests of their own.

mod capture;

use capture::{Frames, deliver, read};
use std::path::Path;
use wharf::frame::Annotation;
use wharf::sink::{
    CaptureFileWriter, CaptureFormat, InterfaceStatistics, Json, Rotation, Sink, Split, Text, TextOptions,
};

/// What every sink keeps to. `make` makes one that writes below a directory, `packets` counts what it left there.
fn battery<S: Sink>(make: impl Fn(&Path) -> S, packets: impl Fn(&Path) -> usize) {
    let directory = || tempfile::tempdir().unwrap();
    let statistics = [InterfaceStatistics { received: 9, dropped: 1, ..Default::default() }];

    let empty = directory();
    make(empty.path()).finish(&statistics).unwrap();
    assert_eq!(packets(empty.path()), 0, "no packets, and readable");

    let flushed = directory();
    let mut sink = make(flushed.path());
    sink.flush().unwrap();
    sink.finish(&[]).unwrap();
    assert_eq!(packets(flushed.path()), 0, "flushed before any packet");

    let all = directory();
    let mut sink = make(all.path());
    let frames = Frames::many(1000);
    let annotation = Annotation { kind: 4, section: 0, body: vec![0; 4] };
    for batch in frames.batches() {
        sink.annotate(&annotation).unwrap();
        deliver(batch, &mut sink).unwrap();
        sink.flush().unwrap();
    }
    sink.finish(&statistics).unwrap();
    assert_eq!(packets(all.path()), 1000, "every packet once");

    let interrupted = directory();
    let mut sink = make(interrupted.path());
    deliver(frames.batches().next().unwrap(), &mut sink).unwrap();
    sink.finish(&[]).unwrap();
    assert_eq!(packets(interrupted.path()), 256, "complete after ^C, without a flush");
}

/// Packets in all capture files below a directory.
fn count(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let taken = read(&path);
            assert!(taken.error.is_none(), "{}: {:?}", path.display(), taken.error);
            taken.frames.len()
        })
        .sum()
}

#[test]
fn capture_file_writer() {
    for name in ["a.pcapng", "a.pcap", "a.pcapng.gz", "a.pcap.gz"] {
        battery(|directory| CaptureFileWriter::create(directory.join(name)).unwrap(), count);
    }
}

#[test]
fn capture_file_writer_with_other_options() {
    let options =
        CaptureFileWriter::options().format(CaptureFormat::Pcap).snap_length(10).packet_buffered(true);
    battery(|directory| options.clone().create(directory.join("a.pcapng")).unwrap(), count);
}

/// Lines in the one file below a directory.
fn lines(directory: &Path) -> usize {
    std::fs::read_to_string(directory.join("lines")).unwrap().lines().count()
}

#[test]
fn text_and_json() {
    let file = |directory: &Path| std::fs::File::create(directory.join("lines")).unwrap();
    for line_buffered in [false, true] {
        let options = TextOptions { line_buffered, ..TextOptions::default() };
        battery(|directory| Text::new(file(directory), options.clone()), lines);
        battery(|directory| Json::new(file(directory)).line_buffered(line_buffered), lines);
    }
}

#[test]
fn rotated() {
    let by = |rotation: Rotation| CaptureFileWriter::options().rotation(rotation);
    for rotation in [
        Rotation { packets: Some(7), ..Rotation::default() },
        Rotation { bytes: Some(5000), ..Rotation::default() },
        Rotation { seconds: Some(60), ..Rotation::default() },
        Rotation { bytes: Some(5000), seconds: Some(60), packets: Some(50), files: None },
    ] {
        battery(|directory| by(rotation).create(directory.join("a-%H.pcapng")).unwrap(), count);
    }
}

#[test]
fn split() {
    let template = |directory: &Path| format!("{}/{{proto}}-{{port}}.pcapng", directory.display());
    battery(|directory| Split::new(template(directory).parse().unwrap()), count);
}
