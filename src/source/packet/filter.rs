//! The classic BPF program in front of the ring: direction and snap length.

use super::Directions;
use socket2::SockFilter;

/// `BPF_LD | BPF_B | BPF_ABS`, `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_RET | BPF_K`.
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Loads from here up read what the kernel knows of a frame, not its bytes (`SKF_AD_OFF`).
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
const INTERFACE_INDEX: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_IFINDEX) as u32;
const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;

/// Accepts nothing any more.
pub(super) const NOTHING: [SockFilter; 1] = [SockFilter::new(RETURN, 0, 0, 0)];

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

/// Keeps `keep` bytes of each frame of the wanted directions.
///
/// A packet over the loopback passes twice, going out and coming in; only the second is kept unless
/// what goes out was asked for.
pub(super) fn program(directions: Directions, place: Place, keep: u32) -> Vec<SockFilter> {
    let load_type = SockFilter::new(LOAD_BYTE, 0, 0, PACKET_TYPE);
    let outgoing = |yes, no| SockFilter::new(JUMP_IF_EQUAL, yes, no, OUTGOING);
    let drop = SockFilter::new(RETURN, 0, 0, 0);
    let keep = SockFilter::new(RETURN, 0, 0, keep);
    match (directions, place) {
        (Directions::Out, _) => vec![load_type, outgoing(1, 0), drop, keep],
        (Directions::In, _) | (Directions::Both, Place::Loopback) => {
            vec![load_type, outgoing(0, 1), drop, keep]
        }
        (Directions::Both, Place::Interface) => vec![keep],
        (Directions::Both, Place::Everywhere { loopback }) => vec![
            load_type,
            outgoing(0, 3),
            SockFilter::new(LOAD_WORD, 0, 0, INTERFACE_INDEX),
            SockFilter::new(JUMP_IF_EQUAL, 0, 1, loopback),
            drop,
            keep,
        ],
    }
}
