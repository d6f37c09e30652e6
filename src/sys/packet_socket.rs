//! An `AF_PACKET` socket and its options (packet(7), `Documentation/networking/packet_mmap.rst`).

use super::packet_abi::{LinkAddress, Membership, RingRequest, Statistics};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockFilter, Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Whether frames come with their link-layer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With the header as the device has it (`SOCK_RAW`).
    Raw,
    /// Without: what the header said is in the frame's [`LinkAddress`] (`SOCK_DGRAM`).
    Cooked,
}

/// `ETH_P_ALL`: every protocol.
pub const EVERY_PROTOCOL: u16 = libc::ETH_P_ALL as u16;

/// A packet socket.
#[derive(Debug)]
pub struct PacketSocket(Socket);

impl PacketSocket {
    /// Opens a socket that receives nothing before [`PacketSocket::bind`] (protocol 0).
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_RAW` in the network namespace's user namespace.
    pub fn open(mode: Mode) -> io::Result<Self> {
        let kind = match mode {
            Mode::Raw => Type::RAW,
            Mode::Cooked => Type::DGRAM,
        };
        Socket::new(Domain::PACKET, kind, Some(Protocol::from(0))).map(Self)
    }

    /// One that nothing comes to and that takes no permission, for rings in plain memory.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> io::Result<Self> {
        Socket::new(Domain::UNIX, Type::DGRAM, None).map(Self)
    }

    /// Binds to an interface (0: all of them) and one protocol, and starts to receive.
    ///
    /// Rebinding first waits until no frame is on its way into the socket any more.
    ///
    /// # Errors
    /// `ENODEV` when there is no such interface. One that is down gives no error here: see
    /// [`PacketSocket::take_error`].
    pub fn bind(&self, interface: u32, protocol: u16) -> io::Result<()> {
        let interface = i32::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.0.bind(&socket_address(interface, protocol))
    }

    /// Sends one frame through the interface the socket is bound to.
    ///
    /// # Errors
    /// As `send(2)`: `ENOBUFS` when the queue is full, `EMSGSIZE` beyond the MTU.
    pub fn send(&self, frame: &[u8]) -> io::Result<usize> {
        self.0.send(frame)
    }

    /// Frames sent go straight to the driver, not through the interface's queueing discipline (Linux 3.14).
    ///
    /// # Errors
    /// As `setsockopt(PACKET_QDISC_BYPASS)`.
    pub fn bypass_queue(&self) -> io::Result<()> {
        self.set(libc::PACKET_QDISC_BYPASS, &1_i32)
    }

    /// Bytes of frames that may be on their way out; as many as the kernel grants. Without `CAP_NET_ADMIN` that ends
    /// at `net.core.wmem_max`.
    pub(super) fn set_send_buffer(&self, bytes: usize) {
        if rustix::net::sockopt::set_socket_send_buffer_size_force(&self.0, bytes).is_err() {
            let _ = self.0.set_send_buffer_size(bytes);
        }
    }

    /// Longest wait for room on the way out.
    ///
    /// # Errors
    /// As `setsockopt(SO_SNDTIMEO)`.
    pub(super) fn set_send_timeout(&self, time: std::time::Duration) -> io::Result<()> {
        self.0.set_write_timeout(Some(time))
    }

    /// The pending error of the socket, once: `ENETDOWN` when its interface went down.
    ///
    /// # Errors
    /// As `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Runs a classic BPF program over each frame before it enters the ring; it replaces the one before.
    ///
    /// # Errors
    /// As `setsockopt(SO_ATTACH_FILTER)`.
    pub fn attach_filter(&self, program: &[SockFilter]) -> io::Result<()> {
        self.0.attach_filter(program)
    }

