//! What all workers of a proxy have in common.

use super::config::{Config, Limits, Timeouts, Transport};
use super::counters::{Counters, Totals};
use super::error::Error;
use super::resolved;
use super::upstream::Upstream;
use crossbeam::utils::CachePadded;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Where clients come in, and where they go from there.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) transport: Transport,
    pub(super) place: ListenPlace,
    /// Of the place; 0 of a path.
    pub(super) port: u16,
    pub(super) upstream: usize,
    pub(super) no_delay: bool,
    pub(super) keep_alive: Option<Duration>,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenPlace {
    /// An address and a port of the host.
    Internet(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

impl fmt::Display for ListenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    /// Each worker's.
    pub(super) counters: Vec<CachePadded<Counters>>,
    /// The proxy is to end.
    pub(super) stop: AtomicBool,
}

impl Shared {
    pub(super) fn new(config: &Config, endpoints: Vec<Endpoint>, workers: usize) -> Result<Self, Error> {
        Ok(Self {
            endpoints,
            upstreams: config.upstreams.iter().map(resolved::upstream).collect::<Result<_, _>>()?,
            timeouts: config.timeouts.clone(),
            limits: config.limits.clone(),
            counters: (0..workers).map(|_| CachePadded::default()).collect(),
            stop: AtomicBool::new(false),
        })
    }

    pub(super) fn totals(&self) -> Totals {
        self.counters.iter().map(|counters| counters.read()).sum()
    }
}
