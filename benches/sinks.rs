//! The sinks alone, over packets that are parsed and verified already: text, JSON, a capture file in both formats, a
//! split by port. What each has written is held to what the generator promised first.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use wharf::demux;
use wharf::frame::{Batch, Frame, Interface, LinkType, Record};
use wharf::parse::{Layers, Packet, parse};
use wharf::sink::{CaptureFileWriter, CaptureFormat, Deliveries, Json, Sink, Split, Text, TextOptions};
use wharf::source::BATCH;
use wharf::source::synthetic::{Sizes, Synthetic, Traffic};
use wharf::verify::{Verdicts, verify};

const FRAMES: u64 = 16_384;
const PORTS: u16 = 100;

/// Packets ready to be delivered.
struct Packets {
    slab: Vec<u8>,
    records: Vec<Record>,
    layers: Vec<Layers>,
    verdicts: Vec<Verdicts>,
    interfaces: [Interface; 1],
    bad: u64,
}

impl Packets {
    fn new() -> Self {
        let ports = vec![1..=PORTS];
        let traffic =
            Traffic { frames: FRAMES, ports, sizes: Sizes::Imix, bad_percent: 1, ..Traffic::default() };
        let source = Synthetic::new(&traffic);
        let interfaces = [Interface { link_type: LinkType::ETHERNET, ..Interface::default() }];
        let (slab, bad) = (Vec::new(), source.expected().bad);
        let mut packets =
            Self { slab, records: Vec::new(), layers: Vec::new(), verdicts: Vec::new(), interfaces, bad };
        let frames: Vec<_> = source.table().frames().collect();
        frames.iter().cycle().take(FRAMES as usize).for_each(|frame| packets.add(frame));
        packets
    }

    fn add(&mut self, frame: &Frame<'_>) {
        let (number, offset) = (self.records.len() as u64 + 1, self.slab.len() as u32);
        self.slab.extend_from_slice(frame.data);
        self.records.push(Record { number, offset, ..frame.record });
        let layers = parse(frame);
        self.verdicts.push(verify(&Packet::new(*frame, &layers)));
        self.layers.push(layers);
    }

    /// Bytes of all frames.
    fn bytes(&self) -> u64 {
        self.slab.len() as u64
    }

    /// Writes all of them, and ends.
    fn write(&self, sink: &mut dyn Sink) {
        let chosen: Vec<u16> = (0..BATCH as u16).collect();
        let parts =
            self.records.chunks(BATCH).zip(self.layers.chunks(BATCH)).zip(self.verdicts.chunks(BATCH));
        for ((records, layers), verdicts) in parts {
            let batch = Batch::new(&self.slab, records, &self.interfaces);
            let chosen = &chosen[..records.len()];
            sink.write(Deliveries::new(batch, layers, verdicts, chosen)).expect("written");
        }
        sink.finish(&[]).expect("finished");
    }
}

/// A writer that only counts.
#[derive(Clone, Debug, Default)]
struct Length(Arc<AtomicU64>);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(packets: &Packets, out: impl Write) {
    let options = TextOptions { numeric: true, utc: true, ..TextOptions::default() };
    packets.write(&mut Text::new(out, options));
}

fn lines(packets: &Packets) {
    let mut out = Vec::new();
    text(packets, &mut out);
    let out = String::from_utf8(out).expect("text");
    assert_eq!(out.lines().filter(|line| line.contains(" IP")).count() as u64, FRAMES);

    let mut out = Vec::new();
    packets.write(&mut Json::new(&mut out));
    let mut bad = 0;
    let out = String::from_utf8(out).expect("JSON is text");
    for ((line, layers), number) in out.lines().zip(&packets.layers).zip(1_u64..) {
        let value: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        assert_eq!(value["n"], number);
        let ports = layers.outer.as_ref().map(|ip| (ip.source_port, ip.destination_port)).expect("ports");
        assert_eq!((&value["sport"], &value["dport"]), (&ports.0.into(), &ports.1.into()));
        bad += u64::from(value["ip_checksum"] == "bad" || value["l4_checksum"] == "bad");
    }
    assert_eq!((out.lines().count() as u64, bad), (FRAMES, packets.bad));
}

fn copy(packets: &Packets, format: CaptureFormat) {
    let written = Length::default();
    let options = CaptureFileWriter::options().format(format);
    let mut writer = options.write_to(written.clone(), "a counter").expect("a writer");
    packets.write(&mut writer);
    assert_eq!(writer.packets(), FRAMES);
    // Headers of records; pcapng pads each packet, and has more around all of them.
    let least = packets.bytes() + FRAMES * if format == CaptureFormat::Pcap { 16 } else { 32 };
    let most = if format == CaptureFormat::Pcap { least + 24 } else { least + 3 * FRAMES + 1000 };
    assert!((least + 24..=most).contains(&written.0.load(Relaxed)), "{written:?}");
}

fn split(packets: &Packets, directory: &std::path::Path) {
    let template = format!("{}/{{proto}}-{{port}}.pcap", directory.display());
    let mut split = Split::new(template.parse().expect("a template"));
    packets.write(&mut split);
    assert_eq!(split.files().map(|file| file.packets()).sum::<u64>(), FRAMES);
    let services = packets.layers.iter().filter_map(|layers| layers.outer.as_ref());
    let mut services: Vec<_> = services.map(|ip| (ip.protocol, demux::service_port(ip))).collect();
    services.sort_unstable();
    services.dedup();
    assert_eq!(split.files().len(), services.len());
    let length: u64 = split.files().map(|file| file.path().metadata().expect("a file").len()).sum();
    assert_eq!(length, packets.bytes() + 16 * FRAMES + 24 * services.len() as u64);
}

fn sinks(criterion: &mut Criterion) {
    let packets = Packets::new();
    lines(&packets);
    let mut group = criterion.benchmark_group("sinks");
    group.throughput(Throughput::Elements(FRAMES));
    group.bench_function("text", |bench| bench.iter(|| text(&packets, Length::default())));
    group.bench_function("json", |bench| bench.iter(|| packets.write(&mut Json::new(Length::default()))));
    group.throughput(Throughput::Bytes(packets.bytes()));
    for (name, format) in [("pcap", CaptureFormat::Pcap), ("pcapng", CaptureFormat::PcapNg)] {
        group.bench_function(name, |bench| bench.iter(|| copy(&packets, format)));
    }
    let directory = tempfile::tempdir().expect("a directory");
    group.bench_function("split", |bench| bench.iter(|| split(&packets, directory.path())));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = sinks
}
criterion_main!(benches);
