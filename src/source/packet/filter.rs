//! The classic BPF program in front of a ring: direction, ports or a program of the user's, snap length.

use super::Directions;
use super::ports::{self, PortSet, Start};
use crate::sys::classic_bpf::{Assembler, Instruction, Known, LONGEST, TooLong};
use socket2::{Domain, SockFilter, Socket, Type};

const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;

/// Accepts nothing any more: `BPF_RET | BPF_K`.
pub(super) const NOTHING: [SockFilter; 1] = [SockFilter::new(0x06, 0, 0, 0)];

/// `BPF_RET | BPF_K` and `BPF_JMP | BPF_JA`.
const GIVE_CONSTANT: u16 = 0x06;
const JUMP: u16 = 0x05;
/// The bits of a code that tell its class (`BPF_CLASS`), and the class of loads into A; with nothing else set, of the constant.
const CLASS: u16 = 0x07;
const LOAD: u16 = 0x00;

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the loopback: what is sent there comes in again.
    Loopback,
    /// On another interface.
    Interface,
    /// On all, the loopback (by its index) among them.
    Everywhere { loopback: u32 },
}

/// Keeps `keep` bytes of each frame of the wanted directions that may be a packet of the wanted ports, if such are
/// given together with how frames start.
///
/// A packet over the loopback passes twice, going out and coming in; only the second is kept unless
/// what goes out was asked for.
pub(super) fn program(
    directions: Directions,
    place: Place,
    keep: u32,
    ports: Option<(&PortSet, Start)>,
) -> Vec<SockFilter> {
    let Some((set, start)) = ports else {
        return lay_out(directions, place, keep, |code| code.give(keep))
            .map_or_else(|_| Vec::new(), finished);
    };
    // Ranges are joined over ever larger gaps until the program fits; a few ports too many do no harm, as it is not
    // here that it is decided.
    let mut set = set.clone();
    let mut gap = 1;
    loop {
        match lay_out(directions, place, keep, |code| ports::accept(code, &set, start, keep)) {
            Ok(program) => return finished(program),
            Err(TooLong(_)) => set.join_over(gap),
        }
        gap = gap.saturating_mul(2);
    }
}

/// The same for frames that a program of the user's wants, which gives 0 for others.
///
/// # Errors
/// [`TooLong`] where both together are beyond what the kernel takes.
pub(super) fn program_with(
    directions: Directions,
    place: Place,
    keep: u32,
    wanted: &[Instruction],
) -> Result<Vec<SockFilter>, TooLong> {
    joined(directions, place, keep, wanted).map(finished)
}

fn joined(
    directions: Directions,
    place: Place,
    keep: u32,
    wanted: &[Instruction],
) -> Result<Vec<Instruction>, TooLong> {
    let mut program = lay_out(directions, place, keep, |code| code.give(keep))?;
    // What ends with the wanted frames' length, before the last that drops others, goes on behind it instead.
    let give = program.len() - 2;
    program[give] = Instruction { code: JUMP, then: 0, otherwise: 0, constant: 1 };
    // It begins with A being 0, as every program does, which matters where the first thing is not a load of A.
    if wanted.first().is_some_and(|first| first.code & CLASS != LOAD) {
        program.push(Instruction::default());
    }
    program.extend(wanted.iter().map(|instruction| match instruction {
        Instruction { code: GIVE_CONSTANT, constant: 1.., .. } => {
            Instruction { constant: keep, ..*instruction }
        }
        other => *other,
    }));
    if program.len() > LONGEST { Err(TooLong(program.len())) } else { Ok(program) }
}

/// Whether the kernel has memory for the program, as far as a socket's share of it goes (`net.core.optmem_max`): asked of a socket that
/// is nobody's. Twice, as a ring that is replaced has two for a moment.
pub(super) fn fits(program: &[SockFilter]) -> bool {
    let Ok(socket) = Socket::new(Domain::UNIX, Type::DGRAM, None) else { return true };
    (0..2).all(|_| {
        let attached = socket.attach_filter(program);
        // Whatever else is wrong, the ring's socket will tell.
        !attached.is_err_and(|error| error.raw_os_error() == Some(libc::ENOMEM))
    })
}

fn finished(program: Vec<Instruction>) -> Vec<SockFilter> {
    program.into_iter().map(SockFilter::from).collect()
}

fn lay_out(
    directions: Directions,
    place: Place,
    keep: u32,
    accept: impl FnOnce(&mut Assembler),
) -> Result<Vec<Instruction>, TooLong> {
    debug_assert!(keep > 0, "0 would drop every frame");
    let mut code = Assembler::new();
    let (drop, wanted) = (code.label(), code.label());
    match (directions, place) {
        (Directions::Out, _) => {
            code.load_known(Known::PacketType);
            code.if_equal(OUTGOING, wanted);
            code.jump(drop);
        }
        (Directions::In, _) | (Directions::Both, Place::Loopback) => {
            code.load_known(Known::PacketType);
            code.if_equal(OUTGOING, drop);
        }
        (Directions::Both, Place::Interface) => {}
        (Directions::Both, Place::Everywhere { loopback }) => {
            code.load_known(Known::PacketType);
            code.unless_equal(OUTGOING, wanted);
            code.load_known(Known::Interface);
            code.if_equal(loopback, drop);
        }
    }
    code.place(wanted);
    accept(&mut code);
    code.place(drop);
    code.give(0);
    code.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::classic_bpf::{Seen, run};

    #[test]
    fn a_program_of_the_users_stands_behind_the_direction() {
        // Frames that begin with 7.
        let mut code = Assembler::new();
        let other = code.label();
        code.load_byte(0);
        code.unless_equal(7, other);
        code.give(262_144);
        code.place(other);
        code.give(0);
        let wanted = code.finish().expect("short");
        let (sent, seven) = (libc::PACKET_OUTGOING as u32, &[7][..]);
        for (directions, place, packet_type, interface, bytes, kept) in [
            (Directions::In, Place::Interface, 0, 1, seven, 96),
            (Directions::In, Place::Interface, 0, 1, &[6], 0),
            (Directions::In, Place::Interface, sent, 1, seven, 0),
            (Directions::Out, Place::Interface, sent, 1, seven, 96),
            (Directions::Out, Place::Interface, 0, 1, seven, 0),
            (Directions::Both, Place::Interface, sent, 1, seven, 96),
            (Directions::Both, Place::Interface, 0, 1, &[], 0),
            (Directions::Both, Place::Loopback, sent, 1, seven, 0),
            (Directions::Both, Place::Everywhere { loopback: 1 }, sent, 1, seven, 0),
            (Directions::Both, Place::Everywhere { loopback: 1 }, sent, 2, seven, 96),
        ] {
            let program = joined(directions, place, 96, &wanted).expect("short");
            let seen = Seen { bytes, packet_type, interface, ..Seen::default() };
            assert_eq!(
                run(&program, &seen),
                kept,
                "{directions:?} {place:?} {packet_type} {interface} {bytes:?}"
            );
        }
        // What is asked of A before anything is loaded: it is 0, whatever stood there for the direction.
        let give_a = [Instruction { code: 0x16, ..Instruction::default() }];
        let program = joined(Directions::In, Place::Interface, 96, &give_a).expect("short");
        assert_eq!(run(&program, &Seen { packet_type: 3, ..Seen::default() }), 0);
        let long = vec![Instruction::default(); LONGEST];
        assert!(joined(Directions::In, Place::Interface, 96, &long).is_err());
    }
}
