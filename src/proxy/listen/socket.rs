//! Single sockets: opened, set, and set anew.

use super::super::config::{SocketOptions, Transport};
use super::super::error::Error;
use crate::sys::socket_options;
use rustix::net::sockopt;
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Bytes of datagrams that may wait for a worker, where the kernel grants them.
const RECEIVE_BUFFER: usize = 4 << 20;

/// One socket for each worker at an address, or at all of the host. With `join` beside others of ours.
pub(super) fn open_at(
    options: &SocketOptions,
    transport: Transport,
    address: Option<IpAddr>,
    port: u16,
    workers: usize,
    join: bool,
) -> Result<(SocketAddr, Vec<OwnedFd>), Error> {
    let all = |at: IpAddr| open_all(options, transport, address, (at, port).into(), workers, join);
    let opened = match address {
        Some(address) => all(address),
        None => match all(Ipv6Addr::UNSPECIFIED.into()) {
            // A host without IPv6.
            Err((_, error))
                if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) =>
            {
                all(Ipv4Addr::UNSPECIFIED.into())
            }
            opened => opened,
        },
    };
    opened.map_err(|(address, error)| {
        let protocol = if transport == Transport::Tcp { "tcp" } else { "udp" };
        Error::Listen { place: format!("{protocol} {address}"), error }
    })
}

/// One socket for each worker, all at one address, which is told with the port that the kernel chose.
fn open_all(
    options: &SocketOptions,
    transport: Transport,
    asked: Option<IpAddr>,
    address: SocketAddr,
    workers: usize,
    join: bool,
) -> Result<(SocketAddr, Vec<OwnedFd>), (SocketAddr, io::Error)> {
    let failed = |error| (address, error);
    let first = match bind(options, transport, asked, address, false) {
        Err(error) if join && error.kind() == io::ErrorKind::AddrInUse => {
            bind(options, transport, asked, address, true)
        }
        result => result,
    };
    let first = first.map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    // For the others, and for what another configuration may open beside it.
    sockets[0].set_reuse_port(true).map_err(failed)?;
    for _ in 1..workers {
        sockets.push(bind(options, transport, asked, bound, true).map_err(failed)?);
    }
    for socket in &sockets {
        if transport == Transport::Tcp {
            listen(socket, options).map_err(failed)?;
        }
    }
    Ok((bound, sockets.into_iter().map(OwnedFd::from).collect()))
}

/// A socket bound to an address. `asked`: the one that the rule has; without any it is for both families.
pub(super) fn bind(
    options: &SocketOptions,
    transport: Transport,
    asked: Option<IpAddr>,
    address: SocketAddr,
    join: bool,
) -> io::Result<Socket> {
    let kind = if transport == Transport::Tcp { Type::STREAM } else { Type::DGRAM };
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(asked.is_some())?;
    }
    if transport == Transport::Tcp {
        // Connections of a former run that linger do not stand in the way.
        socket.set_reuse_address(true)?;
        // Accepted connections inherit both.
        socket.set_tcp_nodelay(options.no_delay)?;
        if let Some(idle) = options.keep_alive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
        }
    }
    socket.set_reuse_port(join)?;
    socket.bind(&address.into())?;
    if transport == Transport::Udp {
        prepare_udp(&socket, &address.into())?;
    }
    Ok(socket)
}

pub(super) fn prepare_udp(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    // With privileges beyond the host's limit, without up to it.
    if sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    // An older kernel gives them one by one.
    let _ = socket_options::set_udp_gro(socket);
    match address.as_socket() {
        // Which of the host's addresses a client asked, and is to be answered from.
        Some(address) if address.ip().is_unspecified() => {
            socket_options::set_packet_info(socket, address.is_ipv6())
        }
        _ => Ok(()),
    }
}

pub(super) fn listen(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    if let Some(pending) = options.fast_open {
        socket_options::set_fast_open(socket, pending)?;
    }
    if let Some(seconds) = options.defer_accept {
        socket_options::set_defer_accept(socket, seconds)?;
    }
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))
}

/// Listens at a path; what a former run has left there is removed, once it is sure that nobody listens.
pub(super) fn listen_at(path: &Path, options: &SocketOptions) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
            let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            if !probe.connect(&address).is_err_and(refused) {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        result => result?,
    }
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// The same socket for so many workers.
pub(super) fn shared(socket: Socket, count: usize) -> io::Result<Vec<OwnedFd>> {
    let others = (1..count).map(|_| socket.try_clone().map(OwnedFd::from)).collect::<Result<Vec<_>, _>>()?;
    Ok([OwnedFd::from(socket)].into_iter().chain(others).collect())
}

/// Sets a listening socket, and so what it accepts from now on, as another configuration wants it. Of those at a path only the
/// backlog is set.
pub(super) fn set_anew(
    socket: impl AsFd,
    before: &SocketOptions,
    after: &SocketOptions,
    is_path: bool,
) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    if !is_path {
        if before.no_delay != after.no_delay {
            socket.set_tcp_nodelay(after.no_delay)?;
        }
        if before.keep_alive != after.keep_alive {
            match after.keep_alive {
                Some(idle) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?,
                None => socket.set_keepalive(false)?,
            }
        }
        // 0 takes each of them back.
        if before.fast_open != after.fast_open {
            socket_options::set_fast_open(&*socket, after.fast_open.unwrap_or(0))?;
        }
        if before.defer_accept != after.defer_accept {
            socket_options::set_defer_accept(&*socket, after.defer_accept.unwrap_or(0))?;
        }
    }
    // Of a socket that listens already it changes nothing else.
    socket.listen(i32::try_from(after.backlog).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket_options::tcp_option;
    use std::time::Duration;

    /// What is asked of a listening socket, read off it and off what it accepts; then what another configuration asks.
    #[test]
    fn options_are_on_the_sockets() {
        let options = SocketOptions {
            fast_open: Some(17),
            defer_accept: Some(3),
            keep_alive: Some(Duration::from_secs(77)),
            ..SocketOptions::default()
        };
        let address = Some(Ipv4Addr::LOCALHOST.into());
        let (at, sockets) = open_at(&options, Transport::Tcp, address, 0, 2, false).unwrap();
        for socket in &sockets {
            assert_eq!(tcp_option(socket, libc::TCP_FASTOPEN).unwrap(), 17);
            // The kernel rounds up to what its retransmissions take.
            assert!((3..=7).contains(&tcp_option(socket, libc::TCP_DEFER_ACCEPT).unwrap()));
        }
        drop(sockets);
        let at_once = SocketOptions { defer_accept: None, ..options };
        let (at, sockets) = open_at(&at_once, Transport::Tcp, address, at.port(), 1, false).unwrap();
        let accepted = || {
            let _client = std::net::TcpStream::connect(at).unwrap();
            let listener = SockRef::from(&sockets[0]);
            listener.set_nonblocking(false).unwrap();
            listener.accept().unwrap().0
        };
        let socket = accepted();
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
        let without = SocketOptions { no_delay: false, keep_alive: None, fast_open: None, ..at_once.clone() };
        set_anew(&sockets[0], &at_once, &without, false).unwrap();
        assert_eq!(tcp_option(&sockets[0], libc::TCP_FASTOPEN).unwrap(), 0);
        let socket = accepted();
        assert!(!socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
    }
}
