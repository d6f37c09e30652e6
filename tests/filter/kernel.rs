//! The kernel itself as the judge: programs attached to a socket, and frames sent to it as datagrams. It takes no privilege.

use crate::frames::{Random, Sample, synthetic};
use crate::{generate, hand_written, number};
use socket2::{Domain, Socket, Type};
use std::io::Read;
use wharf::filter::Filter;
use wharf::filter::bpf::Program;
use wharf::filter::evaluate::Evaluator;
use wharf::frame::{Frame, LinkType};
use wharf::sys::classic_bpf::{Instruction, Seen, run, run_as_kernel};

/// Two ends of a pair: what is sent to one is what the other's filter is asked.
struct Judge {
    near: Socket,
    far: Socket,
}

impl Judge {
    fn new() -> Self {
        let (near, far) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
        far.set_nonblocking(true).unwrap();
        Self { near, far }
    }

    /// How many bytes the kernel keeps of each frame by the program; 0: it drops it.
    fn judge<'f>(&mut self, program: &Program, frames: impl IntoIterator<Item = &'f [u8]>) -> Vec<usize> {
        self.far.attach_filter(&program.for_socket()).unwrap_or_else(|error| panic!("{error}\n{program}"));
        let mut buffer = vec![0; 1 << 17];
        let mut kept = Vec::new();
        for frame in frames {
            self.near.send(frame).unwrap();
            kept.push(self.far.read(&mut buffer).unwrap_or(0));
        }
        kept
    }
}

/// What of a frame of so many bytes is kept by what a program gives.
fn kept(given: u32, bytes: usize) -> usize {
    bytes.min(given as usize)
}

const fn instruction(code: u16, constant: u32) -> Instruction {
    Instruction { code, then: 0, otherwise: 0, constant }
}

/// A := X at the end, where it is not 0.
fn program(body: &[Instruction]) -> Program {
    let end = [instruction(0x54, 0xffff), instruction(0x16, 0)];
    Program::new([body, &end].concat()).unwrap()
}

/// Shifts by X, and offsets of X and a constant: where libpcap's interpreter and the kernel part.
#[test]
fn our_interpreter_does_as_the_kernel_does() {
    let (load_x, load_a) = (0x01, 0x00);
    let mut random = Random::new(number("WHARF_FILTER_SEED", 1) as u64);
    let mut judge = Judge::new();
    let bytes: Vec<u8> = (1..=64).collect();
    let mut parted = 0;
    for _ in 0..3_000 {
        let x = *random.of(&[
            0,
            1,
            5,
            31,
            32,
            33,
            60,
            63,
            64,
            255,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_fff0,
            0xffff_fffe,
        ]);
        let k = *random.of(&[0, 1, 2, 14, 31, 60, 61, 0x7fff_fff0, 0x8000_0000, 0xffff_ff00, 0xffff_ffff]);
        let a = random.next();
        let code = *random.of(&[
            0x6c, 0x7c, // Shifts by X.
            0x40, 0x48, 0x50, // Loads at X and a constant.
            0x0c, 0x1c, 0x2c, 0x3c, 0x9c, 0x4c, 0x5c, 0xac, // By X: + - * / % | & ^.
            0x84, 0x04, 0x14, 0x24, // Negated; by a constant: + - *.
        ]);
        let program = program(&[instruction(load_x, x), instruction(load_a, a), instruction(code, k)]);
        let seen = Seen { bytes: &bytes, ..Seen::default() };
        let ours = run_as_kernel(program.instructions(), &seen);
        assert_eq!(judge.judge(&program, [&bytes[..]]), [kept(ours, bytes.len())], "{program}");
        parted += usize::from(run(program.instructions(), &seen) != ours);
    }
    assert!(parted > 100, "{parted}");
}

/// Expressions as a live capture has them in the kernel, asked there, and of the evaluator. Where the kernel would answer otherwise,
/// there is no program: those are asked here.
#[test]
fn expressions_mean_the_same_in_the_kernel() {
    let mut judge = Judge::new();
    let mut random = Random::new(number("WHARF_FILTER_SEED", 1) as u64 + 7);
    let link_type = LinkType::ETHERNET;
    // The kernel has taken an outermost tag out, and has the length on the wire only where all has come.
    let is_tag = |data: &[u8]| {
        data.get(12..14)
            .is_some_and(|kind| [[0x81, 0], [0x88, 0xa8], [0x91, 0]].contains(&[kind[0], kind[1]]))
    };
    let frames: Vec<Sample> = synthetic(link_type, 150, 3)
        .into_iter()
        .filter(|sample| {
            sample.data.len() == sample.wire_length as usize
                && !sample.data.is_empty()
                && !is_tag(&sample.data)
        })
        .collect();
    assert!(frames.len() > 50, "{}", frames.len());
    let special = [
        "ip[0] << ip[8] = 0x45",
        "tcp[ip[0:4]] = 0",
        "ip[ip[2:2] - 200] > 5",
        "ip[0 - ip[0]] = 3",
        "ether[0xfffffff0 + ip[0]] = 3",
        "udp[ip[0] & 0xf] = 3",
        "tcp[(tcp[12] & 0xf0) >> 2] > 0x20",
    ];
    let (mut asked, mut wanted, mut refused) = (0, 0, Vec::new());
    let made = (0..number("WHARF_FILTER_EXPRESSIONS", 200)).map(|_| generate::expression(&mut random));
    for expression in hand_written().chain(special).map(str::to_owned).chain(made) {
        let Ok(filter) = expression.parse::<Filter>() else { continue };
        let Ok(test) = filter.test(link_type) else { continue };
        let Ok(program) = filter.socket_program(link_type, 262_144) else {
            refused.push(expression);
            continue;
        };
        // The pair has no interface; what is sent to it is sent by nobody.
        if ["bound", "ifname", "ifindex", "vlan"].iter().any(|word| expression.contains(word)) {
            continue;
        }
        let evaluator = Evaluator::new(&test, link_type).unwrap();
        let kept = judge.judge(&program, frames.iter().map(|sample| &sample.data[..]));
        for (sample, kept) in frames.iter().zip(kept) {
            let matches = evaluator.matches_frame(&Frame::new(link_type, &sample.data));
            assert_eq!(kept > 0, matches, "{expression}: {:02x?}\n{program}", sample.data);
            asked += 1;
            wanted += usize::from(matches);
        }
    }
    eprintln!(
        "{asked} verdicts of the kernel, {wanted} matches; {} expressions are not for it",
        refused.len()
    );
    assert!(asked > 20_000 && wanted > 1_000);
    for expression in &special[..5] {
        assert!(refused.iter().any(|refused| refused == expression), "{expression}");
    }
    assert!(!refused.iter().any(|refused| special[5..].contains(&refused.as_str())));
}
