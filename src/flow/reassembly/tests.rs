//! Streams cut up in every way, against a model that keeps everything.

mod snapped;

use super::{Counters, End, Gap, Options, Overlap, Reassembler, Segment, Side, What};
use crate::frame::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

/// Everything handed on of one side; `None` for a byte that is missing.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    bytes: Vec<Option<u8>>,
    ends: Vec<End>,
}

impl Heard {
    fn take(&mut self, offset: u64, what: What<'_>) {
        assert_eq!(offset, self.bytes.len() as u64, "slices follow one another");
        match what {
            What::Data(bytes) => self.bytes.extend(bytes.iter().copied().map(Some)),
            What::Missing(count, _) => self.bytes.extend((0..count).map(|_| None)),
            What::End(end) => self.ends.push(end),
        }
    }

    fn text(&self) -> String {
        self.bytes.iter().map(|byte| byte.map_or('_', char::from)).collect()
    }
}

/// One connection and all that is heard of it, by connection number and side.
struct Listener {
    reassembler: Reassembler<u8>,
    heard: Vec<[Heard; 2]>,
}

impl Listener {
    fn new(options: Options) -> Self {
        Self { reassembler: Reassembler::new(options), heard: Vec::new() }
    }

    fn take(&mut self, side: Side, segment: Segment<'_>) -> u64 {
        self.take_of(0, side, segment, None)
    }

    fn take_of(&mut self, key: u8, side: Side, segment: Segment<'_>, time: Option<Timestamp>) -> u64 {
        let heard = &mut self.heard;
        self.reassembler.segment(&key, side, &segment, time, |slice| {
            let at = slice.connection as usize;
            heard.resize_with(heard.len().max(at + 1), Default::default);
            heard[at][slice.side.index()].take(slice.offset, slice.what);
        })
    }

    fn finish(&mut self) -> Counters {
        let heard = &mut self.heard;
        self.reassembler.finish(|slice| {
            let at = slice.connection as usize;
            heard.resize_with(heard.len().max(at + 1), Default::default);
            heard[at][slice.side.index()].take(slice.offset, slice.what);
        });
        let counters = self.reassembler.counters();
        assert_eq!(counters.payload, counters.delivered + counters.repeated + counters.outside);
        assert_eq!((self.reassembler.waiting(), self.reassembler.connections()), (0, 0));
        counters
    }

    /// What the first side of a connection has said so far.
    fn said(&self, connection: usize) -> String {
        self.heard.get(connection).map_or(String::new(), |heard| heard[0].text())
    }
}

fn data(sequence: u32, payload: &str) -> Segment<'_> {
    Segment { sequence, payload: payload.as_bytes(), ..Segment::default() }
}

fn ack(number: u32) -> Segment<'static> {
    Segment { sequence: 500, acknowledgment: Some(number), ..Segment::default() }
}

fn syn(sequence: u32) -> Segment<'static> {
    Segment { sequence, syn: true, ..Segment::default() }
}

/// What a stream comes to, by the rule as it reads: a place is taken by whoever came first, or last, until it and all
/// before it are there.
fn model(pieces: &[(usize, Vec<u8>)], overlap: Overlap) -> Vec<Option<u8>> {
    let mut bytes: Vec<Option<u8>> = Vec::new();
    for (start, piece) in pieces {
        let settled = bytes.iter().take_while(|byte| byte.is_some()).count();
        bytes.resize(bytes.len().max(if piece.is_empty() { 0 } else { start + piece.len() }), None);
        for (at, byte) in (*start..).zip(piece) {
            if at >= settled && (overlap == Overlap::Last || bytes[at].is_none()) {
                bytes[at] = Some(*byte);
            }
        }
    }
    bytes
}

fn run(first: u32, pieces: &[(usize, Vec<u8>)], overlap: Overlap) -> (Heard, Counters) {
    let mut listener = Listener::new(Options { overlap, ..Options::default() });
    listener.take(Side::First, syn(first.wrapping_sub(1)));
    for (start, payload) in pieces {
        let sequence = first.wrapping_add(*start as u32);
        listener.take(Side::First, Segment { sequence, payload, ..Segment::default() });
    }
    let counters = listener.finish();
    (std::mem::take(&mut listener.heard[0][0]), counters)
}

