//! What a proxy is to do, as passive data: nothing here opens, resolves or checks anything.

mod bind;
pub(super) mod check;
mod file;
mod timeouts;
mod upstream;

pub use bind::{Bind, BindError, Transport};
pub use file::FileError;
pub use timeouts::{Limits, Timeouts};
pub use upstream::{Balance, Ejection, HealthCheck, Place, Probe, Server, Upstream};

use super::detect::Condition;
use super::network::Network;
use crate::ValueError;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A whole proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What it listens on. Where two name one port, the first has it.
    pub listeners: Vec<Listener>,
    /// Where connections go; routes name them by their place here.
    pub upstreams: Vec<Upstream>,
    /// How long it waits for what.
    pub timeouts: Timeouts,
    /// How much it takes on.
    pub limits: Limits,
    /// Where it tells how it is doing; `None`: nowhere.
    pub admin: Option<Admin>,
    /// A file that gets a line of JSON for every connection and session that ended; `-` for standard output.
    pub access_log: Option<PathBuf>,
    /// The CPUs to work on, a worker on each; empty: one worker for each CPU the process may use, wherever it runs.
    pub cores: Vec<usize>,
}

/// Metrics and status, over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Whoever can connect here can read them.
    pub listen: SocketAddr,
}

/// An address and a port, or a port alone, which is one of loopback.
///
/// ```
/// use wharf::proxy::config::Admin;
/// assert_eq!("9901".parse::<Admin>(), "127.0.0.1:9901".parse());
/// assert!("localhost:9901".parse::<Admin>().is_err());
/// ```
impl FromStr for Admin {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let port = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listen = text.parse().ok().or_else(|| text.parse().ok().map(port));
        listen.map(|listen| Self { listen }).ok_or_else(|| {
            ValueError(format!("`{text}` is no place for metrics: an address and a port such as 127.0.0.1:9901, or a port of loopback"))
        })
    }
}

/// Ports (or paths) and what becomes of those who connect there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// For logs and metrics.
    pub name: String,
    /// Where it listens.
    pub binds: Vec<Bind>,
    /// How its sockets are set.
    pub options: SocketOptions,
    /// Tried in order, the first that fits decides. A listener with routes that all fit anything needs to wait for no
    /// byte of the client.
    pub routes: Vec<Route>,
    /// Connections from these networks begin with a PROXY header (version 1 or 2), which says who the client is. Others
    /// are their own clients, whatever they say.
    pub accept_proxy: Vec<Network>,
    /// A client that has said nothing for so long is taken for one whose server speaks first, and gets the first route
    /// that fits anything.
    pub detect_timeout: Duration,
}

impl Listener {
    /// How long a client may be silent before its server is thought to speak first, unless it is said otherwise.
    pub const DETECT_TIMEOUT: Duration = Duration::from_secs(3);

    /// A listener with default options whose clients all go to one upstream, by its place in [`Config::upstreams`].
    #[must_use]
    pub fn on(bind: Bind, upstream: usize) -> Self {
        let route = Route { name: String::new(), condition: Condition::default(), upstream };
        Self {
            name: bind.to_string(),
            binds: vec![bind],
            options: SocketOptions::default(),
            routes: vec![route],
            accept_proxy: Vec::new(),
            detect_timeout: Self::DETECT_TIMEOUT,
        }
    }
}

/// How listening sockets are set, and with TCP the connections accepted there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// A process that is upgraded may know fewer of them than the one that takes its place.
#[serde(default)]
pub struct SocketOptions {
    /// Connections that wait to be accepted, for each worker; the kernel bounds it by `net.core.somaxconn`.
    pub backlog: u32,
    /// Wait for the client's first bytes before it is accepted, at most so many seconds (`TCP_DEFER_ACCEPT`).
    /// Not for protocols whose server speaks first.
    pub defer_accept: Option<u32>,
    /// Take data from clients that connect with it, at most so many of them pending (`TCP_FASTOPEN`).
    pub fast_open: Option<u32>,
    /// Probe a silent peer after so long (`SO_KEEPALIVE`, `TCP_KEEPIDLE`), towards clients and servers.
    pub keep_alive: Option<Duration>,
    /// Send at once what is there (`TCP_NODELAY`), towards clients and servers.
    pub no_delay: bool,
    /// TCP ports of a long range share a socket, where kernel and privileges allow (`sk_lookup`, Linux 5.9; `CAP_BPF` and
    /// `CAP_NET_ADMIN`). Without, each has its own; nothing else is different.
    pub share_sockets: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            backlog: 4096,
            defer_accept: None,
            fast_open: None,
            keep_alive: None,
            no_delay: true,
            share_sockets: true,
        }
    }
}

/// Where a connection goes that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// For logs and metrics.
    pub name: String,
    /// Whom it is for.
    pub condition: Condition,
    /// Its place in [`Config::upstreams`].
    pub upstream: usize,
}
