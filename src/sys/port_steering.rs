//! A listening socket for many ports: a BPF program that the kernel asks, before it looks for a socket, which one has a
//! connection that comes in (`sk_lookup`, Linux 5.9; `Documentation/bpf/prog_sk_lookup.rst`).
//!
//! The program holds the rules one after the other; the first that fits decides. Where none does, the kernel goes on as
//! always. It is attached to the network namespace of the thread, and gone with the last descriptor of its link.

use super::bpf::assembler::{Assembler, Condition, Fault, Instruction, Operation, Register::*, Size};
use super::bpf::{Link, LoadError, Map, Program};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Fields of `struct bpf_sk_lookup` of `linux/bpf.h`, Linux 6.1.
mod field {
    pub(super) const FAMILY: i16 = 8;
    pub(super) const PROTOCOL: i16 = 12;
    pub(super) const LOCAL_IP4: i16 = 40;
    pub(super) const LOCAL_IP6: i16 = 44;
    /// In the host's order.
    pub(super) const LOCAL_PORT: i16 = 60;
}

/// Numbers of `enum bpf_func_id`.
mod helper {
    pub(super) const MAP_LOOKUP_ELEM: i32 = 1;
    pub(super) const SK_RELEASE: i32 = 86;
    pub(super) const SK_ASSIGN: i32 = 124;
}

/// `SK_PASS` of `enum sk_action`: go on, with the socket that was assigned if one was.
const PASS: i32 = 1;

/// Most ranges in a program: some 3 instructions each are gone through for every connection.
pub(crate) const MOST_RANGES: usize = 1024;

/// TCP ports that one socket has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    /// Of which address; `None`: of any, `0.0.0.0` and `::`: of any of the family.
    pub(crate) address: Option<IpAddr>,
    /// Each with its start no greater than its end.
    pub(crate) ranges: Vec<RangeInclusive<u16>>,
}

/// The program at work, for as long as this lives.
#[derive(Debug)]
pub(crate) struct PortSteering {
    link: Link,
    /// The map, which another process may have made: it is kept and handed on, and not looked into.
    sockets: OwnedFd,
}

impl PortSteering {
    /// Has the kernel hand connections to these ports to these listening sockets. Where a socket shares its address with
    /// others (`SO_REUSEPORT`), the kernel chooses among all of them as it would without.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_BPF` and `CAP_NET_ADMIN` in the first user namespace; `InvalidInput` for more than
    /// [`MOST_RANGES`], or before Linux 5.9.
    pub(crate) fn attach(rules: &[(Ports, BorrowedFd<'_>)]) -> io::Result<Self> {
        let ranges: usize = rules.iter().map(|(ports, _)| ports.ranges.len()).sum();
        let count = u32::try_from(rules.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        if ranges > MOST_RANGES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let sockets = Map::of_sockets("wharf_listen", count.max(1))?;
        for (index, (_, socket)) in (0..).zip(rules) {
            sockets.set_socket(index, socket)?;
        }
        let code = program(rules.iter().map(|(ports, _)| ports), &sockets).map_err(io::Error::other)?;
        let program = Program::load_sk_lookup("wharf_ports", &code).map_err(|LoadError { error, log }| {
            match log.is_empty() {
                true => error,
                false => io::Error::other(format!("{error}: {log}")),
            }
        })?;
        let namespace = std::fs::File::open("/proc/thread-self/ns/net")?;
        let link = Link::attach_sk_lookup(&program, namespace.as_fd())?;
        Ok(Self { link, sockets: sockets.into() })
    }
}

impl PortSteering {
    /// What keeps it at work, for another process: the link and the map.
    #[must_use]
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.link.as_fd(), self.sockets.as_fd()]
    }

    /// At work already, by these descriptors of another process.
    #[must_use]
    pub(crate) fn inherited(link: OwnedFd, sockets: OwnedFd) -> Self {
        Self { link: Link::inherited(link), sockets }
    }
}

fn program<'a>(
    rules: impl Iterator<Item = &'a Ports>,
    sockets: &impl AsRawFd,
) -> Result<Vec<Instruction>, Fault> {
    let mut code = Assembler::new();
    let (pass, found) = (code.label(), code.label());
    code.set(R6, R1);
    code.load(Size::Word, R2, R6, field::PROTOCOL);
    code.jump(Condition::Unlike, R2, libc::IPPROTO_TCP, pass);
    code.load(Size::Word, R7, R6, field::LOCAL_PORT);
    code.load(Size::Word, R8, R6, field::FAMILY);
    for (index, Ports { address, ranges }) in (0..).zip(rules) {
        let next = code.label();
        match address {
            None => {}
            Some(IpAddr::V4(address)) => {
                code.jump(Condition::Unlike, R8, libc::AF_INET, next);
                if !address.is_unspecified() {
                    word_is(&mut code, field::LOCAL_IP4, address.octets(), next);
                }
            }
            Some(IpAddr::V6(address)) => {
                code.jump(Condition::Unlike, R8, libc::AF_INET6, next);
                if !address.is_unspecified() {
                    for (word, at) in address.octets().chunks_exact(4).zip((field::LOCAL_IP6..).step_by(4)) {
                        word_is(&mut code, at, [word[0], word[1], word[2], word[3]], next);
                    }
                }
            }
        }
        code.set(R9, index);
        for range in ranges {
            let beside = code.label();
            code.jump(Condition::Less, R7, i32::from(*range.start()), beside);
            code.jump(Condition::Greater, R7, i32::from(*range.end()), beside);
            code.go(found);
            code.place(beside);
        }
        code.place(next);
    }
    code.go(pass);
    // The socket numbered in R9.
    code.place(found).store(Size::Word, R10, -4, R9);
    code.set(R2, R10).add(R2, -4).map(R1, sockets).call(helper::MAP_LOOKUP_ELEM);
    code.jump(Condition::Equal, R0, 0, pass);
    code.set(R9, R0);
    code.set(R1, R6).set(R2, R9).set(R3, 0).call(helper::SK_ASSIGN);
    code.set(R1, R9).call(helper::SK_RELEASE);
    code.place(pass).set(R0, PASS).exit();
    code.finish()
}