proptest! {
    #[test]
    fn any_order_repetition_and_overlap_gives_the_stream(
        stream in proptest::collection::vec(any::<u8>(), 1..300),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..40_usize), 0..60),
        first in prop_oneof![any::<u32>(), (u32::MAX - 300)..=u32::MAX],
        order in any::<u64>(),
        last in any::<bool>(),
    ) {
        // Pieces of any place and length, and what they leave out, in any order.
        let mut spans: Vec<(usize, usize)> =
            cuts.iter().map(|(at, length)| (at.index(stream.len()), *length)).collect();
        spans.extend((0..stream.len()).step_by(17).map(|at| (at, 17)));
        let mut random = order;
        for at in (1..spans.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            spans.swap(at, (random >> 33) as usize % (at + 1));
        }
        let cut = |(at, length): (usize, usize)| (at, stream[at..stream.len().min(at + length)].to_vec());
        let pieces: Vec<_> = spans.into_iter().map(cut).collect();
        let overlap = if last { Overlap::Last } else { Overlap::First };
        let (heard, counters) = run(first, &pieces, overlap);
        prop_assert_eq!(heard.bytes, stream.iter().copied().map(Some).collect::<Vec<_>>());
        prop_assert_eq!((counters.conflicting, counters.missing), (0, 0));
    }

    #[test]
    fn differing_overlaps_and_gaps_are_as_in_the_model(
        pieces in proptest::collection::vec(
            (0..200_usize, proptest::collection::vec(any::<u8>(), 0..50)), 0..60),
        first in prop_oneof![any::<u32>(), (u32::MAX - 200)..=u32::MAX],
        last in any::<bool>(),
    ) {
        let overlap = if last { Overlap::Last } else { Overlap::First };
        let (heard, counters) = run(first, &pieces, overlap);
        let expected = model(&pieces, overlap);
        prop_assert_eq!(counters.missing, expected.iter().filter(|byte| byte.is_none()).count() as u64);
        prop_assert_eq!(heard.bytes, expected);
    }
}

#[test]
fn both_sides_are_told_apart_and_ended() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, syn(99));
    listener.take(Side::Second, Segment { acknowledgment: Some(100), ..syn(u32::MAX) });
    listener.take(Side::First, data(100, "hello"));
    listener.take(Side::Second, Segment { acknowledgment: Some(105), ..data(0, "hi") });
    listener.take(Side::First, Segment { fin: true, ..data(105, "!") });
    let counters = listener.finish();
    assert_eq!(listener.heard[0][0].text(), "hello!");
    assert_eq!(listener.heard[0][1].text(), "hi");
    assert_eq!([&listener.heard[0][0].ends, &listener.heard[0][1].ends], [&[End::Asked]; 2]);
    assert_eq!((counters.waited, counters.delivered, counters.missing), (0, 8, 0));
}

#[test]
fn the_answer_to_a_syn_tells_where_its_sender_began() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::Second, Segment { acknowledgment: Some(100), ..syn(7) });
    listener.take(Side::First, data(103, "lo"));
    listener.take(Side::First, data(100, "hel"));
    assert_eq!(listener.said(0), "hello");
}

#[test]
fn data_in_a_syn_counts_from_behind_it() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, Segment { syn: true, ..data(99, "GET") });
    listener.take(Side::First, Segment { syn: true, ..data(99, "GET") });
    listener.take(Side::First, data(103, " /"));
    assert_eq!(listener.said(0), "GET /");
}

#[test]
fn a_stream_seen_from_its_middle_begins_there() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, data(4_000_000_000, "mid"));
    listener.take(Side::First, data(3_999_999_998, "__mid"));
    listener.take(Side::First, data(4_000_000_003, "dle"));
    assert_eq!(listener.said(0), "middle");
}

#[test]
fn keep_alives_say_nothing() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, data(100, "abc"));
    listener.take(Side::First, data(102, "\0"));
    listener.take(Side::First, data(102, ""));
    listener.take(Side::First, data(103, "d"));
    assert_eq!((listener.said(0).as_str(), listener.finish().repeated), ("abcd", 1));
}

#[test]
fn a_gap_is_given_up_when_what_is_behind_it_is_acknowledged() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, data(100, "ab"));
    listener.take(Side::First, data(105, "fg"));
    listener.take(Side::Second, ack(105));
    assert_eq!(listener.said(0), "ab", "what is acknowledged is still before the gap's end");
    listener.take(Side::Second, ack(106));
    assert_eq!(listener.said(0), "ab___fg");
    listener.take(Side::First, data(102, "cde"));
    let counters = listener.finish();
    assert_eq!((listener.said(0).as_str(), counters.repeated, counters.missing), ("ab___fg", 3, 3));
    assert_eq!(counters.acknowledged, 1);
}