    /// Chooses `TPACKET_V3`.
    ///
    /// # Errors
    /// As `setsockopt(PACKET_VERSION)`.
    pub(super) fn set_version_3(&self) -> io::Result<()> {
        self.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))
    }

    /// Has the kernel leave `bytes` free before each frame in the ring.
    ///
    /// # Errors
    /// As `setsockopt(PACKET_RESERVE)`.
    pub fn set_reserve(&self, bytes: u32) -> io::Result<()> {
        self.set(libc::PACKET_RESERVE, &bytes)
    }

    /// Leaves out the frames this host sends, before they cost anything (Linux 4.20).
    ///
    /// # Errors
    /// As `setsockopt(PACKET_IGNORE_OUTGOING)`.
    pub fn ignore_outgoing(&self) -> io::Result<()> {
        self.set(libc::PACKET_IGNORE_OUTGOING, &1_i32)
    }

    /// Whether it does.
    ///
    /// # Errors
    /// As `getsockopt(PACKET_IGNORE_OUTGOING)`.
    pub fn ignores_outgoing(&self) -> io::Result<bool> {
        self.get::<i32>(libc::PACKET_IGNORE_OUTGOING).map(|on| on != 0)
    }

    /// Frames of the ring have the device's time where there is one, and the kernel's otherwise; which it is, a frame's
    /// status says (`PACKET_TIMESTAMP` with `SOF_TIMESTAMPING_RAW_HARDWARE`). The device is to be
    /// [told](super::ethtool::Ethtool::set_stamping) to stamp frames.
    ///
    /// # Errors
    /// As `setsockopt(PACKET_TIMESTAMP)`.
    pub fn set_device_times(&self) -> io::Result<()> {
        self.set(libc::PACKET_TIMESTAMP, &libc::SOF_TIMESTAMPING_RAW_HARDWARE)
    }

    /// Has the device hand over frames for other hosts too, for as long as the socket lives.
    ///
    /// # Errors
    /// As `setsockopt(PACKET_ADD_MEMBERSHIP)`.
    pub fn set_promiscuous(&self, interface: u32) -> io::Result<()> {
        let membership = Membership {
            interface: i32::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?,
            kind: libc::PACKET_MR_PROMISC as u16,
            ..Membership::default()
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Sets up the receive ring.
    ///
    /// # Errors
    /// As `setsockopt(PACKET_RX_RING)`.
    pub(super) fn set_ring(&self, request: &RingRequest) -> io::Result<()> {
        self.set(libc::PACKET_RX_RING, request)
    }

    /// Counts since the last call.
    ///
    /// # Errors
    /// As `getsockopt(PACKET_STATISTICS)`.
    pub fn statistics(&self) -> io::Result<Statistics> {
        self.get(libc::PACKET_STATISTICS)
    }

    pub(super) fn set<T: IntoBytes + Immutable>(&self, option: libc::c_int, value: &T) -> io::Result<()> {
        // SAFETY: the kernel reads `size_of::<T>()` bytes at `value`, all of them initialised (`IntoBytes`).
        let result = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                std::ptr::from_ref(value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn get<T: FromBytes>(&self, option: libc::c_int) -> io::Result<T> {
        let mut value = T::new_zeroed();
        let mut length = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes at `value`, and any bytes make a `T` (`FromBytes`).
        let result = unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                std::ptr::from_mut(&mut value).cast(),
                &mut length,
            )
        };
        if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
    }
}

fn socket_address(interface: i32, protocol: u16) -> SockAddr {
    let address = LinkAddress {
        family: libc::AF_PACKET as u16,
        protocol: protocol.to_be_bytes(),
        interface,
        ..LinkAddress::default()
    };
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `LinkAddress` is plain data of the layout of `sockaddr_ll` (asserted in `packet_abi`), which the
    // storage is large and aligned enough for, as for every socket address.
    *unsafe { storage.view_as::<LinkAddress>() } = address;
    // SAFETY: the storage holds an initialised address of that many bytes whose family says what it is.
    unsafe { SockAddr::new(storage, size_of::<LinkAddress>() as libc::socklen_t) }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
