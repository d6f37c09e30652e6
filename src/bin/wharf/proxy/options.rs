//! What the command line says, and the configuration that comes of it.

use crate::args;
use crate::cores::{self, CoreList};
use crate::exit::TABLE;
use crate::time::{time, time_or_zero, with_unit};
use anyhow::Context;
use clap::Args;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use wharf::proxy::Level;
use wharf::proxy::config::{
    Admin, Balance, Bind, Config, Limits, Listener, Server, SocketOptions, Timeouts, Transport, Upstream,
};

/// Pass on TCP connections and UDP datagrams, by port, to servers.
///
/// RULE says where to listen: tcp/8080, udp/53, any/53 (both), tcp/20000-29999, tcp/80,443; with an address in front
/// 127.0.0.1:tcp/80 or [::1]:udp/53, without one on all of the host, IPv4 and IPv6 (0.0.0.0 or [::]: one of them).
/// unix:PATH is a stream socket, fd:NAME one that systemd has opened (LISTEN_FDS). Where two rules name a port, the
/// first one has it. UPSTREAM is one server or several, with commas: 10.0.0.1:80, [2001:db8::1]:80, app.example:80,
/// unix:/run/app.sock. A server without a port has the one that the client came to.
///
/// A configuration file (--config) has more: routes by what a client says and who it is, PROXY headers, health
/// checks, limits of clients, an address for metrics, an access log. SIGHUP has it read again, and leaves what is
/// open where it is.
///
/// SIGUSR2 starts the program anew, by the same path and arguments, and hands it the sockets and the UDP sessions:
/// nobody is refused, and this process ends when its TCP connections have (--drain). Should the new one not come to
/// work, nothing changes.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf proxy --listen tcp/8080=10.0.0.1:80,10.0.0.2:80
  wharf proxy --listen udp/53=10.0.0.53 --listen tcp/53=10.0.0.53
  wharf proxy --listen 127.0.0.1:tcp/20000-29999=10.0.0.7 --cores 0-3
  wharf proxy --check proxy.toml              is the configuration right?
  wharf proxy --config proxy.toml -Z nobody   and not as root, once it listens
  wharf proxy --listen unix:/run/db.sock=db.example:5432 --connect-timeout 2s
  wharf proxy --listen tcp/80=10.0.0.7 --admin 9901 --access-log access.jsonl

{TABLE}"))]
pub(crate) struct ProxyArgs {
    /// Pass on what comes to RULE to UPSTREAM; may be given many times
    #[arg(long, value_name = "RULE=UPSTREAM")]
    pub(super) listen: Vec<Listen>,

    /// Do what FILE says, in TOML; SIGHUP has it read again
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["listen", "balance", "cores", "connect_timeout", "tcp_timeout", "udp_timeout", "drain"])]
    #[arg(conflicts_with_all = ["keep_alive", "max_connections", "max_sessions", "attempts"])]
    #[arg(conflicts_with_all = ["backlog", "defer_accept", "fast_open", "delay", "socket_per_port", "admin", "access_log"])]
    pub(super) config: Option<PathBuf>,

    /// Say whether FILE is a right configuration, and what is wrong where, and do nothing else
    #[arg(long, value_name = "FILE", exclusive = true)]
    pub(super) check: Option<PathBuf>,

    /// Go on as USER, with the user's groups and no capabilities, once all sockets are bound
    ///
    /// Needs root to begin with.
    #[arg(short = 'Z', long, value_name = "USER")]
    pub(super) relinquish_privileges: Option<String>,

    /// Have metrics (/metrics, for Prometheus), the status (/status, JSON) and /health at ADDRESS:PORT, or a PORT of
    /// loopback
    #[arg(long, value_name = "ADDRESS")]
    pub(super) admin: Option<Admin>,

    /// Append a line of JSON to FILE for every connection and session that ended; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(super) access_log: Option<PathBuf>,

    /// Tell what happens as text, or as JSON, a line each with its time, level and message
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,

    /// Tell nothing below this level while it runs: info or warning
    #[arg(long, value_name = "LEVEL", default_value = "info", hide_possible_values = true)]
    pub(super) log_level: LogLevel,

    /// How a server is chosen: in turn, the one with the fewest connections, or by the client's address
    #[arg(long, value_name = "HOW", default_value = "round-robin")]
    pub(super) balance: BalanceName,

    /// Run a worker on each of these CPUs, such as 0-3,5 [default: one for each CPU, wherever it is put]
    #[arg(long, value_name = "LIST", value_parser = cores::list)]
    pub(super) cores: Option<CoreList>,

    /// Print the account at the end as JSON on standard output
    #[arg(long)]
    pub(super) json: bool,

    /// Give a server so long to accept a connection before the next one is tried
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = with_unit(time), help_heading = "Timeouts")]
    pub(super) connect_timeout: Duration,

    /// Close a TCP connection when nothing came either way for so long; 0 for never
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = with_unit(time_or_zero), help_heading = "Timeouts")]
    pub(super) tcp_timeout: Duration,

    /// Forget a UDP client when nothing came either way for so long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = with_unit(time), help_heading = "Timeouts")]
    pub(super) udp_timeout: Duration,

    /// At the end (^C, SIGTERM) wait so long for open connections, and for UDP clients to be silent for a second
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = with_unit(time_or_zero), help_heading = "Timeouts")]
    pub(super) drain: Duration,

    /// Probe silent TCP peers after so long (SO_KEEPALIVE)
    #[arg(long, value_name = "TIME", value_parser = with_unit(time), help_heading = "Timeouts")]
    pub(super) keep_alive: Option<Duration>,

    /// Have at most N TCP connections open; others wait [default: as many as descriptors allow]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_connections: Option<u32>,

    /// Have at most N UDP clients at a time; the one silent longest makes room [default: as descriptors allow]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_sessions: Option<u32>,

    /// Try at most N servers for one connection
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Limits")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub(super) attempts: u8,

    /// Let N connections wait for each worker to accept them; the kernel's net.core.somaxconn bounds it
    #[arg(long, value_name = "N", default_value_t = 4096, help_heading = "Sockets")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) backlog: u32,

    /// Take a client on with its first bytes only, or after so long, in whole seconds (TCP_DEFER_ACCEPT); not where servers
    /// speak first
    #[arg(long, value_name = "TIME", value_parser = with_unit(time), help_heading = "Sockets")]
    pub(super) defer_accept: Option<Duration>,

    /// Take data with a client's first segment, of at most N at a time (TCP_FASTOPEN)
    #[arg(long, value_name = "N", help_heading = "Sockets")]
    pub(super) fast_open: Option<u32>,

    /// Let the kernel gather small pieces before it sends them (Nagle's algorithm)
    #[arg(long, help_heading = "Sockets")]
    pub(super) delay: bool,

    /// Open a socket for each port, even where the ports of a long range could share one
    #[arg(long, help_heading = "Sockets")]
    pub(super) socket_per_port: bool,
}

