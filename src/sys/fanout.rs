//! Packet sockets that share an interface's frames: a fan-out group (packet(7), `PACKET_FANOUT`).
//!
//! A frame goes to one member of its group. Members are numbered in the order in which they joined, for as long as
//! none leaves. A classic BPF program chooses the number; it can be replaced while frames come, each of which meets
//! the one program or the other.

use super::packet_socket::PacketSocket;
use socket2::SockFilter;
use std::io;
use std::os::fd::AsRawFd;

/// Names a group within its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupId(u16);

/// Who chooses the member for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The program of [`PacketSocket::set_fanout_program`] (`PACKET_FANOUT_CBPF`, Linux 4.3).
    Program,
    /// Each in turn (`PACKET_FANOUT_LB`).
    InTurn,
}

/// A group's settings: the same for all its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fanout {
    /// Who chooses.
    pub(crate) choice: Choice,
    /// A frame for a member whose ring is full goes to another one (`PACKET_FANOUT_FLAG_ROLLOVER`).
    pub(crate) rollover: bool,
    /// Frames that this host sends are left out (`PACKET_FANOUT_FLAG_IGNORE_OUTGOING`, Linux 6.1): a group does not heed
    /// the sockets' own setting.
    pub(crate) ignore_outgoing: bool,
}

impl Fanout {
    fn kind_and_flags(self) -> u32 {
        let kind = match self.choice {
            Choice::Program => libc::PACKET_FANOUT_CBPF,
            Choice::InTurn => libc::PACKET_FANOUT_LB,
        };
        let flag = |on, flag| if on { flag } else { 0 };
        kind | flag(self.rollover, libc::PACKET_FANOUT_FLAG_ROLLOVER)
            | flag(self.ignore_outgoing, libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING)
    }
}

impl PacketSocket {
    /// Makes a group with this socket, which must be bound, as its first member.
    ///
    /// # Errors
    /// As `setsockopt(PACKET_FANOUT)`: `InvalidInput` where the kernel does not know the kind or a flag, or when the
    /// socket's interface is down.
    pub(crate) fn found_fanout(&self, fanout: Fanout) -> io::Result<GroupId> {
        self.set(
            libc::PACKET_FANOUT,
            &((fanout.kind_and_flags() | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16),
        )?;
        // The group's number is in the lower half.
        self.get::<u32>(libc::PACKET_FANOUT).map(|group| GroupId(group as u16))
    }

    /// Joins a group of the same interface and the same settings; this socket must be bound.
    ///
    /// # Errors
    /// As [`PacketSocket::found_fanout`]; `StorageFull` beyond 256 members.
    pub(crate) fn join_fanout(&self, fanout: Fanout, group: GroupId) -> io::Result<()> {
        self.set(libc::PACKET_FANOUT, &(fanout.kind_and_flags() << 16 | u32::from(group.0)))
    }

    /// Gives the group of this socket its program; what it gives, modulo the members, is the number of a frame's
    /// member. Without one all frames go to the first. Where there was one before, no frame is on its way by that any
    /// more when this returns.
    ///
    /// # Errors
    /// As `setsockopt(PACKET_FANOUT_DATA)`.
    pub(crate) fn set_fanout_program(&self, program: &[SockFilter]) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            filter: program.as_ptr().cast_mut().cast(),
        };
        // SAFETY: the kernel reads a `sock_fprog` and the `len` instructions it points to, all of which live through
        // the call; `SockFilter` has the layout of `sock_filter` (it is transparent), and nothing is written.
        let result = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_FANOUT_DATA,
                (&raw const program).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