#[test]
fn an_acknowledgment_beyond_any_window_is_not_believed() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, data(100, "ab"));
    listener.take(Side::First, data(105, "fg"));
    listener.take(Side::Second, ack(105 + (1 << 30)));
    listener.take(Side::First, data(100_u32.wrapping_sub(1 << 31), "far"));
    listener.take(Side::First, data(103 + (1 << 30), "far"));
    listener.take(Side::First, data(102, "cde"));
    let counters = listener.finish();
    assert_eq!((listener.said(0).as_str(), counters.outside), ("abcdefg", 6));
}

#[test]
fn what_is_known_to_be_missing_at_the_end_is_told() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, data(100, "ab"));
    listener.take(Side::First, Segment { fin: true, ..data(104, "ef") });
    listener.take(Side::First, Segment { fin: true, ..data(108, "") });
    let counters = listener.finish();
    assert_eq!((listener.said(0).as_str(), counters.missing), ("ab__ef__", 4));
    // Without a FIN, an acknowledgment tells of it, but for one number that may be a FIN's.
    listener.take(Side::First, data(100, "ab"));
    listener.take(Side::Second, ack(105));
    listener.finish();
    assert_eq!(listener.said(1), "ab__");
}

#[test]
fn a_gap_tells_why_it_is_given_up() {
    let mut reassembler = Reassembler::new(Options { connection: 1_000, ..Options::default() });
    let mut gaps = Vec::new();
    let mut heard = |slice: super::Slice<'_, u8>| {
        if let What::Missing(bytes, gap) = slice.what {
            gaps.push((bytes, gap));
        }
    };
    let payload = "x".repeat(900);
    for (side, segment) in [
        (Side::First, Segment { length: 5, ..data(100, "ab") }),
        (Side::First, data(106, "g")),
        (Side::Second, ack(107)),
        (Side::First, data(109, &payload)),
        (Side::First, data(1_011, &payload)),
    ] {
        reassembler.segment(&0, side, &segment, None, &mut heard);
    }
    reassembler.finish(&mut heard);
    assert_eq!(gaps, [(3, Gap::Snapped), (1, Gap::Acknowledged), (2, Gap::Full), (2, Gap::End)]);
}

#[test]
fn a_reset_ends_nothing_that_was_said() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, data(100, "ab"));
    listener.take(Side::Second, Segment { rst: true, ..data(0, "why") });
    listener.take(Side::First, data(102, "c"));
    let counters = listener.finish();
    assert_eq!((listener.said(0).as_str(), counters.outside), ("abc", 3));
    assert_eq!(listener.heard[0][1].text(), "");
}

#[test]
fn what_a_reset_says_comes_next_or_not_at_all() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, data(100, "ab"));
    listener.take(Side::First, Segment { rst: true, ..data(103, "far") });
    listener.take(Side::First, Segment { rst: true, ..data(102, " why") });
    let counters = listener.finish();
    assert_eq!((listener.said(0).as_str(), counters.outside), ("ab why", 3));
}

#[test]
fn a_syn_of_another_number_begins_another_stream() {
    let mut listener = Listener::new(Options::default());
    assert_eq!(listener.take(Side::First, syn(99)), 0);
    listener.take(Side::First, data(100, "one"));
    assert_eq!(listener.take(Side::First, syn(99)), 0, "sent again");
    assert_eq!(listener.take(Side::First, syn(700)), 1);
    listener.take(Side::First, data(701, "two"));
    listener.finish();
    assert_eq!([listener.said(0), listener.said(1)], ["one", "two"]);
    assert_eq!(
        [&listener.heard[0][0].ends[..], &listener.heard[1][0].ends[..]],
        [[End::Reused], [End::Asked]]
    );
}

#[test]
fn a_connection_gives_up_gaps_rather_than_bytes() {
    let options = Options { connection: 2_000, ..Options::default() };
    let mut listener = Listener::new(options);
    listener.take(Side::First, syn(0));
    let payload = [b'x'; 100];
    for at in 1..200_u32 {
        let sequence = 1 + at * 200;
        listener.take(Side::First, Segment { sequence, payload: &payload, ..Segment::default() });
        assert!(listener.reassembler.waiting() <= 2_000);
    }
    let counters = listener.finish();
    assert_eq!((counters.delivered, counters.missing), (199 * 100, 199 * 100 + 100));
    assert!(counters.connection_full > 150, "{counters:?}");
}

