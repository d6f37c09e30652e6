//! Every frame cut at every length, and bytes of no frame at all: the walk neither panics nor finds
//! anything beyond the cut, and no accessor over what it found panics.
//!
//! With `WHARF_CORPUS` set, every frame of the captures there is cut too.

mod frames;
#[path = "support/oracles.rs"]
mod oracles;

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use wharf::frame::{Frame, LinkType};
use wharf::parse::{Fragment, IpLayer, IpVersion, Layers, Packet, Reason, Span, TcpOption, Transport, parse};
use wharf::source::{CaptureFile, Fill, Source};

/// Calls everything there is to call. Its result only keeps the calls from being optimised away.
fn exercise(packet: &Packet<'_>) -> usize {
    let mut seen = packet.headers().iter().map(|&span| packet.bytes(span).len()).sum::<usize>();
    seen += packet.vlans().map(|tag| usize::from(tag.id()) + usize::from(tag.priority())).sum::<usize>();
    seen += packet.ethernet().map_or(0, |header| header.ether_type().into());
    seen += packet.linux_cooked().map_or(0, |header| header.address().len());
    seen += packet.linux_cooked2().map_or(0, |header| header.address().len());
    seen += packet.arp().map_or(0, |arp| arp.sender_hardware().len() + usize::from(arp.ipv4().is_some()));
    seen += packet.network().len() + packet.carried().map_or(0, |carried| carried.data.len());
    let layers = packet.layers();
    for ip in [layers.outer, layers.inner].iter().flatten() {
        seen += exercise_ip(packet, ip);
    }
    seen
}

fn exercise_ip(packet: &Packet<'_>, ip: &IpLayer) -> usize {
    let mut seen = packet.payload(ip).len() + packet.segment(ip).len() + packet.payload_length(ip) as usize;
    seen += usize::from(packet.addresses(ip).is_some()) + usize::from(packet.ports(ip).is_some());
    if let Some(header) = packet.ipv4(ip) {
        seen += header.options().count() + header.header_length() + usize::from(header.fragment_offset());
    }
    if let Some(header) = packet.ipv6(ip) {
        seen +=
            header.extensions().flatten().map(|ext| ext.bytes.len() + ext.options().count()).sum::<usize>();
        seen += header.flow_label() as usize;
    }
    if let Some(tcp) = packet.tcp(ip) {
        seen += tcp.header_length() + tcp.flags().to_string().len();
        for option in tcp.options().flatten() {
            seen += if let TcpOption::Sack(blocks) = option { blocks.iter().count() } else { 1 };
        }
    }
    seen += packet.udp(ip).map_or(0, |header| header.length().into());
    seen += packet.udp_lite(ip).map_or(0, |header| header.checksum().into());
    seen += packet.sctp(ip).map_or(0, |header| header.checksum() as usize);
    seen += packet.dccp(ip).map_or(0, |header| header.data_offset());
    seen += packet.icmp(ip).map_or(0, |header| header.quoted().map_or(0, <[u8]>::len));
    seen += packet.icmpv6(ip).map_or(0, |header| header.quoted().map_or(0, <[u8]>::len));
    seen + packet.igmp(ip).map_or(0, |header| usize::from(header.group().is_some()))
}

/// What [`Layers`] promise of a frame, whatever its bytes.
fn check(frame: &Frame<'_>) -> Layers {
    let layers = parse(frame);
    let length = frame.data.len() as u32;
    for ip in [layers.outer, layers.inner].iter().flatten() {
        assert!(ip.start < ip.payload || ip.payload == ip.end, "{ip:?}");
        assert!(ip.payload <= ip.data && ip.data <= ip.end && ip.end <= length, "{ip:?} in {length}");
        assert!(ip.end <= ip.declared_end, "{ip:?}");
        let address = if ip.version == IpVersion::V4 { 4 } else { 16 };
        // The destination may be cut, or compressed by a routing header: reading it is checked.
        assert!(ip.pseudo_source + address <= length, "{ip:?}");
        let known = ip.transport != Transport::None;
        assert!(!known || (ip.fragment != Fragment::Later && ip.data > ip.payload), "{ip:?}");
    }
    assert!(layers.network <= length);
    assert_eq!(layers.outer.is_some(), layers.ip_depth > 0);
    assert_eq!(layers.inner.is_some(), layers.ip_depth > 1);
    let packet = Packet::new(*frame, &layers);
    assert!(packet.headers().iter().all(|&Span { start, end, .. }| start < end && end <= length));
    assert_eq!(packet.vlans().count(), usize::from(layers.vlan_count));
    exercise(&packet);
    layers
}

/// Cuts a frame at each of `lengths`: once as a snap length does, once as a sender.
fn cut(frame: &Frame<'_>, lengths: impl Iterator<Item = usize>, name: &str) {
    let whole = check(frame);
    for length in lengths {
        let mut part = Frame::new(frame.record.link_type, &frame.data[..length]);
        check(&part);
        part.record.wire_length = frame.record.wire_length.max(frame.data.len() as u32);
        let found = check(&part);
        if whole.malformed.is_none() {
            let blamed = found.malformed.filter(|malformed| malformed.reason != Reason::Snapped);
            assert_eq!(blamed, None, "{name} cut at {length}: the sender is not to blame");
        }
    }
}

