//! What to capture and how, and the way from there to open sockets.

use super::queue::Queue;
use super::waiting::{Patience, Waiting};
use super::{Capture, LONGEST_RUN, State, problem};
use crate::ValueError;
use crate::frame::{Interface, LinkType, Offload};
use crate::source::Error;
use crate::source::packet::options::operating_system;
use crate::source::packet::problem::{Problem, down_at_start, find};
use crate::sys::bpf::AttachMode;
use crate::sys::ethtool;
use crate::sys::interfaces::{InterfaceInfo, interfaces};
use crate::sys::link_watch::Watch;
use crate::sys::xdp::abi::{HEADROOM, LEAST_CHUNK};
use crate::sys::xdp::receiver::Step;
use crate::sys::xdp::{AttachError, Attachment, Copying, PortTable, Receiver};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

/// Bytes of memory for frames unless asked otherwise, over all queues: room for 16,384 frames of an ordinary MTU, some
/// four milliseconds of the fastest rate one queue gives.
pub const DEFAULT_MEMORY: usize = 32 << 20;
/// Largest chunk: a page of any machine wharf runs on.
const MOST_CHUNK: u32 = 4096;
/// Least chunks of a queue.
const LEAST_CHUNKS: usize = 64;
/// An Ethernet header and two VLAN tags: what an MTU does not count.
const LINK_HEADER: u32 = 14 + 2 * 4;

/// Which modes to try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modes {
    /// In the driver, and where that cannot be behind it.
    #[default]
    Auto,
    /// One only.
    Only(AttachMode),
}

/// `auto`, `native` or `generic`.
impl FromStr for Modes {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "auto" => Ok(Self::Auto),
            "native" => Ok(Self::Only(AttachMode::Native)),
            "generic" => Ok(Self::Only(AttachMode::Generic)),
            _ => Err(ValueError(format!("{text}: not an XDP mode: auto, native or generic"))),
        }
    }
}

/// Which queues of the interface to take frames from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// Every one that is in use.
    #[default]
    All,
    /// That one, counted from 0; what comes through others goes to the host.
    One(u32),
}

/// `all` or a number.
impl FromStr for Queues {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "all" => Ok(Self::All),
            number => match number.parse() {
                Ok(number) => Ok(Self::One(number)),
                Err(_) => Err(ValueError(format!("{text}: not a queue: a number, or all"))),
            },
        }
    }
}

/// How to capture from an interface; [`Capture::on`] makes one, [`Options::open`] opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is captured before `open`"]
pub struct Options {
    interface: String,
    modes: Modes,
    copying: Copying,
    queues: Queues,
    memory: usize,
    snap_length: u32,
    waiting: Waiting,
    ports: Option<PortTable>,
}

impl Options {
    pub(super) fn new(interface: String) -> Self {
        Self {
            interface,
            modes: Modes::default(),
            copying: Copying::default(),
            queues: Queues::default(),
            memory: DEFAULT_MEMORY,
            snap_length: 0,
            waiting: Waiting::default(),
            ports: None,
        }
    }

    /// Where the program may stand; in the driver if it can by default.
    pub fn modes(self, modes: Modes) -> Self {
        Self { modes, ..self }
    }

    /// Whether the device may write into our memory itself, where driver and mode allow it; it may by default.
    pub fn copying(self, copying: Copying) -> Self {
        Self { copying, ..self }
    }

    /// From which queues; all of them by default.
    pub fn queues(self, queues: Queues) -> Self {
        Self { queues, ..self }
    }

    /// Bytes of the memory that frames wait in, over all queues; at least 64 chunks for each. It is locked.
    pub fn memory_bytes(self, bytes: usize) -> Self {
        Self { memory: bytes, ..self }
    }

    /// Bytes shown of each frame; 0, the default, shows them whole.
    pub fn snap_length(self, bytes: u32) -> Self {
        Self { snap_length: bytes, ..self }
    }

