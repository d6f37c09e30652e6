//! An `AF_XDP` socket, its options and its counters.

use super::abi::TX_BUDGET;
use super::ring::{Entry, Layout, Reader, Writer};
use crate::sys::mapping::Mapping;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::sockopt::{self, xdp_mmap_offsets};
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING,
    XDP_UMEM_PGOFF_FILL_RING, XdpOptionsFlags, XdpRingOffset, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// A socket that has just been closed keeps its queue a moment longer: so long a bind is tried again.
const LINGER: Duration = Duration::from_millis(200);

/// Whether the kernel may have the device write into our memory itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Copying {
    /// Without a copy where the driver can, with one where it cannot.
    #[default]
    Auto,
    /// Always with a copy.
    Always,
}

/// Counts since the socket was bound: `struct xdp_statistics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Received frames dropped for want of a chunk, or because they did not fit one.
    pub rx_dropped: u64,
    /// Received frames dropped because the rx ring was full.
    pub rx_ring_full: u64,
    /// Times the fill ring was empty when a chunk was wanted; in copy mode each is among `rx_dropped`.
    pub fill_ring_empty: u64,
    /// Entries of the fill ring that named no chunk.
    pub rx_invalid: u64,
    /// Entries of the tx ring that named no frame: it was not sent.
    pub tx_invalid: u64,
    /// Times the kernel found nothing to send.
    pub tx_ring_empty: u64,
}

impl Statistics {
    /// Frames that had come for the socket, and were dropped.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.rx_dropped + self.rx_ring_full
    }
}

/// Which of a socket's rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Rx,
    Tx,
    Fill,
    Completion,
}

/// A socket; its rings and its memory belong to whoever uses it.
#[derive(Debug)]
pub struct XdpSocket(OwnedFd);

