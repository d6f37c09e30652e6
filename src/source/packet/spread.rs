//! How the frames of an interface are spread over the rings of its workers, and the classic BPF program for it.
//!
//! The kernel's own hash (`PACKET_FANOUT_HASH`) takes a fragmented datagram from its flow: fragments it hashes by
//! addresses, whole datagrams by ports too. Its remedy, to put fragments together first, would change the frames that
//! are seen. So the program here hashes the two IP addresses and nothing else, which every packet of a flow has, in
//! either direction, whole or in pieces.
//!
//! What has no IP header behind at most [`TAGS`] VLAN tags goes to the first ring, and so does a frame too short for
//! its addresses.

use crate::ValueError;
use crate::sys::classic_bpf::{Assembler, Instruction, Known, Label, Operation};
use std::fmt;
use std::str::FromStr;

/// VLAN tags looked behind; beside them the kernel takes out the outermost one.
const TAGS: usize = 3;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
/// Odd numbers with their bits well mixed (from the golden ratio, and from MurmurHash3).
const MIX: [u32; 3] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d];

/// Memory of the program.
const BASE: u32 = 0;
const KIND: u32 = 1;
const FIRST: u32 = 2;
const SECOND: u32 = 3;
const HASH: u32 = 4;

/// By what a frame goes to one of several workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// The pair of IP addresses: every packet of a flow and of its reverse comes to one worker, in order, fragments
    /// included; and so do all other flows between the same two hosts.
    #[default]
    Hash,
    /// Addresses and, of TCP, UDP and SCTP, ports: spreads the flows between two hosts too. Both directions stay
    /// together; fragments of a datagram do as well, but not with the rest of their flow.
    Ports,
    /// The CPU that received it: no frame crosses CPUs, where the worker runs on the same. Flows stay together as far
    /// as the device keeps them so.
    Cpu,
    /// The receive queue of the device; likewise.
    Queue,
    /// Each in turn. Flows come apart.
    RoundRobin,
    /// At random. Flows come apart.
    Random,
}

impl Spread {
    const NAMES: [(&'static str, Self); 6] = [
        ("hash", Self::Hash),
        ("ports", Self::Ports),
        ("cpu", Self::Cpu),
        ("queue", Self::Queue),
        ("rr", Self::RoundRobin),
        ("random", Self::Random),
    ];
}

/// By the name that [`FromStr`] reads.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, spread)| spread == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// `hash`, `ports`, `cpu`, `queue`, `rr` or `random`.
impl FromStr for Spread {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = Self::NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, spread)| spread);
        found.ok_or_else(|| {
            ValueError(format!("{text}: not a way to spread packets: hash, ports, cpu, queue, rr or random"))
        })
    }
}

/// The program that gives `first` and a number below `parts` (at least 1); `None` where the kernel does it without one.
pub(super) fn program(spread: Spread, parts: u32, first: u32) -> Option<Vec<Instruction>> {
    let mut code = Assembler::new();
    match spread {
        Spread::RoundRobin => return None,
        _ if parts == 1 => {
            code.give(first);
            return code.finish().ok();
        }
        Spread::Cpu => code.load_known(Known::Cpu),
        Spread::Queue => code.load_known(Known::Queue),
        Spread::Random => code.load_known(Known::Random),
        Spread::Hash => hash(&mut code, first, false),
        Spread::Ports => hash(&mut code, first, true),
    }
    code.apply(Operation::Remainder, parts);
    code.apply(Operation::Add, first);
    code.give_a();
    code.finish().ok()
}

/// A = the hash; or ends.
fn hash(code: &mut Assembler, first: u32, by_ports: bool) {
    let (ipv6, mixed) = (code.label(), code.label());
    find_network(code);
    let ipv4 = code.label();
    code.if_equal(IPV4, ipv4);
    code.if_equal(IPV6, ipv6);
    code.give(first);

    code.place(ipv4);
    code.load_word_at_x(12);
    code.store(FIRST);
    code.load_word_at_x(16);
    code.store(SECOND);
    join(code);
    code.store(HASH);
    if by_ports {
        // Of a fragment no ports: the later ones have none. More fragments, or an offset.
        code.load_half_at_x(6);
        code.if_set(0x3fff, mixed);
        code.load_byte_at_x(9);
        unless_it_has_ports(code, mixed);
        // Past the options: X + 4 * IHL.
        code.load_byte_at_x(0);
        code.apply(Operation::And, 15);
        code.apply(Operation::ShiftLeft, 2);
        code.apply_x(Operation::Add);
        code.a_to_x();
        add_ports(code, 0);
    }
    code.jump(mixed);

    code.place(ipv6);
    for (start, place) in [(8, FIRST), (24, SECOND)] {
        fold(code, start);
        code.store(place);
        code.load_x(BASE);
    }
    join(code);
    code.store(HASH);
    if by_ports {
        code.load_byte_at_x(6);
        unless_it_has_ports(code, mixed);
        add_ports(code, 40);
    }
    code.place(mixed);
    // The upper half, where multiplication has mixed most.
    code.load(HASH);
    code.apply(Operation::Multiply, MIX[2]);
    code.apply(Operation::ShiftRight, 16);
}

