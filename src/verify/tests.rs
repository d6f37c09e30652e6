//! Verdicts over frames written for the case. That right frames are good and wrong ones bad for every
//! kind of header is `tests/build_parse.rs`.

use super::{Verdict, Verdicts, verify};
use crate::build::*;
use crate::frame::{Frame, LinkType, Offload};
use crate::parse::{Packet, parse};

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const READY: Offload =
    Offload { checksum_not_ready: false, checksum_valid: false, segmented: false, checksum_unsure: false };
const UNSURE: Offload = Offload { checksum_unsure: true, ..READY };
const NOT_READY: Offload = Offload { checksum_not_ready: true, ..READY };
const VALID: Offload = Offload { checksum_valid: true, ..READY };
/// Where the two halves of the header of UDP in IPv4 without a link layer stand.
const UDP_LENGTH: usize = 24;

fn judge_frame(frame: Frame<'_>) -> Verdicts {
    verify(&Packet::new(frame, &parse(&frame)))
}

fn judge(stack: &Stack) -> Verdicts {
    judge_frame(stack.frame())
}

fn judge_offloaded(stack: &Stack, offload: Offload) -> Verdicts {
    let mut frame = stack.frame();
    frame.record.offload = offload;
    judge_frame(frame)
}

/// The packet as captured with a snap length.
fn judge_snapped(stack: &Stack, captured: usize) -> Verdicts {
    let mut frame = stack.frame();
    frame.data = &frame.data[..captured];
    frame.record.captured = captured as u32;
    judge_frame(frame)
}

fn v4() -> Ipv4<'static> {
    Ipv4::new(A, B)
}

