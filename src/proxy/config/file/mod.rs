//! A configuration out of a TOML file. `examples/proxy.toml` has every key, with what it means.

mod raw;

use super::{
    Balance, Bind, Config, Ejection, HealthCheck, Limits, Listener, Place, Probe, Route, Server,
    SocketOptions, Timeouts, Transport, Upstream,
};
use crate::proxy::detect::{Condition, Spoken};
use crate::proxy::limits::Allowance;
use crate::proxy::proxy_protocol::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;

/// What is wrong in a configuration, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The line, from 1.
    pub line: usize,
    /// The key on it, or the table; empty where the line has none.
    pub key: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, reason } = self;
        match key.is_empty() {
            true => write!(f, "line {line}: {reason}"),
            false => write!(f, "line {line}, key `{key}`: {reason}"),
        }
    }
}

impl std::error::Error for FileError {}

impl Config {
    /// Reads a configuration.
    ///
    /// ```
    /// use wharf::proxy::config::Config;
    ///
    /// let config = Config::from_toml(r#"
    ///     [upstream.web]
    ///     servers = ["10.0.0.1:80", "10.0.0.2:80"]
    ///
    ///     [[listener]]
    ///     bind = ["tcp/8080"]
    ///     to = "web"
    /// "#)?;
    /// assert_eq!(config.upstreams[0].servers.len(), 2);
    ///
    /// let error = Config::from_toml("[upstream.web]\nservers = [\"10.0.0.1:http\"]").unwrap_err();
    /// assert_eq!(error.to_string(), "line 2, key `servers`: `10.0.0.1:http`: no port from 1 to 65535 behind the `:`");
    /// # Ok::<(), wharf::proxy::config::FileError>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_toml(text: &str) -> Result<Self, FileError> {
        let file: raw::File = toml::from_str(text).map_err(|error| {
            let place = at(text, &error.span().unwrap_or(0..0), "");
            FileError { reason: advice(error.message(), &place.key), ..place }
        })?;
        Reader { text }.config(file)
    }
}

/// TOML's own word, in those of whoever wrote the file, and what to do where it does not say.
fn advice(message: &str, key: &str) -> String {
    if key.starts_with('[') && message == "invalid type: map, expected a sequence" {
        return format!("there may be several of these: write [{key}]");
    }
    let meant = [
        ("a sequence", "a list in brackets, such as [\"…\"]"),
        ("usize", "a number from 0"),
        ("u32", "a number from 0"),
        ("u16", "a number from 0 to 65535"),
        ("u8", "a number from 0 to 255"),
    ];
    let message = meant
        .iter()
        .find_map(|(theirs, ours)| {
            Some(format!("{}expected {ours}", message.strip_suffix(&format!("expected {theirs}"))?))
        })
        .unwrap_or_else(|| message.to_owned());
    let hint = match &*message {
        _ if message.starts_with("missing field `to`") => "; it names the upstream that connections go to",
        _ if message.starts_with("missing field `bind`") => {
            "; it says what to listen on, such as [\"tcp/8080\"]"
        }
        _ if message.starts_with("missing field `servers`") => "; it lists them, such as [\"10.0.0.1:80\"]",
        _ => "",
    };
    message.lines().collect::<Vec<_>>().join(" ") + hint
}

