//! `wharf proxy`: pass on TCP connections and UDP datagrams, by port.

mod successor;

use crate::args;
use crate::cores::{self, CoreList};
use crate::exit::{self, Outcome, TABLE, tell};
use crate::print::print;
use crate::signals;
use anyhow::Context;
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wharf::engine::Shutdown;
use wharf::proxy::config::{
    Balance, Bind, Config, Limits, Listener, Server, SocketOptions, Timeouts, Transport, Upstream,
};
use wharf::proxy::{Level, Proxy};
use wharf::sys::privileges::User;

/// Pass on TCP connections and UDP datagrams, by port, to servers.
///
/// RULE says where to listen: tcp/8080, udp/53, any/53 (both), tcp/20000-29999, tcp/80,443; with an address in front
/// 127.0.0.1:tcp/80 or [::1]:udp/53, without one on all of the host, IPv4 and IPv6. unix:PATH is a stream socket, fd:NAME one that
/// systemd has opened (LISTEN_FDS). Where two rules name a port, the first one has it. UPSTREAM is one server or several, with
/// commas: 10.0.0.1:80, [2001:db8::1]:80, app.example:80, unix:/run/app.sock. A server without a port has the one that
/// the client came to.
///
/// A configuration file (--config) has more: routes by what a client says and who it is, PROXY headers, health checks, limits of
/// clients, an address for metrics, an access log. SIGHUP has it read again, and leaves what is open where it is.
///
/// SIGUSR2 starts the program anew, by the same path and arguments, and hands it the sockets and the UDP sessions: nobody is
/// refused, and this process ends when its TCP connections have (--drain). Should the new one not come to work, nothing changes.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf proxy --listen tcp/8080=10.0.0.1:80,10.0.0.2:80
  wharf proxy --listen udp/53=10.0.0.53 --listen tcp/53=10.0.0.53
  wharf proxy --listen 127.0.0.1:tcp/20000-29999=10.0.0.7 --cores 0-3
  wharf proxy --check proxy.toml                 is the configuration right?
  wharf proxy --config proxy.toml -Z nobody      run it, without root's rights once all sockets are bound
  wharf proxy --listen unix:/run/db.sock=db.example:5432 --connect-timeout 2s

{TABLE}"))]
pub(crate) struct ProxyArgs {
    /// Pass on what comes to RULE to UPSTREAM; may be given many times
    #[arg(long, value_name = "RULE=UPSTREAM", required_unless_present_any = ["config", "check"])]
    listen: Vec<Listen>,

    /// Do what FILE says, in TOML; SIGHUP has it read again
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["listen", "balance", "cores", "connect_timeout", "tcp_timeout", "udp_timeout", "drain"])]
    #[arg(conflicts_with_all = ["keep_alive", "max_connections", "max_sessions", "attempts"])]
    #[arg(conflicts_with_all = ["backlog", "defer_accept", "fast_open", "delay", "socket_per_port"])]
    config: Option<PathBuf>,

    /// Say whether FILE is a right configuration, and what is wrong where, and do nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "listen"])]
    check: Option<PathBuf>,

    /// Go on as USER, with the user's groups and no capabilities, once all sockets are bound
    ///
    /// Needs root to begin with.
    #[arg(short = 'Z', long, value_name = "USER")]
    relinquish_privileges: Option<String>,

    /// Tell nothing below this level while it runs: info or warning
    #[arg(long, value_name = "LEVEL", default_value = "info", hide_possible_values = true)]
    log_level: LogLevel,

    /// How a server is chosen: in turn, the one with the fewest connections, or by the client's address
    #[arg(long, value_name = "HOW", default_value = "round-robin")]
    balance: BalanceName,

    /// Run a worker on each of these CPUs, such as 0-3,5 [default: one for each CPU, wherever it is put]
    #[arg(long, value_name = "LIST", value_parser = cores::list)]
    cores: Option<CoreList>,

    /// Print the account at the end as JSON on standard output
    #[arg(long)]
    json: bool,

    /// Give a server so long to accept a connection before the next one is tried
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time, help_heading = "Timeouts")]
    connect_timeout: Duration,

    /// Close a TCP connection when nothing came either way for so long; 0 for never
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time_or_none, help_heading = "Timeouts")]
    tcp_timeout: Duration,

    /// Forget a UDP client when nothing came either way for so long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = time, help_heading = "Timeouts")]
    udp_timeout: Duration,

    /// At the end (^C, SIGTERM) wait so long for open connections
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time_or_none, help_heading = "Timeouts")]
    drain: Duration,

    /// Probe silent TCP peers after so long (SO_KEEPALIVE)
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Timeouts")]
    keep_alive: Option<Duration>,

    /// Have at most N TCP connections open; others wait [default: as many as descriptors allow]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,

    /// Have at most N UDP clients at a time; the one silent longest makes room [default: as descriptors allow]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_sessions: Option<u32>,

    /// Try at most N servers for one connection
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Limits")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    attempts: u8,

    /// Let N connections wait for each worker to accept them; the kernel's net.core.somaxconn bounds it
    #[arg(long, value_name = "N", default_value_t = 4096, help_heading = "Sockets")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    backlog: u32,

    /// Take a client on with its first bytes only, or after SECONDS (TCP_DEFER_ACCEPT); not where servers speak first
    #[arg(long, value_name = "SECONDS", help_heading = "Sockets")]
    defer_accept: Option<u32>,

    /// Take data with a client's first segment, of at most N at a time (TCP_FASTOPEN)
    #[arg(long, value_name = "N", help_heading = "Sockets")]
    fast_open: Option<u32>,

    /// Let the kernel gather small pieces before it sends them (Nagle's algorithm)
    #[arg(long, help_heading = "Sockets")]
    delay: bool,

    /// Open a socket for each port, even where the ports of a long range could share one
    #[arg(long, help_heading = "Sockets")]
    socket_per_port: bool,
}

