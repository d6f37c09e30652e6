//! What the tests of capture files share: files made by hand, frames kept, a run from source to sink.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses another part of it")]

use std::collections::VecDeque;
use std::path::Path;
use wharf::batch::Findings;
use wharf::frame::{Annotation, Batch, Direction, Interface, LinkType, Offload, Record, Timestamp};
use wharf::parse::{Layers, parse};
use wharf::sink::{Deliveries, Sink};
use wharf::source::{BATCH, CaptureFile, Chunk, Error, Fill, Source};
use wharf::verify::Verdicts;

/// A frame kept: what must survive a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub data: Vec<u8>,
    pub wire_length: u32,
    pub time: Option<Timestamp>,
    pub interface: u32,
    pub link_type: LinkType,
    pub direction: Direction,
    pub offload: Offload,
    pub comments: Vec<String>,
}

/// Everything a source gave, and the error it ended with, if any.
#[derive(Debug, Default)]
pub struct Taken {
    pub frames: Vec<Kept>,
    pub annotations: Vec<Annotation>,
    pub interfaces: Vec<Interface>,
    pub error: Option<Error>,
}

pub fn take(source: &mut impl Source, limit: usize) -> Taken {
    let mut taken = Taken::default();
    loop {
        match source.fill(limit) {
            Ok(Fill::Batch(batch)) => taken.add(batch),
            Ok(Fill::Idle) => {}
            Ok(Fill::End) => break,
            Err(error) => {
                assert!(taken.error.is_none(), "one error, then the end");
                taken.error = Some(error);
            }
        }
    }
    taken.interfaces = source.interfaces().to_vec();
    taken
}

/// The same by chunks, of which some are read only when others have come.
pub fn take_chunks(source: &mut impl Source, limit: u64) -> Taken {
    let mut taken = Taken::default();
    let mut waiting = VecDeque::new();
    loop {
        let mut chunk = Chunk::default();
        match source.chunks().expect("a source of chunks").fill_chunk(&mut chunk, limit) {
            Ok(true) => {
                assert!(chunk.len() as u64 <= limit, "{} of {limit}", chunk.len());
                waiting.push_back(chunk);
            }
            Ok(false) => break,
            Err(error) => {
                assert!(chunk.is_empty() && taken.error.is_none(), "one error, then the end");
                taken.error = Some(error);
            }
        }
        if waiting.len() > 3 {
            waiting.pop_front().iter().flat_map(Chunk::batches).for_each(|batch| taken.add(batch));
        }
    }
    waiting.iter().flat_map(Chunk::batches).for_each(|batch| taken.add(batch));
    taken.interfaces = source.interfaces().to_vec();
    taken
}

impl Taken {
    fn add(&mut self, batch: Batch<'_>) {
        assert!(batch.len() <= BATCH);
        self.annotations.extend_from_slice(batch.annotations());
        for frame in batch.frames() {
            let record = frame.record;
            assert_eq!(record.number, self.frames.len() as u64 + 1, "numbers run without gaps");
            assert!((record.interface.0 as usize) < batch.interfaces().len());
            self.frames.push(Kept {
                data: frame.data.to_vec(),
                wire_length: record.wire_length,
                time: record.time,
                interface: record.interface.0,
                link_type: record.link_type,
                direction: record.direction,
                offload: record.offload,
                comments: frame.options.comments().map(str::to_owned).collect(),
            });
        }
    }
}

pub fn read(path: impl AsRef<Path>) -> Taken {
    take(&mut CaptureFile::open(path).expect("a capture file"), usize::MAX)
}

pub fn read_bytes(bytes: &[u8]) -> Taken {
    take(&mut CaptureFile::from_reader(std::io::Cursor::new(bytes.to_vec()), "bytes"), usize::MAX)
}

/// Hands a batch to a sink, every packet of it.
pub fn deliver(batch: Batch<'_>, sink: &mut impl Sink) -> Result<(), wharf::sink::Error> {
    batch.annotations().iter().try_for_each(|annotation| sink.annotate(annotation))?;
    let layers: Vec<Layers> = batch.frames().map(|frame| parse(&frame)).collect();
    let verdicts = vec![Verdicts::default(); batch.len()];
    let chosen: Vec<u16> = (0..batch.len() as u16).collect();
    sink.write(Deliveries::new(batch, &Findings::given(batch, &layers, &verdicts), &chosen))
}

