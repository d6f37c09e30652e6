//! The port table: what it takes, and what goes on to the host.

use crate::counting::{open, read_to_end};
use crate::support::network::quiet_lab;
use std::io;
use std::net::UdpSocket;
use std::time::Duration;
use wharf::batch::Findings;
use wharf::parse::parse;
use wharf::source::xdp::{Capture, PortProtocol, PortTable};
use wharf::source::{Fill, Source};
use wharf::verify::Verdict;

pub(crate) fn bound(host: &wharf::sys::lab::Host, port: u16) -> UdpSocket {
    let socket = host.namespace.run(|| UdpSocket::bind((host.v4, port))).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    socket
}

/// Datagrams that wait in the socket.
pub(crate) fn received(socket: &UdpSocket) -> usize {
    let mut count = 0;
    loop {
        match socket.recv(&mut [0; 100]) {
            Ok(_) => count += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn wanted_ports_come_to_us_and_the_others_to_the_host() {
    let lab = quiet_lab();
    let [wanted, other] = [5300, 5301].map(|port| bound(&lab.server, port));
    let client = bound(&lab.client, 40_000);
    let mut table = PortTable::new();
    table.add(PortProtocol::Udp, 5300..=5300);
    // TCP's port is another.
    table.add(PortProtocol::Tcp, 5301..=5301);
    let mut capture = open(&lab.server, Capture::on("server").ports(table)).expect("a capture");
    for number in 0..200_u8 {
        client.send_to(&[number; 9], (lab.server.v4, 5300 + u16::from(number % 2))).expect("sent");
    }
    assert_eq!((received(&wanted), received(&other)), (0, 100));
    capture.stop().expect("stop");
    let mut numbers = Vec::new();
    read_to_end(&mut capture, |frame| {
        let ip = parse(&frame).outer.expect("IPv4");
        assert_eq!((ip.source_port, ip.destination_port), (40_000, 5300));
        numbers.push(frame.data[frame.data.len() - 1]);
    })
    .expect("an orderly end");
    assert_eq!(numbers, (0..200).step_by(2).collect::<Vec<_>>());
    assert_eq!(capture.counters().received, 100);
    // With the program gone all goes to the host again.
    client.send_to(&[1], (lab.server.v4, 5300)).expect("sent");
    assert_eq!(received(&wanted), 1);
}

pub(crate) fn what_a_host_left_unfinished_is_not_called_bad() {
    let lab = quiet_lab();
    let client = bound(&lab.client, 40_000);
    let mut capture = open(&lab.server, Capture::on("server")).expect("a capture");
    for number in 0..100_u8 {
        client.send_to(&[number; 31], (lab.server.v4, 5300)).expect("sent");
    }
    let (mut findings, mut open, mut seen) = (Findings::new(), 0, 0);
    while let Fill::Batch(batch) = capture.fill(256).expect("fill") {
        findings.read(batch);
        for index in 0..batch.len() {
            let verdict = findings.verdicts(index).l4;
            assert!(!verdict.is_bad(), "{verdict:?}");
            open += usize::from(verdict == Verdict::NotReady);
            seen += 1;
        }
    }
    assert_eq!((seen, open), (100, 100), "a veth pair offloads, so that every one of them is unfinished");
}
