//! On which interface to send and how, and the way from there to an open socket.

#[cfg(feature = "xdp")]
use super::live::TransmitLive;
use super::outlet::{Outlet, Sender};
use super::stamp::Stamper;
use super::timetable::Timetable;
use super::{Error, Pace, Position, Sent, Transmit};
#[cfg(feature = "xdp")]
use crate::frame::Batch;
use crate::sys::interfaces::{InterfaceInfo, interfaces};
use crate::sys::packet_sender::PacketSender;
use crate::sys::problem::{self, Problem};
use crate::sys::route;
#[cfg(feature = "xdp")]
use crate::sys::xdp;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Bytes of an Ethernet header, and of a VLAN tag, which the MTU leaves room for.
const ETHERNET: u32 = 14;

/// Bytes and number of the chunks of memory that AF_XDP sends from; bytes where the MTU is too large for those.
#[cfg(feature = "xdp")]
const XDP_CHUNK: u32 = 2_048;
#[cfg(feature = "xdp")]
const XDP_LARGE_CHUNK: u32 = 4_096;
#[cfg(feature = "xdp")]
const XDP_CHUNKS: u32 = 512;
#[cfg(feature = "xdp")]
const XDP_SMALL: u32 = XDP_CHUNK - ETHERNET - 4;

/// How to send; [`Transmit::on`] makes one, [`TransmitOptions::open`] opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `open`"]
pub struct TransmitOptions {
    interface: String,
    pace: Pace,
    duration: Option<Duration>,
    stop: Arc<AtomicBool>,
    stamp: bool,
    bypass: bool,
    default_route: bool,
    #[cfg(feature = "xdp")]
    xdp: bool,
}

impl TransmitOptions {
    pub(super) fn new(interface: String) -> Self {
        Self {
            interface,
            pace: Pace::FlatOut,
            duration: None,
            stop: Arc::default(),
            stamp: false,
            bypass: true,
            default_route: false,
            #[cfg(feature = "xdp")]
            xdp: false,
        }
    }

    /// When each frame is due; at once, unless told otherwise.
    pub fn pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Send no longer than this after the first frame.
    pub fn duration(self, time: Duration) -> Self {
        Self { duration: Some(time), ..self }
    }

    /// End soon after this flag is set, whoever sets it.
    pub fn stop(self, flag: Arc<AtomicBool>) -> Self {
        Self { stop: flag, ..self }
    }

    /// Write a number and a time into the payload of UDP datagrams of 16 bytes and more, as the kernel's pktgen does.
    pub fn stamp(self, on: bool) -> Self {
        Self { stamp: on, ..self }
    }

    /// Go past the interface's queueing discipline, the default, or through it: slower, but with its shaping.
    pub fn bypass_queue(self, on: bool) -> Self {
        Self { bypass: on, ..self }
    }

    /// Send even where a default route leads: into the network that this host lives on.
    pub fn with_default_route(self, allowed: bool) -> Self {
        Self { default_route: allowed, ..self }
    }

    /// Send by AF_XDP, through the first queues of the interface, one for each sender: faster, and without a copy where
    /// the driver can do it.
    #[cfg(feature = "xdp")]
    pub fn xdp(self, on: bool) -> Self {
        Self { xdp: on, ..self }
    }

    /// Opens the interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Error::Interface`], with what to do: no such interface, down, without carrier, not Ethernet, no permission, or
    /// one with a default route that was not [allowed](Self::with_default_route).
    pub fn open(self) -> Result<Transmit, Error> {
        Ok(self.open_many(1)?.remove(0))
    }

