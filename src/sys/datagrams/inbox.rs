//! Receiving.

use super::{Control, Name};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

/// Bytes between two rooms. Without them rooms of a power of two would all begin in the same few sets of the caches, where
/// each message would drive out another one's first bytes.
const BETWEEN: usize = 3 * 64;

/// Room for messages, and those that were received last.
pub struct Inbox {
    bytes: Box<[u8]>,
    /// Bytes of each message's room.
    size: usize,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    messages: Box<[libc::mmsghdr]>,
    received: usize,
}

// SAFETY: the pointers in `vectors` and `messages` are followed by the kernel in `receive` only, which has just set them to
// memory that the inbox owns.
unsafe impl Send for Inbox {}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Its payload: of one datagram, or of several behind one another.
    pub bytes: &'a [u8],
    /// Who sent it, as the socket's family writes it (IPv4 in its IPv6 form on a socket for both).
    pub from: Option<SocketAddr>,
    /// Which address it was sent to, in the same form, where the socket was told to say so.
    pub to: Option<IpAddr>,
    /// Bytes of each datagram but the last, where there are several.
    pub segment: Option<u16>,
    /// It was longer than the room for it.
    pub truncated: bool,
}

impl<'a> Received<'a> {
    /// Each datagram; an empty one is one, too.
    pub fn each(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let size = self.segment.map_or(self.bytes.len(), usize::from).max(1);
        let (first, others) = self.bytes.split_at(self.bytes.len().min(size));
        std::iter::once(first).chain(others.chunks(size))
    }

    /// How many datagrams it is.
    #[must_use]
    pub fn datagrams(&self) -> u64 {
        self.segment.map_or(1, |bytes| self.bytes.len().div_ceil(usize::from(bytes)).max(1)) as u64
    }
}

impl Inbox {
    /// Room for `count` messages (at least one) of `size` bytes.
    #[must_use]
    pub fn new(count: usize, size: usize) -> Self {
        let count = count.max(1);
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: `mmsghdr` is plain data, of which zeroes are an empty value.
        let message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            bytes: vec![0; count * (size + BETWEEN)].into_boxed_slice(),
            size,
            names: vec![Name::EMPTY; count].into_boxed_slice(),
            controls: vec![Control::EMPTY; count].into_boxed_slice(),
            vectors: vec![vector; count].into_boxed_slice(),
            messages: vec![message; count].into_boxed_slice(),
            received: 0,
        }
    }

    /// Messages there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.messages.len()
    }

    /// Receives what is there, at most `most` messages, in place of those from before; tells how many. Never waits.
    ///
    /// # Errors
    /// As `recvmmsg(2)`: `WouldBlock` when there is nothing; what a connected socket was told by ICMP, such as
    /// `ConnectionRefused`.
    pub fn receive(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        self.fill(socket, most, true)
    }

    /// The same from a socket that is connected, and so hears from one sender alone, who is not told again: `from` is `None`.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_connected(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        self.fill(socket, most, false)
    }

    fn fill(&mut self, socket: impl AsFd, most: usize, with_names: bool) -> io::Result<usize> {
        let count = most.min(self.capacity());
        self.received = 0;
        let rooms = self.bytes.chunks_exact_mut(self.size + BETWEEN);
        let rooms = rooms.zip(&mut self.names).zip(&mut self.controls);
        let heads = self.vectors.iter_mut().zip(&mut self.messages);
        for (((room, name), control), (vector, message)) in rooms.zip(heads).take(count) {
            *vector = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: self.size };
            let head = &mut message.msg_hdr;
            (head.msg_name, head.msg_namelen) = match with_names {
                true => (std::ptr::from_mut(name).cast(), size_of::<Name>() as libc::socklen_t),
                false => (std::ptr::null_mut(), 0),
            };
            head.msg_iov = vector;
            head.msg_iovlen = 1;
            head.msg_control = std::ptr::from_mut(control).cast();
            head.msg_controllen = size_of::<Control>() as _;
            head.msg_flags = 0;
        }
        // SAFETY: the first `count` messages have just been set to rooms of their own, of `size` bytes at least, and to names of
        // their true length or none, in memory that this borrows mutably through the call; no timeout is given.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.messages.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        self.received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        Ok(self.received)
    }

    /// A message of the last call, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Received<'_>> {
        let message = self.messages[..self.received].get(index)?;
        let head = &message.msg_hdr;
        let room = &self.bytes[index * (self.size + BETWEEN)..][..self.size];
        let told = self.controls[index].read(head.msg_controllen);
        Some(Received {
            bytes: &room[..room.len().min(message.msg_len as usize)],
            from: self.names[index].address(head.msg_namelen as usize),
            to: told.to,
            segment: told.segment,
            truncated: head.msg_flags & libc::MSG_TRUNC != 0,
        })
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("size", &self.size)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
