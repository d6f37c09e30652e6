//! Frames as they were on the wire, and what the kernel says of them.

use crate::support::frames;
use crate::support::network::{LIMIT, capture, open, quiet_lab, send, sender, stop_and_collect};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wharf::engine::{Engine, Shutdown};
use wharf::frame::{Direction, LinkType, Record};
use wharf::sink::Count;
use wharf::source::packet::{Capture, Directions};
use wharf::source::{Fill, Source};
use wharf::sys::block_ring::BlockRing;
use wharf::sys::lab::Host;
use wharf::sys::link;
use wharf::sys::packet_abi::{FrameHeader, RingRequest, STATUS_STAMPED_BY_DEVICE};
use wharf::sys::packet_socket::{EVERY_PROTOCOL, Mode, PacketSocket};
use wharf::verify::Verdict;
use zerocopy::FromBytes;

pub(crate) fn vlan_tags_are_put_back() {
    let lab = quiet_lab();
    let plain = frames::udp(1, 2, 77, 100);
    let sent = [
        plain.clone(),
        frames::tagged(&plain, 0x8100, 5),
        frames::tagged(&plain, 0x8100, 0xe000),
        frames::tagged(&plain, 0x88a8, 0x6fff),
        frames::tagged(&frames::tagged(&plain, 0x8100, 7), 0x88a8, 9),
        frames::tagged(&frames::tagged(&plain, 0x8100, 1), 0x8100, 2),
    ];
    for (name, directions) in [("in", Directions::In), ("out", Directions::Out)] {
        let host = if directions == Directions::In { &lab.server } else { &lab.client };
        let options = Capture::on(host.interface).directions(directions);
        let mut capture = open(host, options).expect("a capture");
        let socket = sender(&lab.client);
        sent.iter().for_each(|frame| send(&socket, frame));
        let seen = stop_and_collect(&mut capture);
        assert_eq!(seen.len(), sent.len(), "{name}");
        for ((data, record), sent) in seen.iter().zip(&sent) {
            assert_eq!(data, sent, "{name}");
            assert_eq!(record.wire_length as usize, sent.len(), "{name}");
        }
    }
}

pub(crate) fn directions_are_told_and_chosen() {
    let lab = quiet_lab();
    let (here, there) = (sender(&lab.server), sender(&lab.client));
    for (directions, expected) in [
        (Directions::In, vec![(1, Direction::In)]),
        (Directions::Out, vec![(2, Direction::Out)]),
        (Directions::Both, vec![(1, Direction::In), (2, Direction::Out)]),
    ] {
        let options = Capture::on(lab.server.interface).directions(directions);
        let mut capture = open(&lab.server, options).expect("a capture");
        send(&there, &frames::udp(1, 2, 1, 0));
        send(&here, &frames::udp(1, 2, 2, 0));
        let seen: Vec<_> = stop_and_collect(&mut capture)
            .iter()
            .map(|(data, record)| (frames::read(data).expect("ours").2, record.direction))
            .collect();
        assert_eq!(seen, expected, "{directions:?}");
        assert_eq!(capture.counters().received, expected.len() as u64);
    }
}

pub(crate) fn the_loopback_is_seen_once() {
    let lab = quiet_lab();
    for (interface, directions) in [
        ("lo", Directions::Both),
        ("lo", Directions::In),
        ("lo", Directions::Out),
        ("any", Directions::Both),
        ("any", Directions::In),
        ("any", Directions::Out),
    ] {
        let options = Capture::on(interface).directions(directions);
        let mut capture = open(&lab.server, options).expect("a capture");
        say(&lab.server, Ipv4Addr::LOCALHOST, b"to myself");
        let seen = stop_and_collect(&mut capture);
        let way = if directions == Directions::Out { Direction::Out } else { Direction::In };
        let ways: Vec<_> = seen.iter().map(|(_, record)| record.direction).collect();
        assert_eq!(ways, [way], "{interface} {directions:?}");
        assert!(seen[0].0.ends_with(b"to myself"));
        let link_type = if interface == "lo" { LinkType::ETHERNET } else { LinkType::LINUX_SLL2 };
        assert_eq!(seen[0].1.link_type, link_type);
    }
}

