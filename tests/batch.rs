//! What is found in a whole batch is what the general walk finds in each of its frames.
//!
//! The frames are of every kind, damaged in their headers, and then often repaired so that both checksums are right again
//! where a common shape has them: a shape that was wrongly taken for common would then be called good. With `WHARF_CORPUS`
//! set, every frame of the captures there goes through as well.

#[expect(dead_code, reason = "only the bytes are wanted here")]
mod frames;
#[path = "support/oracles.rs"]
mod oracles;

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use wharf::batch::Findings;
use wharf::checksum::{Sum, internet};
use wharf::frame::{Batch, Direction, Interface, InterfaceId, LinkType, Offload, Record};
use wharf::parse::{Packet, Transport, parse};
use wharf::source::synthetic::{Protocol, Sizes, Synthetic, Traffic};
use wharf::source::{CaptureFile, Fill, Source};
use wharf::verify::{Checksums, Verdict, Verdicts, verify};

/// Reads a batch in every way: as it lies in a cache, as it lies in memory, and as it is followed by others: at once, somewhere
/// and far beyond all memory there is.
fn check(findings: &mut Findings, batch: Batch<'_>) {
    check_once(findings, batch);
    check_once(findings, batch.cold());
    for ahead in [1, batch.slab().len() as u32 / 2 + 1, u32::MAX] {
        check_once(findings, batch.followed(ahead));
    }
}

/// Without checksums: the same headers, and nothing known of any of them.
fn check_unverified(findings: &mut Findings, batch: Batch<'_>) {
    let mut malformed = Vec::new();
    findings.read_unverified(batch);
    for (index, frame) in batch.frames().enumerate() {
        let layers = parse(&frame);
        malformed.extend(layers.malformed);
        let summary = findings.summaries()[index];
        let context = || format!("unverified frame {index} of {}: {frame:x?}, {summary:?}", batch.len());
        let ip = layers.outer.unwrap_or_default();
        assert_eq!(summary.transport(), ip.transport, "{}", context());
        let ports = ip.transport.has_ports().then_some((ip.source_port, ip.destination_port));
        assert_eq!(summary.ports(), ports, "{}", context());
        let unknown = Verdict::NotApplicable.code();
        assert_eq!((summary.ip_code(), summary.l4_code()), (unknown, unknown), "{}", context());
        assert_eq!(findings.verdicts(index), Verdicts::default(), "{}", context());
        assert_eq!(findings.layers(&frame, index), &layers, "{}", context());
    }
    assert_eq!(findings.checksums(), &Checksums::default());
    assert_eq!(findings.malformed().collect::<Vec<_>>(), malformed);
}

fn check_once(findings: &mut Findings, batch: Batch<'_>) {
    check_unverified(findings, batch);
    findings.read(batch);
    let (mut checksums, mut malformed, mut bytes) = (Checksums::default(), Vec::new(), 0);
    assert_eq!(findings.summaries().len(), batch.len());
    // Some layers are found before they are asked for.
    let every_third: Vec<u16> = (0..batch.len() as u16).step_by(3).collect();
    findings.lay_out(batch, &every_third);
    for (index, frame) in batch.frames().enumerate() {
        let layers = parse(&frame);
        let verdicts = verify(&Packet::new(frame, &layers));
        let summary = findings.summaries()[index];
        let context = || format!("frame {index} of {}: {frame:x?}, summary {summary:?}", batch.len());
        let ip = layers.outer.unwrap_or_default();
        assert_eq!(summary.transport(), ip.transport, "{}", context());
        let ports = ip.transport.has_ports().then_some((ip.source_port, ip.destination_port));
        assert_eq!(summary.ports(), ports, "{}", context());
        assert_eq!(Verdict::NAMES[summary.ip_code()], verdicts.ip.name(), "{}", context());
        assert_eq!(Verdict::NAMES[summary.l4_code()], verdicts.l4.name(), "{}", context());
        assert_eq!(findings.verdicts(index), verdicts, "{}", context());
        assert_eq!(findings.layers(&frame, index), &layers, "{}", context());
        checksums.add(&verdicts);
        malformed.extend(layers.malformed);
        bytes += frame.data.len() as u64;
    }
    assert_eq!(findings.checksums(), &checksums);
    assert_eq!(findings.malformed().collect::<Vec<_>>(), malformed);
    assert_eq!(batch.captured(), bytes);
}

