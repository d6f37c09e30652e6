//! The classic BPF program in front of a ring: direction, ports, snap length.

use super::Directions;
use super::ports::{self, PortSet, Start};
use crate::sys::classic_bpf::{Assembler, Instruction, Known, TooLong};
use socket2::SockFilter;

const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;

/// Accepts nothing any more: `BPF_RET | BPF_K`.
pub(super) const NOTHING: [SockFilter; 1] = [SockFilter::new(0x06, 0, 0, 0)];

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