/// `RULE=UPSTREAM`.
#[derive(Clone, Debug)]
struct Listen {
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
        let servers: Vec<_> = servers.collect::<Result<_, _>>()?;
        let to_path = |server: &Server| server.place.to_string().starts_with("unix:");
        if bind.transports().contains(&Transport::Udp) && servers.iter().any(to_path) {
            return Err("datagrams cannot go to a stream socket in the file system".to_owned());
        }
        Ok(Self { bind, servers })
    }
}

/// The names of [`Level`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum LogLevel {
    Info,
    Warning,
}

impl LogLevel {
    fn of(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
        }
    }
}

/// The names of [`Balance`].
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum BalanceName {
    RoundRobin,
    LeastConnections,
    ConsistentHash,
}

/// Reads `500ms`, `5s`, `10m`, `1h`.
fn time(text: &str) -> Result<Duration, String> {
    time_or_none(text).and_then(|time| match time.is_zero() {
        true => Err("it cannot be 0".to_owned()),
        false => Ok(time),
    })
}

/// The same, or 0.
fn time_or_none(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "" if number == "0" => Some(0),
        _ => None,
    };
    let time =
        number.parse::<u64>().ok().zip(milliseconds).and_then(|(number, unit)| number.checked_mul(unit));
    time.map(Duration::from_millis).ok_or_else(|| "not a time such as 500ms, 5s, 10m or 1h".to_owned())
}

/// Reads a configuration file.
fn read_config(path: &Path) -> anyhow::Result<Config> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Config::from_toml(&text).map_err(|error| args::usage(&format!("{name}, {error}")).into())
}

impl ProxyArgs {
    fn config(&self) -> anyhow::Result<Config> {
        match &self.config {
            Some(path) => read_config(path),
            None => Ok(self.config_of_options()),
        }
    }

