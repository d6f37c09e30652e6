//! Connections between the same ports, and what is kept of them.

use super::*;
use crate::build::{Ipv4, Stack, Tcp};
use crate::flow::{Meter, MeterOptions};
use crate::frame::{Frame, LinkType, Timestamp};
use crate::parse::parse;

/// Segments to the streams and to a meter; the files that its records are told, as they come.
struct Bench {
    streams: StreamFiles,
    meter: Meter,
    told: Vec<FlowStreams>,
    most: usize,
}

impl Bench {
    fn new(directory: &Path, meter: MeterOptions) -> Self {
        let streams = StreamFiles::create(directory).unwrap();
        Self { streams, meter: Meter::new(meter), told: Vec::new(), most: 0 }
    }

    fn send(&mut self, millis: i64, port: u16, flags: u16, sequence: u32, message: &[u8]) {
        let mut stack = Stack::new();
        let tcp = Tcp::new(port, 80).flags(flags).sequence(sequence);
        stack.message(message).wrap(tcp).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
        let mut frame = Frame::new(LinkType::RAW, stack.bytes());
        frame.record.time = Some(Timestamp::new(millis / 1_000, (millis % 1_000) as u32 * 1_000_000));
        let layers = parse(&frame);
        let packet = Packet::new(frame, &layers);
        let Self { streams, meter, told, most } = self;
        streams.take(&packet);
        meter.observe([packet], |record| told.push(streams.tell(&record)));
        *most = (*most).max(streams.shelf.len());
    }

    fn finish(mut self) -> Vec<FlowStreams> {
        let Self { streams, meter, told, .. } = &mut self;
        streams.reassembler.finish(|slice| streams.shelf.put(&slice));
        meter.finish(|record| told.push(streams.tell(&record)));
        assert_eq!(streams.shelf.len(), 0, "all have been told");
        self.told
    }
}

#[test]
fn of_ports_used_again_only_what_is_to_be_told_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(directory.path(), MeterOptions::default());
    let connections = 300;
    for at in 0..connections {
        // Two at a time have the same time.
        let time = i64::from(at / 2);
        bench.send(time, 4_000, Tcp::SYN, at * 70_000, b"");
        bench.send(time, 4_000, Tcp::ACK, at * 70_000 + 1, b"hello");
    }
    assert!(bench.most <= 2, "{} connections kept", bench.most);
    let name = "tcp-10.0.0.1.4000-10.0.0.2.80";
    let told: Vec<_> = bench.finish().into_iter().map(|streams| streams.names[0].clone().unwrap()).collect();
    let numbered = |at: u32| if at == 0 { name.to_owned() } else { format!("{name}.{at}") };
    assert_eq!(told, (0..connections).map(numbered).collect::<Vec<_>>());
}

/// A flow that goes on has its files in every record, and is forgotten with its connection.
#[test]
fn what_goes_on_is_told_again_and_what_was_told_is_forgotten_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let active = Some(std::time::Duration::from_secs(1));
    let mut bench =
        Bench::new(directory.path(), MeterOptions { active_timeout: active, ..MeterOptions::default() });
    let options = reassembly::Options { connections: 1, ..reassembly::Options::default() };
    bench.streams.reassembler = Reassembler::new(options);
    for at in 0..4 {
        bench.send(i64::from(at) * 700, 4_000, Tcp::ACK, 5 + at, b"x");
    }
    // The idle timeout has its record told, then another connection takes its room.
    bench.send(100_000, 1, Tcp::ACK, 5, b"y");
    assert_eq!(bench.told.len(), 2);
    bench.send(100_001, 2, Tcp::ACK, 5, b"z");
    assert!(bench.most <= 3 && bench.streams.shelf.len() <= 2, "{}", bench.streams.shelf.len());
    let told = bench.finish();
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|streams| streams.names[0].is_some()), "{told:?}");
    assert_eq!(told[0], told[1]);
}
