//! Where connections to servers and sessions come from: the proxy's own address, or the client's.

use super::config::Config;
use super::error::Error;
use crate::sys::socket_options;
use rustix::io::Errno;
use rustix::net::bind;
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

/// Binds a socket towards a server to the client's address; the port is another one. Of the other family it stays as it is.
pub(super) fn show(socket: impl AsFd, client: IpAddr, server: &SocketAddr) -> Result<(), Errno> {
    let client = client.to_canonical();
    if client.is_ipv6() != server.is_ipv6() {
        return Ok(());
    }
    socket_options::set_transparent(&socket, client.is_ipv6())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::PERM))?;
    bind(&socket, &SocketAddr::new(client, 0))
}

/// Whether it may be done, where a configuration wants it.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    let Some(upstream) = config.upstreams.iter().find(|upstream| upstream.transparent) else { return Ok(()) };
    let tried = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), None)
        .and_then(|socket| socket_options::set_transparent(&socket, false));
    tried.map_err(|error| Error::Transparent { upstream: upstream.name.clone(), error })
}