/// An error at a place in the text.
fn at(text: &str, place: &Range<usize>, reason: impl Into<String>) -> FileError {
    let start = place.start.min(text.len());
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let here = text.lines().nth(line - 1).unwrap_or_default();
    // A list or a table over several lines: its key is on one of those above.
    let key = |line: &str| {
        let line = line.trim();
        match line.strip_prefix('[') {
            Some(_) if line.ends_with(']') && !line.contains(['"', ',', '=']) => Some(line.to_owned()),
            _ => line.split_once('=').map(|(key, _)| key.trim()).filter(|key| is_key(key)).map(str::to_owned),
        }
    };
    let above = before.lines().rev().skip(usize::from(!before.ends_with('\n') && !before.is_empty()));
    let key = key(here).or_else(|| above.map_while(|line| Some(key(line))).flatten().next());
    FileError { line, key: key.unwrap_or_default(), reason: reason.into() }
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// From what is written to what is meant.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn error<T>(&self, place: Range<usize>, reason: impl Into<String>) -> Result<T, FileError> {
        Err(at(self.text, &place, reason))
    }

    fn config(&self, file: raw::File) -> Result<Config, FileError> {
        let mut upstreams = Vec::new();
        let mut places = BTreeMap::new();
        for (name, upstream) in file.upstream {
            places.insert(name.get_ref().clone(), upstreams.len());
            upstreams.push(self.upstream(name.into_inner(), upstream)?);
        }
        if file.listener.is_empty() {
            return self.error(0..0, "nothing to listen on: add a table [[listener]] with `bind` and `to`");
        }
        let mut listeners: Vec<Listener> = Vec::new();
        for listener in file.listener {
            let place = listener.span();
            let listener = self.listener(listener.into_inner(), &places)?;
            let headed = |route: &&Route| upstreams[route.upstream].send_proxy == Some(Version::V1);
            if let (Some(bind), Some(route)) =
                (of_datagrams(&listener.binds), listener.routes.iter().find(headed))
            {
                let reason = format!(
                    "`{bind}` takes datagrams, for which version 1 of the PROXY protocol has no word: `send-proxy = \"v2\"` in upstream `{}`",
                    upstreams[route.upstream].name
                );
                return self.error(place, reason);
            }
            if listeners.iter().any(|other| other.name == listener.name) {
                let reason =
                    format!("there are two listeners `{}`: give each a `name` of its own", listener.name);
                return self.error(place, reason);
            }
            listeners.push(listener);
        }
        let access_log = match file.log.access {
            Some(path) if path.get_ref().as_os_str().is_empty() => {
                return self.error(
                    path.span(),
                    "no path: `-` is standard output, and without the key there is no log",
                );
            }
            path => path.map(Spanned::into_inner),
        };
        Ok(Config {
            listeners,
            upstreams,
            timeouts: timeouts(&file.timeouts),
            limits: self.limits(file.limits)?,
            cores: file.cores,
            admin: file.admin.map(|admin| admin.listen.0),
            access_log,
        })
    }

    fn upstream(&self, name: String, raw: raw::Upstream) -> Result<Upstream, FileError> {
        let place = raw.servers.span();
        let mut servers = Vec::new();
        let mut known = BTreeSet::new();
        for server in raw.servers.into_inner() {
            let place = server.span();
            let raw::Server { to, weight, max_connections, drain } = server.into_inner();
            if raw.health.is_some()
                && matches!(to, Place::Address { port: None, .. } | Place::Name { port: None, .. })
            {
                return self
                    .error(place, format!("{to} has no port that `health` could check: write {to}:PORT"));
            }
            if !known.insert(to.to_string()) {
                return self.error(place, format!("{to} is there twice: give it a `weight` instead"));
            }
            servers.push(Server { place: to, weight, max_connections, drain });
        }
        if servers.iter().all(|server| server.weight == 0) {
            return self.error(place, "no server with a weight above 0: add one, such as \"10.0.0.1:80\"");
        }
        let Ejection { failures, first, longest } = Ejection::default();
        Ok(Upstream {
            name,
            servers,
            balance: match raw.balance {
                raw::Balance::RoundRobin => Balance::RoundRobin,
                raw::Balance::LeastConnections => Balance::LeastConnections,
                raw::Balance::ConsistentHash => Balance::ConsistentHash,
            },
            health: raw.health.map(|health| self.health(health)).transpose()?,
            ejection: Ejection {
                failures: raw.eject.failures.unwrap_or(failures),
                first: raw.eject.first.map_or(first, |time| time.get()),
                longest: raw.eject.longest.map_or(longest, |time| time.get()),
            },
            send_proxy: raw.send_proxy.map(Into::into),
            transparent: raw.transparent,
        })
    }

    fn health(&self, health: Spanned<raw::Health>) -> Result<HealthCheck, FileError> {
        let place = health.span();
        let raw::Health { probe, send, send_hex, interval, timeout, rise, fall } = health.into_inner();
        let probe = match (probe, send, send_hex) {
            (raw::Probe::Connect, None, None) => Probe::Connect,
            (raw::Probe::Connect, Some(send), _) => {
                return self.error(send.span(), "only `probe = \"datagram\"` sends anything");
            }
            (raw::Probe::Connect, None, Some(send)) => {
                return self.error(send.span(), "only `probe = \"datagram\"` sends anything");
            }
            (raw::Probe::Datagram, Some(send), None) => Probe::Datagram(send.into_inner().into_bytes()),
            (raw::Probe::Datagram, None, Some(send)) => Probe::Datagram(send.into_inner().0.0),
            (raw::Probe::Datagram, ..) => {
                return self
                    .error(place, "a datagram needs either `send` or `send-hex`: what the server answers");
            }
        };
        let above_zero = |time: Option<Spanned<raw::Time>>, otherwise: Duration| match time {
            Some(time) if time.get_ref().get().is_zero() => self.error(time.span(), "a time above 0"),
            time => Ok(time.map_or(otherwise, |time| time.get_ref().get())),
        };
        let at_least_one = |number: Option<Spanned<u32>>, otherwise: u32| match number {
            Some(number) if *number.get_ref() == 0 => self.error(number.span(), "a number from 1"),
            number => Ok(number.map_or(otherwise, Spanned::into_inner)),
        };
        Ok(HealthCheck {
            probe,
            interval: above_zero(interval, Duration::from_secs(2))?,
            timeout: above_zero(timeout, Duration::from_secs(1))?,
            rise: at_least_one(rise, 2)?,
            fall: at_least_one(fall, 3)?,
        })
    }

    fn limits(&self, raw: raw::Limits) -> Result<Limits, FileError> {
        let default = Limits::default();
        let up_to = |number: Option<Spanned<u32>>, most: u32| match number {
            Some(number) if *number.get_ref() > most => self.error(number.span(), format!("at most {most}")),
            number => Ok(number.map_or(0, Spanned::into_inner)),
        };
        let attempts = match raw.attempts {
            Some(attempts) if *attempts.get_ref() == 0 => {
                return self.error(attempts.span(), "a number from 1: the first attempt counts");
            }
            attempts => attempts.map_or(default.attempts, Spanned::into_inner),
        };
        Ok(Limits {
            connections: raw.connections.unwrap_or(default.connections),
            sessions: raw.sessions.unwrap_or(default.sessions),
            attempts,
            client: Allowance {
                client_connections: up_to(raw.client_connections, Allowance::MOST_CONNECTIONS)?,
                client_rate: up_to(raw.client_rate, Allowance::MOST_RATE)?,
                client_burst: up_to(raw.client_burst, Allowance::MOST_RATE)?,
            },
        })
    }

    fn listener(
        &self,
        raw: raw::Listener,
        upstreams: &BTreeMap<String, usize>,
    ) -> Result<Listener, FileError> {
        let binds: Vec<Bind> = raw.bind.get_ref().iter().map(|bind| bind.0.clone()).collect();
        let Some(first) = binds.first() else {
            return self
                .error(raw.bind.span(), "an empty list: say what to listen on, such as [\"tcp/8080\"]");
        };
        let name = raw.name.unwrap_or_else(|| first.to_string());
        let mut routes: Vec<Route> = Vec::new();
        let all = raw.to.map(|to| (to, None));
        for (to, route) in raw
            .route
            .into_iter()
            .map(|route| {
                let place = route.span();
                let route = route.into_inner();
                (route.to.clone(), Some((place, route)))
            })
            .chain(all)
        {
            let upstream = self.upstream_named(&to, upstreams)?;
            if routes.iter().any(|route| route.condition == Condition::default()) {
                return self.error(to.span(), "never reached: the route above it takes every connection");
            }
            let (name, condition) = match route {
                None => (None, Condition::default()),
                Some((place, route)) => {
                    let condition = Condition {
                        networks: values(route.from),
                        spoken: values(route.spoken),
                        names: values(route.names),
                        alpn: values(route.alpn),
                    };
                    self.possible(&binds, &condition, place)?;
                    (route.name, condition)
                }
            };
            routes.push(Route { name: name.unwrap_or_else(|| to.get_ref().clone()), condition, upstream });
        }
        if routes.is_empty() {
            let reason =
                format!("listener `{name}` sends nothing on: add `to = \"UPSTREAM\"` or [[listener.route]]");
            return self.error(raw.bind.span(), reason);
        }
        let default = SocketOptions::default();
        Ok(Listener {
            name,
            binds,
            options: SocketOptions {
                backlog: raw.backlog.unwrap_or(default.backlog),
                defer_accept: raw
                    .defer_accept
                    .map(|time| u32::try_from(time.get().as_secs()).unwrap_or(u32::MAX).max(1)),
                fast_open: raw.fast_open,
                keep_alive: raw.keep_alive.map(|time| time.get()),
                no_delay: raw.no_delay.unwrap_or(default.no_delay),
                share_sockets: raw.share_sockets.unwrap_or(default.share_sockets),
            },
            routes,
            accept_proxy: values(raw.accept_proxy),
            detect_timeout: raw.detect_timeout.map_or(Listener::DETECT_TIMEOUT, |time| time.get()),
        })
    }

    fn upstream_named(
        &self,
        name: &Spanned<String>,
        upstreams: &BTreeMap<String, usize>,
    ) -> Result<usize, FileError> {
        if let Some(&index) = upstreams.get(name.get_ref()) {
            return Ok(index);
        }
        let known: Vec<_> = upstreams.keys().map(|name| format!("`{name}`")).collect();
        let known = match known.is_empty() {
            true => "there is none".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        let reason = format!("no upstream is called `{0}`: {known}; or add [upstream.{0}]", name.get_ref());
        self.error(name.span(), reason)
    }

    /// Datagrams speak QUIC or what is not known, connections all else: a route must fit one of those that may come.
    fn possible(&self, binds: &[Bind], condition: &Condition, place: Range<usize>) -> Result<(), FileError> {
        let takes = |wanted| {
            // Of an inherited socket nothing is known yet.
            binds.iter().any(|bind| bind.transports().is_empty() || bind.transports().contains(&wanted))
        };
        let (connections, datagrams) = (takes(Transport::Tcp), takes(Transport::Udp));
        let fits = |spoken: &Spoken| if *spoken == Spoken::Quic { datagrams } else { connections };
        match condition.spoken.iter().find(|spoken| !fits(spoken)) {
            Some(Spoken::Quic) => {
                self.error(place, "`quic` is spoken over datagrams: listen on udp/443 or any/443, too")
            }
            Some(_) => {
                let bind = of_datagrams(binds)
                    .map_or_else(String::new, |bind| format!("`{bind}` takes datagrams, "));
                self.error(place, format!("{bind}of which `quic` is the only protocol that is known"))
            }
            None => Ok(()),
        }
    }
}

/// The first of these that takes datagrams.
fn of_datagrams(binds: &[Bind]) -> Option<&Bind> {
    binds.iter().find(|bind| bind.transports().contains(&Transport::Udp))
}

fn values<T>(texts: Vec<raw::Text<T>>) -> Vec<T> {
    texts.into_iter().map(|text| text.0).collect()
}

fn timeouts(raw: &raw::Timeouts) -> Timeouts {
    let default = Timeouts::default();
    let time = |time: &Option<raw::Time>, default| time.as_ref().map_or(default, |time| time.get());
    Timeouts {
        connect: time(&raw.connect, default.connect),
        tcp_idle: time(&raw.tcp_idle, default.tcp_idle),
        udp_idle: time(&raw.udp_idle, default.udp_idle),
        drain: time(&raw.drain, default.drain),
    }
}

#[cfg(test)]
mod tests;
