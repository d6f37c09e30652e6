//! Frames sent in bulk through an `AF_PACKET` socket: `sendmmsg(2)`, past the queueing discipline.
//!
//! Of the two ways the kernel offers this is the faster one for small frames: a `PACKET_TX_RING` saves the system
//! call's copy of a header and pays for the hand-over of every slot (`perf/peers/live.sh` measures both).

use super::packet_socket::{Mode, PacketSocket};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

/// Most frames handed to the kernel at a time.
pub(crate) const BURST: usize = 64;

/// Bytes that may wait in the socket for a slow device, where the kernel grants them.
const SEND_BUFFER: usize = 4 << 20;
/// Longest wait for room in the socket, so that whoever sends looks up now and then.
const PATIENCE: Duration = Duration::from_millis(100);

/// A socket that sends on one interface and receives nothing.
pub(crate) struct PacketSender {
    socket: PacketSocket,
    /// Where the frames of the burst under way lie; what stands here between calls is not looked at.
    vectors: Box<[libc::iovec; BURST]>,
    /// A message for each of them.
    messages: Box<[libc::mmsghdr; BURST]>,
}

// SAFETY: the pointers in `messages` lead to `vectors`, which the sender owns and which do not move with it; those in
// `vectors` are followed in `send` only, which has set them to frames it borrows.
unsafe impl Send for PacketSender {}

impl PacketSender {
    /// Opens a socket on an interface. With `bypass`, frames go straight to the driver and not through the queueing
    /// discipline (`PACKET_QDISC_BYPASS`): faster, and a full queue is told (`ENOBUFS`) and not waited for.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_RAW`; `ENODEV` when there is no such interface.
    pub(crate) fn open(interface: u32, bypass: bool) -> io::Result<Self> {
        let socket = PacketSocket::open(Mode::Raw)?;
        socket.bind(interface, 0)?;
        if bypass {
            socket.bypass_queue()?;
        }
        socket.set_send_buffer(SEND_BUFFER);
        socket.set_send_timeout(PATIENCE)?;
        let none = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let mut vectors = Box::new([none; BURST]);
        let first: *mut libc::iovec = vectors.as_mut_ptr();
        let messages = std::array::from_fn(|index| libc::mmsghdr {
            msg_hdr: libc::msghdr {
                // Within the array, whose length is that of this one.
                msg_iov: first.wrapping_add(index),
                msg_iovlen: 1,
                // SAFETY: `msghdr` is plain data, of which zeroes are an empty value: no name, no control data, and,
                // where the C library pads it, padding.
                ..unsafe { std::mem::zeroed() }
            },
            msg_len: 0,
        });
        Ok(Self { socket, vectors, messages: Box::new(messages) })
    }

    /// Sends frames in order, at most [`BURST`] of them; tells how many the kernel took, at least one.
    ///
    /// # Errors
    /// The first frame was not taken, and none after it: `ENOBUFS` when the device's queue is full (or has no
    /// carrier), `EAGAIN` when there was no room in the socket for 100 ms, `EMSGSIZE` beyond the MTU, `ENETDOWN`.
    /// Why fewer were taken than given, the next call tells.
    pub(crate) fn send(&mut self, frames: &[&[u8]]) -> io::Result<usize> {
        let count = frames.len().min(BURST);
        for (vector, frame) in self.vectors.iter_mut().zip(frames) {
            *vector = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
        }
        // SAFETY: the first `count` messages have one vector each, the first `count` of `vectors`, just set to `frames`,
        // which are borrowed until the call is over; the kernel reads them and writes nothing but `msg_len`.
        let sent = unsafe {
            libc::sendmmsg(self.socket.as_raw_fd(), self.messages.as_mut_ptr(), count as libc::c_uint, 0)
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl AsFd for PacketSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::fmt::Debug for PacketSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketSender").field("socket", &self.socket).finish_non_exhaustive()
    }
}
