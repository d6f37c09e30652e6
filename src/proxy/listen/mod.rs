//! Listening sockets: one for each port and worker, opened before the first worker runs and at each reload.
//!
//! The first socket of a port is bound alone, so that another process there is found out; then those of the other
//! workers join it (`SO_REUSEPORT`), and the kernel shares clients out among them by address and port.
//!
//! A socket is known by what was [asked](Asked) for, not by its listener: another configuration that asks for the same
//! place goes on with the socket that is there, in whatever listener, and so does a new process that was handed it. No
//! client is refused in between, and none that waits to be accepted is lost.
//!
//! | file | what |
//! | --- | --- |
//! | `socket` | one socket: opened, set, set anew |
//! | `many_ports` | ranges of ports on one socket, where the kernel can (sk_lookup) |

mod many_ports;
mod socket;

use super::config::{Bind, Config, Listener, SocketOptions, Transport};
use super::error::Error;
use super::plan::Service;
use super::shared::{Endpoint, ListenPlace};
use crate::sys::activation::Inherited;
pub(super) use many_ports::Steering;
use many_ports::{Candidate, MANY};
use serde::{Deserialize, Serialize};
use socket::{bind, listen, listen_at, open_at, prepare_udp, set_anew, shared};
use socket2::{Socket, Type};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// By what a socket is known from one configuration to the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Asked {
    /// A port as a rule names it.
    Port {
        transport: Transport,
        address: Option<IpAddr>,
        port: u16,
        /// Of ports 0, which the kernel chooses, the how manieth.
        count: u32,
    },
    /// A path.
    Path(PathBuf),
    /// What systemd has opened, by its name.
    Inherited(String),
}

/// The sockets of one place.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) transport: Transport,
    /// Where they are; of a socket for many ports, at the first one.
    pub(super) place: ListenPlace,
    /// In the order of the workers.
    pub(super) sockets: Vec<Arc<OwnedFd>>,
    /// As they are set.
    pub(super) options: SocketOptions,
    /// Removed with the last of them.
    pub(super) path: Option<Arc<PathGuard>>,
    pub(super) sessions: Arc<Sessions>,
}

impl Opened {
    /// A place whose sockets another process has opened; none of them so far.
    pub(super) fn inherited(
        transport: Transport,
        place: ListenPlace,
        options: SocketOptions,
        path: Option<Arc<PathGuard>>,
    ) -> Self {
        Self { transport, place, sockets: Vec::new(), options, path, sessions: Arc::default() }
    }
}

/// Sockets whose place is no longer asked for, but where sessions may be, or somebody on the way in.
#[derive(Debug)]
struct Retired {
    opened: Opened,
    sockets: Vec<Weak<OwnedFd>>,
}

/// A worker's socket for an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) socket: Arc<OwnedFd>,
    /// Since when no configuration asks for it any more: there are only those who were there before.
    pub(super) retired: Option<Instant>,
    /// What was done for those who came there, where that is no longer in the plan.
    pub(super) service: Option<Arc<Service>>,
}

/// All sockets of a proxy.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// In the order of the configuration.
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// Each worker's.
    pub(super) workers: Arc<Vec<Vec<Listening>>>,
    pub(super) opened: HashMap<Asked, Opened>,
    retired: HashMap<Asked, Retired>,
    /// Connections to many ports come to one socket.
    pub(super) steering: Option<Arc<Steering>>,
    /// What whoever started the process has opened.
    inherited: Arc<Vec<Inherited>>,
}

/// Removes a socket's path when it is dropped.
#[derive(Debug)]
pub(super) struct PathGuard {
    path: PathBuf,
    /// It is another process's by now.
    left: AtomicBool,
}

impl PathGuard {
    pub(super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), left: AtomicBool::new(false) })
    }

    /// One that leaves the path where it is until it is [kept](Self::keep).
    pub(super) fn leaving(path: &Path) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), left: AtomicBool::new(true) })
    }

    /// Leaves the path to another process.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Takes care of the path from now on.
    pub(super) fn keep(&self) {
        self.left.store(false, Ordering::Relaxed);
    }
}

