//! What the program lets through is what the port map sends to a rule, and little else.

use super::super::Directions;
use super::super::filter::{self, Place};
use super::*;
use crate::demux::{OutputId, PortMap, Rule};
use crate::frame::{Frame, LinkType};
use crate::parse::parse;
use crate::source::{CaptureFile, Fill, Source};
use crate::sys::classic_bpf::{Instruction, Seen, run};
use proptest::prelude::*;

#[path = "../../../../tests/frames/mod.rs"]
#[expect(dead_code, reason = "not all of what the tests outside use")]
mod frames;

const KEEP: u32 = 262_144;

fn program(set: &PortSet, start: Start) -> Vec<Instruction> {
    let mut code = Assembler::new();
    accept(&mut code, set, start, KEEP);
    code.finish().expect("it fits")
}

/// The same ports as rules.
fn map(set: &PortSet) -> PortMap {
    let rules: Vec<Rule> = set
        .to_string()
        .split(' ')
        .filter(|rule| !rule.is_empty())
        .map(|rule| rule.parse().unwrap())
        .collect();
    PortMap::new(rules.iter().map(|rule| (rule, OutputId(0))), OutputId(1))
}

/// A set, its program for Ethernet and for cooked frames, and its port map.
struct Case {
    set: PortSet,
    ethernet: Vec<Instruction>,
    network: Vec<Instruction>,
    map: PortMap,
}

impl Case {
    fn of(set: PortSet) -> Self {
        let (ethernet, network) = (program(&set, Start::Ethernet), program(&set, Start::Network));
        Self { ethernet, network, map: map(&set), set }
    }

    /// Whether the port map has a rule for it, and whether the program lets it through: as it is, with its outer tag
    /// taken out, and cooked, which must agree.
    fn judge(&self, frame: &[u8]) -> (bool, bool) {
        let layers = parse(&Frame::new(LinkType::ETHERNET, frame));
        let named = self.map.output(&layers) == OutputId(0);
        let passes = |program: &[Instruction], bytes: &[u8], protocol| match run(
            program,
            &Seen { bytes, protocol, ..Seen::default() },
        ) {
            0 => false,
            kept => {
                assert_eq!(kept, KEEP);
                true
            }
        };
        let whole = passes(&self.ethernet, frame, 0);
        if let (Some(addresses), Some([a, b])) = (frame.get(..12), frame.get(12..14)) {
            let mut kind = u16::from_be_bytes([*a, *b]);
            let mut rest = &frame[14..];
            if let (0x8100 | 0x88a8, [_, _, high, low, behind @ ..]) = (kind, rest) {
                let untagged = [addresses, &[*high, *low], behind].concat();
                assert_eq!(
                    passes(&self.ethernet, &untagged, 0),
                    whole,
                    "the kernel takes out a tag: {frame:02x?}"
                );
                (kind, rest) = (u16::from_be_bytes([*high, *low]), behind);
            }
            assert_eq!(passes(&self.network, rest, kind.into()), whole, "cooked: {frame:02x?}");
        }
        (named, whole)
    }

    fn check(&self, name: &str, frame: &[u8]) -> bool {
        let (named, passes) = self.judge(frame);
        assert!(passes || !named, "{name}: for {} and lost: {frame:02x?}", self.set);
        passes
    }
}

fn cases() -> Vec<Case> {
    [
        PortSet::new(),
        PortSet::new().tcp(0..=65535).udp(0..=65535).sctp(0..=65535),
        PortSet::new().tcp(443..=443),
        PortSet::new().udp(53..=53).udp(4789..=4789).udp(0..=0).tcp(65535..=65535),
        (0..100).fold(PortSet::new(), |set, n| set.tcp(n * 300..=n * 300 + 5).udp(n * 300 + 7..=n * 300 + 9)),
    ]
    .into_iter()
    .map(Case::of)
    .collect()
}

#[test]
fn no_shape_that_the_port_map_names_is_lost_whole_or_cut() {
    for case in cases() {
        for shape in frames::shapes().iter().filter(|shape| shape.link_type == LinkType::ETHERNET) {
            for length in 0..=shape.bytes.len() {
                case.check(shape.name, &shape.bytes[..length]);
            }
        }
    }
}