    fn config_of_options(&self) -> Config {
        let options = SocketOptions {
            backlog: self.backlog,
            defer_accept: self.defer_accept,
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
        let listeners = self.listen.iter().enumerate().map(|(upstream, listen)| Listener {
            options: options.clone(),
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
            cores: self.cores.as_ref().map_or_else(Vec::new, |cores| cores.0.clone()),
            ..Config::default()
        }
    }
}

/// Places named at the start; of a long range the rest is counted.
const NAMED: usize = 16;

pub(crate) fn run(arguments: ProxyArgs) -> anyhow::Result<Outcome> {
    if let Some(path) = &arguments.check {
        let config = read_config(path)?;
        print(format!(
            "{}: right: {} listeners, {} upstreams\n",
            path.display(),
            config.listeners.len(),
            config.upstreams.len()
        ))?;
        return Ok(Outcome::Done);
    }
    let user = arguments.relinquish_privileges.as_deref().map(User::named).transpose().context("-Z")?;
    // Each connection takes two descriptors: all that are allowed, then.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let shutdown = Shutdown::default();
    let reload = Arc::new(AtomicBool::new(false));
    if arguments.config.is_some() {
        signals::install_for(&shutdown, &[SIGINT, SIGTERM])?;
        signal_hook::flag::register(SIGHUP, Arc::clone(&reload)).context("cannot handle SIGHUP")?;
    } else {
        signals::install(&shutdown)?;
    }
    let upgrade = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGUSR2, Arc::clone(&upgrade)).context("cannot handle SIGUSR2")?;
    let mut woken = wake_on_signals().context("cannot wait for signals")?;
    // Where it is by now: a new version may take its place.
    let program = std::env::current_exe();
    let config = arguments.config()?;
    if user.is_some() && config.upstreams.iter().any(|upstream| upstream.transparent) {
        return Err(args::usage(
            "-Z gives up CAP_NET_ADMIN, which `transparent` needs as long as the proxy runs: in a systemd unit have User= and AmbientCapabilities=CAP_NET_ADMIN instead",
        )
        .into());
    }
    let proxy = match successor::predecessor()? {
        Some(predecessor) => Proxy::take_over(&config, predecessor)?,
        None => Proxy::bind(&config)?,
    };
    if let Some(user) = user
        // One that takes another's place is so already.
        && !user.is_in_force().unwrap_or(false)
    {
        user.become_for_good().context("-Z")?;
    }
    let workers = proxy.workers();
    for (transport, place) in proxy.places().take(NAMED) {
        let transport = if transport == Transport::Tcp { "tcp" } else { "udp" };
        tell(&format!("listening on {transport} {place}"));
    }
    match proxy.places().count().saturating_sub(NAMED) {
        0 => {}
        more => tell(&format!("and on {more} more")),
    }
    if let Some(address) = proxy.admin_address() {
        tell(&format!("metrics and status at http://{address}"));
    }
    let level = arguments.log_level;
    let mut running = proxy.start_with(move |notice| say(level, notice.level(), &notice.to_string()))?;
    tell(&format!("{workers} {} at work", if workers == 1 { "worker" } else { "workers" }));
    successor::tell_manager("READY=1");
    let mut handed_over = false;
    while !handed_over && !shutdown.requested() && !running.is_finished() {
        match woken.read(&mut [0; 16]) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => break,
            _ => {}
        }
        if reload.swap(false, Ordering::Relaxed)
            && let Some(path) = &arguments.config
        {
            match read_config(path).and_then(|config| Ok(running.reload(&config)?)) {
                Ok(()) => say(level, Level::Info, &format!("{} is in force", path.display())),
                Err(error) => {
                    say(
                        level,
                        Level::Warning,
                        &format!("not reloaded, all stays as it was: {}", exit::told(&error)),
                    );
                }
            }
        }
        if upgrade.swap(false, Ordering::Relaxed) {
            match successor::start(&program, &mut running, &shutdown) {
                Ok(process) => {
                    say(level, Level::Info, &format!("process {process} has taken over"));
                    handed_over = true;
                }
                Err(error) => {
                    let what = format!("not handed over, all stays as it was: {}", exit::told(&error));
                    say(level, Level::Warning, &what);
                }
            }
        }
    }
    if !handed_over {
        successor::tell_manager("STOPPING=1");
    }
    running.stop();
    let totals = running.wait()?;
    for line in totals.to_string().lines() {
        tell(line);
    }
    if arguments.json {
        print(serde_json::to_string(&totals)? + "\n")?;
    }
    Ok(Outcome::Done)
}

/// Tells something, unless it matters too little.
fn say(least: LogLevel, level: Level, what: &str) {
    if LogLevel::of(level) >= least {
        tell(&format!("{}: {what}", level.name()));
    }
}

/// A stream that has a byte in it when a signal came that ends us.
fn wake_on_signals() -> anyhow::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    // Now and then it is looked whether the workers still work.
    read.set_read_timeout(Some(Duration::from_secs(1)))?;
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR2] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, milliseconds) in [("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(milliseconds)));
        }
        assert_eq!(time_or_none("0"), Ok(Duration::ZERO));
        for text in
            ["", "5", "s", "-1s", "1.5s", "0", "0s", "5 s", "99999999999999999999h", "18446744073709551615h"]
        {
            assert!(time(text).is_err(), "{text:?}");
        }
    }

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