/// The same with layers given instead of parsed.
pub fn deliver_as(
    batch: Batch<'_>,
    layers: &[Layers],
    sink: &mut impl Sink,
) -> Result<(), wharf::sink::Error> {
    let verdicts = vec![Verdicts::default(); batch.len()];
    let chosen: Vec<u16> = (0..batch.len() as u16).collect();
    sink.write(Deliveries::new(batch, &Findings::given(batch, layers, &verdicts), &chosen))
}

pub fn copy(source: &mut impl Source, sink: &mut impl Sink) {
    loop {
        match source.fill(usize::MAX).expect("an undamaged source") {
            Fill::Batch(batch) => deliver(batch, sink).expect("a writable sink"),
            Fill::Idle => sink.flush().expect("a writable sink"),
            Fill::End => break,
        }
    }
    sink.finish(&[]).expect("a writable sink");
}

/// Frames in memory, to be handed to a sink.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    pub slab: Vec<u8>,
    pub records: Vec<Record>,
    pub interfaces: Vec<Interface>,
}

impl Frames {
    pub fn ethernet() -> Self {
        let interface = Interface { link_type: LinkType::ETHERNET, ..Interface::default() };
        Self { interfaces: vec![interface], ..Self::default() }
    }

    pub fn push(&mut self, data: &[u8], time: Timestamp) {
        let record = Record {
            offset: self.slab.len() as u32,
            captured: data.len() as u32,
            wire_length: data.len() as u32,
            number: self.records.len() as u64 + 1,
            time: Some(time),
            link_type: self.interfaces[0].link_type,
            ..Record::default()
        };
        self.slab.extend_from_slice(data);
        self.records.push(record);
    }

    /// `count` frames, one a second from 1,700,000,000 on, of 60 bytes and more.
    pub fn many(count: usize) -> Self {
        let mut frames = Self::ethernet();
        for index in 0..count {
            let data = vec![index as u8; 60 + index % 1000];
            frames.push(&data, Timestamp::new(1_700_000_000 + index as i64, index as u32 + 1));
        }
        frames
    }

    pub fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        self.records.chunks(256).map(|records| Batch::new(&self.slab, records, &self.interfaces))
    }
}

/// Raw bytes of the blocks of a pcapng file: type and body.
pub fn blocks(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let length = number(4) as usize;
        assert_eq!(number(length - 4), number(4), "both lengths are the same");
        assert_eq!(length % 4, 0);
        blocks.push((number(0), rest[8..length - 4].to_vec()));
        rest = &rest[length..];
    }
    blocks
}

/// Writes numbers in one byte order.
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    pub big_endian: bool,
}

impl Bytes {
    pub fn u16(self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub fn u32(self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub fn u64(self, value: u64) -> [u8; 8] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// A pcap file header.
    pub fn pcap(self, magic: u32, version: (u16, u16), network: u32) -> Vec<u8> {
        let mut out = self.u32(magic).to_vec();
        out.extend(self.u16(version.0));
        out.extend(self.u16(version.1));
        out.extend([0; 8]);
        out.extend(self.u32(65535));
        out.extend(self.u32(network));
        out
    }

    /// A pcap record, `extra` bytes longer in its header.
    pub fn record(self, time: (u32, u32), lengths: (u32, u32), extra: usize, data: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> =
            [time.0, time.1, lengths.0, lengths.1].into_iter().flat_map(|n| self.u32(n)).collect();
        out.resize(16 + extra, 0);
        out.extend(data);
        out
    }

    /// A pcapng block.
    pub fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut out = self.u32(kind).to_vec();
        let length = 12 + body.len().next_multiple_of(4) as u32;
        out.extend(self.u32(length));
        out.extend(body);
        out.resize(length as usize - 4, 0);
        out.extend(self.u32(length));
        out
    }

    pub fn section(self) -> Vec<u8> {
        let mut body = self.u32(0x1A2B_3C4D).to_vec();
        body.extend(self.u16(1));
        body.extend(self.u16(0));
        body.extend(self.u64(u64::MAX));
        self.block(0x0A0D_0D0A, &body)
    }

    pub fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut out = self.u16(code).to_vec();
        out.extend(self.u16(value.len() as u16));
        out.extend(value);
        out.resize(4 + value.len().next_multiple_of(4), 0);
        out
    }