    /// Opens several senders, for a thread each. They have one clock: what they send together keeps the pace, when each
    /// [resumes](Transmit::resume) at its part.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_many(self, count: usize) -> Result<Vec<Transmit>, Error> {
        let name = self.interface.clone();
        let failed = |problem: Problem| Error::of_interface(name.clone(), problem);
        let device = self.device().map_err(failed)?;
        let timetable = Arc::new(Timetable::default());
        let until = self.duration.map_or(u64::MAX, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let open = |queue| {
            let sender = self.sender(&device, queue).map_err(failed)?;
            Ok(Transmit {
                outlet: Outlet { name: device.name.clone(), index: device.index, sender, thrown_away: 0 },
                pace: self.pace,
                until,
                stop: Arc::clone(&self.stop),
                timetable: Arc::clone(&timetable),
                position: Position::default(),
                stamper: self.stamp.then(Stamper::new),
                places: Vec::new(),
                sent: Sent::default(),
                over: false,
                precise: false,
            })
        };
        (0..u32::try_from(count).unwrap_or(u32::MAX)).map(open).collect()
    }

    /// The interface, as far as it may be sent on, with most bytes that a frame may have on it (4 more with a VLAN tag).
    ///
    /// # Errors
    /// As [`Self::open`], permissions left out.
    pub fn check(&self) -> Result<(InterfaceInfo, u32), Error> {
        let failed = |problem: Problem| Error::of_interface(self.interface.clone(), problem);
        let device = self.device().map_err(failed)?;
        let most = device.mtu.saturating_add(ETHERNET);
        Ok((device, most))
    }

    fn sender(&self, device: &InterfaceInfo, queue: u32) -> Result<Sender, Problem> {
        #[cfg(feature = "xdp")]
        if self.xdp {
            let bytes = if device.mtu > XDP_SMALL { XDP_LARGE_CHUNK } else { XDP_CHUNK };
            let sender = xdp::Sender::open((device.index, queue), (bytes, XDP_CHUNKS), xdp::Copying::Auto);
            return match sender {
                Ok(sender) => Ok(Sender::Xdp(Box::new(sender))),
                Err((step, error)) => Err(Problem::of(error, |error| match error.raw_os_error() {
                    Some(libc::EPERM) => problem::open(error),
                    _ => format!("cannot send by AF_XDP on queue {queue} ({step:?}): {error}"),
                })),
            };
        }
        // One socket does for any queue.
        let _ = queue;
        let sender = PacketSender::open(device.index, self.bypass);
        sender.map(Sender::Packet).map_err(|error| Problem::of(error, problem::open))
    }

    /// Puts the distinct frames of a table into the kernel, to be sent from there, flat out; see [`TransmitLive`].
    ///
    /// # Errors
    /// As [`Self::open`]; the kernel's reason when it does not take them.
    #[cfg(feature = "xdp")]
    pub fn open_live(self, table: Batch<'_>) -> Result<TransmitLive, Error> {
        let failed = |problem: Problem| Error::of_interface(self.interface.clone(), problem);
        let device = self.device().map_err(failed)?;
        let frames: Vec<&[u8]> = table.frames().map(|frame| frame.data).collect();
        let frames = xdp::LiveFrames::open(device.index, &frames);
        let frames = frames.map_err(|error| {
            let reason = format!("{error}; root rights are needed (CAP_BPF, CAP_NET_ADMIN)");
            failed(Problem { reason, cause: error.into_cause() })
        })?;
        Ok(TransmitLive::new(device, frames, table.records(), self.duration, self.stop))
    }

    fn device(&self) -> Result<InterfaceInfo, Problem> {
        let all = interfaces().map_err(Problem::with("cannot list interfaces"))?;
        let device = problem::find(&self.interface, &all)?;
        if device.is_any() {
            return Err("frames are sent on one interface: name it".into());
        }
        if !matches!(device.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK) {
            return Err("not an Ethernet interface: only such can be sent on".into());
        }
        if !device.is_up() {
            return Err(problem::down_at_start(&device.name).into());
        }
        if !device.is_running() {
            return Err(problem::NO_CARRIER.into());
        }
        if !self.default_route {
            let carriers = route::with_default_route();
            let carriers = carriers.map_err(Problem::with("cannot read the routes"))?;
            if carriers.contains(&device.index) {
                return Err(problem::DEFAULT_ROUTE.into());
            }
        }
        Ok(device.clone())
    }
}