    /// What to do while nothing comes; to sleep by default.
    pub fn waiting(self, waiting: Waiting) -> Self {
        Self { waiting, ..self }
    }

    /// Takes only frames with these ports at either end; all others, and whatever has no ports that can be told, go on
    /// to the host. See [`program::take_ports`](crate::sys::xdp::program::take_ports).
    pub fn ports(self, ports: PortTable) -> Self {
        Self { ports: Some(ports), ..self }
    }

    /// Opens the interface of the calling thread's network namespace and starts to take its frames.
    ///
    /// # Errors
    /// [`Error::Interface`], with what to do: no such interface or queue, one that is down, no permission, a program
    /// or a socket there already, a driver that cannot, no memory.
    pub fn open(self) -> Result<Capture, Error> {
        let name = self.interface.clone();
        self.start().map_err(|problem| Error::of_interface(name, problem))
    }

    fn start(self) -> Result<Capture, Problem> {
        let all = interfaces().map_err(Problem::with("cannot list interfaces"))?;
        let device = find(&self.interface, &all)?;
        if device.is_any() || !matches!(device.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK) {
            return Err("AF_XDP takes frames of one Ethernet interface: name one".into());
        }
        if !device.is_up() {
            return Err(down_at_start(&device.name).into());
        }
        let known = ethtool::receive_queues(&device.name);
        let mut notes = Vec::new();
        let queues = match self.queues {
            Queues::All => 0..most_queues(known, device.receive_queues, &mut notes),
            Queues::One(queue) if known.is_some_and(|count| queue >= count) => {
                return Err(problem::no_such_queue(queue, known).into());
            }
            Queues::One(queue) => queue..queue + 1,
        };
        let attachment = self.attach(device, queues.end, &mut notes)?;
        let copying = match attachment.mode() {
            AttachMode::Native => self.copying,
            // The device knows nothing of it.
            AttachMode::Generic => Copying::Always,
        };
        let receivers = self.receivers(device, copying, (queues, known))?;
        let opened = receivers.into_iter().map(|(queue, receiver)| {
            let meaning = |error: &std::io::Error| format!("cannot give queue {queue} its socket: {error}");
            attachment.add(queue, &receiver).map_err(|error| Problem::of(error, meaning))?;
            Ok(Queue::new(receiver))
        });
        let opened = opened.collect::<Result<Vec<_>, Problem>>()?;
        let fits = self.geometry(device, opened.len()).0 - HEADROOM;
        if device.mtu.saturating_add(LINK_HEADER) > fits {
            notes.push(format!("frames of more than {fits} bytes do not fit and are dropped, and counted"));
        }
        let watch = Watch::new(device.index).map_err(Problem::with("cannot watch it"))?;
        // What never was on a wire may lack its checksum; see the module's text.
        let virtual_one = device.kind.is_some() || device.is_loopback();
        let unsure = virtual_one || attachment.mode() == AttachMode::Generic;
        let interface = Interface {
            name: Some(device.name.clone()),
            os: Some(operating_system()),
            link_type: LinkType::ETHERNET,
            snap_length: self.snap_length,
            ..Interface::default()
        };
        Ok(Capture {
            queues: opened,
            current: 0,
            attachment: Arc::new(attachment),
            watch: Arc::new(watch),
            interfaces: [interface],
            offload: Offload { checksum_unsure: unsure, ..Offload::default() },
            records: Vec::with_capacity(LONGEST_RUN),
            lost: 0,
            handed: 0,
            patience: Patience::new(self.waiting),
            state: State::Running,
            notes,
        })
    }

