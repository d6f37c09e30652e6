//! What to capture and how, and the way from there to an open socket.

mod geometry;

use super::group::{Group, Plan};
use super::ports::{PortSet, Start};
use super::problem::{self, Problem};
use super::sizing::{self, Size};
use super::{Capture, Spread, TimeStampType, filter, link_type, restore};
use crate::ValueError;
use crate::frame::{Interface, LinkType};
use crate::source::Error;
use crate::sys::classic_bpf::Instruction;
use crate::sys::ethtool::{Ethtool, TimeStamps};
use crate::sys::interfaces::{InterfaceInfo, interfaces};
use crate::sys::packet_socket::Mode;
use std::str::FromStr;
use std::time::Duration;

/// Time after which a block that is not full is handed over: frames come at most this late. A fifth of what a person
/// notices, and no more than 50 wake-ups a second; and a ring of the default size bridges 10 s ([`Options::block_bytes`]).
pub const DEFAULT_RETIRE: Duration = Duration::from_millis(20);

/// Said of an interface whose frames a device stamps: a reader of the file is not to take them for the host's times.
const BY_DEVICE: &str =
    "times by the device's own clock (adapter_unsynced); by the host's where the device gave none";
/// Which way the frames go that are wanted, seen from this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directions {
    /// Received.
    In,
    /// Sent.
    Out,
    /// Both (`inout`). Over the loopback a packet goes out and comes in again: it is seen once, coming in.
    #[default]
    Both,
}

/// `in`, `out` or `inout`.
impl FromStr for Directions {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "in" => Ok(Self::In),
            "out" => Ok(Self::Out),
            "inout" => Ok(Self::Both),
            _ => Err(ValueError(format!("{text}: not a direction: in, out or inout"))),
        }
    }
}

/// How to capture from an interface; [`Capture::on`] makes one, [`Options::open`] opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is captured before `open`"]
pub struct Options {
    interface: String,
    /// By the interface and the memory there is if not said.
    ring: Option<usize>,
    block: Option<usize>,
    retire: Duration,
    snap_length: u32,
    promiscuous: bool,
    directions: Directions,
    parts: usize,
    spread: Spread,
    rollover: bool,
    /// Interfaces that share the memory for rings.
    among: usize,
    raise_to: Option<usize>,
    ports: Option<PortSet>,
    time_stamps: TimeStampType,
    /// Gives 0 for frames that are not wanted; and what it says in words.
    wanted: Option<(Vec<Instruction>, String)>,
}

impl Options {
    pub(super) fn new(interface: String) -> Self {
        Self {
            interface,
            ring: None,
            block: None,
            retire: DEFAULT_RETIRE,
            snap_length: 0,
            promiscuous: true,
            directions: Directions::Both,
            parts: 1,
            spread: Spread::Hash,
            rollover: false,
            among: 1,
            raise_to: None,
            ports: None,
            time_stamps: TimeStampType::Host,
            wanted: None,
        }
    }

    /// Bytes of each ring, which bridges the times when nobody reads; rounded up to two blocks at least.
    ///
    /// Without a call as much as the link carries in a tenth of a second, [`DEFAULT_RING`](super::DEFAULT_RING) at
    /// least and where its speed is not known; all rings together no more than an eighth of the memory available and
    /// 1 GiB. Such a ring is raised once, to twice its size, when the kernel loses frames, if there is room for that.
    pub fn ring_bytes(self, bytes: usize) -> Self {
        Self { ring: Some(bytes), ..self }
    }

    /// Raises a ring whose size was [given](Options::ring_bytes) too, to so many bytes, when the kernel loses frames.
    pub fn raise_to(self, bytes: usize) -> Self {
        Self { raise_to: Some(bytes), ..self }
    }

    /// Has the kernel leave out packets of which it can tell that neither end uses one of these ports: they cost
    /// nothing here, and are not counted. Others may come all the same, such as later fragments, so that whoever
    /// wants these ports alone must look. Without effect where the link header is none that the program reads.
    pub fn only_ports(self, ports: PortSet) -> Self {
        Self { ports: Some(ports), ..self }
    }

    /// Has the kernel leave out frames for which this program of classic BPF gives 0: they cost nothing here, and are not
    /// counted. Other values are all one: how much is kept of a frame, [`Options::snap_length`] says. `text` is what the
    /// program means, for whoever writes the frames to a file (pcapng's `if_filter`).
    ///
    /// The program sees frames as the kernel has them, without their outermost VLAN tag. Of several calls, and of this and
    /// [`Options::only_ports`], this one's last counts. Frames for which there is no link-layer header in the kernel
    /// ([`Options::link_type`] is `LINUX_SLL2`) are all let through; and so are all where the program is too long for the kernel or
    /// for its memory: the interface then names no filter, and a note of the capture says why.
    pub fn only_wanted(self, program: Vec<Instruction>, text: impl Into<String>) -> Self {
        Self { wanted: Some((program, text.into())), ..self }
    }

