use super::*;
use crate::flow::Gaps;
use crate::parse::TcpFlags;
use std::time::Duration;

const MS: i64 = 1_000_000;
const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;

fn segment(flags: TcpFlags, sequence: u32, acknowledgment: u32, length: u32) -> Segment {
    Segment { flags, sequence, acknowledgment, length, window: 1_000, ..Segment::default() }
}

/// A connection that is open after 30 ms: numbers begin so, and 20 ms lie before the answer.
fn open(client: u32, server: u32) -> Connection {
    let mut connection = Connection::default();
    let next = client.wrapping_add(1);
    for (at, from, segment) in [
        (0, 0, segment(SYN, client, 0, 0)),
        (20, 1, segment(SYN | ACK, server, next, 0)),
        (30, 0, segment(ACK, next, server.wrapping_add(1), 0)),
    ] {
        assert_eq!(connection.observe(&segment, from, at * MS, 0), Findings::default());
    }
    assert_eq!(connection.state(), TcpState::Established);
    connection
}

#[test]
fn a_handshake_has_two_round_trips_and_a_close_two_sides() {
    let mut connection = open(100, 900);
    let handshake = connection.story([0, 1]).handshake.unwrap();
    assert_eq!(handshake.answered_after, Some(Duration::from_millis(20)));
    assert_eq!(handshake.confirmed_after, Some(Duration::from_millis(10)));
    connection.observe(&segment(ACK, 101, 901, 50), 0, 40 * MS, 0);
    connection.observe(&segment(ACK, 901, 151, 0), 1, 65 * MS, 0);
    connection.observe(&segment(ACK | TcpFlags::FIN, 151, 901, 0), 0, 70 * MS, 0);
    assert_eq!((connection.state(), connection.is_over()), (TcpState::Closing, false));
    connection.observe(&segment(ACK | TcpFlags::FIN, 901, 152, 0), 1, 71 * MS, 0);
    assert_eq!((connection.state(), connection.is_over()), (TcpState::Closed, true));
    let [client, server] = connection.story([0, 1]).sides;
    // 20 ms for the SYN, 25 for the data, 1 for the FIN.
    let trips = client.round_trips;
    assert_eq!(
        (trips.count, trips.least, trips.most),
        (3, Duration::from_millis(1), Duration::from_millis(25))
    );
    assert_eq!(client.most_in_flight, 50);
    assert!(client.finished && server.finished);
    assert_eq!(connection.story([1, 0]).sides, [server, client]);
}

#[test]
fn a_reset_is_a_refusal_or_a_cut() {
    let mut refused = Connection::default();
    refused.observe(&segment(SYN, 7, 0, 0), 0, 0, 0);
    assert_eq!(refused.state(), TcpState::Attempt);
    refused.observe(&segment(ACK | TcpFlags::RST, 0, 8, 0), 1, MS, 0);
    assert_eq!(refused.state(), TcpState::Refused);
    let mut cut = open(1, 2);
    cut.observe(&segment(TcpFlags::RST, 2, 0, 0), 0, MS, 0);
    assert_eq!((cut.state(), cut.is_over()), (TcpState::Reset, true));
    // Far from what was expected: made up, unless what led there was lost by the capture.
    for (epoch, state) in [(0, TcpState::Established), (1, TcpState::Reset)] {
        let mut cut = open(1, 2);
        cut.observe(&segment(TcpFlags::RST, 1 << 30, 0, 0), 0, MS, epoch);
        assert_eq!(cut.state(), state, "{epoch}");
    }
    let mut withdrawn = Connection::default();
    withdrawn.observe(&segment(SYN, 7, 0, 0), 0, 0, 0);
    withdrawn.observe(&segment(TcpFlags::RST, 8, 0, 0), 0, MS, 0);
    assert_eq!(withdrawn.state(), TcpState::Reset, "nobody refused it");
}

#[test]
fn both_sides_may_open_at_once() {
    let mut connection = Connection::default();
    connection.observe(&segment(SYN, 100, 0, 0), 0, 0, 0);
    connection.observe(&segment(SYN, 900, 0, 0), 1, MS, 0);
    connection.observe(&segment(SYN | ACK, 100, 901, 0), 0, 2 * MS, 0);
    connection.observe(&segment(SYN | ACK, 900, 101, 0), 1, 3 * MS, 0);
    assert_eq!(connection.state(), TcpState::Established);
    assert!(connection.story([0, 1]).handshake.unwrap().simultaneous);
}