    pub fn interface(self, link_type: u16, snap_length: u32, options: &[u8]) -> Vec<u8> {
        let mut body = self.u16(link_type).to_vec();
        body.extend([0, 0]);
        body.extend(self.u32(snap_length));
        body.extend(options);
        self.block(1, &body)
    }

    pub fn enhanced(self, interface: u32, units: u64, data: &[u8], wire: u32, options: &[u8]) -> Vec<u8> {
        let fields = [interface, (units >> 32) as u32, units as u32, data.len() as u32, wire];
        let mut body: Vec<u8> = fields.into_iter().flat_map(|field| self.u32(field)).collect();
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(options);
        self.block(6, &body)
    }

    pub fn simple(self, wire: u32, data: &[u8]) -> Vec<u8> {
        let mut body = self.u32(wire).to_vec();
        body.extend(data);
        self.block(3, &body)
    }

    pub fn obsolete(self, interface: u16, units: u64, data: &[u8], wire: u32) -> Vec<u8> {
        let mut body = self.u16(interface).to_vec();
        body.extend(self.u16(0xFFFF));
        let fields = [(units >> 32) as u32, units as u32, data.len() as u32, wire];
        body.extend(fields.into_iter().flat_map(|field| self.u32(field)));
        body.extend(data);
        self.block(2, &body)
    }
}

pub const LITTLE: Bytes = Bytes { big_endian: false };
pub const BIG: Bytes = Bytes { big_endian: true };

/// A small pcap: five records of 0 to 40 bytes.
pub fn small_pcap(order: Bytes) -> Vec<u8> {
    let mut out = order.pcap(0xA1B2_C3D4, (2, 4), 1);
    for index in 0..5_u32 {
        let data = vec![index as u8; index as usize * 10];
        out.extend(order.record((100 + index, 7), (data.len() as u32, 60), 0, &data));
    }
    out
}

/// A pcapng with everything in it: two sections of different byte order, four interfaces with their clocks,
/// every kind of packet block, secrets, names, custom and unknown blocks. Six packets.
pub fn rich_pcapng() -> Vec<u8> {
    let mut out = Vec::new();
    for order in [LITTLE, BIG] {
        out.extend(order.section());
        out.extend(order.interface(1, 0, &order.option(2, b"eth0")));
        let mut options = order.option(9, &[9]);
        options.extend(order.option(14, &order.u64(1000)));
        out.extend(order.interface(113, 64, &options));
        let mut secrets = order.u32(0x544C_534B).to_vec();
        secrets.extend(order.u32(5));
        secrets.extend(b"keys!\0\0\0");
        out.extend(order.block(10, &secrets));
        let mut options = order.option(1, b"hello");
        options.extend(order.option(2, &order.u32(0b1110_0000_0001)));
        out.extend(order.enhanced(0, 5_000_001, b"one", 100, &options));
        out.extend(order.block(0x0BAD_CAFE, b"unknown block"));
        let mut custom = order.u32(32473).to_vec();
        custom.extend(b"xyz");
        out.extend(order.block(0x0BAD, &custom));
        out.extend(order.block(0x4000_0BAD, &custom));
        out.extend(order.obsolete(1, 2_000_000_003, b"three bytes", 11));
        out.extend(order.simple(5, b"spb..\0\0\0"[..5].as_ref()));
        let mut names = order.u16(1).to_vec();
        names.extend(order.u16(7));
        names.extend(b"\x7f\0\0\x01lo\0\0");
        names.extend([0; 4]);
        out.extend(order.block(4, &names));
        let mut statistics = order.u32(0).to_vec();
        statistics.extend([0; 8]);
        out.extend(order.block(5, &statistics));
    }
    out
}
