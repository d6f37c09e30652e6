//! A socket of a connection: what is known of it, and what the kernel is asked to say of it.

use super::super::token::Token;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A socket of a connection, and what is known of it.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) socket: OwnedFd,
    /// Something may be there to read: the kernel said so, and no read since has come back short.
    pub(super) readable: bool,
    /// It may take bytes: no write has come back short since the kernel said so.
    pub(super) writable: bool,
    /// The peer has ended, or failed: there is that to read, at least.
    pub(super) hung_up: bool,
    /// The peer has ended, and well: what is there to read now is its last.
    pub(super) ended: bool,
    /// An urgent byte was among what came (RFC 9293 section 3.8.5): reads stop short of it though there is more.
    pub(super) urgent: bool,
    /// A Unix socket: a read ends with each message that descriptors came with (unix(7)), though there is more behind it.
    pub(super) in_messages: bool,
    /// The kernel was asked to say when it takes bytes again.
    pub(super) watched: bool,
}

impl Side {
    /// A socket, of the file system or not, that may take bytes; whether there are any to read is tried at once, or left to the
    /// kernel to say.
    pub(super) fn new(socket: OwnedFd, readable: bool, is_unix: bool) -> Self {
        Self {
            socket,
            readable,
            writable: true,
            hung_up: false,
            ended: false,
            urgent: false,
            in_messages: is_unix,
            watched: false,
        }
    }

    /// Notes what the kernel said of it.
    pub(super) fn note(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable();
        self.hung_up |= event.is_read_closed() || event.is_error();
        self.ended |= event.is_read_closed() && !event.is_error();
        self.urgent |= event.is_priority();
    }

    /// A read did not fill its buffer. True where the end was all that was behind it.
    pub(super) fn drained(&mut self) -> bool {
        if self.urgent || self.in_messages {
            return false;
        }
        // All that was there: more of it is a new event. So is the end, unless that was told before. Then all that came before
        // it was there too, and there is no need to read the end by itself; a failure has to be read.
        self.readable = self.hung_up && !self.ended;
        self.ended
    }

    /// Has the kernel say what comes, and with `writable` when the socket takes bytes: most never refuse any, and are not
    /// asked about that.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token, writable: bool) -> Result<(), Errno> {
        self.watched = writable;
        let interest = Interest::READABLE | Interest::PRIORITY;
        let interest = if writable { interest | Interest::WRITABLE } else { interest };
        told(registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token.into(), interest))
    }

    /// Has it say from now on when the socket takes bytes; at once, where it does so again already.
    pub(super) fn watch_writes(&mut self, registry: &Registry, token: Token) -> Result<(), Errno> {
        self.watched = true;
        let interest = Interest::READABLE | Interest::PRIORITY | Interest::WRITABLE;
        told(registry.reregister(&mut SourceFd(&self.socket.as_raw_fd()), token.into(), interest))
    }
}

fn told(result: io::Result<()>) -> Result<(), Errno> {
    result.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