#[test]
fn a_syn_with_another_number_opens_another_connection() {
    let connection = open(100, 900);
    assert!(!connection.is_followed_by(&segment(SYN, 100, 0, 0), 0), "sent again");
    assert!(connection.is_followed_by(&segment(SYN, 70_000, 0, 0), 0));
    assert!(!Connection::default().is_followed_by(&segment(SYN, 1, 0, 0), 0));
}

/// Wherever sequence numbers begin again.
#[test]
fn losses_and_repeats_are_found_across_the_wrap() {
    for start in [0, 1 << 31, u32::MAX - 1_100, u32::MAX - 1_001, u32::MAX - 1_000, u32::MAX - 100] {
        let mut connection = open(start, 900);
        let mut send = |offset: u32, length: u32, at: i64, epoch: u16| {
            let sequence = start.wrapping_add(1).wrapping_add(offset);
            connection.observe(&segment(ACK, sequence, 901, length), 0, at * MS, epoch)
        };
        assert_eq!(send(0, 1_000, 100, 0), Findings::default());
        assert_eq!(send(2_000, 500, 101, 0), Findings::AFTER_LOSS);
        assert_eq!(send(1_000, 1_000, 103, 0), Findings::OLD_DATA | Findings::OUT_OF_ORDER);
        assert_eq!(send(2_000, 500, 500, 0), Findings::OLD_DATA);
        // Between these two this capture has lost packets.
        assert_eq!(send(3_500, 100, 501, 1), Findings::AFTER_LOSS);
        let trouble = connection.story([0, 1]).sides[0].trouble;
        assert_eq!((trouble.retransmissions, trouble.retransmitted_bytes, trouble.out_of_order), (1, 500, 1));
        assert_eq!((trouble.gaps.lost, trouble.gaps.ours), (2, 1));
        assert!(trouble.any());
    }
}

#[test]
fn acknowledgments_tell_of_what_was_not_seen() {
    let mut connection = open(100, 900);
    let ack = |number| segment(ACK, 901, number, 0);
    assert_eq!(connection.observe(&ack(5_000), 1, 40 * MS, 0), Findings::ACKS_UNSEEN);
    assert_eq!(connection.observe(&ack(5_000), 1, 41 * MS, 0), Findings::DUPLICATE_ACK);
    let late = segment(ACK, 101, 901, 100);
    assert_eq!(connection.observe(&late, 0, 42 * MS, 0), Findings::OLD_DATA);
    let trouble = connection.story([0, 1]).sides;
    assert_eq!((trouble[0].trouble.gaps.unseen, trouble[1].trouble.duplicate_acks), (1, 1));
}

#[test]
fn one_direction_alone_is_followed_from_the_middle() {
    let mut connection = Connection::default();
    for number in 0..5 {
        let data = segment(ACK, 5_000 + number * 100, 1, 100);
        assert_eq!(connection.observe(&data, 1, i64::from(number) * MS, 0), Findings::default());
    }
    let story = connection.story([1, 0]);
    assert_eq!((story.state, story.handshake), (TcpState::Underway, None));
    assert_eq!(story.sides[0].round_trips.count, 0, "nobody has acknowledged anything");
}

#[test]
fn probes_and_closed_windows() {
    let mut connection = open(100, 900);
    connection.observe(&segment(ACK, 101, 901, 10), 0, 40 * MS, 0);
    let closed = Segment { window: 0, ..segment(ACK, 901, 111, 0) };
    assert_eq!(connection.observe(&closed, 1, 41 * MS, 0), Findings::ZERO_WINDOW);
    assert_eq!(connection.observe(&segment(ACK, 111, 901, 1), 0, 42 * MS, 0), Findings::WINDOW_PROBE);
    connection.observe(&segment(ACK, 901, 111, 0), 1, 43 * MS, 0);
    assert_eq!(connection.observe(&segment(ACK, 110, 901, 0), 0, 90 * MS, 0), Findings::KEEP_ALIVE);
    let sides = connection.story([0, 1]).sides;
    assert_eq!((sides[0].trouble.keep_alives, sides[1].trouble.zero_windows), (1, 1));
}

