//! Listening sockets: one for each port and worker, bound before the first worker runs.
//!
//! The first socket of a port is bound alone, so that another process there is found out; then those of the other
//! workers join it (`SO_REUSEPORT`), and the kernel shares clients out among them by address and port.

use super::config::{Bind, Config, Listener, SocketOptions, Transport};
use super::error::Error;
use super::many_ports::{self, Candidate, MANY};
use super::shared::{Endpoint, ListenPlace};
use crate::sys::activation::{self, Inherited};
use crate::sys::port_steering::PortSteering;
use crate::sys::socket_options;
use rustix::net::sockopt;
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Bytes of datagrams that may wait for a worker, where the kernel grants them.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A worker's socket for an endpoint.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) endpoint: u32,
    pub(super) socket: OwnedFd,
}

/// All sockets of a proxy.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) endpoints: Vec<Endpoint>,
    /// Each worker's.
    pub(super) workers: Vec<Vec<Listening>>,
    /// What they need as long as they listen.
    pub(super) kept: Kept,
}

/// What is undone when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Paths of sockets.
    paths: Vec<PathBuf>,
    /// Connections to many ports come to one socket.
    pub(super) steering: Option<PortSteering>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        for path in &self.paths {
            // Whoever removed it first has done the work.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens what a configuration asks for, for so many workers.
pub(super) fn open(config: &Config, workers: usize) -> Result<Sockets, Error> {
    let mut sockets = Sockets {
        endpoints: Vec::new(),
        workers: (0..workers).map(|_| Vec::new()).collect(),
        kept: Kept::default(),
    };
    let mut taken = HashSet::new();
    let (mut many, mut inherited) = (Vec::new(), None);
    for (index, listener) in config.listeners.iter().enumerate() {
        check_routes(config, listener)?;
        for bind in &listener.binds {
            match bind {
                Bind::Ports { address, ports } => {
                    for &transport in bind.transports() {
                        let ports = ports.ranges.iter().cloned().flatten();
                        // Of two rules that name a port, the first has it. Of port 0 there are many.
                        let mut ports: Vec<_> = ports
                            .filter(|&port| port == 0 || taken.insert((transport, *address, port)))
                            .collect();
                        let may_share = transport == Transport::Tcp && listener.options.share_sockets;
                        if may_share && ports.len() >= MANY && !ports.contains(&0) {
                            ports.sort_unstable();
                            many.push(Candidate { listener: index, address: *address, ports });
                            continue;
                        }
                        for port in ports {
                            sockets.open_port(listener, index, transport, *address, port)?;
                        }
                    }
                }
                Bind::Unix(path) => sockets.open_path(listener, index, path)?,
                Bind::Inherited(name) => {
                    let inherited = &*inherited.get_or_insert_with(activation::take);
                    sockets.take_inherited(index, name, inherited)?;
                }
            }
        }
    }
    many_ports::open(&mut sockets, config, many, &taken)?;
    if sockets.endpoints.is_empty() { Err(Error::NoListener) } else { Ok(sockets) }
}

/// Whether all routes of a listener lead somewhere.
pub(super) fn check_routes(config: &Config, listener: &Listener) -> Result<(), Error> {
    let problem =
        |problem: &str| Error::Route { listener: listener.name.clone(), problem: problem.to_owned() };
    if listener.routes.is_empty() {
        return Err(problem("it has no route"));
    }
    for route in &listener.routes {
        match config.upstreams.get(route.upstream) {
            None => return Err(problem("its upstream is not there")),
            Some(upstream) if upstream.servers.is_empty() => {
                return Err(problem("its upstream has no server"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

impl Sockets {
    pub(super) fn open_port(
        &mut self,
        listener: &Listener,
        index: usize,
        transport: Transport,
        address: Option<IpAddr>,
        port: u16,
    ) -> Result<(), Error> {
        let (address, opened) = open_at(&listener.options, transport, address, port, self.workers.len())?;
        self.add(index, transport, ListenPlace::Internet(address), opened);
        Ok(())
    }

    fn open_path(&mut self, listener: &Listener, index: usize, path: &Path) -> Result<(), Error> {
        let opened = listen_at(path, &listener.options).and_then(|socket| shared(socket, self.workers.len()));
        let opened =
            opened.map_err(|error| Error::Listen { place: format!("unix:{}", path.display()), error })?;
        self.kept.paths.push(path.to_owned());
        self.add(index, Transport::Tcp, ListenPlace::Unix(path.to_owned()), opened);
        Ok(())
    }

    fn take_inherited(&mut self, index: usize, name: &str, inherited: &[Inherited]) -> Result<(), Error> {
        let problem = |problem: String| Error::Inherited { name: name.to_owned(), problem };
        let number = name.parse::<usize>().ok();
        let at = inherited.iter().position(|socket| socket.name == name).or(number);
        let Some(at) = at.filter(|&at| at < inherited.len()) else {
            let names: Vec<_> = inherited.iter().map(|socket| socket.name.as_str()).collect();
            return Err(problem(match names.is_empty() {
                true => "no socket was handed over (LISTEN_FDS)".to_owned(),
                false => format!("no such socket was handed over, only {}", names.join(", ")),
            }));
        };
        // Those behind it keep their numbers.
        let socket = inherited[at].descriptor.try_clone().map(Socket::from);
        let socket = socket.map_err(|error| problem(error.to_string()))?;
        let looked_at = (|| {
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>((socket.r#type()?, socket.local_addr()?))
        })();
        let (kind, address) = looked_at.map_err(|error| problem(format!("it is no socket: {error}")))?;
        let place = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => ListenPlace::Internet(address),
            (None, path) => ListenPlace::Unix(path.unwrap_or(Path::new("")).to_owned()),
        };
        let (transport, count) = match kind {
            Type::STREAM => (Transport::Tcp, self.workers.len()),
            // Two workers would each have a session for one client.
            Type::DGRAM => (Transport::Udp, 1),
            _ => return Err(problem("it takes neither connections nor datagrams".to_owned())),
        };
        if transport == Transport::Udp {
            prepare_udp(&socket, &address).map_err(|error| problem(error.to_string()))?;
        }
        let opened = shared(socket, count).map_err(|error| problem(error.to_string()))?;
        self.add(index, transport, place, opened);
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        index: usize,
        transport: Transport,
        place: ListenPlace,
        opened: Vec<OwnedFd>,
    ) {
        let endpoint = self.endpoints.len() as u32;
        let port = match &place {
            ListenPlace::Internet(address) => address.port(),
            // Of many, each connection knows its own.
            ListenPlace::Many { .. } | ListenPlace::Unix(_) => 0,
        };
        self.endpoints.push(Endpoint { transport, place, port, listener: index });
        for (worker, socket) in self.workers.iter_mut().zip(opened) {
            worker.push(Listening { endpoint, socket });
        }
    }
}

/// One socket for each worker at an address, or at all of the host.
pub(super) fn open_at(
    options: &SocketOptions,
    transport: Transport,
    address: Option<IpAddr>,
    port: u16,
    workers: usize,
) -> Result<(SocketAddr, Vec<OwnedFd>), Error> {
    let opened = match address {
        Some(address) => open_all(options, transport, (address, port).into(), workers),
        None => match open_all(options, transport, (Ipv6Addr::UNSPECIFIED, port).into(), workers) {
            // A host without IPv6.
            Err((_, error))
                if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) =>
            {
                open_all(options, transport, (Ipv4Addr::UNSPECIFIED, port).into(), workers)
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
    address: SocketAddr,
    workers: usize,
) -> Result<(SocketAddr, Vec<OwnedFd>), (SocketAddr, io::Error)> {
    let failed = |error| (address, error);
    let first = bind(options, transport, address, false).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    if workers > 1 {
        sockets[0].set_reuse_port(true).map_err(failed)?;
        for _ in 1..workers {
            sockets.push(bind(options, transport, bound, true).map_err(failed)?);
        }
    }
    for socket in &sockets {
        if transport == Transport::Tcp {
            listen(socket, options).map_err(failed)?;
        }
    }
    Ok((bound, sockets.into_iter().map(OwnedFd::from).collect()))
}

pub(super) fn bind(
    options: &SocketOptions,
    transport: Transport,
    address: SocketAddr,
    join: bool,
) -> io::Result<Socket> {
    let kind = if transport == Transport::Tcp { Type::STREAM } else { Type::DGRAM };
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
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

fn prepare_udp(socket: &Socket, address: &SockAddr) -> io::Result<()> {
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

fn listen(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    if let Some(pending) = options.fast_open {
        socket_options::set_fast_open(socket, pending)?;
    }
    if let Some(seconds) = options.defer_accept {
        socket_options::set_defer_accept(socket, seconds)?;
    }
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))
}

/// Listens at a path; what a former run has left there is removed, once it is sure that nobody listens.
fn listen_at(path: &Path, options: &SocketOptions) -> io::Result<Socket> {
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
fn shared(socket: Socket, count: usize) -> io::Result<Vec<OwnedFd>> {
    let others = (1..count).map(|_| socket.try_clone().map(OwnedFd::from)).collect::<Result<Vec<_>, _>>()?;
    Ok([OwnedFd::from(socket)].into_iter().chain(others).collect())
}
