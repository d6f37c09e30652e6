//! Packets cut up and put together.

use super::{Counters, Defragmenter, Options, Outcome};
use crate::build::{
    DestinationOptions, Ethernet, Header, Ipv4, Ipv6, Stack, Tcp, Udp, Vlan, Vxlan, fragments,
};
use crate::flow::reassembly::Overlap;
use crate::frame::{Frame, LinkType, Timestamp};
use crate::parse::{Packet, parse};
use proptest::prelude::*;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

fn message(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn packet(v6: bool, length: usize) -> Stack {
    let mut stack = Stack::new();
    stack.message(&message(length)).wrap(Udp::new(40_000, 53));
    match v6 {
        true => stack.wrap(Ipv6::new("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap())),
        false => stack.wrap(Ipv4::new(A, B)),
    };
    stack
}

fn feed(defragmenter: &mut Defragmenter, bytes: &[u8], second: i64) -> Outcome {
    let mut frame = Frame::new(LinkType::RAW, bytes);
    frame.record.time = Some(Timestamp::new(second, 0));
    let layers = parse(&frame);
    defragmenter.packet(&Packet::new(frame, &layers))
}

/// A fragment of an IPv4 packet: place in bytes, whether more follow, what it carries.
fn v4(id: u16, offset: u16, more: bool, bytes: &[u8]) -> Vec<u8> {
    let mut fragment = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    fragment[2..4].copy_from_slice(&(20 + bytes.len() as u16).to_be_bytes());
    fragment[4..6].copy_from_slice(&id.to_be_bytes());
    fragment[6..8].copy_from_slice(&((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
    fragment.extend(bytes);
    fragment
}

/// The same of IPv6.
fn v6(id: u32, offset: u16, more: bool, bytes: &[u8]) -> Vec<u8> {
    let mut fragment = vec![0x60, 0, 0, 0, 0, 0, 44, 64];
    fragment[4..6].copy_from_slice(&(8 + bytes.len() as u16).to_be_bytes());
    fragment.extend([[1; 16], [2; 16]].concat());
    fragment.extend([17, 0]);
    fragment.extend((offset | u16::from(more)).to_be_bytes());
    fragment.extend(id.to_be_bytes());
    fragment.extend(bytes);
    fragment
}

fn all(options: Options, packets: &[Vec<u8>]) -> (Vec<Vec<u8>>, Counters) {
    let mut defragmenter = Defragmenter::new(options);
    let mut complete = Vec::new();
    for packet in packets {
        if let Outcome::Complete(carried) = feed(&mut defragmenter, packet, 0) {
            complete.push(carried.data);
        }
        assert!(defragmenter.waiting() <= options.memory && defragmenter.incomplete() <= options.packets);
    }
    (complete, defragmenter.counters())
}

proptest! {
    #[test]
    fn any_order_and_repetition_gives_the_packet(
        length in 1..4_000_usize, room in 1..100_usize, v6: bool, order: u64, twice: bool,
    ) {
        let stack = packet(v6, length);
        let mut cut = fragments(&stack, 60 + room * 8, 7);
        if cut.len() == 1 {
            return Ok(());
        }
        let mut random = order;
        for at in (1..cut.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            cut.swap(at, (random >> 33) as usize % (at + 1));
        }
        if twice {
            cut.insert(0, cut[cut.len() / 2].clone());
        }
        let (complete, counters) = all(Options::default(), &cut);
        prop_assert_eq!(complete.len(), 1);
        prop_assert_eq!(&complete[0][..], stack.bytes());
        prop_assert_eq!((counters.fragments, counters.complete), (cut.len() as u64, 1));
        // What comes after the whole, by chance again, waits as a packet of its own.
        prop_assert!(counters.repeated <= u64::from(twice));
    }

    #[test]
    fn no_bytes_are_too_strange(fields in proptest::collection::vec((any::<u16>(), 0..40_u16, any::<bool>(), 0..90_usize, any::<bool>()), 0..80)) {
        let packets: Vec<_> = fields.iter().map(|&(id, place, more, length, six)| {
            let bytes = message(length);
            if six { v6(u32::from(id % 3), place * 8, more, &bytes) } else { v4(id % 3, place * 8, more, &bytes) }
        }).collect();
        let (complete, counters) = all(Options { memory: 2_000, packets: 3, ..Options::default() }, &packets);
        prop_assert_eq!(complete.len() as u64, counters.complete);
    }
}

#[test]
fn headers_before_the_fragment_header_stay_and_it_goes() {
    let mut stack = Stack::new();
    stack.message(&message(2_000)).wrap(Tcp::new(1, 2)).wrap(Ipv6::new(1.into(), 2.into()));
    let cut = fragments(&stack, 1_280, 9);
    // A destination options header of 8 bytes between the IPv6 header and the fragment header.
    let with_options = |fragment: &Vec<u8>| {
        let mut longer = [&fragment[..40], &[44, 0, 1, 4, 0, 0, 0, 0], &fragment[40..]].concat();
        let length = longer.len() as u16 - 40;
        longer[4..6].copy_from_slice(&length.to_be_bytes());
        longer[6] = 60;
        longer
    };
    let (complete, _) = all(Options::default(), &cut.iter().map(with_options).collect::<Vec<_>>());
    let mut expected = Stack::new();
    expected.message(&message(2_000)).wrap(Tcp::new(1, 2));
    DestinationOptions::new(&[]).wrap(&mut expected);
    expected.wrap(Ipv6::new(1.into(), 2.into()));
    assert_eq!(complete, [expected.bytes()]);
}

#[test]
fn fragments_within_a_tunnel_and_behind_a_vlan_are_found() {
    let stack = packet(false, 2_000);
    let mut defragmenter = Defragmenter::new(Options::default());
    let mut complete = Vec::new();
    for (vlan, fragment) in [5, 6, 5].into_iter().zip(fragments(&stack, 1_000, 0)) {
        let mut outer = Stack::new();
        outer.message(&fragment);
        outer.prepend(&[], crate::build::Content::Ipv4);
        let ethernet = Ethernet::new([2; 6], [4; 6]);
        outer.wrap(Ipv4::new([1, 1, 1, 1], [2, 2, 2, 2])).wrap(Vlan::new(vlan)).wrap(ethernet);
        let layers = parse(&outer.frame());
        if let Outcome::Complete(carried) = defragmenter.packet(&Packet::new(outer.frame(), &layers)) {
            complete.push(carried.data);
        }
    }
    assert_eq!((complete.len(), defragmenter.incomplete()), (0, 2), "two VLANs, two packets");
}

/// Tenants of two networks have the same addresses, and their fragments the same number.
#[test]
fn fragments_of_different_tunnels_are_never_joined() {
    let (here, there, elsewhere) = ([1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]);
    // Same network and ends: joined; another network, or other ends: not.
    for (second, whole) in [((7, there), 1), ((8, there), 0), ((7, elsewhere), 0)] {
        let mut defragmenter = Defragmenter::new(Options::default());
        let mut complete = 0;
        for ((network, end), fragment) in
            [(7, there), second].into_iter().zip(fragments(&packet(false, 1_500), 1_000, 9))
        {
            let mut outer = Stack::new();
            outer.message(&fragment);
            outer.prepend(&[], crate::build::Content::Ipv4);
            outer.wrap(Ethernet::new([2; 6], [4; 6])).wrap(Vxlan::new(network)).wrap(Udp::new(50_000, 4_789));
            outer.wrap(Ipv4::new(here, end)).wrap(Ethernet::new([2; 6], [4; 6]));
            let layers = parse(&outer.frame());
            let outcome = defragmenter.packet(&Packet::new(outer.frame(), &layers));
            complete += usize::from(matches!(outcome, Outcome::Complete(_)));
        }
        assert_eq!(complete, whole, "{second:?}");
    }
}

#[test]
fn an_overlap_voids_an_ipv6_packet_and_what_is_to_come_of_it() {
    let (x, y) = ([1; 16], [2; 16]);
    let packets = [
        v6(1, 0, true, &x),
        v6(1, 8, true, &x), // Bytes 8 to 16 again.
        v6(1, 16, false, &y),
        v6(1, 0, true, &x),
        v6(2, 0, true, &x),
        v6(2, 0, true, &x),
        v6(2, 16, false, &y),
    ];
    let (complete, counters) = all(Options::default(), &packets);
    assert_eq!(complete.len(), 1, "the other, of which a fragment only came twice");
    assert_eq!((counters.voided, counters.of_voided, counters.repeated), (1, 2, 1));
}

#[test]
fn an_overlap_in_ipv4_is_settled_by_the_policy() {
    let packets = [v4(1, 0, true, &[1; 16]), v4(1, 8, true, &[2; 16]), v4(1, 24, false, &[3; 4])];
    for (overlap, expected) in [(Overlap::First, 1), (Overlap::Last, 2)] {
        let (complete, counters) = all(Options { overlap, ..Options::default() }, &packets);
        let data = &complete[0][20..];
        assert_eq!(data, [&[1; 8][..], &[expected; 8], &[2; 8], &[3; 4]].concat());
        assert_eq!((counters.overlapping, data.len()), (1, 28));
    }
}

#[test]
fn what_cannot_be_right_is_counted_and_harms_nothing() {
    let packets = [
        v4(1, 0, true, &[1; 9]),        // Not a multiple of 8.
        v4(1, 65_528, false, &[1; 16]), // Beyond what a length can say.
        v4(1, 8, true, &[]),
        v4(1, 16, false, &[3; 4]),
        v4(1, 16, true, &[3; 8]),  // Beyond the end.
        v4(1, 24, false, &[3; 4]), // Another end.
        v4(1, 0, true, &[1; 16]),
    ];
    let (complete, counters) = all(Options::default(), &packets);
    assert_eq!((complete.len(), counters.malformed), (1, 5));
    let mut snapped = v4(1, 0, true, &[1; 16]);
    snapped.truncate(30);
    assert_eq!(all(Options::default(), &[snapped]).1.snapped, 1);
}

#[test]
fn what_is_not_whole_after_thirty_seconds_is_given_up() {
    let mut defragmenter = Defragmenter::new(Options::default());
    feed(&mut defragmenter, &v4(1, 0, true, &[1; 8]), 0);
    feed(&mut defragmenter, &v4(2, 0, true, &[1; 8]), 1);
    assert_eq!(feed(&mut defragmenter, &v4(1, 8, false, &[1; 8]), 31), Outcome::Kept, "too late");
    assert!(matches!(feed(&mut defragmenter, &v4(2, 8, false, &[1; 8]), 31), Outcome::Complete(_)));
    let counters = defragmenter.counters();
    assert_eq!((counters.timed_out, counters.complete, defragmenter.incomplete()), (1, 1, 1));
}

#[test]
fn a_flood_of_first_fragments_stays_within_its_bounds() {
    let options = Options { memory: 100_000, packets: 500, ..Options::default() };
    let packets: Vec<_> = (0..5_000).map(|id| v4(id, 0, true, &[1; 800])).collect();
    let (complete, counters) = all(options, &packets);
    assert!(complete.is_empty());
    assert!(counters.evicted > 4_890, "{counters:?}");
}

#[test]
fn what_is_no_fragment_passes() {
    let stack = packet(false, 100);
    let mut defragmenter = Defragmenter::new(Options::default());
    assert_eq!(feed(&mut defragmenter, stack.bytes(), 0), Outcome::Whole);
    assert_eq!(defragmenter.counters(), Counters::default());
}