impl XdpSocket {
    /// Opens a socket that neither receives nor sends yet.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_RAW`, `EAFNOSUPPORT` where the kernel has no AF_XDP.
    pub fn open() -> io::Result<Self> {
        Ok(Self(rustix::net::socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)?))
    }

    /// Tells the kernel which memory frames lie in. It stays pinned as long as the socket lives.
    ///
    /// # Errors
    /// As `setsockopt(XDP_UMEM_REG)`: `ENOBUFS` where the limit on locked memory (`RLIMIT_MEMLOCK`) is too low,
    /// `EINVAL` for chunks that are no power of two from 2048 bytes to a page.
    pub(super) fn register(&self, memory: &Mapping, chunk: u32) -> io::Result<()> {
        let registration = XdpUmemReg {
            addr: memory.address(),
            len: memory.len() as u64,
            chunk_size: chunk,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        };
        Ok(sockopt::set_xdp_umem_reg(self, registration)?)
    }

    /// Makes a ring of `entries`, a power of two.
    ///
    /// # Errors
    /// As `setsockopt(XDP_RX_RING)` and so on: `EINVAL` for another number, `ENOMEM`.
    pub(super) fn make(&self, which: Which, entries: u32) -> io::Result<()> {
        Ok(match which {
            Which::Rx => sockopt::set_xdp_rx_ring_size(self, entries),
            Which::Tx => sockopt::set_xdp_tx_ring_size(self, entries),
            Which::Fill => sockopt::set_xdp_umem_fill_ring_size(self, entries),
            Which::Completion => sockopt::set_xdp_umem_completion_ring_size(self, entries),
        }?)
    }

    /// Our end of a ring that we write.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub(super) fn writer<E: Entry>(&self, which: Which, entries: u32) -> io::Result<Writer<E>> {
        let (mapping, layout) = self.map::<E>(which, entries)?;
        Writer::new(mapping, layout, entries)
    }

    /// Our end of a ring that we read.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub(super) fn reader<E: Entry>(&self, which: Which, entries: u32) -> io::Result<Reader<E>> {
        let (mapping, layout) = self.map::<E>(which, entries)?;
        Reader::new(mapping, layout, entries)
    }

    fn map<E: Entry>(&self, which: Which, entries: u32) -> io::Result<(Mapping, Layout)> {
        let all = xdp_mmap_offsets(self)?;
        let (XdpRingOffset { producer, consumer, desc, flags }, page) = match which {
            Which::Rx => (all.rx, XDP_PGOFF_RX_RING),
            Which::Tx => (all.tx, XDP_PGOFF_TX_RING),
            Which::Fill => (all.fr, XDP_UMEM_PGOFF_FILL_RING),
            Which::Completion => (all.cr, XDP_UMEM_PGOFF_COMPLETION_RING),
        };
        let layout = Layout {
            producer: producer as usize,
            consumer: consumer as usize,
            flags: flags.map(|flags| flags as usize),
            entries: desc as usize,
        };
        let length = layout.entries + entries as usize * 8 * E::WORDS;
        Ok((Mapping::shared_at(self, length, page)?, layout))
    }

    /// Binds to a queue of an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// As `bind(2)`: `EBUSY` where another socket has the queue, `EINVAL` where there is no such queue, `ENODEV` no such
    /// interface, `ENETDOWN` where it is down, `EOPNOTSUPP` where the driver cannot do what is asked for.
    pub fn bind(&self, interface: u32, queue: u32, copying: Copying) -> io::Result<()> {
        let mut flags = SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
        if copying == Copying::Always {
            flags |= SocketAddrXdpFlags::XDP_COPY;
        }
        let begun = Instant::now();
        loop {
            match rustix::net::bind(self, &SocketAddrXdp::new(flags, interface, queue)) {
                Err(rustix::io::Errno::BUSY) if begun.elapsed() < LINGER => {
                    std::thread::sleep(LINGER / 20);
                }
                result => return Ok(result?),
            }
        }
    }

    /// Whether the device writes into our memory itself.
    ///
    /// # Errors
    /// As `getsockopt(XDP_OPTIONS)`.
    pub fn is_zero_copy(&self) -> io::Result<bool> {
        Ok(sockopt::xdp_options(self)?.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY))
    }

    /// Counts up to now.
    ///
    /// # Errors
    /// As `getsockopt(XDP_STATISTICS)`.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let counts = sockopt::xdp_statistics(self)?;
        Ok(Statistics {
            rx_dropped: counts.rx_dropped,
            rx_ring_full: counts.rx_ring_full.unwrap_or(0),
            fill_ring_empty: counts.rx_fill_ring_empty_descs.unwrap_or(0),
            rx_invalid: counts.rx_invalid_descs,
            tx_invalid: counts.tx_invalid_descs,
            tx_ring_empty: counts.tx_ring_empty_descs.unwrap_or(0),
        })
    }

    /// Has the kernel go on with the rx and the fill ring.
    pub(super) fn wake_rx(&self) {
        // Nothing is received in this way, and errors are those of the socket, which waiting shows.
        let _ = rustix::net::recv(self, &mut [0_u8; 0][..], rustix::net::RecvFlags::DONTWAIT);
    }

    /// Has the kernel go on with the tx ring.
    ///
    /// # Errors
    /// As `sendto(2)`: `EAGAIN` when there is more to be sent, `EBUSY` or `ENOBUFS` when the device takes no more,
    /// `ENETDOWN` when the interface is down.
    pub(super) fn wake_tx(&self) -> io::Result<()> {
        rustix::net::send(self, &[], SendFlags::DONTWAIT)?;
        Ok(())
    }

    /// Lets one call send more frames in copy mode; before Linux 6.17 it stays at 32.
    pub(super) fn raise_tx_budget(&self, frames: u32) {
        // SAFETY: the kernel reads the four bytes of `frames`.
        let _ = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                libc::SOL_XDP,
                TX_BUDGET,
                std::ptr::from_ref(&frames).cast(),
                size_of::<u32>() as libc::socklen_t,
            )
        };
    }
}

impl AsFd for XdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for XdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// What [`wait`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// There is something to be done.
    Ready,
    /// The time is over.
    TimedOut,
    /// A signal came.
    Interrupted,
    /// A socket has an error: its interface has gone, or is down.
    Failed,
}

/// Waits until a socket of these may have received something. The kernel goes on with their rings meanwhile.
///
/// # Errors
/// As `poll(2)`.
pub fn wait<'s>(sockets: impl Iterator<Item = &'s XdpSocket>, time: Duration) -> io::Result<Waited> {
    let mut watched: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
    let time = Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() };
    match rustix::event::poll(&mut watched, Some(&time)) {
        Ok(0) => Ok(Waited::TimedOut),
        Ok(_) => {
            let failed = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
            let any = watched.iter().any(|one| one.revents().intersects(failed));
            Ok(if any { Waited::Failed } else { Waited::Ready })
        }
        Err(rustix::io::Errno::INTR) => Ok(Waited::Interrupted),
        Err(error) => Err(error.into()),
    }
}
