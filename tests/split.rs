//! The split sink: every packet in exactly one file, whatever is open meanwhile.

mod capture;

use capture::{Frames, Kept, deliver_as, read};
use std::collections::BTreeMap;
use std::path::Path;
use wharf::frame::{Annotation, Timestamp, pcapng::block};
use wharf::parse::{IpLayer, Layers, Transport};
use wharf::sink::{CaptureFileWriter, Sink, Split};
use wharf::source::{CaptureFile, Fill, Source};

/// 5000 frames over 100 ports, both directions, a few without ports.
fn frames() -> (Frames, Vec<Layers>) {
    let mut frames = Frames::ethernet();
    let mut layers = Vec::new();
    for index in 0..5000_u32 {
        frames.push(&index.to_be_bytes(), Timestamp::new(1_700_000_000, index * 1001));
        let service = 1000 + (index * index % 100) as u16;
        let (source_port, destination_port) =
            if index % 3 == 0 { (service, 50_000) } else { (50_000, service) };
        let ip = IpLayer {
            protocol: if index % 50 == 7 { 1 } else { 6 },
            transport: if index % 50 == 7 { Transport::Icmp } else { Transport::Tcp },
            source_port,
            destination_port,
            ..IpLayer::default()
        };
        layers.push(Layers { outer: Some(ip), ..Layers::default() });
    }
    (frames, layers)
}

fn split(directory: &Path, name: &str, open_files: usize) -> BTreeMap<String, Vec<Kept>> {
    let (frames, layers) = frames();
    let template = format!("{}/{name}", directory.display());
    let mut split = Split::new(template.parse().unwrap()).open_files(open_files);
    split
        .annotate(&Annotation { kind: block::SECRETS, section: 0, body: b"KSLT\x04\0\0\0keys".to_vec() })
        .unwrap();
    for (batch, layers) in frames.batches().zip(layers.chunks(256)) {
        deliver_as(batch, layers, &mut split).unwrap();
    }
    split.finish(&[]).unwrap();
    let files: BTreeMap<_, _> = split
        .files()
        .map(|file| {
            let taken = read(file.path());
            assert!(taken.error.is_none(), "{}: {:?}", file.path().display(), taken.error);
            assert_eq!(taken.frames.len() as u64, file.packets());
            let pcapng = !name.contains(".pcap.") && !name.ends_with(".pcap");
            assert_eq!(taken.annotations.len(), usize::from(pcapng), "secrets go to every file, once");
            if pcapng {
                let mut source = CaptureFile::open(file.path()).unwrap();
                let Ok(Fill::Batch(first)) = source.fill(1) else { panic!("no packet") };
                assert!(first.annotations().len() == first.len(), "before the packets they are for");
            }
            let name = file.path().strip_prefix(directory).unwrap().display().to_string();
            (name, taken.frames)
        })
        .collect();

    let mut all: Vec<&Kept> = files.values().flatten().collect();
    all.sort_by_key(|kept| kept.data.clone());
    assert_eq!(all.len(), 5000, "every packet exactly once");
    for (index, kept) in all.iter().enumerate() {
        assert_eq!(kept.data, (index as u32).to_be_bytes());
        assert_eq!(kept.time, Some(Timestamp::new(1_700_000_000, index as u32 * 1001)));
    }
    files
}

#[test]
fn closing_and_opening_again_changes_nothing() {
    for name in ["d/{proto}/{port}.pcapng", "{proto}-{port}.pcap", "{port}.pcap.gz", "{port}.pcapng.gz"] {
        let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(split(few.path(), name, 2), split(many.path(), name, 1000));
    }
}

#[test]
fn a_plain_file_is_byte_for_byte_the_same() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in
        split(few.path(), "{port}.pcapng", 1).keys().chain(split(many.path(), "{port}.pcapng", 99).keys())
    {
        assert_eq!(
            std::fs::read(few.path().join(name)).ok(),
            std::fs::read(many.path().join(name)).ok(),
            "{name}"
        );
    }
}

#[test]
fn files_are_called_after_the_service() {
    let directory = tempfile::tempdir().unwrap();
    let files = split(directory.path(), "{proto}-{port}.pcapng", 10);
    assert!(
        files.keys().all(|name| name.starts_with("tcp-10") || name == "icmp-none.pcapng"),
        "{:?}",
        files.keys()
    );
    assert_eq!(files["icmp-none.pcapng"].len(), 100);
}

#[test]
fn one_file_when_nothing_tells_packets_apart() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(split(directory.path(), "all.pcapng", 10).len(), 1);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let (frames, layers) = frames();
    let mut split = Split::new("/dev/null/{port}.pcap".parse().unwrap());
    let batch = frames.batches().next().unwrap();
    let error = deliver_as(batch, &layers[..batch.len()], &mut split).unwrap_err();
    assert!(error.to_string().starts_with("/dev/null: "), "{error}");
    split.finish(&[]).unwrap();
}

#[test]
fn packet_buffered_files_can_be_read_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let template = format!("{}/all.pcap", directory.path().display());
    let options = CaptureFileWriter::options().packet_buffered(true);
    let mut split = Split::new(template.parse().unwrap()).options(options);
    let (frames, layers) = frames();
    let batch = frames.batches().next().unwrap();
    deliver_as(batch, &layers[..batch.len()], &mut split).unwrap();
    assert_eq!(read(directory.path().join("all.pcap")).frames.len(), batch.len());
    split.finish(&[]).unwrap();
}
