//! Options of TCP and UDP sockets that neither socket2 nor rustix has.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `UDP_GRO` of `linux/udp.h`, Linux 5.0.
pub(super) const UDP_GRO: libc::c_int = 104;

fn set(socket: impl AsFd, level: libc::c_int, option: libc::c_int, value: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    // SAFETY: the kernel reads four bytes at the address of `value`, which lives through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What an option of TCP's is set to.
#[cfg(test)]
pub(crate) fn tcp_option(socket: impl AsFd, option: libc::c_int) -> io::Result<u32> {
    let mut value: libc::c_int = 0;
    let mut length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes at the address of `value`, and four into `length`; both live through the
    // call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            std::ptr::from_mut(&mut value).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(value.unsigned_abs()) } else { Err(io::Error::last_os_error()) }
}

/// Has a listening socket hand out connections with their first bytes only, or after so many seconds without any
/// (`TCP_DEFER_ACCEPT`, tcp(7)).
///
/// # Errors
/// As `setsockopt(2)`.
pub(crate) fn set_defer_accept(socket: impl AsFd, seconds: u32) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)
}

/// Has a listening socket take data with the first segment, of so many clients at a time (`TCP_FASTOPEN`, RFC 7413).
///
/// # Errors
/// As `setsockopt(2)`.
pub(crate) fn set_fast_open(socket: impl AsFd, pending: u32) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, pending)
}

/// Has datagrams of one sender come as one message where the kernel has them together (`UDP_GRO`, Linux 5.0).
///
/// # Errors
/// As `setsockopt(2)`: `ENOPROTOOPT` on an older kernel.
pub(crate) fn set_udp_gro(socket: impl AsFd) -> io::Result<()> {
    set(socket, libc::SOL_UDP, UDP_GRO, 1)
}

/// How many datagrams the kernel dropped that were for a socket, since there was no room in it or a checksum was wrong
/// (`SO_MEMINFO`, Linux 4.12).
///
/// # Errors
/// As `getsockopt(2)`.
pub(crate) fn dropped(socket: impl AsFd) -> io::Result<u32> {
    /// `SK_MEMINFO_VARS` and `SK_MEMINFO_DROPS` of `linux/sock_diag.h`.
    const VALUES: usize = 9;
    const DROPS: usize = 8;
    let mut values = [0_u32; VALUES];
    let mut length = size_of_val(&values) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes at the address of `values`, and four into `length`; both live through the
    // call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(values[DROPS]) } else { Err(io::Error::last_os_error()) }
}

/// Lets a socket be bound to an address that is not the host's (`IP_TRANSPARENT`, `IPV6_TRANSPARENT`; ip(7)), and puts the choice of
/// a port off until it is connected (`IP_BIND_ADDRESS_NO_PORT`, Linux 4.2), by when the other end is known, too.
///
/// # Errors
/// As `setsockopt(2)`: `PermissionDenied` without `CAP_NET_ADMIN` or `CAP_NET_RAW`.
pub(crate) fn set_transparent(socket: impl AsFd, v6: bool) -> io::Result<()> {
    match v6 {
        false => set(&socket, libc::IPPROTO_IP, libc::IP_TRANSPARENT, 1)?,
        true => set(&socket, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1)?,
    }
    set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

/// Has each datagram tell which address it was sent to (`IP_PKTINFO`, `IPV6_RECVPKTINFO`).
///
/// # Errors
/// As `setsockopt(2)`.
pub(crate) fn set_packet_info(socket: impl AsFd, v6: bool) -> io::Result<()> {
    match v6 {
        false => set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        true => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn what_finds_no_room_is_counted() {
        let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        socket2::SockRef::from(&near).set_recv_buffer_size(1).unwrap();
        assert_eq!(dropped(&near).unwrap(), 0);
        let sent = 100;
        for _ in 0..sent {
            far.send_to(&[0; 1_000], near.local_addr().unwrap()).unwrap();
        }
        near.set_nonblocking(true).unwrap();
        let received = std::iter::from_fn(|| near.recv(&mut [0; 1_000]).ok()).count();
        assert!(received < sent, "{received}");
        assert_eq!(dropped(&near).unwrap() as usize, sent - received);
    }
}