#[test]
fn ports_that_nobody_wants_do_not_pass() {
    use frames::{echo, ethernet, fragment, ipv4, ipv4_with, ipv6, options, tag, udp};
    let case = Case::of(PortSet::new().udp(53..=53).tcp(443..=443));
    let frame = |source, destination| ethernet(0x0800, &ipv4(17, &udp(source, destination, b"x")));
    for (frame, passes) in [
        (frame(53, 9), true),
        (frame(9, 53), true),
        (frame(443, 54), false),
        (ethernet(0x0800, &ipv4(6, &udp(443, 54, &[0; 20]))), true),
        (ethernet(0x0800, &ipv4(132, &udp(443, 53, &[0; 20]))), false),
        (ethernet(0x0800, &ipv4_with(&[1; 12], 0x4000, 17, &udp(53, 9, b"x"))), true),
        (ethernet(0x0800, &ipv4_with(&[1; 12], 0x4000, 17, &udp(52, 9, b"x"))), false),
        (ethernet(0x0800, &ipv4_with(&[], 0x2000, 17, &udp(52, 9, b"x"))), false),
        (ethernet(0x0800, &ipv4_with(&[], 0x2001, 17, &udp(52, 9, b"x"))), true),
        (ethernet(0x0800, &ipv4(1, &echo())), false),
        (ethernet(0x0806, &[0; 28]), false),
        (ethernet(0x86dd, &ipv6(17, &udp(9, 53, b"x"))), true),
        (ethernet(0x86dd, &ipv6(17, &udp(9, 54, b"x"))), false),
        (ethernet(0x86dd, &ipv6(0, &options(60, &[], &options(17, &[1; 9], &udp(9, 53, b"x"))))), true),
        (ethernet(0x86dd, &ipv6(0, &options(60, &[], &options(17, &[1; 9], &udp(9, 54, b"x"))))), false),
        (ethernet(0x86dd, &ipv6(44, &fragment(17, 1, &udp(9, 53, b"x")))), true),
        (ethernet(0x86dd, &ipv6(44, &fragment(17, 1, &udp(9, 54, b"x")))), false),
        (ethernet(0x86dd, &ipv6(44, &fragment(17, 0x0100, &udp(9, 54, b"x")))), true),
        (ethernet(0x88a8, &tag(1, 0x8100, &tag(2, 0x0800, &ipv4(17, &udp(9, 53, b"x"))))), true),
        (ethernet(0x88a8, &tag(1, 0x8100, &tag(2, 0x0800, &ipv4(17, &udp(9, 54, b"x"))))), false),
        (ethernet(0x8847, &[0; 40]), true),
    ] {
        assert_eq!(case.check("", &frame), passes, "{frame:02x?}");
    }
}

#[test]
fn frames_of_the_corpus_are_not_lost() {
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        eprintln!("SKIPPED: WHARF_CORPUS is not set");
        return;
    };
    let cases = cases();
    let (mut directories, mut frames) = (vec![std::path::PathBuf::from(corpus)], 0);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let Ok(mut source) = CaptureFile::open(&path) else { continue };
            while let Ok(Fill::Batch(batch)) = source.fill(256) {
                for frame in batch.frames().filter(|frame| frame.record.link_type == LinkType::ETHERNET) {
                    frames += 1;
                    for case in &cases {
                        case.check(&path.display().to_string(), frame.data);
                    }
                }
            }
        }
    }
    assert!(frames > 0, "no frames");
    eprintln!("{frames} frames");
}

#[test]
fn a_set_too_large_is_widened_until_it_fits() {
    let scattered =
        (0..6000).fold(PortSet::new(), |set, n| set.tcp(n * 10..=n * 10).udp(n * 10 + 3..=n * 10 + 4));
    let program =
        filter::program(Directions::Both, Place::Interface, 96, Some((&scattered, Start::Ethernet)));
    assert!(program.len() <= crate::sys::classic_bpf::LONGEST && program.len() > 100);
    let mut joined = scattered;
    joined.join_over(9);
    assert_eq!(joined.to_string(), "tcp/0-59990 udp/3-59994");
}

proptest! {
    #[test]
    fn a_search_finds_what_is_in_a_range(
        ranges in prop::collection::vec((any::<u16>(), 0_u16..600), 0..40),
        probes in prop::collection::vec(any::<u16>(), 20),
    ) {
        let set = ranges.iter().fold(PortSet::new(), |set, (first, more)| {
            set.udp(*first..=first.saturating_add(*more))
        });
        let program = program(&set, Start::Ethernet);
        let edges = ranges.iter().flat_map(|(first, more)| {
            let last = first.saturating_add(*more);
            [first.wrapping_sub(1), *first, last, last.wrapping_add(1)]
        });
        for port in edges.chain(probes).chain([0, u16::MAX]) {
            let wanted = set.ranges[1].iter().any(|range| range.contains(&port));
            let other = (0..=u16::MAX).find(|port| !set.ranges[1].iter().any(|range| range.contains(port)));
            for (source, destination) in [(other.unwrap_or(port), port), (port, other.unwrap_or(port))] {
                let bytes = frames::ethernet(0x0800, &frames::ipv4(17, &frames::udp(source, destination, b"x")));
                let passes = run(&program, &Seen { bytes: &bytes, ..Seen::default() }) > 0;
                prop_assert_eq!(passes, wanted, "{} {}", set, port);
            }
        }
    }
}
