//! The file's tables as they are written, key by key.

use crate::duration;
use crate::proxy::Network;
use crate::proxy::config::{self, Bind, Place};
use crate::proxy::detect::{NamePattern, ProtocolPattern, Spoken};
use crate::proxy::proxy_protocol::Version;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    #[serde(default)]
    pub(super) cores: Vec<usize>,
    #[serde(default)]
    pub(super) admin: Option<Admin>,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) upstream: BTreeMap<Spanned<String>, Upstream>,
    #[serde(default)]
    pub(super) listener: Vec<Spanned<Listener>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Admin {
    pub(super) listen: Text<config::Admin>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Log {
    #[serde(default)]
    pub(super) access: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Timeouts {
    pub(super) connect: Option<Time>,
    pub(super) tcp_idle: Option<Time>,
    pub(super) udp_idle: Option<Time>,
    pub(super) drain: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Limits {
    pub(super) connections: Option<usize>,
    pub(super) sessions: Option<usize>,
    pub(super) attempts: Option<Spanned<u8>>,
    #[serde(default)]
    pub(super) client_connections: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) client_rate: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) client_burst: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Upstream {
    #[serde(default)]
    pub(super) balance: Balance,
    pub(super) servers: Spanned<Vec<Spanned<Server>>>,
    #[serde(default)]
    pub(super) health: Option<Spanned<Health>>,
    #[serde(default)]
    pub(super) eject: Eject,
    #[serde(default)]
    pub(super) send_proxy: Option<ProxyVersion>,
    #[serde(default)]
    pub(super) transparent: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Balance {
    #[default]
    RoundRobin,
    LeastConnections,
    ConsistentHash,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ProxyVersion {
    V1,
    V2,
}

impl From<ProxyVersion> for Version {
    fn from(version: ProxyVersion) -> Self {
        match version {
            ProxyVersion::V1 => Self::V1,
            ProxyVersion::V2 => Self::V2,
        }
    }
}

/// A place alone, or a table.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) to: Place,
    pub(super) weight: u16,
    pub(super) max_connections: u32,
    pub(super) drain: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ServerTable {
    to: Text<Place>,
    #[serde(default = "one")]
    weight: u16,
    #[serde(default)]
    max_connections: u32,
    #[serde(default)]
    drain: bool,
}

fn one() -> u16 {
    1
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Server;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a server such as \"10.0.0.1:80\", or { to = \"10.0.0.1:80\", weight = 2 }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Server, E> {
                let to = text.parse().map_err(E::custom)?;
                Ok(Server { to, weight: 1, max_connections: 0, drain: false })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Server, A::Error> {
                let table = ServerTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let ServerTable { to, weight, max_connections, drain } = table;
                Ok(Server { to: to.0, weight, max_connections, drain })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Health {
    #[serde(default)]
    pub(super) probe: Probe,
    pub(super) send: Option<Spanned<String>>,
    pub(super) send_hex: Option<Spanned<Text<Hex>>>,
    pub(super) interval: Option<Spanned<Time>>,
    pub(super) timeout: Option<Spanned<Time>>,
    pub(super) rise: Option<Spanned<u32>>,
    pub(super) fall: Option<Spanned<u32>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Probe {
    #[default]
    Connect,
    Datagram,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Eject {
    pub(super) failures: Option<u32>,
    #[serde(rename = "for")]
    pub(super) first: Option<Time>,
    pub(super) longest: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Listener {
    pub(super) name: Option<String>,
    pub(super) bind: Spanned<Vec<Text<Bind>>>,
    pub(super) to: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) route: Vec<Spanned<Route>>,
    #[serde(default)]
    pub(super) accept_proxy: Vec<Text<Network>>,
    pub(super) detect_timeout: Option<Time>,
    pub(super) backlog: Option<u32>,
    pub(super) defer_accept: Option<Time>,
    pub(super) fast_open: Option<u32>,
    pub(super) keep_alive: Option<Time>,
    pub(super) no_delay: Option<bool>,
    pub(super) share_sockets: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Route {
    pub(super) name: Option<String>,
    pub(super) to: Spanned<String>,
    #[serde(default)]
    pub(super) from: Vec<Text<Network>>,
    #[serde(default)]
    pub(super) spoken: Vec<Text<Spoken>>,
    #[serde(default)]
    pub(super) names: Vec<Text<NamePattern>>,
    #[serde(default)]
    pub(super) alpn: Vec<Text<ProtocolPattern>>,
}

/// What is written as text and read by its own reader, whose error is shown.
#[derive(Clone, Debug)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: FromStr<Err: Display>> Visitor<'_> for Reader<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
                text.parse().map(Text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Reader(PhantomData))
    }
}

/// A duration.
pub(super) type Time = Text<For>;

/// How long.
#[derive(Clone, Copy, Debug)]
pub(super) struct For(pub(super) Duration);

impl FromStr for For {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration::with_unit(text).map(Self).map_err(|error| format!("`{text}` is no time: {error}"))
    }
}

impl Time {
    pub(super) fn get(&self) -> Duration {
        self.0.0
    }
}

/// Bytes.
#[derive(Clone, Debug)]
pub(super) struct Hex(pub(super) Vec<u8>);

impl FromStr for Hex {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let pairs = digits.filter(|digits| digits.len().is_multiple_of(2));
        let bytes = pairs.map(|digits| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect());
        bytes.map(Self).ok_or("write bytes as pairs of hexadecimal digits, such as \"00 01 ff\"")
    }
}
