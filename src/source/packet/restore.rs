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
        // What follows a tag is an EtherType or a length, never one of the kernel's own names.
        let inner = if protocol < FIRST_ETHERTYPE { span.length as u16 } else { protocol };
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
        let address = LinkAddress {
            protocol: [0x08, 0x00],
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
}
