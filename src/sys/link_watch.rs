//! Whether an interface that frames are taken from is up, down or gone.

use std::io;
use std::os::fd::AsRawFd;

/// A way to ask for the state of an interface of the calling thread's namespace, later and from any thread.
#[derive(Debug)]
pub(crate) struct Watch {
    socket: socket2::Socket,
    index: u32,
}

/// State of a [watched](Watch) interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It can carry packets, as far as the administrator is concerned.
    Up,
    /// It is switched off.
    Down,
    /// It is not there any more.
    Gone,
}

impl Watch {
    /// Of the interface with that index.
    ///
    /// # Errors
    /// As `socket(2)`.
    pub(crate) fn new(index: u32) -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None)?;
        Ok(Self { socket, index })
    }

    /// How it is now.
    #[must_use]
    pub(crate) fn state(&self) -> State {
        let Ok(name) = rustix::net::netdevice::index_to_name(&self.socket, self.index) else {
            return State::Gone;
        };
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 },
        };
        // The last byte stays 0.
        for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        // SAFETY: SIOCGIFFLAGS takes an `ifreq` whose name ends with a 0, and writes its flags; it lives through the call.
        let result =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) };
        // SAFETY: flags were put there above and perhaps replaced by the call; any bits make a `c_short`.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        match result {
            0 if i32::from(flags) & libc::IFF_UP != 0 => State::Up,
            0 => State::Down,
            _ => State::Gone,
        }
    }
}