/// Sends one datagram to a socket that is there for it.
fn say(from: &Host, to: Ipv4Addr, text: &[u8]) {
    from.namespace
        .run(|| {
            let bound = UdpSocket::bind((to, 0))?;
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.send_to(text, bound.local_addr()?)
        })
        .expect("a datagram");
}

pub(crate) fn offloaded_checksums_are_told() {
    let lab = quiet_lab();
    let mut server = capture(&lab.server);
    let receiver = lab.server.namespace.run(|| UdpSocket::bind((lab.server.v4, 4000))).expect("bind");
    let socket = lab.client.namespace.run(|| UdpSocket::bind((lab.client.v4, 0))).expect("bind");
    socket.send_to(b"offloaded", receiver.local_addr().expect("address")).expect("send");
    send(&sender(&lab.client), &frames::udp(1, 2, 3, 0));
    let seen = stop_and_collect(&mut server);
    let not_ready: Vec<_> = seen.iter().map(|(_, record)| record.offload.checksum_not_ready).collect();
    assert_eq!(not_ready, [true, false], "the socket's is, the frame made by hand is not");
    assert!(seen.iter().all(|(_, record)| !record.offload.checksum_valid && !record.offload.segmented));
}

pub(crate) fn large_segments_are_told() {
    const BYTES: usize = 1 << 20;
    let lab = quiet_lab();
    let mut server = capture(&lab.server);
    let listener = lab.server.namespace.run(|| TcpListener::bind((lab.server.v4, 4000))).expect("bind");
    let address = listener.local_addr().expect("address");
    let reader = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.read_to_end(&mut Vec::new())
    });
    let mut stream = lab.client.namespace.run(|| TcpStream::connect(address)).expect("connect");
    stream.write_all(&vec![7; BYTES]).expect("write");
    drop(stream);
    assert_eq!(reader.join().expect("the reader").expect("all of it"), BYTES);
    let seen = stop_and_collect(&mut server);
    let large = |record: &Record| record.wire_length > 1514;
    assert!(seen.iter().any(|(_, record)| large(record)), "a veth carries segments whole");
    assert!(seen.iter().all(|(data, record)| data.len() == record.wire_length as usize), "none was cut");
    // The kernel tells since Linux 6.3; before, none is marked.
    let marked = seen.iter().filter(|(_, record)| record.offload.segmented).count();
    let expected = seen.iter().filter(|(_, record)| large(record)).count();
    assert!(marked == expected || marked == 0, "{marked} of {expected}");
}

pub(crate) fn the_snap_length_cuts() {
    let lab = quiet_lab();
    let plain = frames::udp(1, 2, 1, 500);
    let sent = [plain.clone(), frames::tagged(&plain, 0x8100, 5), plain[..60].to_vec()];
    let socket = sender(&lab.client);
    for snap in [1_u32, 11, 12, 14, 64, 500, 541, 542, 545, 546, 10_000] {
        let options = Capture::on(lab.server.interface).snap_length(snap);
        let mut capture = open(&lab.server, options).expect("a capture");
        assert_eq!(capture.interfaces()[0].snap_length, snap);
        sent.iter().for_each(|frame| send(&socket, frame));
        let seen = stop_and_collect(&mut capture);
        assert_eq!(seen.len(), sent.len());
        for ((data, record), sent) in seen.iter().zip(&sent) {
            assert_eq!(*data, sent[..sent.len().min(snap as usize)], "snap {snap}");
            assert_eq!(record.wire_length as usize, sent.len(), "snap {snap}");
        }
    }
    for snap in [1_u32, 20, 21, 30] {
        let mut capture = open(&lab.server, Capture::on("any").snap_length(snap)).expect("a capture");
        send(&socket, &plain);
        let seen = stop_and_collect(&mut capture);
        assert_eq!((seen[0].0.len(), seen[0].1.wire_length), (snap as usize, 542 - 14 + 20));
    }
}

