//! Which of this host's interfaces a frame came from, where that is told by a number only.

use crate::frame::{Frame, Interface, LinkType};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use std::io;

/// Names of the interfaces of the frames of a live capture: by the kernel's numbers of them, which frames that were
/// captured on all at once have in their header ([`LinkType::LINUX_SLL2`]), or by what the source says where it
/// captures on several.
///
/// Of what comes from a file this would tell nonsense: numbers are another host's.
#[derive(Debug)]
pub struct InterfaceNames {
    /// Whom to ask: of the network namespace in which it was made.
    socket: OwnedFd,
    /// Those that have been asked for; `None` of one that was not there.
    known: Vec<(u32, Option<String>)>,
}

impl InterfaceNames {
    /// Those of the calling thread's network namespace.
    ///
    /// ```
    /// use wharf::sink::{InterfaceNames, Text, TextOptions};
    /// let lines = Text::new(Vec::new(), TextOptions::default()).interface_names(InterfaceNames::here()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no socket to ask with.
    pub fn here() -> io::Result<Self> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, known: Vec::new() })
    }

    /// The name to be told of a frame: none where there is but one interface, `?` where it is not known.
    pub(super) fn of<'n>(&'n mut self, frame: &Frame<'_>, interfaces: &'n [Interface]) -> Option<&'n str> {
        if let Some(index) = index(frame) {
            return Some(self.name(index).unwrap_or("?"));
        }
        let several = interfaces.len() > 1;
        let interface = interfaces.get(frame.record.interface.0 as usize).filter(|_| several);
        interface.map(|interface| interface.name.as_deref().unwrap_or("?"))
    }

    /// By the kernel's number.
    pub(super) fn name(&mut self, index: u32) -> Option<&str> {
        let at = match self.known.iter().position(|(known, _)| *known == index) {
            Some(at) => at,
            None => {
                self.known.push((index, netdevice::index_to_name(&self.socket, index).ok()));
                self.known.len() - 1
            }
        };
        self.known[at].1.as_deref()
    }
}

/// The kernel's number of a frame's interface, where its header has it.
pub(super) fn index(frame: &Frame<'_>) -> Option<u32> {
    let bytes = frame.data.get(4..8).filter(|_| frame.record.link_type == LinkType::LINUX_SLL2)?;
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
