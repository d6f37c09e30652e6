//! A frame as it was on the wire: the VLAN tag the kernel took out put back, the cooked header put before.

use super::block::Slot;
use crate::frame::{Direction, LinkType, Offload, Record, Timestamp};
use crate::sys::packet_abi::{
    PACKET_OUTGOING, STATUS_CHECKSUM_NOT_READY, STATUS_CHECKSUM_VALID, STATUS_GSO_TCP,
    STATUS_VLAN_TPID_VALID, STATUS_VLAN_VALID,
};

/// Bytes of an IEEE 802.1Q tag.
pub(super) const TAG: usize = 4;
/// Bytes of a `LINKTYPE_LINUX_SLL2` header.
pub(super) const SLL2: usize = 20;
/// Destination and source: what stands before a tag in an Ethernet frame.
const ADDRESSES: usize = 12;
/// EtherType of a tag whose own the kernel does not tell (before Linux 3.14).
const DEFAULT_TPID: u16 = 0x8100;
/// EtherTypes of tags that the kernel knows as such: IEEE 802.1Q and 802.1ad.
const TPIDS: [u16; 2] = [0x8100, 0x88a8];
/// Values below this in an EtherType's place are the kernel's names for frames with a length there.
const FIRST_ETHERTYPE: u16 = 0x0600;

/// Where a restored frame lies in its block's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) captured: usize,
    pub(super) length: u32,
}

/// Puts a frame right within its block, and notes in `record` where it is, of at most `most` bytes, and what is known of
/// it. What all frames of the ring have in common is there already.
// Inlined, and the record written where it stays: handed on by value, as is the slot, it would be copied in words wider
// than those that were just stored, each copy waiting until they have left the store buffer.
#[inline(always)]
pub(super) fn note(record: &mut Record, body: &mut [u8], slot: Slot, most: u32) {
    let is_tagged = slot.header.status & STATUS_VLAN_VALID != 0;
    let span = match record.link_type {
        LinkType::LINUX_SLL2 => cooked(body, &{ slot }),
        LinkType::ETHERNET if is_tagged => ethernet(body, &{ slot }),
        _ => bare(&slot),
    };
    record.offset = span.start as u32;
    record.captured = (span.captured as u32).min(most);
    record.wire_length = span.length;
    record.time = Some(Timestamp::new(i64::from(slot.header.seconds), slot.header.nanos));
    record.direction = match slot.address.packet_type {
        PACKET_OUTGOING => Direction::Out,
        _ => Direction::In,
    };
    let has = |flag| slot.header.status & flag != 0;
    record.offload = Offload {
        checksum_not_ready: has(STATUS_CHECKSUM_NOT_READY),
        checksum_valid: has(STATUS_CHECKSUM_VALID),
        segmented: has(STATUS_GSO_TCP),
        ..Offload::default()
    };
}

/// The tag taken out of a frame: its EtherType and its control information.
fn tag(slot: &Slot) -> Option<(u16, u16)> {
    let header = &slot.header;
    let known = header.status & STATUS_VLAN_TPID_VALID != 0;
    (header.status & STATUS_VLAN_VALID != 0)
        .then_some((if known { header.vlan_tpid } else { DEFAULT_TPID }, header.vlan_tci as u16))
}

/// A frame of a device with a header of its own kind, not Ethernet: as it is.
#[inline(always)]
pub(super) fn bare(slot: &Slot) -> Span {
    let captured = slot.header.captured as usize;
    Span { start: slot.start, captured, length: slot.header.length.max(slot.header.captured) }
}

/// An Ethernet frame: the addresses move up by 4 bytes and the tag goes in behind them.
/// Needs [`TAG`] bytes of headroom.
#[inline(never)]
pub(super) fn ethernet(body: &mut [u8], slot: &Slot) -> Span {
    let plain = bare(slot);
    let Some((tpid, tci)) = tag(slot) else { return plain };
    let length = plain.length.saturating_add(TAG as u32);
    if plain.captured < ADDRESSES {
        return Span { length, ..plain };
    }
    let start = plain.start - TAG;
    body.copy_within(plain.start..plain.start + ADDRESSES, start);
    put(body, start + ADDRESSES, &tpid.to_be_bytes());
    put(body, start + ADDRESSES + 2, &tci.to_be_bytes());
    Span { start, captured: plain.captured + TAG, length }
}