    /// The header type that frames will have, as far as can be told before the interface is opened.
    ///
    /// # Errors
    /// [`Error::Interface`]: no such interface.
    pub fn link_type(&self) -> Result<LinkType, Error> {
        let find = || {
            let all = interfaces().map_err(Problem::with("cannot list interfaces"))?;
            problem::find(&self.interface, &all).map(form)
        };
        let (_, link_type) =
            find().map_err(|problem| Error::of_interface(self.interface.clone(), problem))?;
        Ok(link_type)
    }

    /// Opens so many rings (at least 1), one for each of so many workers, over which the kernel
    /// [spreads](Options::spread) the frames. Read as one source, frames of different rings come in the order in which
    /// their blocks are found.
    pub fn parts(self, parts: usize) -> Self {
        Self { parts: parts.max(1), ..self }
    }

    /// By what a frame goes to one of several rings. Rings that have frames [in turn](Spread::RoundRobin) are not raised.
    pub fn spread(self, spread: Spread) -> Self {
        Self { spread, ..self }
    }

    /// Whether a frame for a full ring goes to another one, which may tear its flow apart; it does not by default.
    /// Such rings are not raised either.
    pub fn rollover(self, on: bool) -> Self {
        Self { rollover: on, ..self }
    }

    /// So many interfaces (at least 1) are captured at once, and share the memory for rings.
    pub fn among(self, interfaces: usize) -> Self {
        Self { among: interfaces.max(1), ..self }
    }

    /// Bytes of a block of the ring, rounded up to 64 KiB. A frame that does not fit a block is cut.
    ///
    /// A block that is not full takes its place too when its [time](Options::retire_after) is over: a stall is bridged
    /// for as many such times as there are blocks, and as far as the bytes go. By default there are blocks for 10 s,
    /// but of 64 KiB at least, and of as much as holds the largest frame (128 KiB where segments are joined to 64 KiB
    /// and kept whole), and of 256 KiB at most.
    pub fn block_bytes(self, bytes: usize) -> Self {
        Self { block: Some(bytes), ..self }
    }

    /// The latest a frame is handed over after it came, in whole milliseconds, at least 1.
    pub fn retire_after(self, time: Duration) -> Self {
        Self { retire: time, ..self }
    }

    /// Bytes kept of each frame; 0, the default, keeps them whole.
    pub fn snap_length(self, bytes: u32) -> Self {
        Self { snap_length: bytes, ..self }
    }

    /// Whether to have the device hand over frames for other hosts too; on by default, without effect on
    /// `any`.
    pub fn promiscuous(self, on: bool) -> Self {
        Self { promiscuous: on, ..self }
    }

    /// Which way the frames go; both by default. Others are left out by the kernel and not counted.
    pub fn directions(self, directions: Directions) -> Self {
        Self { directions, ..self }
    }

    /// Whose clock the times of frames are by; the host's by default.
    ///
    /// A device is switched on to stamp what it receives, and as it was before when the capture is dropped, where there
    /// is the permission still. Frames that it does not stamp, such as those this host sends, have the host's time:
    /// [`RingUse::stamps`](crate::source::RingUse::stamps) says how many. A device's clock need not be in step with the
    /// host's, nor count from the same moment (PTP counts in TAI, 37 seconds ahead of UTC).
    pub fn time_stamps(self, time_stamps: TimeStampType) -> Self {
        Self { time_stamps, ..self }
    }

    /// Opens the interface of the calling thread's network namespace and starts to capture.
    ///
    /// # Errors
    /// [`Error::Interface`], with what to do: no such interface, one that is down, no permission, no memory
    /// for the ring.
    pub fn open(self) -> Result<Capture, Error> {
        let name = self.interface.clone();
        self.start().map_err(|problem| Error::of_interface(name, problem))
    }

