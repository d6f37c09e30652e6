//! Capture files for the tests, made of nothing but bytes.

/// An Ethernet frame with an IPv4 UDP datagram that has no checksum and `length` bytes of payload.
pub(crate) fn udp(source: u16, destination: u16, length: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    let mut ip = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    ip[2..4].copy_from_slice(&(28 + length).to_be_bytes());
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(ip);
    for field in [source, destination, 8 + length, 0] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(std::iter::repeat_n(b'w', length.into()));
    frame
}

/// A broadcast ARP request.
pub(crate) fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    frame
}

/// The head of a little-endian pcap file with microseconds.
pub(crate) fn header(link_type: u32) -> Vec<u8> {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(262_144_u32.to_le_bytes().into_iter().chain(link_type.to_le_bytes()));
    bytes
}

/// One record of such a file.
pub(crate) fn record(second: u32, frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).unwrap();
    [second, 5, length, length]
        .iter()
        .flat_map(|field| field.to_le_bytes())
        .chain(frame.iter().copied())
        .collect()
}

/// A whole file, a packet a second from 1700000000 on.
pub(crate) fn pcap(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let records = (1_700_000_000..).zip(frames).flat_map(|(second, frame)| record(second, &frame));
    header(1).into_iter().chain(records).collect()
}

/// Two datagrams to port 53, one back, one to 443, an ARP request.
pub(crate) fn small() -> Vec<u8> {
    pcap([udp(40_000, 53, 4), udp(53, 40_000, 8), udp(40_001, 53, 4), udp(40_002, 443, 100), arp()])
}

/// Enough packets to fill every pipe and buffer on the way.
pub(crate) fn large() -> Vec<u8> {
    pcap((0..50_000).map(|n| udp(40_000, n, 64)))
}
