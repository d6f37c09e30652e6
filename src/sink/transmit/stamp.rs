//! A number and a time in each frame, for whoever measures loss, order and delay at the other end.
//!
//! In the form of the Linux kernel's pktgen (`struct pktgen_hdr` of `net/core/pktgen.c`), which Wireshark shows: at the
//! beginning of the UDP payload 0xbe9be955, the number, seconds and microseconds, 32 bits each.

use crate::checksum::update;
use crate::frame::Timestamp;
use crate::parse::{Packet, Transport};
use crate::sys::packet_sender::BURST;

const MAGIC: u32 = 0xbe9b_e955;
/// Bytes of a stamp.
pub(super) const LENGTH: usize = 16;
/// Bytes of a UDP header, and where in it the checksum stands.
const UDP: usize = 8;
const CHECKSUM: usize = 6;

/// Copies of the frames of a burst, to be written to.
#[derive(Debug)]
pub(super) struct Stamper {
    copies: Vec<u8>,
    /// Where each copy ends.
    ends: Vec<usize>,
}

/// Where the UDP header begins, when it has room for a stamp behind it.
pub(super) fn place(packet: &Packet<'_>) -> Option<usize> {
    // Not within a tunnel: outer checksums would go wrong.
    let ip = packet.outer().filter(|_| packet.inner().is_none())?;
    let has_room = ip.end.saturating_sub(ip.data) as usize >= LENGTH;
    (ip.transport == Transport::Udp && has_room).then_some(ip.payload as usize)
}

impl Stamper {
    pub(super) fn new() -> Self {
        Self { copies: Vec::new(), ends: Vec::with_capacity(BURST) }
    }

    pub(super) fn clear(&mut self) {
        self.copies.clear();
        self.ends.clear();
    }

    /// Copies a frame and stamps it, where there is a place for it.
    pub(super) fn push(&mut self, frame: &[u8], place: Option<usize>, number: u64, time: Timestamp) {
        let start = self.copies.len();
        self.copies.extend_from_slice(frame);
        self.ends.push(self.copies.len());
        let udp = place.and_then(|place| self.copies.get_mut(start + place..)).unwrap_or_default();
        if let Some((header, payload)) = udp.split_first_chunk_mut::<UDP>()
            && let Some(to) = payload.first_chunk_mut::<LENGTH>()
        {
            write(header, to, number, time);
        }
    }

    /// The copies of this burst, in order.
    pub(super) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.copies[std::mem::replace(&mut start, end)..end])
    }
}

/// Writes the stamp and brings the checksum up to date (RFC 1624): what was wrong stays wrong.
fn write(header: &mut [u8; UDP], to: &mut [u8; LENGTH], number: u64, time: Timestamp) {
    let words = [MAGIC, number as u32, time.seconds as u32, time.nanos / 1_000];
    let mut stamp = [0; LENGTH];
    for (bytes, word) in stamp.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    let checksum = u16::from_be_bytes([header[CHECKSUM], header[CHECKSUM + 1]]);
    // 0 says that there is none, and is never the sum of anything (RFC 768).
    if checksum != 0 {
        let new = update(checksum, to, &stamp);
        let new = if new == 0 { 0xffff } else { new };
        header[CHECKSUM..].copy_from_slice(&new.to_be_bytes());
    }
    *to = stamp;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Checksum, Ethernet, Ipv4, Ipv6, Stack, Tcp, Udp};
    use crate::frame::{Frame, LinkType};
    use crate::parse::parse;
    use crate::verify::{Verdict, verify};
    use std::net::Ipv6Addr;

    fn stamped(frame: &[u8]) -> (Option<usize>, Vec<u8>) {
        let read = Frame::new(LinkType::ETHERNET, frame);
        let layers = parse(&read);
        let place = place(&Packet::new(read, &layers));
        let mut stamper = Stamper::new();
        stamper.push(frame, place, 0x1_0000_0007, Timestamp::new(1_700_000_000, 123_456_789));
        (place, stamper.frames().next().expect("one frame").to_vec())
    }

    fn verdict(frame: &[u8]) -> Verdict {
        let read = Frame::new(LinkType::ETHERNET, frame);
        let layers = parse(&read);
        verify(&Packet::new(read, &layers)).l4
    }

    fn udp(length: usize, checksum: Checksum, v6: bool) -> Vec<u8> {
        let mut stack = Stack::new();
        stack.message(&vec![0xa5; length]).wrap(Udp::new(1_000, 9).checksum(checksum));
        if v6 {
            let [client, server] = [1, 2].map(|last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last));
            stack.wrap(Ipv6::new(client, server));
        } else {
            stack.wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
        }
        stack.wrap(Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]));
        stack.bytes().to_vec()
    }

    #[test]
    fn the_stamp_is_pktgens_and_the_checksum_stays_what_it_was() {
        for (v6, header) in [(false, 42), (true, 62)] {
            let frame = udp(18, Checksum::Right, v6);
            let (place, stamped) = stamped(&frame);
            assert_eq!(place, Some(header - 8));
            let expected = [0xbe9b_e955_u32, 7, 1_700_000_000, 123_456].map(u32::to_be_bytes).concat();
            assert_eq!(stamped[header..header + 16], expected);
            assert_eq!(
                (&stamped[..header - 2], &stamped[header + 16..]),
                (&frame[..header - 2], &frame[header + 16..])
            );
            assert_eq!(verdict(&stamped), Verdict::Good);
        }
        let (_, bad) = stamped(&udp(18, Checksum::Wrong, false));
        assert!(verdict(&bad).is_bad());
    }

    #[test]
    fn what_has_no_room_or_is_no_udp_goes_as_it_is() {
        let short = udp(15, Checksum::Right, false);
        assert_eq!(stamped(&short), (None, short.clone()));
        let mut stack = Stack::new();
        stack.message(&[0; 100]).wrap(Tcp::new(1, 2)).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
        stack.wrap(Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]));
        assert_eq!(stamped(stack.bytes()), (None, stack.bytes().to_vec()));
    }
}
