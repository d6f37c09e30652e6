//! Segments in any order, with any overlaps: every byte is accounted for, each stream goes on where it was, and nothing waits beyond
//! the bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;
use std::time::Duration;
use wharf::flow::reassembly::{Options, Overlap, Reassembler, Segment, Side, Slice, What};
use wharf::frame::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let Some((&mode, mut rest)) = bytes.split_first() else { return };
    let options = Options {
        overlap: if mode & 1 == 0 { Overlap::First } else { Overlap::Last },
        connection: 600,
        total: 1_000,
        connections: 3,
        idle: (mode & 2 != 0).then_some(Duration::from_secs(5)),
    };
    let mut reassembler = Reassembler::new(options);
    let (mut ends, mut delivered, mut seconds) = (HashMap::new(), 0, 0);
    let mut handed = |slice: Slice<'_, u8>| {
        let end: &mut u64 = ends.entry((slice.connection, slice.side)).or_default();
        let length = match slice.what {
            What::Data(data) => {
                delivered += data.len() as u64;
                data.len() as u64
            }
            What::Missing(bytes, _) => bytes,
            What::End(_) => 0,
        };
        assert_eq!(slice.offset, *end);
        assert!(length > 0 || matches!(slice.what, What::End(_)));
        *end += length;
    };
    // Each segment: flags, connection and side, where it is (near the start, or around the wrap), how long.
    while let Some((&[flags, which, place, acknowledged, length], tail)) = rest.split_first_chunk::<5>() {
        let (payload, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        seconds += i64::from(flags >> 6);
        let start = if which & 0x20 == 0 { 1_000 } else { u32::MAX - 60 };
        let segment = Segment {
            sequence: start.wrapping_add(u32::from(place) * 4),
            acknowledgment: (flags & 8 != 0).then(|| start.wrapping_add(u32::from(acknowledged) * 4)),
            syn: flags & 7 == 1,
            fin: flags & 7 == 2,
            rst: flags & 7 == 3,
            payload,
            // Cut by the capture, now and then; by a little, or by as much as a length can say.
            length: payload.len() as u32 + [0, 9, 65_495, u32::MAX >> 1][usize::from((flags & 7).saturating_sub(3).min(3))],
        };
        let side = if which & 0x10 == 0 { Side::First } else { Side::Second };
        reassembler.segment(&(which & 7), side, &segment, Some(Timestamp::new(seconds, 0)), &mut handed);
        if flags & 0x3f == 0x3f {
            reassembler.end(&(which & 7), &mut handed);
        }
        assert!(reassembler.waiting() <= 1_000 && reassembler.connections() <= 3);
    }
    reassembler.finish(&mut handed);
    let counters = reassembler.counters();
    assert_eq!(counters.delivered, delivered);
    assert_eq!(counters.payload, counters.delivered + counters.repeated + counters.outside);
    assert_eq!((reassembler.waiting(), reassembler.connections()), (0, 0));
});