fn v6() -> Ipv6 {
    Ipv6::new("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap())
}

fn udp(checksum: Checksum) -> Udp {
    Udp::new(40_000, 9_999).checksum(checksum)
}

#[test]
fn found_and_expected() {
    let mut stack = Stack::new();
    let wrong =
        |stack: &mut Stack, checksum| stack.message(b"Hi").wrap(udp(checksum)).wrap(v4()).bytes().to_vec();
    let right = wrong(&mut stack, Checksum::Right);
    let expected = u32::from(u16::from_be_bytes([right[26], right[27]]));
    let frame = wrong(&mut stack, Checksum::Value(0x1234));
    let verdicts = judge_frame(Frame::new(LinkType::RAW, &frame));
    assert_eq!(verdicts.l4, Verdict::Bad { found: 0x1234, expected });
    let header = v4().checksum(Checksum::Value(0));
    stack.message(b"").wrap(udp(Checksum::Right)).wrap(header);
    assert!(matches!(judge(&stack).ip, Verdict::Bad { found: 0, expected: 1.. }));
}

#[test]
fn a_sum_of_zero_is_sent_as_ones() {
    // Data chosen so that the sum leaves nothing: RFC 768 has 0xffff in the packet.
    let mut stack = Stack::new();
    let sum = |stack: &mut Stack, word: u16| {
        let datagram = stack.message(&word.to_be_bytes()).wrap(udp(Checksum::Right));
        let bytes = datagram.wrap(v4()).bytes();
        u16::from_be_bytes([bytes[26], bytes[27]])
    };
    let word = sum(&mut stack, 0);
    assert_eq!(sum(&mut stack, word), 0xffff);
    assert_eq!(judge(&stack).l4, Verdict::Good);
    stack.message(&word.to_be_bytes()).wrap(udp(Checksum::Value(1))).wrap(v4());
    assert_eq!(judge(&stack).l4, Verdict::Bad { found: 1, expected: 0xffff });
    stack.message(&word.to_be_bytes()).wrap(udp(Checksum::Value(0))).wrap(v6());
    assert!(judge(&stack).l4.is_bad());
}

#[test]
fn no_checksum_is_absent_over_ipv4_and_bad_over_ipv6() {
    let mut stack = Stack::new();
    stack.message(b"x").wrap(udp(Checksum::Zero)).wrap(v4());
    assert_eq!(judge(&stack).l4, Verdict::Absent);
    stack.message(b"x").wrap(udp(Checksum::Zero)).wrap(v6());
    assert!(matches!(judge(&stack).l4, Verdict::Bad { found: 0, expected: 1.. }));
    assert_eq!(judge_snapped(&stack, 48).l4, Verdict::Bad { found: 0, expected: 0 });
    stack.message(b"x").wrap(UdpLite::new(1, 2).checksum(Checksum::Zero)).wrap(v4());
    assert!(judge(&stack).l4.is_bad());
    stack.message(b"x").wrap(Tcp::new(1, 2).checksum(Checksum::Zero)).wrap(v4());
    assert!(judge(&stack).l4.is_bad());
}

#[test]
fn offloaded_checksums_are_never_bad() {
    let mut stack = Stack::new();
    stack.message(b"x").wrap(Tcp::new(1, 2).checksum(Checksum::Partial)).wrap(v4());
    assert!(judge(&stack).l4.is_bad());
    assert_eq!(judge_offloaded(&stack, NOT_READY).l4, Verdict::NotReady);
    assert_eq!(judge_offloaded(&stack, NOT_READY).ip, Verdict::Good);

    let both = Offload { checksum_valid: true, ..NOT_READY };
    assert_eq!(judge_offloaded(&stack, both).l4, Verdict::NotReady);

    // The outer sum is complete, the inner one left to the device.
    stack.wrap(Gtpu::new(1)).wrap(Udp::new(2152, 2152)).wrap(v4());
    let verdicts = judge_offloaded(&stack, NOT_READY);
    assert_eq!((verdicts.l4, verdicts.inner_l4), (Verdict::Good, Verdict::NotReady));
}

#[test]
fn the_kernel_vouches_for_the_outermost() {
    let mut stack = Stack::new();
    stack.message(b"x").wrap(Tcp::new(1, 2).checksum(Checksum::Wrong)).wrap(v4());
    assert_eq!(judge_offloaded(&stack, VALID).l4, Verdict::Vouched);
    stack.wrap(Gtpu::new(1)).wrap(Udp::new(2152, 2152)).wrap(v4());
    let verdicts = judge_offloaded(&stack, VALID);
    assert_eq!(verdicts.l4, Verdict::Vouched);
    assert!(verdicts.inner_l4.is_bad());
    stack.message(b"x").wrap(Icmp::echo_request(1, 1).checksum(Checksum::Wrong)).wrap(v4());
    assert!(judge_offloaded(&stack, VALID).l4.is_bad(), "no device checks ICMP");
    stack.message(b"x").wrap(udp(Checksum::Zero)).wrap(v4());
    assert_eq!(judge_offloaded(&stack, VALID).l4, Verdict::Absent);
}

#[test]
fn fragments_are_not_judged() {
    let mut stack = Stack::new();
    stack.message(&[7; 3000]).wrap(udp(Checksum::Right)).wrap(v4());
    for fragment in fragments(&stack, 1500, 1) {
        let verdicts = judge_frame(Frame::new(LinkType::RAW, &fragment));
        assert_eq!((verdicts.ip, verdicts.l4), (Verdict::Good, Verdict::Fragment));
    }
    stack.message(&[7; 3000]).wrap(Icmpv6::echo_request(1, 1)).wrap(v6());
    for fragment in fragments(&stack, 1280, 1) {
        assert_eq!(judge_frame(Frame::new(LinkType::RAW, &fragment)).l4, Verdict::Fragment);
    }
    // A fragment of a protocol without a checksum has none either.
    stack.message(&[7; 3000]).wrap(v4().protocol(50));
    for fragment in fragments(&stack, 1500, 1) {
        assert_eq!(judge_frame(Frame::new(LinkType::RAW, &fragment)).l4, Verdict::NotApplicable);
    }
}

#[test]
fn snapped_packets_are_truncated() {
    let mut stack = Stack::new();
    stack.message(b"some payload").wrap(Tcp::new(1, 2)).wrap(v4().options(&[1, 1, 1, 1]));
    let whole = stack.bytes().len();
    for captured in 24..whole {
        let verdicts = judge_snapped(&stack, captured);
        assert_eq!((verdicts.ip, verdicts.l4), (Verdict::Good, Verdict::Truncated), "{captured} bytes");
    }
    for captured in 20..24 {
        assert_eq!(judge_snapped(&stack, captured).ip, Verdict::Truncated, "{captured} bytes");
    }
    // UDP-Lite needs only what its checksum covers.
    stack.message(b"some payload").wrap(UdpLite::new(1, 2).coverage(10)).wrap(v4());
    assert_eq!(judge_snapped(&stack, 30).l4, Verdict::Good);
    assert_eq!(judge_snapped(&stack, 29).l4, Verdict::Truncated);
}

#[test]
fn a_length_beyond_the_frame_is_truncated() {
    let mut stack = Stack::new();
    stack.message(b"x").wrap(Tcp::new(1, 2)).wrap(v4().total_length(42));
    assert_eq!(judge(&stack).l4, Verdict::Truncated);
    stack.message(b"x").wrap(udp(Checksum::Right).length(10)).wrap(v4());
    assert_eq!(judge(&stack).l4, Verdict::Truncated);
}

#[test]
fn padding_is_outside_and_udp_counts_by_its_own_length() {
    let mut stack = Stack::new();
    stack.message(b"x").wrap(udp(Checksum::Right)).wrap(v4()).wrap(Ethernet::new([2; 6], [4; 6]));
    stack.trailer([0xee; 17]);
    assert_eq!(judge(&stack).l4, Verdict::Good);
    // Bytes of the IP payload after the datagram are not under its checksum (RFC 768).
    stack.message(b"x").wrap(udp(Checksum::Right)).wrap(v4().total_length(32)).trailer([0xee; 3]);
    assert_eq!(judge(&stack).l4, Verdict::Good);
}

#[test]
fn impossible_lengths_have_no_checksum() {
    let mut stack = Stack::new();
    for length in 1..8 {
        stack.message(b"x").wrap(udp(Checksum::Right).length(length)).wrap(v4());
        assert_eq!(stack.bytes()[UDP_LENGTH + 1], length as u8);
        assert_eq!(judge(&stack).l4, Verdict::NotApplicable, "UDP length {length}");
        stack.message(b"some payload").wrap(UdpLite::new(1, 2).coverage(length)).wrap(v4());
        assert_eq!(judge(&stack).l4, Verdict::NotApplicable, "UDP-Lite coverage {length}");
    }
}

#[test]
fn dccp_covers_as_much_as_it_says() {
    // A DCCP-Data packet of RFC 4340 with short sequence numbers: 12 bytes of header, 8 of data.
    let mut stack = Stack::new();
    for (coverage, covered) in [(0, 20), (1, 12), (2, 16), (3, 20)] {
        let mut packet = [0, 1, 0, 2, 3, coverage, 0, 0, 4, 0, 0, 1, 9, 8, 7, 6, 5, 4, 3, 2];
        let pseudo = crate::checksum::pseudo::v4(A.into(), B.into(), 33, 20);
        let checksum = pseudo.add(&packet[..covered]).checksum();
        packet[6..8].copy_from_slice(&checksum.to_be_bytes());
        stack.message(&packet).wrap(v4().protocol(33));
        assert_eq!(judge(&stack).l4, Verdict::Good, "CsCov {coverage}");
        packet[covered - 1] ^= 1;
        stack.message(&packet).wrap(v4().protocol(33));
        assert!(judge(&stack).l4.is_bad(), "CsCov {coverage}");
        if let Some(beyond) = packet.get_mut(covered) {
            *beyond ^= 0x55;
            packet[covered - 1] ^= 1;
            stack.message(&packet).wrap(v4().protocol(33));
            assert_eq!(judge(&stack).l4, Verdict::Good, "CsCov {coverage}");
        }
    }
}

/// What the kernel leaves in the field for the device to go on from.
#[test]
fn unsure_checksums_are_not_ready_only_where_they_are_unfinished() {
    let pseudo = |protocol, length| {
        let sum = crate::checksum::pseudo::v4(A.into(), B.into(), protocol, length);
        sum.fold().to_be_bytes()
    };
    // The field at that offset of the packet, and the length of what the IP header carries.
    let mut stack = Stack::new();
    for (protocol, at, length) in [(17, 6, 13), (6, 16, 25)] {
        let message = stack.message(b"Hello");
        match protocol {
            17 => message.wrap(Udp::new(1, 2)),
            _ => message.wrap(Tcp::new(1, 2)),
        };
        message.wrap(v4());
        let right = stack.frame().data.to_vec();
        let with = |field: [u8; 2], offload| {
            let mut bytes = right.clone();
            bytes[20 + at..][..2].copy_from_slice(&field);
            let mut frame = Frame::new(LinkType::RAW, &bytes);
            frame.record.offload = offload;
            judge_frame(frame).l4
        };
        let field = [right[20 + at], right[21 + at]];
        assert_eq!(with(field, UNSURE), Verdict::Good);
        assert!(with(pseudo(protocol, length), READY).is_bad());
        assert_eq!(with(pseudo(protocol, length), UNSURE), Verdict::NotReady);
        let other = (u16::from_be_bytes(pseudo(protocol, length)) ^ 1).to_be_bytes();
        assert!(with(other, UNSURE).is_bad(), "damage is damage");
    }
}

/// One verdict of each kind, by code.
pub(super) const KINDS: [Verdict; 8] = [
    Verdict::NotApplicable,
    Verdict::Good,
    Verdict::Bad { found: 1, expected: 2 },
    Verdict::Absent,
    Verdict::NotReady,
    Verdict::Vouched,
    Verdict::Fragment,
    Verdict::Truncated,
];

#[test]
fn names() {
    assert_eq!(Verdict::Bad { found: 1, expected: 2 }.to_string(), "bad");
    assert_eq!(format!("{:>10}|", Verdict::NotReady), " not_ready|");
    assert!(Verdict::Vouched.is_good() && Verdict::Truncated.is_open() && !Verdict::Absent.is_good());
    assert_eq!(KINDS.map(Verdict::name), Verdict::NAMES);
}
