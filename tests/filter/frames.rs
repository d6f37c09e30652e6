//! Frames to ask: made ones of every shape the language speaks of, and those of the corpus.

use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use std::path::{Path, PathBuf};
use wharf::frame::LinkType;

/// A frame, and how long it was on the wire.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) link_type: LinkType,
    pub(crate) data: Vec<u8>,
    pub(crate) wire_length: u32,
}

/// Numbers at random, the same each time (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(end)) >> 32) as u32
    }

    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u32) as usize]
    }
}

pub(crate) const PORTS: [u16; 16] =
    [80, 443, 53, 22, 25, 8080, 1024, 1023, 6001, 67, 68, 5060, 4789, 6081, 65_535, 0];
pub(crate) const V4: [[u8; 4]; 12] = [
    [10, 0, 0, 1],
    [10, 0, 0, 2],
    [10, 0, 0, 3],
    [10, 1, 2, 3],
    [192, 168, 0, 1],
    [172, 18, 5, 4],
    [128, 3, 4, 5],
    [224, 0, 0, 1],
    [239, 1, 1, 1],
    [255, 255, 255, 255],
    [0, 0, 0, 0],
    [1, 2, 3, 4],
];
pub(crate) const V6: [[u8; 16]; 5] = [
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
];
const MACS: [[u8; 6]; 5] = [
    [0, 0x11, 0x22, 0x33, 0x44, 0x55],
    [0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb],
    [0xff; 6],
    [1, 0x80, 0xc2, 0, 0, 0],
    [0x33, 0x33, 0, 0, 0, 1],
];

/// What a packet is at the network layer: its EtherType and bytes.
fn network(random: &mut Random, depth: u32) -> (u16, Vec<u8>) {
    match random.below(20) {
        0..10 => (0x0800, ipv4(random, depth)),
        10..15 => (0x86dd, ipv6(random, depth)),
        15 | 16 => (*random.of(&[0x0806, 0x8035]), arp(random)),
        17 => (*random.of(&[0x88cc, 0x888e, 0x6003, 0x80f3, 0x809b, 0x6004, 0x8137]), noise(random, 46)),
        // What it says it is not.
        18 => (*random.of(&[0x0800, 0x86dd, 0x0806]), noise(random, 60)),
        _ => {
            let version = *random.of(&[0x45_u8, 0x60, 0x4f, 0x40]);
            let mut bytes = noise(random, 60);
            bytes[0] = version;
            (*random.of(&[0x0800, 0x86dd]), bytes)
        }
    }
}

fn noise(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.next() as u8).collect()
}

fn arp(random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, *random.of(&[1, 2, 3])];
    for _ in 0..2 {
        bytes.extend(random.of(&MACS));
        bytes.extend(random.of(&V4));
    }
    bytes.resize(46, 0);
    bytes
}

fn ipv4(random: &mut Random, depth: u32) -> Vec<u8> {
    let (protocol, body) = transport(random, depth, false);
    let words = if random.one_in(6) { 5 + random.below(4) as u8 } else { 5 };
    let flags: u16 = match random.below(12) {
        0 => 0x2000,
        1 => 0x2000 | random.below(100) as u16,
        2 => random.below(0x2000) as u16,
        3..6 => 0x4000,
        _ => 0,
    };
    let mut bytes = vec![0x40 | words, *random.of(&[0, 0, 0xb8, 0x10])];
    bytes.extend((u16::from(words) * 4 + body.len() as u16).to_be_bytes());
    bytes.extend((random.next() as u16).to_be_bytes());
    bytes.extend(flags.to_be_bytes());
    bytes.extend([*random.of(&[64, 1, 255, 4]), protocol, 0x12, 0x34]);
    bytes.extend(random.of(&V4));
    bytes.extend(random.of(&V4));
    bytes.extend(noise(random, usize::from(words) * 4 - 20));
    // Sometimes another header, behind an authentication header.
    if random.one_in(12) {
        bytes[9] = 51;
        bytes.extend([protocol, 4]);
        bytes.extend(noise(random, 22));
    }
    bytes.extend(body);
    bytes
}

fn ipv6(random: &mut Random, depth: u32) -> Vec<u8> {
    let (protocol, body) = transport(random, depth, true);
    let mut extensions = Vec::new();
    let mut next = protocol;
    for _ in 0..*random.of(&[0, 0, 0, 0, 1, 2, 3]) {
        let kind = *random.of(&[0, 43, 44, 60, 51]);
        let mut header = match kind {
            44 => vec![next, 0, 0, *random.of(&[0, 1, 8]), 1, 2, 3, 4],
            51 => [&[next, 4][..], &noise(random, 22)].concat(),
            _ => {
                let units = random.below(3) as u8;
                [&[next, units][..], &noise(random, 6 + 8 * usize::from(units))].concat()
            }
        };
        header.extend(extensions);
        (extensions, next) = (header, kind);
    }
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(((extensions.len() + body.len()) as u16).to_be_bytes());
    bytes.extend([next, *random.of(&[64, 255, 1])]);
    bytes.extend(random.of(&V6));
    bytes.extend(random.of(&V6));
    bytes.extend(extensions);
    bytes.extend(body);
    bytes
}