pub(crate) fn any_sees_every_interface_cooked() {
    let lab = quiet_lab();
    let mut capture = open(&lab.server, Capture::on("any")).expect("a capture");
    assert_eq!(capture.interfaces()[0].link_type, LinkType::LINUX_SLL2);
    let plain = frames::udp(1, 2, 9, 0);
    let socket = sender(&lab.client);
    send(&socket, &plain);
    send(&socket, &frames::tagged(&plain, 0x8100, 0x2005));
    say(&lab.server, Ipv4Addr::LOCALHOST, b"on lo");
    let seen = stop_and_collect(&mut capture);
    assert_eq!(seen.len(), 3);

    let index = lab.server.namespace.run(|| wharf::sys::link::index_of("server")).expect("index");
    let header = |protocol: u16| {
        let mut header = [protocol.to_be_bytes(), [0, 0]].concat();
        header.extend(index.to_be_bytes());
        // ARPHRD_ETHER, PACKET_HOST, 6 bytes of address, the sender's.
        header.extend([0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
        header
    };
    assert_eq!(seen[0].0, [&header(0x0800), &plain[14..]].concat());
    assert_eq!(seen[1].0, [&header(0x8100), &[0x20, 0x05, 0x08, 0x00][..], &plain[14..]].concat());
    let indices: BTreeSet<_> = seen.iter().map(|(data, _)| data[7]).collect();
    assert_eq!(indices.len(), 2, "two interfaces");
}

/// Of several tags the kernel takes out the outermost, and tells the protocol behind them all.
pub(crate) fn any_puts_stacked_tags_back() {
    let lab = quiet_lab();
    let plain = frames::udp(1, 2, 9, 0);
    let arp = [&plain[..12], &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat();
    let stack = |tags: &[(u16, u16)], frame: &[u8]| {
        tags.iter().rev().fold(frame.to_vec(), |frame, &(kind, tag)| frames::tagged(&frame, kind, tag))
    };
    let sent: Vec<_> = [&plain, &arp]
        .into_iter()
        .flat_map(|frame| {
            let stacks: [&[(u16, u16)]; 5] = [
                &[(0x8100, 0x2005)],
                &[(0x8100, 2), (0x8100, 0x4001)],
                &[(0x88a8, 9), (0x8100, 7)],
                &[(0x88a8, 9), (0x8100, 7), (0x8100, 0x6003)],
                &[(0x8100, 9), (0x8100, 7), (0x88a8, 5), (0x8100, 3)],
            ];
            stacks.map(|tags| stack(tags, frame))
        })
        .collect();
    let mut capture = open(&lab.server, Capture::on("any").directions(Directions::In)).expect("a capture");
    let socket = sender(&lab.client);
    sent.iter().for_each(|frame| send(&socket, frame));
    let seen = stop_and_collect(&mut capture);
    assert_eq!(seen.len(), sent.len());
    for ((data, record), sent) in seen.iter().zip(&sent) {
        // The EtherType behind the addresses stands at the head, all else behind the header.
        assert_eq!([&data[..2], &data[20..]].concat(), sent[12..]);
        assert_eq!(record.wire_length as usize, sent.len() + 6);
    }
}

pub(crate) fn times_are_the_kernels() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let socket = sender(&lab.client);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let before = now();
    for number in 0..50 {
        send(&socket, &frames::udp(1, 2, number, 0));
    }
    let after = now();
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 50 {
        assert!(begun.elapsed() < LIMIT, "stuck");
        if let Fill::Batch(batch) = capture.fill(7).expect("fill") {
            times.extend(batch.frames().map(|frame| frame.record.time.expect("a time")));
        }
    }
    assert!(times.is_sorted());
    let first = (times[0].seconds as u64, times[0].nanos);
    let last = (times[49].seconds as u64, times[49].nanos);
    assert!(
        first >= (before.as_secs(), before.subsec_nanos()) && last <= (after.as_secs(), after.subsec_nanos())
    );
    assert!(times.iter().any(|time| time.nanos % 1000 != 0), "nanoseconds");
}

/// What programs send over the loopback and over a veth is offloaded, whole segments and all: its checksums are not
/// there yet, and nobody may call them bad.
pub(crate) fn nothing_that_programs_send_is_called_bad() {
    const BYTES: usize = 1 << 20;
    let lab = quiet_lab();
    for (interface, from) in [("lo", &lab.server), (lab.server.interface, &lab.client)] {
        let to = if interface == "lo" { Ipv4Addr::LOCALHOST } else { lab.server.v4 };
        let capture = open(&lab.server, Capture::on(interface)).expect("a capture");
        let listener = lab.server.namespace.run(|| TcpListener::bind((to, 0))).expect("bind");
        let datagrams = lab.server.namespace.run(|| UdpSocket::bind((to, 0))).expect("bind");
        let (stream_to, datagram_to) = (listener.local_addr().unwrap(), datagrams.local_addr().unwrap());
        let shutdown = Shutdown::default();
        let mut counts = Count::new();
        let report = thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("accept");
                stream.read_to_end(&mut Vec::new()).expect("all of it");
                stream.write_all(&vec![9; BYTES]).expect("write");
            });
            scope.spawn(|| {
                let mut stream = from.namespace.run(|| TcpStream::connect(stream_to)).expect("connect");
                stream.write_all(&vec![7; BYTES]).expect("write");
                stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
                stream.read_to_end(&mut Vec::new()).expect("all of it");
                let socket =
                    from.namespace.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).expect("bind");
                for length in [0, 1, 100, 1472, 9000, 60_000] {
                    socket.send_to(&vec![5; length], datagram_to).expect("send");
                }
                shutdown.request();
            });
            Engine::builder()
                .source(capture)
                .rest(&mut counts)
                .shutdown(shutdown.clone())
                .run()
                .expect("a run")
        });
        let bad = Verdict::Bad { found: 0, expected: 0 };
        assert_eq!(
            (report.checksums.ip.of(bad), report.checksums.l4.of(bad)),
            (0, 0),
            "{interface}: {report}"
        );
        assert!(report.malformed.is_empty(), "{interface}: {report}");
        assert!(report.checksums.l4.of(Verdict::NotReady) > 10, "{interface}: {report}");
    }
}