/// A host that was refused, or cut off, asks again with the same number: Windows does so three times.
#[test]
fn a_syn_that_is_repeated_after_a_reset_begins_anew() {
    let mut connection = Connection::default();
    connection.observe(&segment(SYN, 5_000, 0, 0), 0, 0, 0);
    connection.observe(&segment(ACK | TcpFlags::RST, 0, 5_001, 0), 1, MS, 0);
    assert_eq!((connection.state(), connection.is_over()), (TcpState::Refused, true));
    connection.observe(&segment(SYN, 5_000, 0, 0), 0, 500 * MS, 0);
    assert_eq!((connection.state(), connection.is_over()), (TcpState::Attempt, false));
    let answer = segment(SYN | ACK, 3_900_000_000, 5_001, 0);
    assert_eq!(connection.observe(&answer, 1, 507 * MS, 0), Findings::default());
    let confirmation = segment(ACK, 5_001, 3_900_000_001, 0);
    assert_eq!(connection.observe(&confirmation, 0, 510 * MS, 0), Findings::default());
    assert_eq!(connection.state(), TcpState::Established);
    let handshake = connection.story([0, 1]).handshake.unwrap();
    assert_eq!(handshake.answered_after, Some(Duration::from_millis(7)));
    assert_eq!(connection.story([0, 1]).sides[0].trouble.retransmissions, 1);
}

/// One side has forgotten a connection (RFC 9293 3.5.1): its SYN is answered with an old number, which it resets, and it asks again.
#[test]
fn a_half_open_connection_is_recovered_with_the_same_syn() {
    for stale in [900_000, 2_000_000_000, 3_000_000_000] {
        let mut connection = Connection::default();
        connection.observe(&segment(SYN, 5_000, 0, 0), 0, 0, 0);
        connection.observe(&segment(ACK, 77, stale, 0), 1, MS, 0);
        connection.observe(&segment(TcpFlags::RST, stale, 0, 0), 0, 2 * MS, 0);
        assert_eq!(connection.state(), TcpState::Reset);
        connection.observe(&segment(SYN, 5_000, 0, 0), 0, 1_000 * MS, 0);
        let later = [
            (1, segment(SYN | ACK, 123_456, 5_001, 0)),
            (0, segment(ACK, 5_001, 123_457, 0)),
            (0, segment(ACK, 5_001, 123_457, 300)),
            (1, segment(ACK, 123_457, 5_301, 700)),
        ];
        for (at, (from, segment)) in (1_001..).zip(later) {
            assert_eq!(connection.observe(&segment, from, at * MS, 0), Findings::default(), "{stale} {at}");
        }
        assert_eq!(connection.state(), TcpState::Established);
    }
}

/// Of a capture that has the client's side alone, an acknowledgment tells that there was an answer.
#[test]
fn a_client_that_goes_on_was_answered() {
    let mut connection = Connection::default();
    connection.observe(&segment(SYN, 100, 0, 0), 0, 0, 0);
    connection.observe(&segment(TcpFlags::default(), 101, 0, 10), 0, MS, 0);
    assert_eq!(connection.state(), TcpState::Attempt);
    connection.observe(&segment(ACK, 101, 901, 0), 0, 2 * MS, 0);
    assert_eq!(connection.state(), TcpState::Established);
    let handshake = connection.story([0, 1]).handshake.unwrap();
    assert_eq!((handshake.answered_after, handshake.confirmed_after), (None, None));
}

/// The byte of a window probe and what follows it, all new to the capture but that byte.
#[test]
fn what_begins_with_a_probes_byte_is_new_unless_it_was_acknowledged() {
    let mut connection = open(100, 900);
    assert_eq!(connection.observe(&segment(ACK, 101, 901, 10), 0, 40 * MS, 0), Findings::default());
    assert_eq!(connection.observe(&segment(ACK, 110, 901, 500), 0, 80 * MS, 0), Findings::default());
    assert_eq!(connection.observe(&segment(ACK, 901, 610, 0), 1, 90 * MS, 0), Findings::default());
    let mut acknowledged = open(100, 900);
    acknowledged.observe(&segment(ACK, 101, 901, 10), 0, 40 * MS, 0);
    acknowledged.observe(&segment(ACK, 901, 113, 0), 1, 50 * MS, 0);
    assert_eq!(acknowledged.observe(&segment(ACK, 110, 901, 3), 0, 80 * MS, 0), Findings::OLD_DATA);
}

