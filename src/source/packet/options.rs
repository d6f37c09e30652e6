//! What to capture and how, and the way from there to an open socket.

use super::{Capture, filter, link_type, problem, restore};
use crate::frame::{Interface, LinkType};
use crate::source::Error;
use crate::sys::block_ring::BlockRing;
use crate::sys::interfaces::{InterfaceInfo, interfaces};
use crate::sys::packet_abi::RingRequest;
use crate::sys::packet_socket::{EVERY_PROTOCOL, Mode, PacketSocket};
use std::str::FromStr;
use std::time::Duration;

/// Bytes of the ring unless asked otherwise: half a second of 64-byte frames at a million a second (each
/// takes 160 bytes there), or of full frames at 1 Gbit/s. tcpdump's 2 MiB lose at half that rate.
pub const DEFAULT_RING: usize = 64 << 20;
/// Time after which a block that is not full is handed over: frames come at most this late. A tenth of
/// what a person notices, and no more than 100 wake-ups a second.
pub const DEFAULT_RETIRE: Duration = Duration::from_millis(10);

/// Block sizes are multiples of this, which every page size of Linux divides.
const BLOCK_UNIT: usize = 64 << 10;
/// Holds a 64 KiB segment with its headers, so that the kernel need not cut one.
const LEAST_BLOCK: usize = 2 * BLOCK_UNIT;
const MOST_BLOCK: usize = 1 << 20;
/// The kernel counts a ring's bytes in 32 bits.
const MOST_RING: usize = u32::MAX as usize - MOST_BLOCK;

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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "in" => Ok(Self::In),
            "out" => Ok(Self::Out),
            "inout" => Ok(Self::Both),
            _ => Err(format!("{text}: not a direction: in, out or inout")),
        }
    }
}

/// How to capture from an interface; [`Capture::on`] makes one, [`Options::open`] opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is captured before `open`"]
pub struct Options {
    interface: String,
    ring: usize,
    block: Option<usize>,
    retire: Duration,
    snap_length: u32,
    promiscuous: bool,
    directions: Directions,
}

impl Options {
    pub(super) fn new(interface: String) -> Self {
        Self {
            interface,
            ring: DEFAULT_RING,
            block: None,
            retire: DEFAULT_RETIRE,
            snap_length: 0,
            promiscuous: true,
            directions: Directions::Both,
        }
    }

    /// Bytes of the ring that bridges the times when nobody reads; rounded up to two blocks at least.
    pub fn ring_bytes(self, bytes: usize) -> Self {
        Self { ring: bytes, ..self }
    }

    /// Bytes of a block of the ring, rounded up to 64 KiB. A frame that does not fit a block is cut. By
    /// default a sixteenth of the ring, 128 KiB at least and 1 MiB at most.
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

    /// Opens the interface of the calling thread's network namespace and starts to capture.
    ///
    /// # Errors
    /// [`Error::Interface`], with what to do: no such interface, one that is down, no permission, no memory
    /// for the ring.
    pub fn open(self) -> Result<Capture, Error> {
        let name = self.interface.clone();
        self.start().map_err(|reason| Error::Interface { interface: name, reason })
    }

    fn start(self) -> Result<Capture, String> {
        let all = interfaces().map_err(|error| format!("cannot list interfaces: {error}"))?;
        let device = problem::find(&self.interface, &all)?;
        if !device.is_up() {
            return Err(problem::down_at_start(&device.name));
        }
        let native = if device.is_any() { None } else { link_type::of_hardware(device.hardware) };
        let (mode, link_type) = match native {
            Some(link_type) => (Mode::Raw, link_type),
            None => (Mode::Cooked, LinkType::LINUX_SLL2),
        };
        let request = self.geometry()?;
        let socket = PacketSocket::open(mode).map_err(|error| problem::open(&error))?;
        let context = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
        let headroom = headroom(mode);
        socket.set_reserve(headroom as u32).map_err(context("cannot reserve headroom"))?;
        socket.attach_filter(&self.program(device, &all, mode)).map_err(context("cannot attach a filter"))?;
        if self.directions == Directions::In {
            // Spares the kernel a copy of each frame sent. Before Linux 4.20 the filter alone does it.
            let _ = socket.ignore_outgoing();
        }
        let ring =
            BlockRing::of_socket(&socket, &request).map_err(|error| problem::ring(&error, &request))?;
        if self.promiscuous && !device.is_any() {
            socket.set_promiscuous(device.index).map_err(context("cannot set promiscuous mode"))?;
        }
        socket.bind(device.index, EVERY_PROTOCOL).map_err(context("cannot bind to it"))?;
        if let Some(error) = socket.take_error().map_err(context("cannot read the socket's state"))? {
            return Err(match error.raw_os_error() {
                Some(libc::ENETDOWN) => problem::down_at_start(&device.name),
                _ => error.to_string(),
            });
        }
        let interface = Interface {
            name: Some(device.name.clone()),
            os: Some(operating_system()),
            link_type,
            snap_length: self.snap_length,
            ..Interface::default()
        };
        let retire = Duration::from_millis(u64::from(request.retire_timeout));
        Capture::over(socket, ring, interface, device.index, retire)
            .map_err(context("cannot wait for the socket"))
    }

    /// The program in front of the ring. A cooked frame gets its header only behind it.
    fn program(&self, device: &InterfaceInfo, all: &[InterfaceInfo], mode: Mode) -> Vec<socket2::SockFilter> {
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
        filter::program(self.directions, place, keep)
    }

    fn geometry(&self) -> Result<RingRequest, String> {
        if self.ring > MOST_RING {
            return Err(format!("a ring of {} MiB: the kernel takes less than 4 GiB", self.ring >> 20));
        }
        let block = match self.block {
            Some(bytes) => bytes.clamp(BLOCK_UNIT, MOST_RING / 2).next_multiple_of(BLOCK_UNIT),
            None => (self.ring / 16).clamp(LEAST_BLOCK, MOST_BLOCK).next_multiple_of(BLOCK_UNIT),
        };
        let count = self.ring.div_ceil(block).max(2);
        let frame = 2048;
        Ok(RingRequest {
            block_size: block as u32,
            block_count: count as u32,
            frame_size: frame,
            frame_count: block as u32 / frame * count as u32,
            retire_timeout: u32::try_from(self.retire.as_millis()).unwrap_or(u32::MAX).max(1),
            private_size: 0,
            features: 0,
        })
    }
}

/// Bytes to keep free before each frame for what is put back or before it.
pub(super) fn headroom(mode: Mode) -> usize {
    match mode {
        Mode::Raw => restore::TAG,
        Mode::Cooked => restore::TAG + restore::SLL2,
    }
}

fn operating_system() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}