#[test]
fn of_all_connections_the_one_that_waits_longest_gives_way() {
    let mut listener = Listener::new(Options { total: 2_000, ..Options::default() });
    let payload = "x".repeat(500);
    for key in 0..4 {
        listener.take_of(key, Side::First, syn(0), None);
        listener.take_of(key, Side::First, data(2, &payload), None);
    }
    let first: Vec<_> = (0..4).map(|at| listener.said(at).len()).collect();
    assert_eq!(first, [501, 0, 0, 0]);
    assert_eq!(listener.finish().total_full, 1);
}

#[test]
fn the_connection_without_packets_for_longest_makes_room() {
    let mut listener = Listener::new(Options { connections: 2, ..Options::default() });
    for key in [0, 1, 0, 2, 1] {
        listener.take_of(key, Side::First, data(100, "x"), None);
    }
    assert_eq!(listener.reassembler.connections(), 2);
    let ends: Vec<_> = listener.heard.iter().map(|heard| heard[0].ends.clone()).collect();
    assert_eq!(ends, [vec![End::Room], vec![End::Room], vec![], vec![]]);
    assert_eq!(listener.finish().evicted, 2);
}

#[test]
fn silence_ends_a_connection_in_the_packets_own_time() {
    let idle = Some(Duration::from_secs(60));
    let mut listener = Listener::new(Options { idle, ..Options::default() });
    for (second, key) in [(0, 1), (1, 2), (60, 1), (61, 3), (62, 3)] {
        listener.take_of(key, Side::First, data(100, "x"), Some(Timestamp::new(second, 0)));
    }
    assert_eq!(listener.heard[1][0].ends, [End::Idle], "the second, at 62");
    assert_eq!(listener.finish().idle, 1);
}

/// A megabyte in the worst of pieces costs as many steps as it has bytes, whatever they overlap, and whatever they claim to be
/// followed by.
#[test]
fn no_pattern_of_pieces_costs_more_than_its_bytes() {
    const BYTES: u32 = 1 << 20;
    let singles = |step: usize, backwards: bool| -> Vec<(u32, u32)> {
        let places = (1..BYTES).step_by(step).map(|at| (at, 1));
        if backwards { places.rev().collect() } else { places.collect() }
    };
    let sweep = |length: u32| -> Vec<(u32, u32)> {
        (1..BYTES - length).step_by(length as usize).map(|at| (at, length)).collect()
    };
    let patterns = [
        singles(1, false),
        singles(1, true),
        [singles(2, false), singles(1, true)].concat(),
        [singles(2, true), sweep(1_400), sweep(1_400), sweep(7)].concat(),
        [singles(3, false), sweep(60_000), singles(2, true)].concat(),
        // Each of two bytes, the second of which was there.
        (1..BYTES - 1).rev().map(|at| (at, 2)).collect(),
        // Long segments of which nothing was captured, over all that waits.
        [singles(2, false), singles(2, false).iter().map(|(at, _)| (*at, 0)).collect(), singles(1, true)]
            .concat(),
    ];
    let payload = vec![b'x'; 60_000];
    for (index, pattern) in patterns.into_iter().enumerate() {
        for overlap in [Overlap::First, Overlap::Last] {
            let options =
                Options { overlap, connection: usize::MAX, total: usize::MAX, ..Options::default() };
            let mut reassembler = Reassembler::new(options);
            reassembler.segment(&0, Side::First, &syn(u32::MAX), None, |_| ());
            let (mut bytes, mut delivered) = (0, 0);
            let mut take = |sequence: u32, length: u32| {
                bytes += u64::from(length.max(1));
                let payload = &payload[..length as usize];
                let declared = if length == 0 { 65_495 } else { length };
                let segment = Segment { sequence, payload, length: declared, ..Segment::default() };
                reassembler.segment(&0, Side::First, &segment, None, |slice| {
                    delivered += if let What::Data(bytes) = slice.what { bytes.len() } else { 0 };
                });
            };
            pattern.iter().for_each(|(at, length)| take(*at, *length));
            take(0, 1);
            let steps = reassembler.steps(&0);
            assert!(steps <= 2 * bytes + 2, "pattern {index}, {overlap:?}: {steps} steps for {bytes} bytes");
            assert!(delivered > BYTES as usize - 60_100, "pattern {index}, {overlap:?}: {delivered}");
        }
    }
}
