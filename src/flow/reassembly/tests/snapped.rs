//! Segments of which not all was captured.

use super::*;

/// What a stream comes to where of each segment more was sent than captured. What was not is not waited for: once all before it is there, it is
/// settled that it is missing.
fn model_of_snapped(pieces: &[(usize, Vec<u8>, usize)], overlap: Overlap) -> Vec<Option<u8>> {
    let (mut bytes, mut sent): (Vec<Option<u8>>, Vec<bool>) = Default::default();
    for (start, piece, cut) in pieces {
        let settled = bytes.iter().zip(&sent).take_while(|(byte, sent)| byte.is_some() || **sent).count();
        let end = start + piece.len() + cut;
        if end > *start {
            bytes.resize(bytes.len().max(end), None);
            sent.resize(bytes.len(), false);
        }
        for (at, byte) in (*start..).zip(piece) {
            if at >= settled && (overlap == Overlap::Last || bytes[at].is_none()) {
                bytes[at] = Some(*byte);
            }
        }
        if end > *start {
            sent[start + piece.len()..end].fill(true);
        }
    }
    bytes
}

proptest! {
    #[test]
    fn snapped_segments_are_as_in_the_model(
        pieces in proptest::collection::vec(
            (0..200_usize, proptest::collection::vec(any::<u8>(), 0..20), 0..30_usize), 0..60),
        first in prop_oneof![any::<u32>(), (u32::MAX - 200)..=u32::MAX],
        last in any::<bool>(),
    ) {
        let overlap = if last { Overlap::Last } else { Overlap::First };
        let mut listener = Listener::new(Options { overlap, ..Options::default() });
        listener.take(Side::First, syn(first.wrapping_sub(1)));
        for (start, payload, cut) in &pieces {
            let sequence = first.wrapping_add(*start as u32);
            let length = (payload.len() + cut) as u32;
            listener.take(Side::First, Segment { sequence, payload, length, ..Segment::default() });
        }
        let counters = listener.finish();
        let expected = model_of_snapped(&pieces, overlap);
        prop_assert_eq!(counters.missing, expected.iter().filter(|byte| byte.is_none()).count() as u64);
        prop_assert_eq!(&listener.heard[0][0].bytes, &expected);
    }
}

#[test]
fn what_was_cut_off_once_may_be_captured_another_time() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, syn(99));
    listener.take(Side::First, Segment { length: 6, ..data(104, "") });
    listener.take(Side::First, Segment { length: 6, ..data(104, "ef") });
    listener.take(Side::First, data(106, "gh"));
    listener.take(Side::First, data(100, "abcd"));
    assert_eq!(listener.said(0), "abcdefgh__");
    assert_eq!((listener.reassembler.waiting(), listener.finish().repeated), (0, 0));
}

#[test]
fn what_the_snap_length_cut_off_is_missing() {
    let mut listener = Listener::new(Options::default());
    listener.take(Side::First, Segment { length: 5, ..data(100, "ab") });
    listener.take(Side::First, Segment { length: 4, ..data(109, "jk") });
    listener.take(Side::First, Segment { length: 4, ..data(105, "fg") });
    listener.take(Side::First, data(113, "n"));
    assert_eq!(listener.said(0), "ab___fg__jk__n");
}
