//! A socket towards a server.

use super::super::source;
use super::super::upstream::Address;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Begins to connect. The socket is connected, or will be, or will say why not. With `speaks`, bytes are sent as soon as it
/// is: they take the last segment of the handshake with them. With `source` it comes from that address.
///
/// # Errors
/// As connect(2): `AGAIN` of a Unix socket whose queue is full, which is to be asked again.
pub(super) fn begin(
    address: &Address,
    port: u16,
    keep_alive: Option<Duration>,
    speaks: bool,
    source: Option<IpAddr>,
) -> Result<OwnedFd, Errno> {
    let open = |family| {
        let socket =
            socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
        if let Some(idle) = keep_alive.filter(|_| family != AddressFamily::UNIX) {
            sockopt::set_socket_keepalive(&socket, true)?;
            sockopt::set_tcp_keepidle(&socket, idle)?;
        }
        if speaks && family != AddressFamily::UNIX {
            sockopt::set_tcp_quickack(&socket, false)?;
        }
        Ok(socket)
    };
    let begun = |socket, result| match result {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error),
    };
    match address.socket_address(port) {
        Some(address) => {
            let socket = open(if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 })?;
            if let Some(client) = source {
                source::show(&socket, client, &address)?;
            }
            let result = connect(&socket, &address);
            begun(socket, result)
        }
        None => {
            let Address::Unix(path) = address else { return Err(Errno::AFNOSUPPORT) };
            let socket = open(AddressFamily::UNIX)?;
            let result = connect(&socket, &SocketAddrUnix::new(path.as_path())?);
            begun(socket, result)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn keep_alive_is_on_the_socket() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::Ip { address: Ipv4Addr::LOCALHOST.into(), port: None };
        for idle in [None, Some(Duration::from_secs(77))] {
            let socket = begin(&address, port, idle, false, None).unwrap();
            assert_eq!(sockopt::socket_keepalive(&socket).unwrap(), idle.is_some());
            if let Some(idle) = idle {
                assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), idle);
            }
            assert_eq!(listener.accept().unwrap().0.local_addr().unwrap().port(), port);
        }
    }
}
