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
pub(crate) struct Inbox {
    bytes: Box<[u8]>,
    /// Bytes of each message's room.
    size: usize,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    /// What `heads` lead to: each message's room.
    _vectors: Box<[libc::iovec]>,
    /// Those that are told who sent a message, and those that are not.
    heads: [Heads; 2],
    /// Which of them have what was received.
    last: usize,
    received: usize,
}

/// What the kernel is given for each message, and says of it there.
struct Heads {
    messages: Box<[libc::mmsghdr]>,
    /// As many from the first on may have lengths of what was received, not of the room there is.
    used: usize,
}

const NAMED: usize = 0;
const UNNAMED: usize = 1;

// SAFETY: the pointers in `_vectors` and `heads` lead to memory that the inbox owns and that does not move with it; the kernel alone
// follows them, in `fill`, which has the inbox to itself.
unsafe impl Send for Inbox {}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    /// Its payload: of one datagram, or of several behind one another.
    pub(crate) bytes: &'a [u8],
    /// Who sent it, as the socket's family writes it (IPv4 in its IPv6 form on a socket for both).
    pub(crate) from: Option<SocketAddr>,
    /// Which address it was sent to, in the same form, where the socket was told to say so.
    pub(crate) to: Option<IpAddr>,
    /// Bytes of each datagram but the last, where there are several.
    pub(crate) segment: Option<u16>,
    /// It was longer than the room for it.
    pub(crate) truncated: bool,
}

impl<'a> Received<'a> {
    /// Each datagram; an empty one is one, too.
    pub(crate) fn each(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let size = self.segment.map_or(self.bytes.len(), usize::from).max(1);
        let (first, others) = self.bytes.split_at(self.bytes.len().min(size));
        std::iter::once(first).chain(others.chunks(size))
    }

    /// How many datagrams it is.
    #[must_use]
    pub(crate) fn datagrams(&self) -> u64 {
        self.segment.map_or(1, |bytes| self.bytes.len().div_ceil(usize::from(bytes)).max(1)) as u64
    }
}

impl Inbox {
    /// Room for `count` messages (at least one) of `size` bytes.
    #[must_use]
    pub(crate) fn new(count: usize, size: usize) -> Self {
        let count = count.max(1);
        let mut bytes = vec![0_u8; count * (size + BETWEEN)].into_boxed_slice();
        let mut names = vec![Name::EMPTY; count].into_boxed_slice();
        let mut controls = vec![Control::EMPTY; count].into_boxed_slice();
        let rooms = bytes.chunks_exact_mut(size + BETWEEN);
        let mut vectors: Box<[_]> =
            rooms.map(|room| libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: size }).collect();
        // Once: none of it moves from here on, nor is it another's. What calls change is set before each of them.
        let mut heads = |with_names: bool| {
            let parts = vectors.iter_mut().zip(&mut names).zip(&mut controls);
            let messages = parts.map(|((vector, name), control)| {
                // SAFETY: `mmsghdr` is plain data, of which zeroes are an empty value.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                let head = &mut message.msg_hdr;
                if with_names {
                    head.msg_name = std::ptr::from_mut(name).cast();
                }
                head.msg_iov = vector;
                head.msg_iovlen = 1;
                head.msg_control = std::ptr::from_mut(control).cast();
                message
            });
            Heads { messages: messages.collect(), used: count }
        };
        let heads = [heads(true), heads(false)];
        Self { bytes, size, names, controls, _vectors: vectors, heads, last: NAMED, received: 0 }
    }

    /// Messages there is room for.
    #[must_use]
    pub(crate) fn capacity(&self) -> usize {
        self.names.len()
    }

    /// Receives what is there, at most `most` messages, in place of those from before; tells how many. Never waits.
    ///
    /// # Errors
    /// As `recvmmsg(2)`: `WouldBlock` when there is nothing; what a connected socket was told by ICMP, such as
    /// `ConnectionRefused`.
    pub(crate) fn receive(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        self.clear();
        self.fill(socket, most, NAMED)
    }

    /// The same from a socket that is connected, and so hears from one sender alone, who is not told again: `from` is `None`. What
    /// was received so from other sockets before, since the inbox was last [cleared](Self::clear), stays in front, and there may
    /// be less room than `most`.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub(crate) fn receive_connected(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        if self.last != UNNAMED {
            self.clear();
        }
        self.fill(socket, most, UNNAMED)
    }

    /// Forgets what was received.
    pub(crate) fn clear(&mut self) {
        self.received = 0;
    }

    /// Messages that there are.
    #[must_use]
    pub(crate) fn received(&self) -> usize {
        self.received
    }

    /// Receives behind what there is.
    fn fill(&mut self, socket: impl AsFd, most: usize, which: usize) -> io::Result<usize> {
        let start = self.received;
        let count = most.min(self.capacity() - start);
        self.last = which;
        let heads = &mut self.heads[which];
        for message in heads.messages[..heads.used].iter_mut().skip(start) {
            let head = &mut message.msg_hdr;
            head.msg_namelen = if which == NAMED { size_of::<Name>() as libc::socklen_t } else { 0 };
            head.msg_controllen = size_of::<Control>() as _;
        }
        let free = &mut heads.messages[start..start + count];
        // SAFETY: each of the `count` messages leads to a room of its own of `size` bytes, to control data and to a name or none, all
        // in memory of this inbox, borrowed mutably through the call, that has stayed where it was when `new` wrote the pointers;
        // the lengths are those of the room there is: those that a call before may have changed have just been set. No timeout
        // is given.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                free.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let received = usize::try_from(received);
        // The one at which it stopped may have been begun.
        heads.used = (start + received.unwrap_or(0) + 1).min(heads.messages.len());
        let received = received.map_err(|_| io::Error::last_os_error())?;
        self.received += received;
        Ok(received)
    }

    /// A message there is, counted from 0.
    #[must_use]
    pub(crate) fn get(&self, index: usize) -> Option<Received<'_>> {
        let bytes = self.bytes(index)?;
        let head = &self.heads[self.last].messages[index].msg_hdr;
        let told = self.controls[index].read(head.msg_controllen);
        Some(Received {
            bytes,
            from: self.names[index].address(head.msg_namelen as usize),
            to: told.to,
            segment: told.segment,
            truncated: head.msg_flags & libc::MSG_TRUNC != 0,
        })
    }

    /// Its payload alone, which takes less to tell.
    #[must_use]
    pub(crate) fn bytes(&self, index: usize) -> Option<&[u8]> {
        let message = self.heads[self.last].messages[..self.received].get(index)?;
        let room = &self.bytes[index * (self.size + BETWEEN)..][..self.size];
        Some(&room[..room.len().min(message.msg_len as usize)])
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