/// Goes on behind it where a word of the context holds these bytes, as they stand in a header.
fn word_is(code: &mut Assembler, at: i16, bytes: [u8; 4], otherwise: super::bpf::assembler::Label) {
    code.load(Size::Word, R2, R6, at);
    // What is loaded has no sign; the number in an instruction has.
    code.set(R3, i32::from_ne_bytes(bytes));
    code.compute(Operation::ShiftLeft, R3, 32).compute(Operation::ShiftRight, R3, 32);
    code.jump(Condition::Unlike, R2, R3, otherwise);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// Whether this process may; said loudly where not.
    fn attach(rules: &[(Ports, BorrowedFd<'_>)]) -> Option<PortSteering> {
        match PortSteering::attach(rules) {
            Ok(steering) => Some(steering),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("SKIPPED steering of ports: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn one_socket_has_many_ports_of_its_address() {
        let listener = TcpListener::bind("127.88.0.1:0").unwrap();
        let other = TcpListener::bind("127.88.0.1:0").unwrap();
        let ports = |address: &str, ranges: &[RangeInclusive<u16>]| Ports {
            address: Some(address.parse().unwrap()),
            ranges: ranges.to_vec(),
        };
        let rules = [
            (ports("127.88.0.1", &[1_000..=1_999, 3_000..=3_000]), listener.as_fd()),
            // The first rule has what both name.
            (ports("127.88.0.1", &[1_500..=2_500]), other.as_fd()),
            (ports("::1", &[1_000..=1_999]), other.as_fd()),
        ];
        let Some(steering) = attach(&rules) else { return };
        for (port, taken_by) in [(1_000, &listener), (1_999, &listener), (3_000, &listener), (2_000, &other)]
        {
            let client = TcpStream::connect(("127.88.0.1", port)).unwrap();
            let (connection, from) = taken_by.accept().unwrap();
            assert_eq!(from, client.local_addr().unwrap());
            // It knows the port it came to.
            assert_eq!(connection.local_addr().unwrap().port(), port);
        }
        for (address, port) in [("127.88.0.1", 999), ("127.88.0.1", 2_999), ("127.88.0.2", 1_000)] {
            assert!(TcpStream::connect((address, port)).is_err(), "{address}:{port}");
        }
        drop(steering);
        assert!(TcpStream::connect(("127.88.0.1", 1_000)).is_err());
    }
}
