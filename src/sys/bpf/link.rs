//! What holds a program at its interface.

use super::Program;
use super::abi::{ATTACH_SK_LOOKUP, ATTACH_XDP, FLAG_GENERIC, FLAG_NATIVE, LinkCreate, LinkDetach, command};
use super::{call, create};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Where on its way a frame meets an XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver, before the kernel has made a packet of it: needs the driver's support.
    Native,
    /// Behind that (`skb` mode): on any interface, at the price of it.
    Generic,
}

/// A program where it does its work, for as long as this lives: when the process dies, however it does, it is gone.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Link {
    /// Attaches a program to an interface of the calling thread's network namespace (Linux 5.9).
    ///
    /// # Errors
    /// As `bpf(BPF_LINK_CREATE)`: `EBUSY` or `EEXIST` where there is a program already, `EOPNOTSUPP` where the driver
    /// knows no such mode, `PermissionDenied` without `CAP_NET_ADMIN`, `EINVAL` before Linux 5.9; and whatever the
    /// driver objects to, such as `ERANGE` or `EINVAL` for a large MTU.
    pub fn attach_xdp(program: &Program, interface: u32, mode: AttachMode) -> io::Result<Self> {
        let flags = match mode {
            AttachMode::Native => FLAG_NATIVE,
            AttachMode::Generic => FLAG_GENERIC,
        };
        let program = program.as_raw_fd() as u32;
        let mut attribute = LinkCreate { program, interface, attach_type: ATTACH_XDP, flags };
        // SAFETY: this attribute holds no address, and the command makes a descriptor.
        unsafe { create(command::LINK_CREATE, &mut attribute) }.map(Self)
    }

    /// Attaches a program that chooses sockets to a network namespace, by an open descriptor of it (Linux 5.9).
    ///
    /// # Errors
    /// As `bpf(BPF_LINK_CREATE)`: `PermissionDenied` without `CAP_NET_ADMIN`, `E2BIG` where there are 64 already, `EINVAL` before
    /// Linux 5.9.
    pub fn attach_sk_lookup(program: &Program, namespace: impl AsFd) -> io::Result<Self> {
        let program = program.as_raw_fd() as u32;
        let interface = namespace.as_fd().as_raw_fd() as u32;
        let mut attribute = LinkCreate { program, interface, attach_type: ATTACH_SK_LOOKUP, flags: 0 };
        // SAFETY: this attribute holds no address, and the command makes a descriptor.
        unsafe { create(command::LINK_CREATE, &mut attribute) }.map(Self)
    }

    /// One that another process has made.
    #[cfg(feature = "proxy")]
    pub(crate) fn inherited(link: OwnedFd) -> Self {
        Self(link)
    }

    /// Takes the program off at once; dropping the link afterwards does nothing more.
    ///
    /// # Errors
    /// As `bpf(BPF_LINK_DETACH)`.
    pub fn detach(&self) -> io::Result<()> {
        let mut attribute = LinkDetach { link: self.0.as_raw_fd() as u32 };
        // SAFETY: this attribute holds no address.
        unsafe { call(command::LINK_DETACH, &mut attribute) }.map(drop)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