/// X = where the network header begins, A = its EtherType.
///
/// A program of a group sees a frame that came in from its network header on, and one that goes out from its link
/// header on.
fn find_network(code: &mut Assembler) {
    let (going_out, no_ethernet, begin) = (code.label(), code.label(), code.label());
    code.load_known(Known::PacketType);
    code.if_equal(libc::PACKET_OUTGOING as u32, going_out);
    code.set_x(0);
    code.load_known(Known::Protocol);
    code.jump(begin);

    code.place(going_out);
    let ethernet = code.label();
    code.load_known(Known::Hardware);
    code.if_equal(u32::from(libc::ARPHRD_ETHER), ethernet);
    code.unless_equal(u32::from(libc::ARPHRD_LOOPBACK), no_ethernet);
    code.place(ethernet);
    code.set_x(14);
    code.load_half(12);
    code.jump(begin);
    code.place(no_ethernet);
    code.set_x(0);
    code.load_known(Known::Protocol);

    code.place(begin);
    skip_tags(code);
    code.store(KIND);
    code.x_to_a();
    code.store(BASE);
    code.load(KIND);
}

/// From a network header at X, whose EtherType A is, past any VLAN tags to the next one. Spoils a word of memory.
pub(super) fn skip_tags(code: &mut Assembler) {
    let found = code.label();
    for _ in 0..TAGS {
        skip_tag(code, found);
    }
    code.place(found);
}

/// A tag's control information and the EtherType behind it.
fn skip_tag(code: &mut Assembler, found: Label) {
    let tag = code.label();
    for kind in [0x8100, 0x88a8, 0x9100] {
        code.if_equal(kind, tag);
    }
    code.jump(found);
    code.place(tag);
    code.load_half_at_x(2);
    code.store(KIND);
    code.x_to_a();
    code.apply(Operation::Add, 4);
    code.a_to_x();
    code.load(KIND);
}

/// A = 16 bytes from there behind X, as one number. Spoils X.
fn fold(code: &mut Assembler, start: u32) {
    code.load_word_at_x(start);
    for word in 1..4 {
        code.apply(Operation::Multiply, MIX[0]);
        code.store(HASH);
        code.load_x(BASE);
        code.load_word_at_x(start + 4 * word);
        code.load_x(HASH);
        code.apply_x(Operation::Add);
    }
}

/// A = the two numbers joined, the same whichever comes first. X = the base again.
fn join(code: &mut Assembler) {
    // Their sum and what differs in them: neither alone tells neighbouring pairs apart.
    code.load(FIRST);
    code.load_x(SECOND);
    code.apply_x(Operation::Add);
    code.apply(Operation::Multiply, MIX[0]);
    code.store(HASH);
    code.load(FIRST);
    code.apply_x(Operation::Xor);
    code.apply(Operation::Multiply, MIX[1]);
    code.load_x(HASH);
    code.apply_x(Operation::Xor);
    code.load_x(BASE);
}

/// A is a protocol number: goes there if it is none of those that have ports.
fn unless_it_has_ports(code: &mut Assembler, none: Label) {
    let some = code.label();
    for protocol in [libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_SCTP, libc::IPPROTO_UDPLITE] {
        code.if_equal(protocol as u32, some);
    }
    code.jump(none);
    code.place(some);
}

/// Mixes the ports that far behind X into the hash.
fn add_ports(code: &mut Assembler, offset: u32) {
    const ADDRESSES: u32 = 5;
    code.load_half_at_x(offset);
    code.store(FIRST);
    code.load_half_at_x(offset + 2);
    code.store(SECOND);
    code.load(HASH);
    code.store(ADDRESSES);
    join(code);
    code.load_x(ADDRESSES);
    code.apply_x(Operation::Add);
    code.store(HASH);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::classic_bpf::{Seen, run};

    const ALL: [Spread; 5] = [Spread::Hash, Spread::Ports, Spread::Cpu, Spread::Queue, Spread::Random];

    /// An IPv4 packet as it comes in.
    fn packet(ends: [(u8, u16); 2], fragment: u16) -> Vec<u8> {
        let mut packet = vec![0x46, 0, 0, 44, 0, 0];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, 17, 0, 0]);
        ends.iter().for_each(|(host, _)| packet.extend([10, 0, 0, *host]));
        packet.extend([1; 4]);
        ends.iter().for_each(|(_, port)| packet.extend(port.to_be_bytes()));
        packet
    }

    fn choose(spread: Spread, parts: u32, first: u32, bytes: &[u8]) -> u32 {
        let seen = Seen { bytes, protocol: IPV4, place: 1_000_003, ..Seen::default() };
        run(&program(spread, parts, first).unwrap(), &seen)
    }

    #[test]
    fn every_program_chooses_within_its_parts() {
        for spread in ALL {
            for (parts, first) in [(1, 0), (1, 1), (2, 0), (2, 2), (7, 7), (128, 128)] {
                for bytes in [&packet([(1, 53), (2, 999)], 0)[..], &[0x45; 21]] {
                    let chosen = choose(spread, parts, first, bytes);
                    assert!((first..first + parts).contains(&chosen), "{spread} {parts} {first}: {chosen}");
                }
            }
        }
        assert!(program(Spread::RoundRobin, 2, 0).is_none());
    }

    #[test]
    fn both_ways_alike_and_neighbours_apart() {
        for spread in [Spread::Hash, Spread::Ports] {
            let mut parts = [0; 8];
            for number in 0..=255 {
                let (there, back) = ([(number, 53), (number ^ 1, 4000)], [(number ^ 1, 4000), (number, 53)]);
                let chosen = choose(spread, 8, 0, &packet(there, 0));
                assert_eq!(chosen, choose(spread, 8, 0, &packet(back, 0)));
                let fragments =
                    [0x2000, 0x0001].map(|fragment| choose(spread, 8, 0, &packet(there, fragment)));
                assert_eq!(fragments[0], fragments[1]);
                assert!(spread == Spread::Ports || fragments[0] == chosen);
                parts[chosen as usize] += 1;
            }
            assert!(parts.iter().all(|&count| count >= 8), "{spread}: {parts:?}");
        }
    }
}