/// `RULE=UPSTREAM`.
#[derive(Clone, Debug)]
pub(super) struct Listen {
    bind: Bind,
    servers: Vec<Server>,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rule, upstream) =
            text.split_once('=').ok_or("expected RULE=UPSTREAM, such as tcp/8080=10.0.0.1:80")?;
        let bind: Bind = rule.parse().map_err(|error: wharf::proxy::config::BindError| error.to_string())?;
        let servers = upstream.split(',').map(|server| server.parse().map(Server::at));
        let servers: Vec<_> =
            servers.collect::<Result<_, _>>().map_err(|error: wharf::ValueError| error.to_string())?;
        let to_path = |server: &Server| server.place.to_string().starts_with("unix:");
        if bind.transports().contains(&Transport::Udp) && servers.iter().any(to_path) {
            return Err("datagrams cannot go to a stream socket in the file system".to_owned());
        }
        Ok(Self { bind, servers })
    }
}

/// The names of [`Level`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum LogLevel {
    Info,
    Warning,
}

impl LogLevel {
    pub(super) fn of(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
        }
    }
}

/// How it is told what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// The names of [`Balance`].
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum BalanceName {
    RoundRobin,
    LeastConnections,
    ConsistentHash,
}

/// Reads a configuration file.
pub(super) fn read_config(path: &Path) -> anyhow::Result<Config> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Config::from_toml(&text).map_err(|error| args::of_a_file(&format!("{name}, {error}")).into())
}

impl ProxyArgs {
    /// What a file says, or the options.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        match &self.config {
            Some(path) => read_config(path),
            None => Ok(self.config_of_options()),
        }
    }

    fn config_of_options(&self) -> Config {
        let options = SocketOptions {
            backlog: self.backlog,
            // As in a file: a part of a second is none to the kernel, and 0 would be off.
            defer_accept: self
                .defer_accept
                .map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)),
            fast_open: self.fast_open,
            keep_alive: self.keep_alive,
            no_delay: !self.delay,
            share_sockets: !self.socket_per_port,
        };
        let balance = match self.balance {
            BalanceName::RoundRobin => Balance::RoundRobin,
            BalanceName::LeastConnections => Balance::LeastConnections,
            BalanceName::ConsistentHash => Balance::ConsistentHash,
        };
        // Of several listeners those that take datagrams, or are paths, have no use for some of them.
        let is_tcp = |listen: &Listen| {
            !matches!(listen.bind, Bind::Unix(_)) && listen.bind.transports() != [Transport::Udp]
        };
        let has_tcp = self.listen.iter().any(is_tcp);
        let options_of = |listen: &Listen| match is_tcp(listen) || !has_tcp {
            true => options.clone(),
            false => SocketOptions { defer_accept: None, fast_open: None, ..options.clone() },
        };
        let listeners = self.listen.iter().enumerate().map(|(upstream, listen)| Listener {
            options: options_of(listen),
            ..Listener::on(listen.bind.clone(), upstream)
        });
        let upstreams = self.listen.iter().map(|listen| Upstream {
            name: listen.bind.to_string(),
            servers: listen.servers.clone(),
            balance,
            ..Upstream::default()
        });
        let number = |limit: Option<u32>| limit.map_or(0, |limit| limit as usize);
        Config {
            listeners: listeners.collect(),
            upstreams: upstreams.collect(),
            timeouts: Timeouts {
                connect: self.connect_timeout,
                tcp_idle: self.tcp_timeout,
                udp_idle: self.udp_timeout,
                drain: self.drain,
            },
            limits: Limits {
                connections: number(self.max_connections),
                sessions: number(self.max_sessions),
                attempts: self.attempts,
                ..Limits::default()
            },
            admin: self.admin,
            access_log: self.access_log.clone(),
            cores: self.cores.as_ref().map_or_else(Vec::new, |cores| cores.0.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_upstreams() {
        let listen: Listen = "127.0.0.1:tcp/80,90-92=10.0.0.1:80,[::1]:81,app:82".parse().unwrap();
        assert_eq!(listen.servers.len(), 3);
        for text in
            ["tcp/80", "tcp/80=", "tcp/80=a,", "udp/53=unix:/x", "any/53=a:1,unix:/x", "sctp/80=a", "=a"]
        {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
