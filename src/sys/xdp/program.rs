//! The programs that stand in front of `AF_XDP` sockets, and one that sends.
//!
//! What they return is one of `enum xdp_action` of `linux/bpf.h`: `XDP_PASS` lets a frame go on up the host's own stack.

use super::ports::{PortProtocol, TABLE};
use crate::sys::bpf::Map;
use crate::sys::bpf::assembler::Register::*;
use crate::sys::bpf::assembler::{Assembler, Condition, Instruction, Label, Operation, Register, Size};

/// The frame goes on up the host's stack.
pub const PASS: i32 = 2;
/// The frame goes where the map or the helper said: to a socket, or out of an interface.
pub const REDIRECT: i32 = 4;

/// `BPF_FUNC_redirect` and `BPF_FUNC_redirect_map`.
const HELPER_REDIRECT: i32 = 23;
const HELPER_REDIRECT_MAP: i32 = 51;

/// Offsets in `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const RX_QUEUE: i16 = 16;

/// A number as a load of two bytes from a frame finds it.
const fn as_loaded(number: u16) -> i32 {
    u16::from_ne_bytes(number.to_be_bytes()) as i32
}

/// Every frame of a queue that has a socket in `sockets` goes there; the others pass.
#[must_use]
pub fn take_all(sockets: &Map) -> Vec<Instruction> {
    let mut code = Assembler::new();
    code.set(R6, R1);
    take(&mut code, sockets);
    finished(code)
}

/// Frames with a port of the table go to their queue's socket, all others pass: those of other protocols, later
/// fragments (their ports are in the first one), packets with IPv6 extension headers, more than two VLAN tags, MPLS or
/// PPPoE, and those whose headers are not whole. The first fragment goes by its ports.
///
/// `ports` is a map that [`PortTable::upload`](super::PortTable::upload) made.
#[must_use]
pub fn take_ports(sockets: &Map, ports: &Map) -> Vec<Instruction> {
    let mut code = Assembler::new();
    let [pass, wanted, v4, v6, tcp, udp, sctp, look] = std::array::from_fn(|_| code.label());

    // R6 context, R7 where the next header begins, R8 the frame's end. R9: the IP payload's length.
    code.set(R6, R1).load(Size::Word, R7, R6, DATA).load(Size::Word, R8, R6, DATA_END);
    need(&mut code, 14, pass);
    code.load(Size::Half, R2, R7, 12).add(R7, 14);
    for _tag in 0..2 {
        let (tagged, untagged) = (code.label(), code.label());
        for ethertype in [0x8100, 0x88a8, 0x9100] {
            code.jump(Condition::Equal, R2, as_loaded(ethertype), tagged);
        }
        code.go(untagged).place(tagged);
        need(&mut code, 4, pass);
        code.load(Size::Half, R2, R7, 2).add(R7, 4).place(untagged);
    }
    code.jump(Condition::Equal, R2, as_loaded(0x0800), v4);
    code.jump(Condition::Equal, R2, as_loaded(0x86dd), v6);
    code.go(pass);

    // RFC 791: version and header length, total length, fragment offset, protocol.
    code.place(v4);
    need(&mut code, 20, pass);
    code.load(Size::Byte, R2, R7, 0).set(R3, R2);
    code.compute(Operation::And, R3, 0xf0).jump(Condition::Unlike, R3, 0x40, pass);
    code.compute(Operation::And, R2, 0x0f).compute(Operation::ShiftLeft, R2, 2);
    code.jump(Condition::Less, R2, 20, pass);
    code.load(Size::Half, R3, R7, 6).jump(Condition::AnyBit, R3, as_loaded(0x1fff), pass);
    code.load(Size::Half, R9, R7, 2).from_network_half(R9);
    code.jump(Condition::Less, R9, R2, pass).compute(Operation::Subtract, R9, R2);
    code.load(Size::Byte, R5, R7, 9).add(R7, R2);
    by_protocol(&mut code, (tcp, udp, sctp), pass);

    // RFC 8200: version, payload length, next header.
    code.place(v6);
    need(&mut code, 40, pass);
    code.load(Size::Byte, R2, R7, 0).compute(Operation::And, R2, 0xf0);
    code.jump(Condition::Unlike, R2, 0x60, pass);
    code.load(Size::Half, R9, R7, 4).from_network_half(R9);
    code.load(Size::Byte, R5, R7, 6).add(R7, 40);
    by_protocol(&mut code, (tcp, udp, sctp), pass);

    // The table of each, and how long a header has to be that its ports are believed. Last of them `look`.
    for (label, protocol, header) in
        [(tcp, PortProtocol::Tcp, 20), (udp, PortProtocol::Udp, 8), (sctp, PortProtocol::Sctp, 12)]
    {
        code.place(label);
        code.jump(Condition::Less, R9, header, pass);
        need(&mut code, header, pass);
        code.map_value(R4, ports, (protocol as usize * TABLE) as i32).go(look);
    }
    code.place(look);
    for port in [2, 0] {
        code.load(Size::Half, R2, R7, port).from_network_half(R2);
        look_up(&mut code, wanted);
    }
    code.place(pass).set(R0, PASS).exit();
    code.place(wanted);
    take(&mut code, sockets);
    finished(code)
}

/// Sends every frame out of an interface: for
/// [`test_run_live_frames`](crate::sys::bpf::Program::test_run_live_frames).
#[must_use]
pub fn redirect_to(interface: u32) -> Vec<Instruction> {
    let mut code = Assembler::new();
    code.set(R1, interface as i32).set(R2, 0).call(HELPER_REDIRECT).exit();
    finished(code)
}

/// Returns the redirection to the socket of the frame's queue, of which R6 is the context; `XDP_PASS` where there is none.
fn take(code: &mut Assembler, sockets: &Map) {
    code.load(Size::Word, R2, R6, RX_QUEUE).map(R1, sockets).set(R3, PASS);
    code.call(HELPER_REDIRECT_MAP).exit();
}

/// So many bytes from R7 on are within the frame.
fn need(code: &mut Assembler, bytes: i32, otherwise: Label) {
    code.set(R1, R7).add(R1, bytes).jump(Condition::Greater, R1, R8, otherwise);
}

/// Goes by the protocol number in R5.
fn by_protocol(code: &mut Assembler, (tcp, udp, sctp): (Label, Label, Label), otherwise: Label) {
    for (protocol, to) in [
        (libc::IPPROTO_TCP, tcp),
        (libc::IPPROTO_UDP, udp),
        (libc::IPPROTO_UDPLITE, udp),
        (libc::IPPROTO_SCTP, sctp),
    ] {
        code.jump(Condition::Equal, R5, protocol, to);
    }
    code.go(otherwise);
}

/// Goes to `wanted` if the bit of the port in R2 is set in the table at R4.
fn look_up(code: &mut Assembler, wanted: Label) {
    const PORT: Register = R2;
    code.set(R3, PORT).compute(Operation::ShiftRight, R3, 3).set(R1, R4).add(R1, R3);
    code.load(Size::Byte, R1, R1, 0).compute(Operation::And, PORT, 7);
    code.compute(Operation::ShiftRight, R1, PORT).jump(Condition::AnyBit, R1, 1, wanted);
}

pub(super) fn finished(code: Assembler) -> Vec<Instruction> {
    code.finish().expect("every label of these programs has its place, and they are short")
}
