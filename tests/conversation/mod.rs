//! A conversation as frames, and frames as a capture file.

use std::path::Path;
use wharf::build::{Ipv4, Stack, Tcp, Udp, fragments};

/// Who speaks first, and who answers.
pub(crate) const ENDS: [([u8; 4], u16); 2] = [([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 6_667)];

/// A TCP segment from the first end or from the second: flags, sequence and acknowledgment number, payload.
pub(crate) fn tcp(side: usize, flags: u16, numbers: (u32, u32), payload: &[u8]) -> Vec<u8> {
    let ((from, sport), (to, dport)) = (ENDS[side], ENDS[1 - side]);
    let header = Tcp::new(sport, dport).flags(flags).sequence(numbers.0).acknowledgment(numbers.1);
    let mut stack = Stack::new();
    stack.message(payload).wrap(header).wrap(Ipv4::new(from, to));
    stack.bytes().to_vec()
}

/// A UDP datagram, in as many fragments as it takes with this MTU.
pub(crate) fn udp(side: usize, payload: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let ((from, sport), (to, dport)) = (ENDS[side], ENDS[1 - side]);
    let mut stack = Stack::new();
    stack.message(payload).wrap(Udp::new(sport, dport)).wrap(Ipv4::new(from, to));
    fragments(&stack, mtu, 7)
}

/// Two people say hello, the second segment of the answer comes before the first, and one segment is not captured but
/// acknowledged.
pub(crate) fn chat() -> Vec<Vec<u8>> {
    let (syn, ack, fin) = (Tcp::SYN, Tcp::ACK, Tcp::FIN | Tcp::ACK);
    vec![
        tcp(0, syn, (99, 0), b""),
        tcp(1, syn | ack, (499, 100), b""),
        tcp(0, ack, (100, 500), b""),
        tcp(0, ack, (100, 500), b"hello\r\n"),
        tcp(1, ack, (506, 107), b"t\xc3\xa9\x1b[2J\n"),
        tcp(1, ack, (500, 107), b"saluto"),
        tcp(0, ack, (107, 500), b"who"),
        tcp(0, ack, (112, 514), b"you?\n"),
        tcp(1, ack, (514, 117), b""),
        tcp(1, fin, (514, 117), b""),
        tcp(0, fin, (117, 515), b""),
    ]
}

/// A pcap file of bare IP packets, a millisecond apart.
pub(crate) fn write(path: &Path, packets: &[Vec<u8>]) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101_u32] {
        file.extend(word.to_le_bytes());
    }
    for (at, packet) in packets.iter().enumerate() {
        let length = packet.len() as u32;
        let micros = at as u32 * 1_000;
        for word in [1_700_000_000 + micros / 1_000_000, micros % 1_000_000, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    std::fs::write(path, file).unwrap();
}