    /// A socket for each of these queues; where the driver does not say how many there are, for those of them that are in use.
    fn receivers(
        &self,
        device: &InterfaceInfo,
        copying: Copying,
        (mut queues, known): (Range<u32>, Option<u32>),
    ) -> Result<Vec<(u32, Receiver)>, Problem> {
        let open =
            |queue, queues| Receiver::open((device.index, queue), self.geometry(device, queues), copying);
        let said = |(step, error), queue, queues| {
            let (chunk, chunks) = self.geometry(device, queues);
            let bytes = chunk as usize * chunks as usize;
            Problem::of(error, |error| problem::queue(step, error, queue, known, bytes))
        };
        let mut last = None;
        if known.is_none() && self.queues == Queues::All {
            // The kernel binds no socket to a queue that is not in use.
            while queues.end > 1 && last.is_none() {
                match open(queues.end - 1, queues.len()) {
                    Ok(receiver) => last = Some((queues.end - 1, receiver)),
                    Err((Step::Bind, error)) if error.raw_os_error() == Some(libc::EINVAL) => queues.end -= 1,
                    Err(error) => return Err(said(error, queues.end - 1, queues.len())),
                }
            }
        }
        let (count, rest) = (queues.len(), queues.start..queues.end - u32::from(last.is_some()));
        let one = |queue| match open(queue, count) {
            Ok(receiver) => Ok((queue, receiver)),
            Err(error) => Err(said(error, queue, count)),
        };
        rest.map(one).chain(last.map(Ok)).collect()
    }

    fn attach(
        &self,
        device: &InterfaceInfo,
        queues: u32,
        notes: &mut Vec<String>,
    ) -> Result<Attachment, Problem> {
        let attach = |mode| Attachment::new(device.index, mode, queues, self.ports.as_ref());
        let said = |error: AttachError, mode| {
            let reason = problem::attach(&error, &device.name, mode);
            Problem { reason, cause: Some(error.into_cause()) }
        };
        let mode = match self.modes {
            Modes::Only(mode) => mode,
            Modes::Auto => AttachMode::Native,
        };
        match attach(mode) {
            Ok(attachment) => Ok(attachment),
            // Not where another program or a missing permission is the trouble, which it would be there too.
            Err(error) if self.modes == Modes::Auto && is_the_drivers(&error) => {
                notes.push(problem::fallback(&error, &device.name));
                attach(AttachMode::Generic).map_err(|error| said(error, AttachMode::Generic))
            }
            Err(error) => Err(said(error, mode)),
        }
    }

    /// Bytes of a chunk, and how many of them a queue gets.
    fn geometry(&self, device: &InterfaceInfo, queues: usize) -> (u32, u32) {
        let frame = device.mtu.saturating_add(LINK_HEADER + HEADROOM);
        let chunk = if frame <= LEAST_CHUNK { LEAST_CHUNK } else { MOST_CHUNK };
        // The kernel counts a queue's bytes in 32 bits here and there.
        let bytes = (self.memory / queues.max(1)).min(u32::MAX as usize / 2);
        let chunks = (bytes / chunk as usize).max(LEAST_CHUNKS);
        (chunk, chunks as u32)
    }
}

/// How many queues there are at most, by the driver or else by what the kernel made the interface with; where neither says,
/// it is said that the first alone is read.
fn most_queues(driver: Option<u32>, made: u32, notes: &mut Vec<String>) -> u32 {
    driver.or((made > 0).then_some(made)).unwrap_or_else(|| {
        notes.push(
            "neither its driver nor the kernel says how many queues it has: only what comes through queue 0 is taken, the rest \
             goes to the host and is not counted (--queue N takes another)"
                .to_owned(),
        );
        1
    })
}

/// It is the driver that does not want the program.
fn is_the_drivers(error: &AttachError) -> bool {
    let AttachError::Attach(cause) = error else { return false };
    !matches!(cause.raw_os_error(), Some(libc::EBUSY | libc::EEXIST | libc::EPERM | libc::EACCES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_queues_are_those_that_somebody_knows_of() {
        let mut notes = Vec::new();
        assert_eq!(most_queues(Some(4), 8, &mut notes), 4, "in use, of those that there could be");
        assert_eq!(most_queues(None, 8, &mut notes), 8);
        assert!(notes.is_empty());
        assert_eq!(most_queues(None, 0, &mut notes), 1);
        assert!(notes[0].contains("only what comes through queue 0 is taken"), "{notes:?}");
    }
}
