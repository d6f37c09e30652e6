//! IP fragments in any order, with any overlaps: what is put together is whole, and nothing waits beyond the bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use wharf::flow::fragments::{Defragmenter, Options, Outcome};
use wharf::flow::reassembly::Overlap;
use wharf::frame::{Frame, LinkType, Timestamp};
use wharf::parse::{Packet, parse};

fn ipv4(offset: u16, more: bool, identification: u8, payload: &[u8]) -> Vec<u8> {
    let place = offset | if more { 0x2000 } else { 0 };
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, identification]);
    bytes.extend(place.to_be_bytes());
    bytes.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

fn ipv6(offset: u16, more: bool, identification: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([44, 64]);
    bytes.extend([&[0xfd; 16][..], &[0xfc; 16]].concat());
    bytes.extend([17, 0]);
    bytes.extend((offset << 3 | u16::from(more)).to_be_bytes());
    bytes.extend([0, 0, 0, identification]);
    bytes.extend(payload);
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&mode, mut rest)) = bytes.split_first() else { return };
    let options = Options {
        overlap: if mode & 1 == 0 { Overlap::First } else { Overlap::Last },
        memory: 4_000,
        packets: 3,
        timeout: Duration::from_secs(5),
    };
    let mut defragmenter = Defragmenter::new(options);
    let (mut complete, mut seconds) = (0, 0);
    // Each fragment: what it is, which packet it is of, where it lies, how long it is.
    while let Some((&[what, identification, place, length], tail)) = rest.split_first_chunk::<4>() {
        let (payload, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        seconds += i64::from(what >> 6);
        // Near the start, or near the end of what a packet may be.
        let offset = if what & 4 == 0 { u16::from(place & 31) } else { 8_191 - u16::from(place & 31) };
        let build = if what & 2 == 0 { ipv4 } else { ipv6 };
        let mut packet = build(offset, what & 1 != 0, identification & 7, payload);
        // Cut by the capture, now and then.
        if what & 0x38 == 0x38 {
            packet.truncate(packet.len() - payload.len() / 2);
        }
        let mut frame = Frame::new(LinkType::RAW, &packet);
        frame.record.time = Some(Timestamp::new(seconds, 0));
        let layers = parse(&frame);
        if let Outcome::Complete(carried) = defragmenter.packet(&Packet::new(frame, &layers)) {
            complete += 1;
            assert!(carried.data.len() <= 65_535 + 40);
            let frame = Frame::new(LinkType::RAW, &carried.data);
            let layers = parse(&frame);
            assert_eq!(defragmenter.packet(&Packet::new(frame, &layers)), Outcome::Whole);
        }
        assert!(defragmenter.waiting() <= 4_000 && defragmenter.incomplete() <= 3);
    }
    assert_eq!(defragmenter.counters().complete, complete);
});
