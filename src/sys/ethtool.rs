//! What a device's driver says of itself and takes orders in (`SIOCETHTOOL`, `linux/ethtool.h`, Linux 6.1), and how it
//! stamps frames (`SIOCGHWTSTAMP`).
//!
//! Reading takes no permission. A driver that has nothing to say to a question answers `EOPNOTSUPP`.

mod features;
mod parameters;
mod room;
mod stamping;
mod statistics;

pub use features::Feature;
pub use parameters::{Channels, Driver, Link, Pause, Rings, TimeStamps};
pub use stamping::Stamping;
pub use statistics::tells_of_loss;

use room::Room;
use std::io;
use std::os::fd::AsRawFd;

/// Questions to the drivers of the interfaces of one network namespace: that of the thread that opened it.
#[derive(Debug)]
pub struct Ethtool(socket2::Socket);

impl Ethtool {
    /// # Errors
    /// As `socket(2)`.
    pub fn open() -> io::Result<Self> {
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).map(Self)
    }

    /// Index of an interface of that namespace.
    ///
    /// # Errors
    /// `ENODEV` when there is none of that name.
    pub fn index_of(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.0, name)?)
    }

    /// Sends what is in the room, which begins with the command's number, and has the answer written over it.
    fn ask(&self, name: &str, room: &mut Room) -> io::Result<()> {
        self.control(name, libc::SIOCETHTOOL, room)
    }

    /// The same with one of the requests that take a structure of the device's driver: `SIOCETHTOOL`, `SIOCGHWTSTAMP`,
    /// `SIOCSHWTSTAMP`.
    fn control(&self, name: &str, command: libc::c_ulong, room: &mut Room) -> io::Result<()> {
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: room.as_mut_ptr().cast() },
        };
        // The last byte stays 0.
        if name.len() >= libc::IFNAMSIZ {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        request.ifr_name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from as libc::c_char);
        // SAFETY: each of these requests takes an `ifreq` whose name ends with a 0 and whose data points to the
        // structure. Both live through the call. The kernel reads and writes from the structure's beginning on, however
        // much the command calls for: `Room` ends in a page that nobody can access, so that what would go beyond it is
        // refused (EFAULT) before it is written. Any bytes are a valid content of a room.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), command as _, &raw mut request) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// A command whose structure is numbers of 32 bits; the answer is all of them, the command's number first.
    fn words<const COUNT: usize>(&self, name: &str, command: u32) -> io::Result<[u32; COUNT]> {
        let mut room = Room::new()?;
        room.put(0, command);
        self.ask(name, &mut room)?;
        Ok(std::array::from_fn(|place| room.word(place)))
    }
}

/// Mbit/s of an interface of the calling thread's namespace; `None` where there is no such thing.
#[must_use]
pub fn speed(name: &str) -> Option<u32> {
    Ethtool::open().ok()?.link(name).ok()?.speed
}

/// Queues in use that an interface of the calling thread's namespace receives through; `None` where the driver does
/// not say.
#[must_use]
pub fn receive_queues(name: &str) -> Option<u32> {
    let channels = Ethtool::open().ok()?.channels(name).ok()?;
    Some(channels.receiving()).filter(|&queues| queues > 0)
}
