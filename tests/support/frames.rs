//! Frames written by hand, so that what reads them is not what wrote them.

/// Neither host's: the stack that receives it stays silent.
const NOBODY: [u8; 4] = [198, 51, 100, 7];
const TCP: u8 = 6;
const UDP: u8 = 17;

/// An Ethernet frame with IPv4 and UDP, at least 60 bytes; `number` begins the payload.
pub(crate) fn udp(source_port: u16, destination_port: u16, number: u32, payload: usize) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(source_port.to_be_bytes());
    header.extend(destination_port.to_be_bytes());
    header.extend((8 + payload.max(4) as u16).to_be_bytes());
    header.extend([0, 0]);
    ipv4(UDP, &header, number, payload)
}

/// Likewise with TCP.
pub(crate) fn tcp(source_port: u16, destination_port: u16, number: u32, payload: usize) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(source_port.to_be_bytes());
    header.extend(destination_port.to_be_bytes());
    header.extend([0; 8]);
    header.extend([0x50, 0x10, 0x20, 0x00, 0, 0, 0, 0]);
    ipv4(TCP, &header, number, payload)
}

fn ipv4(protocol: u8, header: &[u8], number: u32, payload: usize) -> Vec<u8> {
    let payload = payload.max(4);
    let length = (20 + header.len() + payload) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    frame.extend([0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend([10, 77, 0, 1]);
    frame.extend(NOBODY);
    frame.extend(header);
    frame.extend(number.to_be_bytes());
    frame.resize((frame.len() + payload - 4).max(60), 0x5a);
    frame
}

/// The same frame with a VLAN tag behind its addresses.
pub(crate) fn tagged(frame: &[u8], tpid: u16, tci: u16) -> Vec<u8> {
    let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
    [&frame[..12], &tag, &frame[12..]].concat()
}

/// Protocol, destination port and number of a frame made here; `None` for any other.
pub(crate) fn read(frame: &[u8]) -> Option<(u8, u16, u32)> {
    let ours = frame.get(12..14)? == [0x08, 0x00] && frame.get(30..34)? == NOBODY;
    let protocol = *frame.get(23).filter(|_| ours)?;
    let port = u16::from_be_bytes([*frame.get(36)?, *frame.get(37)?]);
    let payload = if protocol == TCP { 54 } else { 42 };
    let number = frame.get(payload..payload + 4)?;
    Some((protocol, port, u32::from_be_bytes(number.try_into().ok()?)))
}