/// A server that keeps nothing of a SYN answers it each time with another number.
#[test]
fn an_answer_with_another_number_to_the_same_syn_is_the_same_connections() {
    let mut connection = Connection::default();
    connection.observe(&segment(SYN, 100, 0, 0), 0, 0, 0);
    connection.observe(&segment(SYN | ACK, 900, 101, 0), 1, MS, 0);
    let other = segment(SYN | ACK, 4_000_000_000, 101, 0);
    assert!(!connection.is_followed_by(&other, 1));
    assert_eq!(connection.observe(&other, 1, 2 * MS, 0), Findings::default());
    let confirmation = segment(ACK, 101, 4_000_000_001, 0);
    assert_eq!(connection.observe(&confirmation, 0, 3 * MS, 0), Findings::default());
    let data = segment(ACK, 4_000_000_001, 101, 50);
    assert_eq!(connection.observe(&data, 1, 4 * MS, 0), Findings::default());
    assert_eq!(connection.state(), TcpState::Established);
    // Of a connection that is open it is another one's.
    assert!(connection.is_followed_by(&segment(SYN | ACK, 5, 101, 0), 1));
}

#[test]
fn what_was_seen_last_is_sent_again_be_it_a_fin() {
    let mut connection = open(100, 900);
    let last = segment(ACK | TcpFlags::FIN, 101, 901, 10);
    connection.observe(&last, 0, 40 * MS, 0);
    assert_eq!(connection.observe(&last, 0, 41 * MS, 0), Findings::OLD_DATA);
    let mut connection = open(100, 900);
    connection.observe(&segment(ACK, 101, 901, 10), 0, 40 * MS, 0);
    connection.observe(&segment(ACK, 111, 901, 10), 0, 50 * MS, 0);
    // A clock that was set back tells nothing of what was overtaken.
    assert_eq!(connection.observe(&segment(ACK, 101, 901, 10), 0, 20 * MS, 0), Findings::OLD_DATA);
}

#[test]
fn a_fin_is_not_a_byte_under_way() {
    let mut connection = open(100, 900);
    connection.observe(&segment(ACK, 901, 101, 0), 1, 35 * MS, 0);
    connection.observe(&segment(ACK | TcpFlags::FIN, 101, 901, 50), 0, 40 * MS, 0);
    assert_eq!(connection.story([0, 1]).sides[0].most_in_flight, 50);
}

/// What is sent again and was not missing fills no gap.
#[test]
fn only_what_was_missing_fills_a_gap() {
    let mut connection = open(100, 900);
    let mut send = |sequence, length, at| {
        connection.observe(&segment(ACK, sequence, 901, length), 0, at * MS, 0);
        connection.story([0, 1]).sides[0].trouble.gaps.bytes
    };
    assert_eq!((send(101, 1_000, 40), send(3_101, 1_000, 41)), (0, 2_000));
    assert_eq!((send(101, 1_000, 300), send(3_101, 1_000, 301)), (2_000, 2_000));
    assert_eq!((send(2_101, 1_000, 302), send(1_101, 1_000, 303), send(1_101, 1_000, 304)), (1_000, 0, 0));
}

/// Only the server's side was captured, then its ports are used again.
#[test]
fn a_syn_that_the_side_seen_has_not_acknowledged_opens_another_connection() {
    let mut connection = Connection::default();
    connection.observe(&segment(ACK, 5_000, 101, 700), 1, 0, 0);
    assert!(!connection.is_followed_by(&segment(SYN, 100, 0, 0), 0), "it comes late");
    assert!(connection.is_followed_by(&segment(SYN, 3_000_000, 0, 0), 0));
    let mut both = Connection::default();
    both.observe(&segment(SYN, 5_000, 0, 0), 1, 0, 0);
    assert!(!both.is_followed_by(&segment(SYN, 3_000_000, 0, 0), 0), "they open it at once");
}

