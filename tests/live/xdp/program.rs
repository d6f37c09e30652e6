//! The program that looks ports up, against the rules as the port map reads them.

use wharf::demux::{OutputId, PortMap, Rule};
use wharf::frame::{Frame, LinkType};
use wharf::parse::parse;
use wharf::sys::bpf::assembler::{Assembler, Register, Size};
use wharf::sys::bpf::{Map, Program};
use wharf::sys::xdp::ports::{PortProtocol, PortTable};
use wharf::sys::xdp::{XdpSocket, program};

const RULES: [&str; 4] = ["tcp/80,443,8000-8010", "udp/53,0", "sctp/2905,65535", "any/7"];
const PORTS: [u16; 12] = [0, 7, 53, 54, 80, 81, 443, 2905, 7999, 8000, 8010, 65535];
const FRAMES: usize = 60_000;

/// A source of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Some frame; the second is whether all its headers are ones that the program knows.
fn some_frame(numbers: &mut Numbers) -> (Vec<u8>, bool) {
    let protocol = numbers.of(&[6, 6, 17, 17, 136, 132, 1, 47]);
    let mut plain = true;
    let mut upper: Vec<u8> =
        [numbers.of(&PORTS), numbers.of(&PORTS)].iter().flat_map(|port| port.to_be_bytes()).collect();
    let payload = numbers.below(30);
    match protocol {
        6 => upper.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0, 9, 0, 0, 0, 0]),
        132 => upper.extend([1; 8]),
        _ => upper.extend([(8 + payload) as u16, 0].iter().flat_map(|word| word.to_be_bytes())),
    }
    upper.resize(upper.len() + payload, 0xaa);

    let (ethertype, mut packet) = if numbers.once_in(2) {
        let words = if numbers.once_in(3) { numbers.below(11) } else { 0 };
        let length = (20 + 4 * words + upper.len()) as u16;
        let fragment: u16 = numbers.of(&[0, 0, 0x4000, 0x4000, 0x2000, 0x2001, 0x1fff]);
        let mut header = vec![0x45 + words as u8, 0];
        header.extend(length.to_be_bytes());
        header.extend([0, 1]);
        header.extend(fragment.to_be_bytes());
        header.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        header.resize(20 + 4 * words, 1);
        (0x0800_u16, header)
    } else {
        let extended = numbers.once_in(4);
        plain = !extended;
        let mut header = vec![0x60, 0, 0, 0];
        header.extend((upper.len() as u16 + if extended { 8 } else { 0 }).to_be_bytes());
        header.extend([if extended { 60 } else { protocol }, 64]);
        header.extend([0xfd; 32]);
        if extended {
            header.extend([protocol, 0, 1, 4, 0, 0, 0, 0]);
        }
        (0x86dd, header)
    };
    packet.extend(upper);
    let mut frame = vec![2; 12];
    let tags = numbers.of(&[0, 0, 1, 2, 3]);
    plain &= tags < 3;
    for _ in 0..tags {
        frame.extend(numbers.of(&[0x8100_u16, 0x88a8, 0x9100]).to_be_bytes());
        frame.extend([0, 5]);
    }
    frame.extend(if numbers.once_in(20) { 0x88cc } else { ethertype }.to_be_bytes());
    frame.extend(packet);
    if numbers.once_in(6) {
        frame.truncate(14 + numbers.below(frame.len() - 13));
    }
    if numbers.once_in(6) {
        frame.resize(frame.len().max(60), 0);
    }
    if numbers.once_in(6) {
        let (at, bit) = (numbers.below(frame.len()), numbers.below(8));
        frame[at] ^= 1 << bit;
        plain = false;
    }
    (frame, plain)
}

pub(crate) fn takes_what_the_rules_name() {
    let rules: Vec<Rule> = RULES.iter().map(|rule| rule.parse().expect("a rule")).collect();
    let map = PortMap::new(rules.iter().map(|rule| (rule, OutputId(0))), OutputId(1));
    let mut table = PortTable::new();
    for (protocol, ports) in [
        (PortProtocol::Tcp, &[80..=80, 443..=443, 8000..=8010, 7..=7][..]),
        (PortProtocol::Udp, &[53..=53, 0..=0, 7..=7]),
        (PortProtocol::Sctp, &[2905..=2905, 65535..=65535, 7..=7]),
    ] {
        ports.iter().for_each(|range| table.add(protocol, range.clone()));
    }
    let sockets = Map::of_xdp_sockets("sockets", 1).expect("a map");
    let socket = XdpSocket::open().expect("a socket");
    sockets.set_socket(0, &socket).expect("a socket in it");
    let ports = table.upload().expect("a map");
    let code = program::take_ports(&sockets, &ports);
    let program = Program::load_xdp("ports", &code).unwrap_or_else(|error| panic!("{error}"));

    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut taken, mut passed, mut left) = (0, 0, 0);
    for _ in 0..FRAMES {
        let (frame, plain) = some_frame(&mut numbers);
        let layers = parse(&Frame::new(LinkType::ETHERNET, &frame));
        let wanted = map.output(&layers) == OutputId(0);
        let found = program.test_run(&frame, 1).expect("a run").returned as i32;
        assert!([program::PASS, program::REDIRECT].contains(&found));
        match (found == program::REDIRECT, wanted) {
            (true, true) => taken += 1,
            (false, false) => passed += 1,
            // It knows fewer headers than the parser.
            (false, true) if !plain => left += 1,
            // It asks less of them: that their lengths are in order in the upper layer's header.
            (true, false) if layers.malformed.is_some() => left += 1,
            (found, wanted) => panic!("found {found}, wanted {wanted}: {frame:02x?}\n{layers:?}"),
        }
    }
    assert!(taken > FRAMES / 8 && passed > FRAMES / 8, "{taken} {passed} {left}");
    assert!(left < FRAMES / 8, "{taken} {passed} {left}");
}

pub(crate) fn refused_programs_come_with_the_verifiers_word() {
    // Reads beyond what it has checked.
    let mut code = Assembler::new();
    code.load(Size::Word, Register::R1, Register::R1, 0)
        .load(Size::Byte, Register::R0, Register::R1, 0)
        .exit();
    let error = Program::load_xdp("bad", &code.finish().expect("whole")).expect_err("it is refused");
    assert!(error.log.contains("invalid access to packet"), "{error}");
}
