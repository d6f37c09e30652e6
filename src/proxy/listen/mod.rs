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
//! | `check` | what can be told before anything is opened |
//! | `opening` | what a configuration asks for, place by place |
//! | `socket` | one socket: opened, set, set anew |
//! | `many_ports` | ranges of ports on one socket, where the kernel can (sk_lookup) |
//! | `path` | sockets in the file system, and who removes them |
//! | `sessions` | how many UDP sessions there are at a place |

mod check;
mod many_ports;
mod opening;
mod path;
mod sessions;
mod socket;

use super::config::{Bind, Config, SocketOptions, Transport};
use super::error::Error;
use super::plan::Service;
use super::shared::{Endpoint, ListenPlace};
use crate::sys::activation::Inherited;
pub(super) use check::check;
pub(super) use many_ports::Steering;
use many_ports::{Candidate, MANY};
use opening::Opening;
pub(super) use path::PathGuard;
use serde::{Deserialize, Serialize};
pub(super) use sessions::{Present, Sessions};
use socket::set_anew;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
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
        check(config)?;
        let mut taken = HashSet::new();
        let mut many = Vec::new();
        for (index, listener) in config.listeners.iter().enumerate() {
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
