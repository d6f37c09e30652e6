//! A program at an interface, with its maps.

use super::ports::PortTable;
use super::program;
use crate::sys::bpf::{AttachMode, Link, LoadError, Map, Program};
use rustix::thread::MembarrierCommand;
use std::io;
use std::os::fd::AsFd;

/// A program at an interface that gives frames to sockets. It goes when this is dropped, and with the process.
#[derive(Debug)]
pub struct Attachment {
    link: Link,
    sockets: Map,
    mode: AttachMode,
}

/// Why a program could not be attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// A map could not be made.
    #[error("cannot make a BPF map: {0}")]
    Map(#[source] io::Error),
    /// The kernel did not take the program.
    #[error("cannot load the XDP program: {0}")]
    Load(#[source] LoadError),
    /// The interface did not take it.
    #[error("cannot attach the XDP program: {0}")]
    Attach(#[source] io::Error),
}

impl AttachError {
    /// The kernel's word.
    pub(crate) fn into_cause(self) -> io::Error {
        match self {
            Self::Map(cause) | Self::Attach(cause) => cause,
            Self::Load(load) => load.error,
        }
    }
}

impl Attachment {
    /// Attaches a program to an interface of the calling thread's network namespace, with room for the sockets of
    /// `queues` queues: they are to be [added](Self::add). With `ports` it takes only what these name.
    ///
    /// # Errors
    /// [`AttachError`]; what is behind each of them is told by [`Map::array`], [`Program::load_xdp`] and
    /// [`Link::attach_xdp`].
    pub fn new(
        interface: u32,
        mode: AttachMode,
        queues: u32,
        ports: Option<&PortTable>,
    ) -> Result<Self, AttachError> {
        let sockets = Map::of_xdp_sockets("wharf_sockets", queues).map_err(AttachError::Map)?;
        let ports = ports.map(PortTable::upload).transpose().map_err(AttachError::Map)?;
        let code = match &ports {
            Some(ports) => program::take_ports(&sockets, ports),
            None => program::take_all(&sockets),
        };
        let program = Program::load_xdp("wharf", &code).map_err(AttachError::Load)?;
        let link = Link::attach_xdp(&program, interface, mode).map_err(AttachError::Attach)?;
        // It keeps the table of ports, too.
        Ok(Self { link, sockets, mode })
    }

    /// Where the program stands.
    #[must_use]
    pub fn mode(&self) -> AttachMode {
        self.mode
    }

    /// Gives a socket the frames of its queue, from now on.
    ///
    /// # Errors
    /// As [`Map::set_socket`].
    pub fn add(&self, queue: u32, socket: impl AsFd) -> io::Result<()> {
        self.sockets.set_socket(queue, socket)
    }

    /// Takes the program off the interface and waits until no frame is on its way through it any more: what was for
    /// the sockets is in their rings.
    ///
    /// # Errors
    /// As [`Link::detach`].
    pub fn detach(&self) -> io::Result<()> {
        let detached = self.link.detach();
        // Programs run, and sockets are handed their frames, within one read-side section of the kernel's RCU; this
        // command waits for all of those that have begun (`kernel/sched/membarrier.c`).
        let _ = rustix::thread::membarrier(MembarrierCommand::Global);
        detached
    }
}
