//! What all workers of a proxy have in common.

use super::access_log::AccessLog;
use super::config::Transport;
use super::counters::{Counters, Totals};
use super::listen::{Asked, Opened, Sessions};
use super::plan::{Plan, Published};
use crossbeam::utils::CachePadded;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::{Add, RangeInclusive};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

/// Where clients come in, and where they go from there.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// By what its sockets are known.
    pub(super) asked: Asked,
    pub(super) sessions: Arc<Sessions>,
    pub(super) transport: Transport,
    pub(super) place: ListenPlace,
    /// Of the place; 0 of a path, and where it has many.
    pub(super) port: u16,
    /// The listener's place in the configuration, and so in the plan.
    pub(super) listener: usize,
}

impl Endpoint {
    /// Where clients come in, as far as the socket knows.
    pub(super) fn address(&self) -> SocketAddr {
        match self.place {
            ListenPlace::Internet(address) => address,
            ListenPlace::Many { address, .. } => SocketAddr::new(address, self.port),
            ListenPlace::Unix(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        }
    }

    /// Of sockets whose place nobody asks for any more.
    pub(super) fn retired(asked: &Asked, opened: &Opened) -> Self {
        Self {
            asked: asked.clone(),
            sessions: Arc::clone(&opened.sessions),
            transport: opened.transport,
            place: opened.place.clone(),
            port: match opened.place {
                ListenPlace::Internet(address) => address.port(),
                ListenPlace::Many { .. } | ListenPlace::Unix(_) => 0,
            },
            listener: 0,
        }
    }
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListenPlace {
    /// An address and a port of the host.
    Internet(SocketAddr),
    /// An address and many ports of it, which share a socket.
    Many {
        /// All of the host's where it is unspecified.
        address: IpAddr,
        /// In order; each has its start no greater than its end.
        ranges: Vec<RangeInclusive<u16>>,
    },
    /// A path.
    Unix(PathBuf),
}

impl fmt::Display for ListenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(f),
            Self::Many { address, ranges } => {
                match address {
                    IpAddr::V4(address) => write!(f, "{address}:")?,
                    IpAddr::V6(address) => write!(f, "[{address}]:")?,
                }
                for (index, range) in ranges.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    match range.start() == range.end() {
                        true => write!(f, "{comma}{}", range.start())?,
                        false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
                    }
                }
                Ok(())
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    /// What the workers go by.
    pub(super) plan: Published<Plan>,
    /// What ended is told there.
    pub(super) access_log: Option<AccessLog>,
    /// Each worker's.
    pub(super) counters: Vec<CachePadded<Counters>>,
    /// What the process counted whose place this one has taken.
    pub(super) before: OnceLock<Totals>,
    /// Which version of the plan each worker goes by.
    pub(super) followed: Vec<CachePadded<AtomicU64>>,
    /// The proxy is to end.
    pub(super) stop: AtomicBool,
}

impl Shared {
    pub(super) fn new(plan: Plan, log: Option<AccessLog>, workers: usize) -> Self {
        Self {
            plan: Published::new(plan),
            access_log: log,
            counters: (0..workers).map(|_| CachePadded::default()).collect(),
            before: OnceLock::new(),
            followed: (0..workers).map(|_| CachePadded::default()).collect(),
            stop: AtomicBool::new(false),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let before = self.before.get().copied().unwrap_or_default();
        self.counters.iter().map(|counters| counters.read()).fold(before, Add::add)
    }
}
