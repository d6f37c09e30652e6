//! Groups of servers.

use crate::ValueError;
use crate::proxy::proxy_protocol::Version;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Servers that do the same, and how one of them is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// For logs and metrics.
    pub name: String,
    /// Those that share the work.
    pub servers: Vec<Server>,
    /// How one is chosen.
    pub balance: Balance,
    /// How it is found out which are up; `None`: by nothing but the connections themselves.
    pub health: Option<HealthCheck>,
    /// When connections that fail take a server out.
    pub ejection: Ejection,
    /// Connections begin with a PROXY header of this version that says who the client is. Of version 2 each datagram
    /// begins with one, too, as servers of DNS have it; answers have none.
    pub send_proxy: Option<Version>,
    /// Servers see the client's own address, not the proxy's (`IP_TRANSPARENT`): it takes `CAP_NET_ADMIN` as long as the proxy
    /// runs, and a route by which their answers come back here. A client of the other family than the server's comes
    /// with the proxy's address.
    pub transparent: bool,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub place: Place,
    /// Its share of the work beside the others'; 0: none.
    pub weight: u16,
    /// Connections it takes at a time; 0: any number.
    pub max_connections: u32,
    /// It keeps the connections it has and gets no new ones.
    pub drain: bool,
}

impl Server {
    /// A server of weight 1 that takes any number of connections.
    #[must_use]
    pub fn at(place: Place) -> Self {
        Self { place, weight: 1, max_connections: 0, drain: false }
    }
}

/// Where a server is.
///
/// ```
/// use wharf::proxy::config::Place;
/// assert_eq!("10.0.0.1:80".parse(), Ok(Place::Address { address: "10.0.0.1".parse().unwrap(), port: Some(80) }));
/// assert_eq!("[::1]".parse(), Ok(Place::Address { address: "::1".parse().unwrap(), port: None }));
/// assert_eq!("db.example:5432".parse(), Ok(Place::Name { name: "db.example".into(), port: Some(5432) }));
/// assert_eq!("unix:/run/app.sock".parse(), Ok(Place::Unix("/run/app.sock".into())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An address.
    Address {
        /// IPv4 or IPv6.
        address: IpAddr,
        /// `None`: the port the client came to.
        port: Option<u16>,
    },
    /// A name, resolved while the proxy runs.
    Name {
        /// As the resolver takes it.
        name: String,
        /// `None`: the port the client came to.
        port: Option<u16>,
    },
    /// A stream socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = ValueError;

    /// `ADDRESS[:PORT]`, an IPv6 address in brackets, `NAME[:PORT]`, or `unix:PATH`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::read(text).map_err(ValueError)
    }
}

impl Place {
    fn read(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("no path behind `unix:`".into())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err(format!("`{text}`: no server has port 0")),
                port => Ok(Self::Address { address: address.ip(), port: Some(port) }),
            };
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address { address, port: None });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, digits)) => (
                name,
                Some(
                    port(digits)
                        .ok_or_else(|| format!("`{text}`: no port from 1 to 65535 behind the `:`"))?,
                ),
            ),
            None => (text, None),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(allowed) {
            return Err(format!(
                "`{text}` is no server: write ADDRESS:PORT, [ADDRESS]:PORT, NAME:PORT or unix:PATH"
            ));
        }
        Ok(Self::Name { name: name.to_owned(), port })
    }
}

fn port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|&port| port != 0)
}

/// In the notation that [`FromStr`] reads.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, port: Some(port) } => SocketAddr::new(*address, *port).fmt(f),
            Self::Address { address: IpAddr::V6(address), port: None } => write!(f, "[{address}]"),
            Self::Address { address, port: None } => address.fmt(f),
            Self::Name { name, port: Some(port) } => write!(f, "{name}:{port}"),
            Self::Name { name, port: None } => f.write_str(name),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How a server is chosen among those that are up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest connections for its weight.
    LeastConnections,
    /// By the client's address, so that every instance of the proxy chooses alike (Maglev).
    ConsistentHash,
}

/// When a server gets no more connections because of those that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row that take it out; 0 for never.
    pub failures: u32,
    /// For how long the first time. Each further time without a success in between it is twice as long.
    pub first: Duration,
    /// The longest time out.
    pub longest: Duration,
}

impl Default for Ejection {
    /// Five failures in a row; 10 s to 5 minutes.
    fn default() -> Self {
        Self { failures: 5, first: Duration::from_secs(10), longest: Duration::from_secs(300) }
    }
}

/// How it is found out whether a server is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked of it.
    pub probe: Probe,
    /// From one check to the next.
    pub interval: Duration,
    /// For an answer.
    pub timeout: Duration,
    /// Checks in a row that must succeed before it is taken for up. At least 1.
    pub rise: u32,
    /// Checks in a row that must fail before it is taken for down. At least 1.
    pub fall: u32,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// That it accepts a TCP connection.
    Connect,
    /// That it answers this datagram with any other.
    Datagram(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_back_as_written() {
        for text in ["10.0.0.1:80", "10.0.0.1", "[::1]:80", "[::1]", "a-b.example:1", "a_b", "unix:/x"] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("::1".parse::<Place>().map(|place| place.to_string()).as_deref(), Ok("[::1]"));
        for text in ["", ":80", "a:", "a:0", "a:+1", "a:65536", "1.2.3.4:0", "-a", "a b", "unix:", "[::1"] {
            assert!(text.parse::<Place>().is_err(), "{text:?}");
        }
    }
}
