//! Sending.

use super::{Control, Inbox, Name};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

/// Bytes of a received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its place in the inbox.
    pub(crate) received: u16,
    /// Which of its bytes.
    pub(crate) bytes: Range<usize>,
}

/// A message to send: parts of received ones, put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Where in the list of parts that goes with it.
    pub(crate) parts: Range<usize>,
    /// Whom to; `None` through a connected socket.
    pub(crate) to: Option<SocketAddr>,
    /// From which of the host's addresses; `None`: the one that the socket or the route says.
    pub(crate) from: Option<IpAddr>,
    /// Bytes of each datagram but the last, where it is several (at most [`MOST_SEGMENTS`](super::MOST_SEGMENTS), and
    /// [`MOST_BYTES`](super::MOST_BYTES) together).
    pub(crate) segment: Option<u16>,
}

/// What a call to the kernel needs beside the bytes; used again and again.
#[derive(Default)]
pub(crate) struct Outbox {
    names: Vec<Name>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

// SAFETY: what points anywhere is followed by the kernel in `send` only, which has just made it.
unsafe impl Send for Outbox {}

impl Outbox {
    /// Nothing yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sends messages made of what lies in `inbox`, in order. Never waits.
    /// Tells how many went; why the next did not, the next call tells. Of a part that is not there nothing is sent.
    ///
    /// # Errors
    /// As `sendmmsg(2)`, when not one went: `WouldBlock` when the socket's buffer is full, `ConnectionRefused` where ICMP
    /// said so (of an earlier message: this one can be sent again), `EMSGSIZE`, `EINVAL` or `EIO` where the way
    /// out cannot take several datagrams at once.
    pub(crate) fn send(
        &mut self,
        socket: impl AsFd,
        inbox: &Inbox,
        messages: &[Message],
        parts: &[Part],
    ) -> io::Result<usize> {
        self.vectors.clear();
        self.messages.clear();
        self.names.resize(self.names.len().max(messages.len()), Name::EMPTY);
        self.controls.resize(self.controls.len().max(messages.len()), Control::EMPTY);
        // All of them first: their addresses hold once no more are pushed.
        for message in messages {
            for part in parts.get(message.parts.clone()).unwrap_or_default() {
                let received = inbox.bytes(usize::from(part.received));
                let bytes = received.and_then(|bytes| bytes.get(part.bytes.clone())).unwrap_or_default();
                let iov_base = bytes.as_ptr().cast_mut().cast();
                self.vectors.push(libc::iovec { iov_base, iov_len: bytes.len() });
            }
        }
        let mut vectors = &mut self.vectors[..];
        for ((message, name), control) in messages.iter().zip(&mut self.names).zip(&mut self.controls) {
            let count = parts.get(message.parts.clone()).unwrap_or_default().len();
            let (own, others) = vectors.split_at_mut(count);
            vectors = others;
            // SAFETY: `mmsghdr` is plain data, of which zeroes are an empty value: no name, no control data.
            let mut sent: libc::mmsghdr = unsafe { std::mem::zeroed() };
            let head = &mut sent.msg_hdr;
            head.msg_iov = own.as_mut_ptr();
            head.msg_iovlen = own.len() as _;
            if let Some(to) = &message.to {
                head.msg_namelen = name.set(to) as libc::socklen_t;
                head.msg_name = std::ptr::from_mut(name).cast();
            }
            let told = control.write(message.from, message.segment);
            if told > 0 {
                head.msg_control = std::ptr::from_mut(control).cast();
                head.msg_controllen = told as _;
            }
            self.messages.push(sent);
        }
        // SAFETY: each message leads to vectors, a name and control data of its own, of the lengths written there, in memory
        // of this outbox that did not move since; the vectors lead into `inbox`, borrowed through the call. The kernel
        // reads all of it and writes nothing but `msg_len`.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                self.messages.as_mut_ptr(),
                self.messages.len() as libc::c_uint,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}