#[test]
fn every_shape_cut_at_every_length() {
    for shape in frames::shapes() {
        let frame = Frame::new(shape.link_type, &shape.bytes);
        cut(&frame, 0..=shape.bytes.len(), shape.name);
        for length in 0..shape.bytes.len() {
            let mut part = Frame::new(shape.link_type, &shape.bytes[..length]);
            part.record.wire_length = frame.record.wire_length;
            let layers = parse(&part);
            let headers = Packet::new(part, &layers).headers();
            let keys: Vec<_> = headers.iter().map(|span| span.layer.key()).collect();
            let begins = shape.headers.starts_with(&keys.join(" "));
            assert!(begins || shape.headers.is_empty(), "{} cut at {length}: {keys:?}", shape.name);
        }
    }
}

#[test]
fn every_shape_with_each_byte_changed() {
    for shape in frames::shapes() {
        for at in 0..shape.bytes.len().min(160) {
            for value in [0x00, 0x01, 0x45, 0x60, 0x7f, 0xff] {
                let mut bytes = shape.bytes.clone();
                bytes[at] = value;
                check(&Frame::new(shape.link_type, &bytes));
            }
        }
    }
}

#[test]
fn every_corpus_frame_cut_at_every_length() {
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        oracles::missing("WHARF_CORPUS is not set");
        return;
    };
    let mut frames = 0u64;
    for path in files(&Path::new(&corpus).join("captures")) {
        let Ok(mut file) = CaptureFile::open(&path) else { continue };
        // A damaged file's frames before the damage count; that it is damaged does not.
        while let Ok(Fill::Batch(batch)) = file.fill(wharf::source::BATCH) {
            for frame in batch.frames() {
                // Headers end early: beyond them every length is like the next.
                let near = 0..frame.data.len().min(400);
                cut(&frame, near.chain([frame.data.len()]), &path.display().to_string());
                frames += 1;
            }
        }
    }
    assert!(frames > 0, "no frame found under WHARF_CORPUS");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

prop_compose! {
    fn any_ip()(
        six: bool, protocol: u8, kind in 0usize..9, start: u32, payload in 0u32..300, data in 0u32..300,
        end in 0u32..300, declared_end: u32, pseudo: u32, near: bool,
    ) -> IpLayer {
        let transports = [
            Transport::None, Transport::Tcp, Transport::Udp, Transport::UdpLite, Transport::Sctp,
            Transport::Dccp, Transport::Icmp, Transport::Icmpv6, Transport::Igmp,
        ];
        IpLayer {
            version: if six { IpVersion::V6 } else { IpVersion::V4 },
            protocol, transport: transports[kind], payload, data, end, declared_end,
            start: if near { start % 64 } else { start },
            pseudo_source: pseudo, pseudo_destination: pseudo,
            ..IpLayer::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_of_every_link_type(link_type in 0u16..300, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&Frame::new(LinkType(link_type), &bytes));
    }

    #[test]
    fn random_bytes_behind_every_ethertype_that_leads_on(
        which in 0usize..16,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let kinds = [
            0x0800, 0x86dd, 0x8100, 0x8847, 0x8864, 0x0806, 0x88e5, 0x894f, 0x8903, 0x8909, 0xd28b, 0xdada,
            0x880b, 0x6558, 0x0040, 0x88a8,
        ];
        check(&Frame::new(LinkType::ETHERNET, &frames::ethernet(kinds[which], &bytes)));
    }

    #[test]
    fn random_bytes_behind_every_protocol(
        protocol: u8, six: bool, bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = if six { frames::ipv6(protocol, &bytes) } else { frames::ipv4(protocol, &bytes) };
        check(&Frame::new(LinkType::RAW, &bytes));
    }

    #[test]
    fn random_bytes_behind_every_tunnel_port(which in 0usize..15, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let ports = [
            1701, 2152, 3386, 3544, 4341, 4754, 4789, 4790, 5072, 5247, 6081, 6343, 6635, 8472, 37008,
        ];
        check(&Frame::new(LinkType::RAW, &frames::ipv4(17, &frames::udp(9, ports[which], &bytes))));
    }

    #[test]
    fn layers_of_another_frame_do_not_panic(
        outer in any_ip(), inner in any_ip(), network: u32,
        link_type in 0u16..300, bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let layers = Layers {
            outer: Some(outer), inner: Some(inner), ip_depth: 2, vlan_count: 3,
            service_vlan_count: 1, vlan_tags: [1, 2],
            ether_type: 0x0806, network, malformed: None,
        };
        exercise(&Packet::new(Frame::new(LinkType(link_type), &bytes), &layers));
    }
}