/// A cooked frame: a `LINKTYPE_LINUX_SLL2` header goes before it, with the tag, if there was one, between:
/// its EtherType is then the header's protocol. Needs [`SLL2`] + [`TAG`] bytes of headroom.
#[inline(never)]
pub(super) fn cooked(body: &mut [u8], slot: &Slot) -> Span {
    let mut span = bare(slot);
    let mut protocol = u16::from_be_bytes(slot.address.protocol);
    if let Some((tpid, tci)) = tag(slot) {
        let data = &body[span.start..span.start + span.captured];
        let inner = if is_stacked(protocol, data, span.length) {
            DEFAULT_TPID
        } else if protocol < FIRST_ETHERTYPE {
            // What follows a tag is an EtherType or a length, never one of the kernel's own names.
            span.length as u16
        } else {
            protocol
        };
        span.start -= TAG;
        put(body, span.start, &tci.to_be_bytes());
        put(body, span.start + 2, &inner.to_be_bytes());
        protocol = tpid;
        span.captured += TAG;
        span.length = span.length.saturating_add(TAG as u32);
    }
    let address = &slot.address;
    span.start -= SLL2;
    put(body, span.start, &protocol.to_be_bytes());
    put(body, span.start + 2, &[0; 2]);
    put(body, span.start + 4, &address.interface.to_be_bytes());
    put(body, span.start + 8, &address.hardware.to_be_bytes());
    put(body, span.start + 10, &[address.packet_type, address.address_length]);
    put(body, span.start + 12, &address.address);
    span.captured += SLL2;
    span.length = span.length.saturating_add(SLL2 as u32);
    span
}

/// Whether `data`, which follows a tag that the kernel took out, begins with another tag's control information.
///
/// Of stacked tags the kernel takes out the outermost alone, and what follows is in the frame. A cooked socket is told
/// the protocol behind all of them all the same (`vlan_get_protocol_dgram` in `net/packet/af_packet.c`, since Linux
/// 6.10), and the EtherType of the second tag nowhere: it is taken for [`DEFAULT_TPID`]. What tells is that the frame's
/// own tags lead to that protocol. Where a packet without them reads so by chance (an IPv4 datagram of 2048 bytes),
/// lengths decide.
fn is_stacked(protocol: u16, data: &[u8], length: u32) -> bool {
    let mut tags = 0;
    let found = data.chunks_exact(TAG).find_map(|tag| {
        tags += TAG;
        let kind = u16::from_be_bytes([tag[2], tag[3]]);
        (!TPIDS.contains(&kind)).then_some(kind)
    });
    let is_one = |data| is_ip(protocol, data, length);
    let is_behind = |data| is_ip(protocol, data, length.saturating_sub(tags as u32));
    found == Some(protocol) && (is_behind(&data[tags..]) || !is_one(data))
}