    fn start(self) -> Result<Capture, Problem> {
        let all = interfaces().map_err(Problem::with("cannot list interfaces"))?;
        let device = problem::find(&self.interface, &all)?;
        if !device.is_up() {
            return Err(problem::down_at_start(&device.name).into());
        }
        self.check_time_stamps(device)?;
        let (mode, link_type) = form(device);
        let size = match self.ring {
            Some(ring) => Size { ring, larger: self.raise_to },
            None => sizing::of(device, self.parts * self.among),
        };
        let frame = self.largest_frame(device, &all);
        let larger = size.larger.map(|bytes| self.geometry(bytes, frame)).transpose()?;
        let (program, refusal) = self.program(device, &all, mode, link_type);
        let wanted = self.wanted.as_ref().filter(|_| mode == Mode::Raw && refusal.is_none());
        let interface = Interface {
            name: Some(device.name.clone()),
            description: self.time_stamps.is_the_devices().then(|| BY_DEVICE.to_owned()),
            os: Some(operating_system()),
            link_type,
            filter: wanted.map(|(_, text)| text.clone()),
            snap_length: self.snap_length,
            ..Interface::default()
        };
        let plan = Plan {
            name: device.name.clone(),
            index: device.index,
            mode,
            link_type,
            snap_length: self.snap_length,
            filter: program,
            incoming_only: self.directions == Directions::In,
            promiscuous: self.promiscuous && !device.is_any(),
            parts: self.parts,
            spread: self.spread,
            rollover: self.rollover,
            device_times: self.time_stamps.is_the_devices(),
            request: self.geometry(size.ring, frame)?,
            larger,
        };
        let rings = Group::open(plan)?;
        let notes = match (&self.wanted, &self.ports) {
            (Some((_, text)), _) => match refusal {
                Some(refusal) => Some(format!("{}: not chosen in the kernel: {refusal}", device.name)),
                None => wanted.map(|_| {
                    format!(
                        "{}: chosen in the kernel, others are not counted: {}",
                        device.name,
                        in_short(text)
                    )
                }),
            },
            (None, Some(ports)) if start(mode, link_type).is_some() => Some(format!(
                "{}: chosen in the kernel by ports, others are not counted: {ports}",
                device.name
            )),
            _ => None,
        };
        Capture::over(rings, vec![interface], notes.into_iter().collect())
            .map_err(Problem::with("cannot wait for the socket"))
    }

    fn check_time_stamps(&self, device: &InterfaceInfo) -> Result<(), Problem> {
        let kind = self.time_stamps;
        let of_device = || {
            if device.is_any() {
                return Err(Problem::from("devices are set to it one by one: name the interface"));
            }
            let known = Ethtool::open().and_then(|ethtool| ethtool.time_stamps(&device.name));
            known.map_err(Problem::with("its driver does not say what it stamps"))
        };
        let known = if kind.is_the_devices() { of_device() } else { Ok(TimeStamps::default()) };
        let checked = known.and_then(|known| kind.check(&known).map_err(Problem::from));
        checked.map_err(|Problem { reason, cause }| Problem {
            reason: format!("no time stamps of type {kind}: {reason}"),
            cause,
        })
    }

    /// The program in front of the ring, and why the one that was given is not in it. A cooked frame gets its header only behind it.
    fn program(
        &self,
        device: &InterfaceInfo,
        all: &[InterfaceInfo],
        mode: Mode,
        link_type: LinkType,
    ) -> (Vec<socket2::SockFilter>, Option<String>) {
        let added = if mode == Mode::Cooked { restore::SLL2 as u32 } else { 0 };
        let keep = match self.snap_length {
            0 => u32::MAX,
            // 0 would drop the frame.
            bytes => bytes.saturating_sub(added).max(1),
        };
        let place = if device.is_any() {
            let loopback = all.iter().find(|interface| interface.is_loopback());
            filter::Place::Everywhere { loopback: loopback.map_or(0, |interface| interface.index) }
        } else if device.is_loopback() {
            filter::Place::Loopback
        } else {
            filter::Place::Interface
        };
        let without = |ports| filter::program(self.directions, place, keep, ports);
        match &self.wanted {
            // Without the header that it is about, a program means nothing.
            Some((wanted, _)) if mode == Mode::Raw => {
                let refusal = match filter::program_with(self.directions, place, keep, wanted) {
                    Ok(program) if filter::fits(&program) => return (program, None),
                    Ok(program) => format!(
                        "there is no memory for a program of {} instructions (net.core.optmem_max)",
                        program.len()
                    ),
                    Err(error) => error.to_string(),
                };
                (without(None), Some(refusal))
            }
            Some(_) => (without(None), None),
            None => (without(self.ports.as_ref().zip(start(mode, link_type))), None),
        }
    }
}

/// A text of any length, in part if it is long.
fn in_short(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// How frames of a device are captured, and the header they have.
fn form(device: &InterfaceInfo) -> (Mode, LinkType) {
    let native = if device.is_any() { None } else { link_type::of_hardware(device.hardware) };
    native.map_or((Mode::Cooked, LinkType::LINUX_SLL2), |link_type| (Mode::Raw, link_type))
}

/// Bytes to keep free before each frame for what is put back or before it.
pub(super) fn headroom(mode: Mode) -> usize {
    match mode {
        Mode::Raw => restore::TAG,
        Mode::Cooked => restore::TAG + restore::SLL2,
    }
}

/// How frames start for the program in front of the ring; `None` where it cannot read them.
fn start(mode: Mode, link_type: LinkType) -> Option<Start> {
    match (mode, link_type) {
        (Mode::Cooked, _) => Some(Start::Network),
        (_, LinkType::ETHERNET) => Some(Start::Ethernet),
        (_, LinkType::RAW) => Some(Start::Ip),
        _ => None,
    }
}

pub(in crate::source) fn operating_system() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}