/// The capture has the server's answer behind the client's acknowledgment of it.
#[test]
fn an_answer_that_was_overtaken_is_still_the_handshakes() {
    let mut connection = Connection::default();
    let segments = [
        (0, 0, segment(SYN, 100, 0, 0)),
        (20, 0, segment(ACK, 101, 901, 0)),
        (21, 1, segment(SYN | ACK, 900, 101, 0)),
        (500, 0, segment(ACK, 101, 901, 10)),
        (530, 1, segment(ACK, 901, 111, 0)),
    ];
    let mut last = 0;
    for (at, from, segment) in segments {
        // It is no other when it was packed in between.
        let (packed, beside) = Compact::pack(&mut connection, last).unwrap();
        connection = packed.unpack(last, beside);
        last = at * MS;
        assert_eq!(connection.observe(&segment, from, last, 0), Findings::default(), "{at}");
    }
    assert_eq!(connection.state(), TcpState::Established);
    let story = connection.story([0, 1]);
    let handshake = story.handshake.unwrap();
    assert_eq!(handshake.answered_after, Some(Duration::from_millis(21)));
    assert_eq!(handshake.confirmed_after, Some(Duration::ZERO), "not before it was answered");
    // Of what the client has said; its acknowledgment of the answer came before that.
    let [client, server] = story.sides.map(|side| side.round_trips);
    assert_eq!((client.count, client.most, server.count), (2, Duration::from_millis(30), 0));
    // Another connection's, or one that was sent again much later.
    for (at, acknowledgment) in [(21, 102), (3_000, 101)] {
        let mut connection = Connection::default();
        connection.observe(&segment(SYN, 100, 0, 0), 0, 0, 0);
        connection.observe(&segment(ACK, 101, 901, 0), 0, 20 * MS, 0);
        connection.observe(&segment(SYN | ACK, 900, acknowledgment, 0), 1, at * MS, 0);
        assert_eq!(connection.story([0, 1]).handshake.unwrap().answered_after, None, "{at}");
    }
}

/// What answers a SYN with numbers of a forgotten connection acknowledges nothing of this one.
#[test]
fn a_half_open_connection_that_was_recovered_has_no_gap() {
    for stale in [900_000, 2_000_000_000, 3_000_000_000] {
        let mut connection = Connection::default();
        connection.observe(&segment(SYN, 5_000, 0, 0), 0, 0, 0);
        connection.observe(&segment(ACK, 77, stale, 0), 1, MS, 0);
        connection.observe(&segment(ACK, 9_077, stale, 100), 1, MS, 0);
        connection.observe(&segment(TcpFlags::RST, stale, 0, 0), 0, 2 * MS, 0);
        connection.observe(&segment(SYN, 5_000, 0, 0), 0, 1_000 * MS, 0);
        connection.observe(&segment(SYN | ACK, 123_456, 5_001, 0), 1, 1_020 * MS, 0);
        connection.observe(&segment(ACK, 5_001, 123_457, 0), 0, 1_021 * MS, 0);
        let sides = connection.story([0, 1]).sides;
        assert_eq!(sides.map(|side| side.trouble.gaps), [Gaps::default(); 2], "{stale}");
        assert_eq!(sides[0].trouble.retransmissions, 1);
        // What is missing of this one is told.
        let beyond = segment(ACK, 6_001, 123_457, 10);
        assert_eq!(connection.observe(&beyond, 0, 1_030 * MS, 0), Findings::AFTER_LOSS);
        assert_eq!(connection.story([0, 1]).sides[0].trouble.gaps.bytes, 1_000);
    }
    // Of a connection that had been open, what was found stays.
    let mut connection = open(5_000, 900);
    connection.observe(&segment(ACK, 6_001, 901, 10), 0, 40 * MS, 0);
    connection.observe(&segment(TcpFlags::RST, 901, 0, 0), 1, 41 * MS, 0);
    connection.observe(&segment(SYN, 5_000, 0, 0), 0, 1_000 * MS, 0);
    assert_eq!(connection.story([0, 1]).sides[0].trouble.gaps.bytes, 1_000);
}