fn transport(random: &mut Random, depth: u32, v6: bool) -> (u8, Vec<u8>) {
    let length = random.below(60) as usize;
    let payload = match random.below(6) {
        0 => b"GET / HTTP/1.1\r\n".to_vec(),
        1 => b"SSH-2.0-x".to_vec(),
        2 => vec![0x16, 3, 1, 0, 5, 1],
        _ => noise(random, length),
    };
    let mut ports = random.of(&PORTS).to_be_bytes().to_vec();
    ports.extend(random.of(&PORTS).to_be_bytes());
    match random.below(14) {
        0..5 => {
            let words = if random.one_in(4) { 5 + random.below(6) } else { 5 };
            let flags = *random.of(&[2, 0x12, 0x10, 0x18, 1, 4, 0x11, 0, 0xc2, 0x29]);
            ports.extend(random.of(&[0_u32, 1, 0x1234_5678]).to_be_bytes());
            ports.extend(random.of(&[0_u32, 7]).to_be_bytes());
            ports.extend([(words as u8) << 4, flags]);
            ports.extend(random.of(&[0_u16, 500, 65_535]).to_be_bytes());
            ports.extend([0; 4]);
            ports.extend(noise(random, words as usize * 4 - 20));
            ports.extend(payload);
            (6, ports)
        }
        5..9 => {
            if depth > 0 && random.one_in(4) {
                // Geneve.
                ports[2..].copy_from_slice(&6081_u16.to_be_bytes());
                let options = random.below(3) as u8;
                let (kind, inner) = if random.one_in(2) {
                    (0x6558, ethernet(random, depth - 1))
                } else {
                    network(random, depth - 1)
                };
                let mut geneve = vec![options, 0];
                geneve.extend(kind.to_be_bytes());
                geneve.extend([0, 0, *random.of(&[11, 12]), 0]);
                geneve.extend(noise(random, usize::from(options) * 4));
                geneve.extend(inner);
                ports.extend((8 + geneve.len() as u16).to_be_bytes());
                ports.extend([0, 0]);
                ports.extend(geneve);
            } else {
                ports.extend((8 + payload.len() as u16).to_be_bytes());
                ports.extend([0, *random.of(&[0, 1])]);
                ports.extend(payload);
            }
            (17, ports)
        }
        9 | 10 => {
            let kind = *random.of(&[8, 0, 3, 5, 11, 128, 129, 134, 135, 136]);
            (if v6 { 58 } else { 1 }, [&[kind, *random.of(&[0, 3, 4]), 0, 0][..], &payload].concat())
        }
        11 => (2, [&[*random.of(&[0x11, 0x16, 0x22]), 0, 0, 0][..], &payload].concat()),
        12 => (132, [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 0, 1], &payload].concat()),
        _ => (*random.of(&[4, 41, 47, 50, 89, 103, 112, 9, 255]), payload),
    }
}

/// An Ethernet frame, with what may stand before the network header.
fn ethernet(random: &mut Random, depth: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(random.of(&MACS));
    bytes.extend(random.of(&MACS));
    for _ in 0..*random.of(&[0, 0, 0, 0, 1, 1, 2, 3]) {
        bytes.extend(random.of(&[0x8100_u16, 0x8100, 0x88a8, 0x9100]).to_be_bytes());
        bytes.extend((*random.of(&[100_u16, 200, 300, 5]) | *random.of(&[0, 0x6000])).to_be_bytes());
    }
    let (kind, packet) = network(random, depth);
    match random.below(16) {
        0 | 1 => {
            bytes.extend([0x88, 0x47]);
            let labels = 1 + random.below(2);
            for label in 0..labels {
                let number = *random.of(&[100_000_u32, 1024, 3]);
                bytes.extend((number << 12 | u32::from(label + 1 == labels) << 8 | 64).to_be_bytes());
            }
        }
        2 => {
            bytes.extend([0x88, 0x64, 0x11, 0, 0, *random.of(&[0x27, 1])]);
            bytes.extend((packet.len() as u16 + 2).to_be_bytes());
            bytes.extend(if kind == 0x86dd { [0, 0x57] } else { [0, 0x21] });
        }
        3 => bytes.extend([0x88, 0x63, 0x11, 9, 0, 0, 0, 4]),
        4 => {
            // 802.3 with LLC or SNAP.
            bytes.extend((packet.len() as u16 + 8).to_be_bytes());
            let sap = *random.of(&[0xaa, 0x42, 0xfe, 0xe0, 0xf0, 0x06]);
            bytes.extend([sap, sap, *random.of(&[3, 0, 1, 0x7f])]);
            if sap == 0xaa {
                bytes.extend([0, 0, *random.of(&[0, 0xc])]);
                bytes.extend(kind.to_be_bytes());
            }
        }
        _ => bytes.extend(kind.to_be_bytes()),
    }
    bytes.extend(packet);
    if random.one_in(2) && bytes.len() < 60 {
        bytes.resize(60, 0);
    }
    bytes
}

