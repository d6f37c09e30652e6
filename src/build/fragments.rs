//! Cutting a packet into fragments (RFC 791 section 3.2, RFC 8200 section 4.5).

use super::{Content, Header, Ipv6Fragment, Stack};

/// Cuts the IP packet in `stack`, with nothing around it yet, into fragments of at most `mtu` bytes
/// each, in order. A packet that fits stays whole.
///
/// IPv4 fragments keep the packet's identification and all of its options. IPv6 fragments get
/// `identification` in a fragment header right after the IPv6 header.
///
/// ```
/// use wharf::build::{Ipv4, Stack, Udp, fragments};
/// let mut stack = Stack::new();
/// stack.message(&[0; 3000]).wrap(Udp::new(1, 2)).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
/// let lengths: Vec<_> = fragments(&stack, 1500, 7).iter().map(Vec::len).collect();
/// assert_eq!(lengths, [1500, 1500, 68]);
/// ```
///
/// # Panics
/// When the stack does not hold an IP packet, or `mtu` leaves no room for 8 bytes of data.
#[must_use]
pub fn fragments(stack: &Stack, mtu: usize, identification: u32) -> Vec<Vec<u8>> {
    let packet = stack.bytes();
    if packet.len() <= mtu {
        return vec![packet.to_vec()];
    }
    let (header_length, added) = match stack.content() {
        Content::Ipv4 => (usize::from(packet[0] & 0x0f) * 4, 0),
        Content::Ipv6 => (40, 8),
        other => panic!("not an IP packet: {other:?}"),
    };
    let (header, data) = packet.split_at(header_length);
    let room = mtu.saturating_sub(header_length + added) / 8 * 8;
    assert!(room >= 8, "an MTU of {mtu} has no room for data");
    let pieces = data.chunks(room).enumerate();
    let cut = pieces.map(|(index, piece)| {
        let offset = index * room;
        let more = offset + piece.len() < data.len();
        match stack.content() {
            Content::Ipv4 => fragment_v4(header, piece, offset, more),
            _ => fragment_v6(header, piece, offset, more, identification),
        }
    });
    cut.collect()
}

fn fragment_v4(header: &[u8], piece: &[u8], offset: usize, more: bool) -> Vec<u8> {
    let mut fragment = [header, piece].concat();
    let length = fragment.len() as u16;
    let place = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    fragment[2..4].copy_from_slice(&length.to_be_bytes());
    fragment[6..8].copy_from_slice(&place.to_be_bytes());
    fragment[10..12].fill(0);
    let checksum = crate::checksum::internet(&fragment[..header.len()]);
    fragment[10..12].copy_from_slice(&checksum.to_be_bytes());
    fragment
}

fn fragment_v6(header: &[u8], piece: &[u8], offset: usize, more: bool, identification: u32) -> Vec<u8> {
    let mut stack = Stack::new();
    stack.message(piece);
    let place = Ipv6Fragment::new(identification).place(offset as u16, more);
    place.next_header(header[6]).wrap(&mut stack);
    let mut fragment = [header, stack.bytes()].concat();
    let length = stack.bytes().len() as u16;
    fragment[4..6].copy_from_slice(&length.to_be_bytes());
    fragment[6] = 44;
    fragment
}