impl Drop for PathGuard {
    fn drop(&mut self) {
        if !self.left.load(Ordering::Relaxed) {
            // Whoever removed it first has done the work.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// How many UDP sessions there are at a place, of all workers.
#[derive(Debug, Default)]
pub(super) struct Sessions(AtomicUsize);

impl Sessions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// A session's place among those.
#[derive(Debug)]
pub(super) struct Present(Arc<Sessions>);

impl Present {
    pub(super) fn at(endpoint: &Endpoint) -> Self {
        endpoint.sessions.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&endpoint.sessions))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is being opened, beside what there is.
struct Opening<'a> {
    before: &'a Sockets,
    config: &'a Config,
    workers: usize,
    endpoints: Vec<Arc<Endpoint>>,
    listening: Vec<Vec<Listening>>,
    opened: HashMap<Asked, Opened>,
    inherited: Arc<Vec<Inherited>>,
    /// Ports 0 so far.
    chosen: HashMap<(Transport, Option<IpAddr>), u32>,
}

impl Sockets {
    /// What a first configuration begins with: the sockets handed over by another process, if any, and by whoever started
    /// this one.
    pub(super) fn before(
        opened: HashMap<Asked, Opened>,
        steering: Option<Arc<Steering>>,
        inherited: Vec<Inherited>,
    ) -> Self {
        Self { opened, steering, inherited: Arc::new(inherited), ..Self::default() }
    }

    /// What a configuration asks for, for so many workers: the sockets there are where it asks for the same places, others
    /// opened. Nothing becomes of those there are until [`set`](Self::set).
    pub(super) fn open(&self, config: &Config, workers: usize) -> Result<Self, Error> {
        let mut opening = Opening {
            before: self,
            config,
            workers,
            endpoints: Vec::new(),
            listening: (0..workers).map(|_| Vec::new()).collect(),
            opened: HashMap::new(),
            inherited: Arc::clone(&self.inherited),
            chosen: HashMap::new(),
        };
        let mut taken = HashSet::new();
        let mut many = Vec::new();
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
                                opening.open_port(index, transport, *address, port)?;
                            }
                        }
                    }
                    Bind::Unix(path) => opening.open_path(index, path)?,
                    Bind::Inherited(name) => opening.take_inherited(index, name)?,
                }
            }
        }
        let steering = many_ports::open(&mut opening, many, &taken)?;
        if opening.endpoints.is_empty() {
            return Err(Error::NoListener);
        }
        let Opening { endpoints, listening, opened, inherited, .. } = opening;
        let mut retired = HashMap::new();
        let gone = self.opened.iter().filter(|(asked, _)| !opened.contains_key(asked));
        // A path is gone at once, whoever is on the way in.
        for (asked, was) in gone.filter(|(_, was)| was.path.is_none()) {
            let sockets = was.sockets.iter().map(Arc::downgrade).collect();
            let was = Opened { sockets: Vec::new(), ..was.clone() };
            retired.insert(asked.clone(), Retired { opened: was, sockets });
        }
        for (asked, was) in self.retired.iter().filter(|(asked, _)| !opened.contains_key(asked)) {
            let (was, sockets) = (was.opened.clone(), was.sockets.clone());
            if sockets.iter().any(|socket| socket.strong_count() > 0) {
                retired.insert(asked.clone(), Retired { opened: was, sockets });
            }
        }
        Ok(Self { endpoints, workers: Arc::new(listening), opened, retired, steering, inherited })
    }

    /// Nothing, for as many workers.
    pub(super) fn none(&self) -> Self {
        Self { workers: Arc::new(vec![Vec::new(); self.workers.len()]), ..Self::default() }
    }

    /// All places, those too where there are only sessions any more.
    pub(super) fn places(&self) -> HashMap<Asked, Opened> {
        let retired = self.retired.iter().filter_map(|(asked, retired)| {
            let sockets = retired.sockets.iter().map(Weak::upgrade).collect::<Option<_>>()?;
            Some((asked.clone(), Opened { sockets, ..retired.opened.clone() }))
        });
        self.opened.iter().map(|(asked, opened)| (asked.clone(), opened.clone())).chain(retired).collect()
    }

    /// Whether there is a socket at a port, of whatever address.
    fn has_port(&self, transport: Transport, port: u16) -> bool {
        let asked = self.opened.keys().chain(self.retired.keys());
        asked.into_iter().any(|asked| {
            matches!(asked, Asked::Port { transport: its, port: at, .. } if (*its, *at) == (transport, port))
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.opened.values().map(|opened| opened.sockets.len()).sum()
    }

    /// Has those sockets that were there before set as this configuration wants them.
    pub(super) fn set(&mut self, config: &Config) -> Result<(), Error> {
        for endpoint in &self.endpoints {
            let after = &config.listeners[endpoint.listener].options;
            let Some(opened) = self.opened.get_mut(&endpoint.asked) else { continue };
            let is_ours = !matches!(endpoint.asked, Asked::Inherited(_));
            if opened.transport == Transport::Tcp && is_ours && opened.options != *after {
                let is_path = matches!(endpoint.asked, Asked::Path(_));
                for socket in &opened.sockets {
                    set_anew(&**socket, &opened.options, after, is_path)
                        .map_err(|error| Error::Listen { place: endpoint.place.to_string(), error })?;
                }
            }
            opened.options = after.clone();
        }
        Ok(())
    }
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

impl Opening<'_> {
    /// A port of its own: the sockets there are, or new ones.
    fn open_port(
        &mut self,
        index: usize,
        transport: Transport,
        address: Option<IpAddr>,
        port: u16,
    ) -> Result<(), Error> {
        let (asked, opened) = self.port(index, transport, address, port)?;
        let place = opened.place.clone();
        self.add(index, asked, place, opened);
        Ok(())
    }

    fn port(
        &mut self,
        index: usize,
        transport: Transport,
        address: Option<IpAddr>,
        port: u16,
    ) -> Result<(Asked, Opened), Error> {
        let count = match port {
            0 => {
                let next = self.chosen.entry((transport, address)).or_default();
                *next += 1;
                *next
            }
            _ => 0,
        };
        let options = &self.config.listeners[index].options;
        let asked = Asked::Port { transport, address, port, count };
        let opened = match self.there_is(&asked)? {
            Some(opened) => opened,
            None => {
                // A place of ours that goes, such as all addresses, may be in the way: then they share the port so long.
                let share = port != 0 && self.before.has_port(transport, port);
                let (at, sockets) = open_at(options, transport, address, port, self.workers, share)?;
                self.fresh(transport, ListenPlace::Internet(at), sockets, options, None)
            }
        };
        Ok((asked, opened))
    }

    fn fresh(
        &self,
        transport: Transport,
        place: ListenPlace,
        sockets: Vec<OwnedFd>,
        options: &SocketOptions,
        path: Option<Arc<PathGuard>>,
    ) -> Opened {
        let sockets = sockets.into_iter().map(Arc::new).collect();
        Opened { transport, place, sockets, options: options.clone(), path, sessions: Arc::default() }
    }

    /// What is there already.
    fn there_is(&self, asked: &Asked) -> Result<Option<Opened>, Error> {
        if let Some(opened) = self.before.opened.get(asked) {
            return Ok(Some(opened.clone()));
        }
        let Some(retired) = self.before.retired.get(asked) else { return Ok(None) };
        let sockets: Vec<_> = retired.sockets.iter().map(Weak::upgrade).collect();
        if sockets.iter().all(Option::is_none) {
            return Ok(None);
        }
        // A worker may have closed its own a moment ago.
        let ListenPlace::Internet(at) = retired.opened.place else { return Ok(None) };
        let again = |socket: Option<Arc<OwnedFd>>| match socket {
            Some(socket) => Ok(socket),
            None => {
                let Opened { options, transport, .. } = &retired.opened;
                let socket = bind(options, *transport, at, true).and_then(|socket| match transport {
                    Transport::Tcp => listen(&socket, options).map(|()| socket),
                    Transport::Udp => Ok(socket),
                });
                let socket = socket.map(|socket| Arc::new(OwnedFd::from(socket)));
                socket.map_err(|error| Error::Listen { place: at.to_string(), error })
            }
        };
        let sockets = sockets.into_iter().map(again).collect::<Result<_, _>>()?;
        Ok(Some(Opened { sockets, ..retired.opened.clone() }))
    }

    fn open_path(&mut self, index: usize, path: &Path) -> Result<(), Error> {
        let options = &self.config.listeners[index].options;
        let asked = Asked::Path(path.to_owned());
        let place = ListenPlace::Unix(path.to_owned());
        if self.opened.contains_key(&asked) {
            return Err(Error::Listen { place: place.to_string(), error: io::ErrorKind::AddrInUse.into() });
        }
        let opened = match self.there_is(&asked)? {
            Some(opened) => opened,
            None => {
                let sockets = listen_at(path, options)
                    .and_then(|socket| shared(socket, self.workers))
                    .map_err(|error| Error::Listen { place: place.to_string(), error })?;
                let guard = Some(PathGuard::new(path));
                self.fresh(Transport::Tcp, place.clone(), sockets, options, guard)
            }
        };
        self.add(index, asked, place, opened);
        Ok(())
    }

    fn take_inherited(&mut self, index: usize, name: &str) -> Result<(), Error> {
        let asked = Asked::Inherited(name.to_owned());
        if let Some(opened) = self.there_is(&asked)? {
            let place = opened.place.clone();
            self.add(index, asked, place, opened);
            return Ok(());
        }
        let problem = |problem: String| Error::Inherited { name: name.to_owned(), problem };
        let inherited = &*self.inherited;
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
            Type::STREAM => (Transport::Tcp, self.workers),
            // Two workers would each have a session for one client.
            Type::DGRAM => (Transport::Udp, 1),
            _ => return Err(problem("it takes neither connections nor datagrams".to_owned())),
        };
        if transport == Transport::Udp {
            prepare_udp(&socket, &address).map_err(|error| problem(error.to_string()))?;
        }
        let sockets = shared(socket, count).map_err(|error| problem(error.to_string()))?;
        let options = &self.config.listeners[index].options;
        let opened = self.fresh(transport, place.clone(), sockets, options, None);
        self.add(index, asked, place, opened);
        Ok(())
    }

    /// Gives each worker its socket. A process with another number of workers may have opened them: then a worker has several,
    /// or several share one; but of datagrams only one has a socket, since it has the sessions.
    fn add(&mut self, index: usize, asked: Asked, place: ListenPlace, opened: Opened) {
        let port = match &place {
            ListenPlace::Internet(address) => address.port(),
            // Of many, each connection knows its own.
            ListenPlace::Many { .. } | ListenPlace::Unix(_) => 0,
        };
        let endpoint = Arc::new(Endpoint {
            transport: opened.transport,
            place,
            port,
            listener: index,
            asked: asked.clone(),
            sessions: Arc::clone(&opened.sessions),
        });
        let give = |listening: &mut Vec<Listening>, socket: &Arc<OwnedFd>| {
            let (endpoint, socket) = (Arc::clone(&endpoint), Arc::clone(socket));
            listening.push(Listening { endpoint, socket, retired: None, service: None });
        };
        let workers = self.workers;
        for (number, socket) in opened.sockets.iter().enumerate() {
            give(&mut self.listening[number % workers], socket);
        }
        if opened.transport == Transport::Tcp {
            for (number, listening) in self.listening.iter_mut().enumerate().skip(opened.sockets.len()) {
                give(listening, &opened.sockets[number % opened.sockets.len()]);
            }
        }
        self.endpoints.push(endpoint);
        self.opened.insert(asked, opened);
    }
}