/// A frame of that link type; some are cut.
fn made(random: &mut Random, link_type: LinkType) -> Sample {
    let mut data = Vec::new();
    match link_type {
        LinkType::ETHERNET => data = ethernet(random, 2),
        LinkType::RAW => data = network(random, 2).1,
        LinkType::NULL => {
            let (kind, packet) = network(random, 2);
            // As this system numbers them; those of others see the table of differences.
            let family: u32 = if kind == 0x86dd { 10 } else { 2 };
            data.extend(family.to_ne_bytes());
            data.extend(packet);
        }
        LinkType::LINUX_SLL => {
            let (kind, packet) = network(random, 2);
            data.extend([0, *random.of(&[0, 4, 1, 2]), 0, 1, 0, 6]);
            data.extend(random.of(&MACS));
            data.extend([0, 0]);
            data.extend(kind.to_be_bytes());
            data.extend(packet);
        }
        LinkType::LINUX_SLL2 => {
            let (kind, packet) = network(random, 2);
            data.extend(kind.to_be_bytes());
            data.extend([0, 0, 0, 0, 0, *random.of(&[1, 2]), 0, 1, *random.of(&[0, 4, 1]), 6]);
            data.extend(random.of(&MACS));
            data.extend([0, 0]);
            data.extend(packet);
        }
        _ => {
            // 802.11, behind a radiotap header where there is one.
            if link_type == LinkType::IEEE802_11_RADIOTAP {
                let length = 8 + random.below(5) as u16 * 4;
                data.extend([0, 0]);
                data.extend(length.to_le_bytes());
                data.extend(random.of(&[0_u32, 2, 0x22]).to_le_bytes());
                data.resize(usize::from(length), *random.of(&[0, 0x20, 0x10]));
            }
            let control = *random.of(&[0x08_u8, 0x88, 0x08, 0x80, 0xb4, 0x48, 0x40]);
            let flags = *random.of(&[0, 1, 2, 3, 0x41]);
            data.extend([control, flags, 0, 0]);
            for _ in 0..if flags & 3 == 3 { 4 } else { 3 } {
                data.extend(random.of(&MACS));
            }
            data.extend([0, 0]);
            if control & 0x80 != 0 && control & 0x0c == 8 {
                data.extend([0, 0]);
            }
            let (kind, packet) = network(random, 1);
            data.extend([0xaa, 0xaa, 3, 0, 0, 0]);
            data.extend(kind.to_be_bytes());
            data.extend(packet);
        }
    }
    let wire_length = data.len() as u32;
    if random.one_in(8) {
        data.truncate(random.below(wire_length + 1) as usize);
    }
    Sample { link_type, data, wire_length }
}

pub(crate) fn synthetic(link_type: LinkType, count: usize, seed: u64) -> Vec<Sample> {
    let mut random = Random::new(seed ^ u64::from(link_type.0));
    (0..count).map(|_| made(&mut random, link_type)).collect()
}

/// All frames of the captures below a folder that a reader finds.
pub(crate) fn corpus(folder: &Path) -> Vec<Sample> {
    let mut files = Vec::new();
    list(folder, &mut files);
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

fn read(file: &Path) -> Vec<Sample> {
    let mut samples = Vec::new();
    let Ok(file) = std::fs::File::open(file) else { return samples };
    let Ok(mut reader) = create_reader(1 << 20, file) else { return samples };
    let mut link_types: Vec<LinkType> = Vec::new();
    let link = |number: i32| LinkType(u16::try_from(number).unwrap_or(u16::MAX));
    let mut refilled = false;
    loop {
        match reader.next() {
            Ok((used, block)) => {
                refilled = false;
                match block {
                    PcapBlockOwned::LegacyHeader(header) => link_types = vec![link(header.network.0)],
                    PcapBlockOwned::Legacy(record) => {
                        let end = (record.caplen as usize).min(record.data.len());
                        samples.push(Sample {
                            link_type: link_types.first().copied().unwrap_or_default(),
                            data: record.data[..end].to_vec(),
                            wire_length: record.origlen,
                        });
                    }
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => link_types.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        link_types.push(link(interface.linktype.0));
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let end = (packet.caplen as usize).min(packet.data.len());
                        if let Some(link_type) = link_types.get(packet.if_id as usize) {
                            samples.push(Sample {
                                link_type: *link_type,
                                data: packet.data[..end].to_vec(),
                                wire_length: packet.origlen,
                            });
                        }
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(used);
            }
            Err(PcapError::Incomplete(_)) if !refilled => {
                refilled = true;
                if reader.refill().is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    samples
}