/// Whether an IP packet of that protocol that fits `length` bytes begins here, as far as its first words tell.
fn is_ip(protocol: u16, data: &[u8], length: u32) -> bool {
    let word =
        |at: usize| data.get(at..at + 2).map_or(0, |word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let version = data.first().map_or(0, |first| first >> 4);
    match protocol {
        0x0800 => version == 4 && (20..=length).contains(&word(2)),
        0x86dd => version == 6 && word(4) + 40 <= length,
        _ => false,
    }
}

fn put(body: &mut [u8], offset: usize, bytes: &[u8]) {
    body[offset..offset + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::super::block::tests::{begin, build};
    use super::*;
    use crate::sys::packet_abi::{FrameHeader, LinkAddress};

    const FRAME: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00, 0x45, 0x00];

    fn one(header: FrameHeader, data: &[u8]) -> (Vec<u8>, Slot) {
        of(0x0800, header, data)
    }

    fn of(protocol: u16, header: FrameHeader, data: &[u8]) -> (Vec<u8>, Slot) {
        let address = LinkAddress {
            protocol: protocol.to_be_bytes(),
            interface: 7,
            hardware: 1,
            packet_type: 4,
            address_length: 6,
            address: [2, 0, 0, 0, 0, 9, 0, 0],
            ..LinkAddress::default()
        };
        let block = build(4096, &[(header, address, data)]);
        let (mut walk, body) = begin(&block).unwrap();
        let slot = walk.next(body).unwrap().unwrap();
        (body.to_vec(), slot)
    }

    fn tagged(known: bool) -> FrameHeader {
        let status = STATUS_VLAN_VALID | if known { STATUS_VLAN_TPID_VALID } else { 0 };
        FrameHeader { status, vlan_tci: 0x6005, vlan_tpid: 0x88a8, length: 1000, ..FrameHeader::default() }
    }

    #[test]
    fn the_tag_goes_behind_the_addresses() {
        let (mut block, slot) = one(tagged(true), &FRAME);
        let span = ethernet(&mut block, &slot);
        assert_eq!(
            block[span.start..][..span.captured],
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x88, 0xa8, 0x60, 0x05, 0x08, 0x00, 0x45, 0x00]
        );
        assert_eq!(span.length, 1004);
    }

    #[test]
    fn an_unknown_tag_type_is_8021q() {
        let (mut block, slot) = one(tagged(false), &FRAME);
        let span = ethernet(&mut block, &slot);
        assert_eq!(block[span.start + 12..][..4], [0x81, 0x00, 0x60, 0x05]);
    }

    #[test]
    fn a_frame_without_tag_or_snapped_within_its_addresses_stays() {
        let (mut block, slot) = one(FrameHeader::default(), &FRAME);
        assert_eq!(ethernet(&mut block, &slot), bare(&slot));
        let (mut block, slot) = one(tagged(true), &FRAME[..11]);
        assert_eq!(ethernet(&mut block, &slot), Span { length: 1004, ..bare(&slot) });
    }

    #[test]
    fn cooked_frames_get_their_header() {
        let (mut block, slot) = one(FrameHeader::default(), &FRAME[14..]);
        let span = cooked(&mut block, &slot);
        assert_eq!(
            block[span.start..][..span.captured],
            [0x08, 0x00, 0, 0, 0, 0, 0, 7, 0, 1, 4, 6, 2, 0, 0, 0, 0, 9, 0, 0, 0x45, 0x00]
        );
        assert_eq!(span.length, 22);
    }

    #[test]
    fn a_tag_stands_between_cooked_header_and_packet() {
        let (mut block, slot) = one(tagged(true), &FRAME[14..]);
        let span = cooked(&mut block, &slot);
        let bytes = &block[span.start..][..span.captured];
        assert_eq!(
            (&bytes[..2], &bytes[SLL2..]),
            (&[0x88, 0xa8][..], &[0x60, 0x05, 0x08, 0x00, 0x45, 0x00][..])
        );
        assert_eq!(span.length, 1024);
    }

    /// The EtherType written behind the tag taken out, of a frame of that protocol that begins like this.
    fn behind(protocol: u16, begin: &[u8], length: u32) -> u16 {
        let mut data = begin.to_vec();
        data.resize(begin.len().max(64), 0);
        let (mut block, slot) = of(protocol, FrameHeader { length, ..tagged(true) }, &data);
        let span = cooked(&mut block, &slot);
        let bytes = &block[span.start..][..span.captured];
        assert_eq!((&bytes[..2], &bytes[SLL2 + TAG..]), (&[0x88, 0xa8][..], &data[..]));
        u16::from_be_bytes([bytes[SLL2 + 2], bytes[SLL2 + 3]])
    }

    #[test]
    fn a_second_tag_is_seen_where_the_kernel_tells_what_is_behind_it() {
        const IPV4: [u8; 4] = [0x45, 0, 0, 60];
        const IPV6: [u8; 6] = [0x60, 0, 0, 0, 0, 20];
        for (protocol, packet) in [(0x0800, &IPV4[..]), (0x86dd, &IPV6), (0x0806, &[0, 1, 8, 0, 6, 4])] {
            assert_eq!(behind(protocol, packet, 64), protocol, "one tag");
            let kind = protocol.to_be_bytes();
            for more in [&[][..], &[0x81, 0x00, 0x20, 0x06], &[0x88, 0xa8, 0, 3, 0x81, 0x00, 0x20, 0x06]] {
                let stacked = [&[0x60, 0x05], more, &kind, packet].concat();
                assert_eq!(behind(protocol, &stacked, 80), 0x8100, "{more:?}");
                assert_eq!(behind(0x8100, &stacked, 80), 0x8100, "an older kernel");
            }
        }
        // A length in the place of an EtherType, which the kernel has from the frame there.
        assert_eq!(behind(4, &[0x42, 0x42, 3], 64), 64);
        assert_eq!(behind(43, &[0x60, 0x05, 0, 43, 0x42, 0x42, 3], 60), 0x8100);
    }

    #[test]
    fn a_packet_that_reads_like_a_second_tag_by_chance_is_none() {
        // A total length of 2048 bytes, a flow label that ends like the EtherType.
        assert_eq!(behind(0x0800, &[0x45, 0, 0x08, 0x00, 0x12, 0x34, 0x40, 0], 2048), 0x0800);
        assert_eq!(behind(0x86dd, &[0x60, 0, 0x86, 0xdd, 0, 20, 17, 64], 60), 0x86dd);
        // And tags that read like a packet.
        assert_eq!(behind(0x0800, &[0x45, 0, 0x08, 0x00, 0x45, 0, 0, 60], 64), 0x8100);
        assert_eq!(behind(0x86dd, &[0x60, 0, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20], 64), 0x8100);
        // Cut before that can be seen.
        let (mut block, slot) = one(tagged(true), &[0x60, 0x05]);
        let span = cooked(&mut block, &slot);
        assert_eq!(block[span.start..][SLL2 + 2..span.captured], [0x08, 0x00, 0x60, 0x05]);
    }
}