/// Frames in one slab.
#[derive(Debug, Default)]
struct Slab {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl Slab {
    fn add(&mut self, data: &[u8], record: Record, gap: usize) {
        self.bytes.resize(self.bytes.len() + gap, 0xa5);
        let (offset, captured) = (self.bytes.len() as u32, data.len() as u32);
        let wire_length = record.wire_length.max(captured);
        self.records.push(Record { offset, captured, wire_length, ..record });
        self.bytes.extend_from_slice(data);
    }

    fn check(&self, findings: &mut Findings) {
        let Self { bytes, records } = self.among_usual();
        check_once(findings, Batch::new(&bytes, &records, &[Interface::default()]));
        check(findings, Batch::new(&self.bytes, &self.records, &[Interface::default()]));
    }

    /// Each of the frames with three beside it that are as most packets are: those may be read together in fewer steps, and
    /// what one of four is must not be taken from the others.
    fn among_usual(&self) -> Self {
        let mut slab = Self::default();
        for (index, record) in self.records.iter().enumerate() {
            for lane in 0..4 {
                if lane == index % 4 {
                    let data = &self.bytes[record.offset as usize..][..record.captured as usize];
                    slab.add(data, *record, index % 3);
                } else {
                    let length = 60 + (index * 5 + lane * 17) % 90;
                    let mut usual = common(length, (false, false, lane % 2 == 0), index).expect("room");
                    repair(&mut usual);
                    slab.add(&usual, ETHERNET, 0);
                }
            }
        }
        slab.bytes.extend([0xdd; 128]);
        slab
    }
}

/// Gives an Ethernet frame, tagged once or not, the checksums of IPv4 without options, and of TCP, UDP or ICMP up to the IP
/// header's end, whatever else it may be.
fn repair(frame: &mut [u8]) {
    let tagged = frame.get(12..14) == Some(&[0x81, 0]);
    let Some(packet) = frame.get_mut(if tagged { 18 } else { 14 }..) else { return };
    let word = |bytes: &[u8], at: usize| {
        Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])))
    };
    let Some(first) = packet.first() else { return };
    let (addresses, start, end, protocol) = if first >> 4 == 6 {
        (8, 40, word(packet, 4).map(|length| 40 + length), packet.get(6).copied())
    } else {
        if let Some(header) = packet.get_mut(..20) {
            header[10..12].fill(0);
            let checksum = internet(header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        (12, 20, word(packet, 2), packet.get(9).copied())
    };
    let (Some(end), Some(protocol)) = (end, protocol) else { return };
    let icmp = protocol == 1;
    let at = start
        + if icmp {
            2
        } else if protocol == 17 {
            6
        } else {
            16
        };
    if at + 2 > end || end > packet.len() {
        return;
    }
    packet[at..at + 2].fill(0);
    let pseudo = Sum::ZERO.add_word(protocol.into()).add_word((end - start) as u16);
    let sum = if icmp { Sum::of(&packet[start..end]) } else { pseudo.add(&packet[addresses..end]) };
    let checksum = if sum.checksum() == 0 { 0xffff } else { sum.checksum() };
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// What is done to a frame before it is read.
#[derive(Clone, Debug)]
struct Change {
    frame: usize,
    /// Bytes set: where and to what.
    set: Vec<(usize, u8)>,
    repaired: bool,
    /// UDP's checksum is taken away again, where that is in the usual place.
    absent: bool,
    /// Bytes cut off the end, or put there.
    cut: usize,
    padding: usize,
    gap: usize,
    offload: (bool, bool, bool),
    link_type: u16,
}

fn change() -> impl Strategy<Value = Change> {
    // Values that mean something where they are likely to fall.
    let byte = prop_oneof![
        any::<u8>(),
        proptest::sample::select(vec![
            0, 1, 4, 5, 6, 8, 17, 20, 28, 40, 0x45, 0x46, 0x50, 0x60, 0x81, 0x86, 0xdd, 0xff
        ]),
    ];
    let place = prop_oneof![3 => 10usize..70, 1 => 0usize..1600];
    let link_type = prop_oneof![8 => Just(1u16), 1 => Just(101), 1 => Just(113)];
    let few = |most: usize| prop_oneof![3 => Just(0usize), 1 => 0..=most];
    (
        any::<prop::sample::Index>(),
        proptest::collection::vec((place, byte), 0..3),
        (proptest::bool::weighted(0.8), proptest::bool::weighted(0.1)),
        few(60),
        few(60),
        few(100),
        (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1), proptest::bool::weighted(0.1)),
        link_type,
    )
        .prop_map(|(frame, set, (repaired, absent), cut, padding, gap, offload, link_type)| Change {
            frame: frame.index(1 << 16),
            set,
            repaired,
            absent,
            cut,
            padding,
            gap,
            offload,
            link_type,
        })
}

/// Every kind of frame there is to make, the common ones more often.
fn originals() -> Vec<Vec<u8>> {
    let traffic = Traffic { distinct: 200, frames: 200, bad_percent: 5, ..Traffic::default() };
    let kinds = [
        Traffic { sizes: Sizes::Fixed(60), ..traffic.clone() },
        Traffic { sizes: Sizes::Imix, ipv6_percent: 50, vlan_percent: 50, ..traffic.clone() },
        Traffic {
            sizes: Sizes::Imix,
            protocols: vec![(Protocol::Tcp, 2), (Protocol::Udp, 2), (Protocol::Sctp, 1), (Protocol::Icmp, 1)],
            ipv6_percent: 30,
            vlan_percent: 20,
            tunnel_percent: 30,
            ..traffic
        },
    ];
    let synthetic = kinds.iter().flat_map(|traffic| {
        let source = Synthetic::new(traffic);
        source.table().frames().map(|frame| frame.data.to_vec()).collect::<Vec<_>>()
    });
    synthetic.chain(frames::shapes().into_iter().map(|shape| shape.bytes)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn a_batch_is_read_as_its_frames_are(
        changes in proptest::collection::vec(change(), 1..40),
        slack in 0usize..100,
    ) {
        thread_local!(static ORIGINALS: Vec<Vec<u8>> = originals());
        let mut slab = Slab::default();
        for change in &changes {
            let mut frame = ORIGINALS.with(|originals| originals[change.frame % originals.len()].clone());
            for &(at, byte) in &change.set {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
            if change.repaired {
                repair(&mut frame);
            }
            if change.absent
                && frame.get(23) == Some(&17)
                && let Some(field) = frame.get_mut(40..42)
            {
                field.fill(0);
            }
            let wire_length = frame.len() as u32;
            frame.truncate(frame.len() - change.cut.min(frame.len()));
            frame.resize(frame.len() + change.padding, 0x5a);
            let (checksum_not_ready, checksum_valid, checksum_unsure) = change.offload;
            let record = Record {
                wire_length,
                link_type: LinkType(change.link_type),
                offload: Offload { checksum_not_ready, checksum_valid, checksum_unsure, segmented: false },
                ..Record::default()
            };
            slab.add(&frame, record, change.gap);
        }
        slab.bytes.resize(slab.bytes.len() + slack, 0x77);
        // Twice: what was found before must not show.
        let mut findings = Findings::new();
        slab.check(&mut findings);
        slab.check(&mut findings);
    }
}

/// An Ethernet frame of a common shape and of this length, its payload and addresses made from `seed`; `None` when it
/// has no room for the headers. Its checksums are to be [repaired](repair).
fn common(length: usize, (tagged, v6, udp): (bool, bool, bool), seed: usize) -> Option<Vec<u8>> {
    let ip = if tagged { 18 } else { 14 };
    let transport = ip + if v6 { 40 } else { 20 };
    let mut frame: Vec<u8> = (0..length).map(|at| (at * 31 + seed * 7 + length) as u8).collect();
    let l4 = length.checked_sub(transport).filter(|l4| *l4 >= if udp { 8 } else { 20 })? as u16;
    if tagged {
        frame[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    }
    let protocol = if udp { 17 } else { 6 };
    if v6 {
        frame[ip - 2..ip + 1].copy_from_slice(&[0x86, 0xdd, 0x60]);
        frame[ip + 4..ip + 6].copy_from_slice(&l4.to_be_bytes());
        frame[ip + 6] = protocol;
    } else {
        frame[ip - 2..ip + 2].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[ip + 2..ip + 4].copy_from_slice(&(l4 + 20).to_be_bytes());
        frame[ip + 6..ip + 8].fill(0);
        frame[ip + 9] = protocol;
    }
    frame[transport..transport + 4].copy_from_slice(&[0x9c, 0x40, 0, 80]);
    if udp {
        frame[transport + 4..transport + 6].copy_from_slice(&l4.to_be_bytes());
    } else {
        frame[transport + 12] = 0x50;
    }
    Some(frame)
}

/// Tagged or not, IPv4 or IPv6, TCP or UDP.
fn kinds() -> impl Iterator<Item = (bool, bool, bool)> + Clone {
    (0..8).map(|kind| (kind & 1 != 0, kind & 2 != 0, kind & 4 != 0))
}

const ETHERNET: Record = Record {
    offset: 0,
    captured: 0,
    wire_length: 0,
    interface: InterfaceId(0),
    link_type: LinkType::ETHERNET,
    offload: Offload {
        checksum_not_ready: false,
        checksum_valid: false,
        segmented: false,
        checksum_unsure: false,
    },
    direction: Direction::Unknown,
    options_big_endian: false,
    number: 0,
    time: None,
    options_offset: 0,
    options_length: 0,
};

/// Common frames of every length, their ends filled up with what is not theirs.
#[test]
fn every_length_is_summed_to_its_end() {
    let mut findings = Findings::new();
    // To where lengths in bits, and then in bytes, are wider than 16.
    for length in (42..=1_600).chain(8_150..=8_240).chain(65_520..=65_549) {
        let mut slab = Slab::default();
        for (lane, kind) in kinds().chain(kinds()).enumerate() {
            let Some(mut frame) = common(length, kind, lane) else { continue };
            repair(&mut frame);
            frame.extend([0xee; 5]);
            slab.add(&frame, ETHERNET, lane % 3);
        }
        slab.bytes.extend([0xdd; 128]);
        slab.check(&mut findings);
        let good = findings.checksums().l4.of(Verdict::Good);
        assert_eq!(good, slab.records.len() as u64, "length {length}");
    }
}

/// Every header length of TCP, and every length that UDP and IP may say of a few bytes, with right checksums or none.
#[test]
fn lengths_that_cannot_be_are_seen() {
    let mut findings = Findings::new();
    let mut slab = Slab::default();
    let mut add = |mut frame: Vec<u8>, kind: (bool, bool, bool), l4: u16, absent: bool| {
        let ip = if kind.0 { 18 } else { 14 };
        let (at, length) = if kind.1 { (ip + 4, l4) } else { (ip + 2, l4 + 20) };
        frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
        repair(&mut frame);
        if absent {
            let checksum = ip + if kind.1 { 46 } else { 26 };
            frame[checksum..checksum + 2].fill(0);
        }
        for checksum_valid in [false, true] {
            let offload = Offload { checksum_valid, ..Offload::default() };
            slab.add(&frame, Record { offload, ..ETHERNET }, 0);
        }
    };
    for kind in kinds() {
        let transport = if kind.0 { 18 } else { 14 } + if kind.1 { 40 } else { 20 };
        let frame = |seed| common(160, kind, seed).expect("a frame with room");
        if kind.2 {
            for (l4, udp) in (0..24).flat_map(|l4| (0..24).map(move |udp| (l4, udp))) {
                let mut frame = frame(usize::from(l4));
                frame[transport + 4..transport + 6].copy_from_slice(&u16::to_be_bytes(udp));
                add(frame.clone(), kind, l4, false);
                add(frame, kind, l4, true);
            }
        } else {
            for (l4, words) in (0..68).flat_map(|l4| (0..16).map(move |words| (l4, words))) {
                let mut frame = frame(usize::from(l4));
                frame[transport + 12] = words << 4 | 3;
                add(frame, kind, l4, false);
            }
        }
    }
    slab.bytes.extend([0xdd; 128]);
    slab.check(&mut findings);
}

/// An echo request in IPv4, of this length in all. Its checksums are to be [repaired](repair).
fn echo(length: usize, tagged: bool, seed: usize) -> Vec<u8> {
    let mut frame = common(length, (tagged, false, true), seed).expect("a frame with room");
    let ip = if tagged { 18 } else { 14 };
    frame[ip + 9] = 1;
    frame[ip + 20..ip + 22].copy_from_slice(&[8, 0]);
    frame
}

/// ICMP is summed to its end, has no pseudo header and no ports, and is nothing that the kernel vouches for.
#[test]
fn icmp_of_every_length_is_common() {
    let mut findings = Findings::new();
    for length in (46..=300).chain(1_490..=1_520) {
        let mut slab = Slab::default();
        for lane in 0..32 {
            let mut frame = if lane % 4 == 3 {
                common(length.max(80), (false, false, lane % 8 == 3), lane).expect("a frame with room")
            } else {
                echo(length, lane % 2 == 1, lane)
            };
            repair(&mut frame);
            let offload = Offload { checksum_valid: lane % 5 == 4, ..Offload::default() };
            slab.add(&frame, Record { offload, ..ETHERNET }, lane % 3);
        }
        slab.bytes.extend([0xdd; 128]);
        slab.check(&mut findings);
        let icmp = findings.summaries().iter().filter(|summary| summary.transport() == Transport::Icmp);
        assert_eq!(icmp.filter(|summary| Verdict::NAMES[summary.l4_code()] == "good").count(), 24);
    }
}

/// Every kind cut at every length, with right checksums and wrong ones, also where none is wrong whatever it is.
#[test]
fn packets_cut_anywhere_are_judged_as_far_as_they_go() {
    let mut findings = Findings::new();
    let mut truncated = 0;
    for captured in 0..=200 {
        let mut slab = Slab::default();
        for (lane, kind) in kinds().chain(kinds()).enumerate() {
            let mut frame = if lane % 3 == 2 {
                echo(160, kind.0, lane)
            } else {
                common(160, kind, lane).expect("a frame with room")
            };
            repair(&mut frame);
            frame.extend([0xee; 40]);
            let at = if kind.0 { 18 } else { 14 };
            for (byte, valid, not_ready) in [
                (None, false, false),
                (Some(at + 1), false, false),
                (Some(at + 45), false, false),
                (Some(at + 45), true, false),
                (Some(at + 45), false, true),
            ] {
                let mut frame = frame.clone();
                byte.into_iter().for_each(|at| frame[at] ^= 0x55);
                let offload =
                    Offload { checksum_valid: valid, checksum_not_ready: not_ready, ..Offload::default() };
                let wire_length = if lane < 8 { 200 } else { captured as u32 };
                slab.add(&frame[..captured], Record { offload, wire_length, ..ETHERNET }, lane % 3);
            }
        }
        slab.bytes.extend([0xdd; 128]);
        slab.check(&mut findings);
        truncated += findings.checksums().l4.of(Verdict::Truncated);
    }
    assert!(truncated > 2_000, "{truncated}");
}

/// What is found and what would be right, for many fields and many sums: also those of which only the rest of the packet
/// tells, and those that the kernel has left unfinished.
#[test]
fn wrong_checksums_are_told_as_one_by_one() {
    let mut findings = Findings::new();
    let mut bad = 0;
    for seed in 0..64 {
        let mut slab = Slab::default();
        for (lane, kind) in kinds().chain(kinds()).enumerate() {
            let icmp = lane >= 8 && !kind.1;
            let mut frame = if icmp {
                echo(100, kind.0, seed)
            } else {
                common(100, kind, seed).expect("a frame with room")
            };
            let ip = if kind.0 { 18 } else { 14 };
            let l4 = ip + if kind.1 { 40 } else { 20 };
            let field = l4
                + if icmp {
                    2
                } else if kind.2 {
                    6
                } else {
                    16
                };
            // With the payload's last word taking up what the field would have said, its right value is 0.
            frame[98..].fill(0);
            repair(&mut frame);
            if lane % 2 == 0 {
                let word = [frame[field], frame[field + 1]];
                frame[98..].copy_from_slice(&word);
                repair(&mut frame);
            }
            for value in [[0, 0], [0, 1], [0xff, 0xff], [0xff, 0xfe], [seed as u8, lane as u8]] {
                let mut wrong = frame.clone();
                wrong[field..field + 2].copy_from_slice(&value);
                for checksum_unsure in [false, true] {
                    let offload = Offload { checksum_unsure, ..Offload::default() };
                    slab.add(&wrong, Record { offload, ..ETHERNET }, 0);
                }
                // And of the IPv4 header, over IPv6 some byte of the address.
                wrong[ip + 10..ip + 12].copy_from_slice(&value);
                slab.add(&wrong, ETHERNET, 1);
            }
        }
        slab.bytes.extend([0xdd; 128]);
        slab.check(&mut findings);
        bad += findings.checksums().l4.of(Verdict::Bad { found: 0, expected: 0 });
    }
    assert!(bad > 8_000, "{bad}");
}

/// A sum that comes out right with 0 in the checksum field is not right: over IPv6 it must have been sent as 0xffff
/// (RFC 8200 section 8.1), and over IPv4 it means that there is none.
#[test]
fn a_zero_that_would_be_right_is_none() {
    let mut slab = Slab::default();
    for (lane, kind) in kinds().filter(|(.., udp)| *udp).cycle().take(64).enumerate() {
        let mut frame = common(80, kind, lane).expect("a frame with room");
        let checksum = if kind.0 { 24 } else { 20 } + if kind.1 { 40 } else { 20 };
        // The payload's last word takes up what the field would have said.
        frame[78..].fill(0);
        repair(&mut frame);
        let field = [frame[checksum], frame[checksum + 1]];
        frame[78..].copy_from_slice(&field);
        frame[checksum..checksum + 2].fill(0);
        slab.add(&frame, ETHERNET, 0);
    }
    slab.bytes.extend([0xdd; 128]);
    let mut findings = Findings::new();
    slab.check(&mut findings);
    let l4 = &findings.checksums().l4;
    assert_eq!((l4.of(Verdict::Absent), l4.of(Verdict::Bad { found: 0, expected: 0 })), (32, 32));
}

/// Batches of every length up to eight groups, and around those at which counts are added up in between, with the slab
/// ending right behind the last frame.
#[test]
fn every_batch_length_is_read_whole() {
    let traffic =
        Traffic { distinct: 1_100, frames: 1_100, ipv6_percent: 30, bad_percent: 20, ..Traffic::default() };
    let source = Synthetic::new(&traffic);
    let table = source.table();
    let mut findings = Findings::new();
    let long = (250..=270).chain(505..=525).chain(1_020..=1_035);
    for count in (0..=64).chain(long) {
        let records = &table.records()[..count];
        let end = records.last().map_or(0, |last| (last.offset + last.captured) as usize);
        check(&mut findings, Batch::new(&table.slab()[..end], records, table.interfaces()));
    }
}

#[test]
fn captures_are_read_as_their_frames_are() {
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        oracles::missing("WHARF_CORPUS is not set");
        return;
    };
    let mut findings = Findings::new();
    let mut frames = 0;
    for path in files(Path::new(&corpus)) {
        let Ok(mut file) = CaptureFile::open(&path) else { continue };
        while let Ok(Fill::Batch(batch)) = file.fill(usize::MAX) {
            check(&mut findings, batch);
            frames += batch.len();
        }
    }
    assert!(frames > 1_000, "only {frames} frames below {}", Path::new(&corpus).display());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