/// Asked for a device's times where there are none, the kernel gives its own and says so in each frame's status.
pub(crate) fn a_frame_says_whose_time_it_has() {
    let lab = quiet_lab();
    let request = RingRequest {
        block_size: 64 << 10,
        block_count: 2,
        frame_size: 2048,
        frame_count: 64,
        retire_timeout: 1,
        private_size: 0,
        features: 0,
    };
    let open = || {
        let socket = PacketSocket::open(Mode::Raw)?;
        socket.set_device_times()?;
        let blocks = BlockRing::of_socket(&socket, &request)?;
        socket.bind(link::index_of("server")?, EVERY_PROTOCOL)?;
        Ok((socket, blocks))
    };
    let (_socket, mut blocks) = lab.server.namespace.run(open).expect("a ring");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let before = now();
    send(&sender(&lab.client), &frames::udp(1, 2, 3, 0));
    let begun = Instant::now();
    while !blocks.take() {
        assert!(begun.elapsed() < LIMIT, "no block comes");
        thread::yield_now();
    }
    let (header, _) = FrameHeader::read_from_prefix(blocks.body().expect("held")).expect("a header");
    assert_eq!(header.status & STATUS_STAMPED_BY_DEVICE, 0, "a veth has no clock");
    assert!((before..=now()).contains(&u64::from(header.seconds)), "{header:?}");
}
