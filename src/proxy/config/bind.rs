//! Where to listen, as text.

use crate::demux::{Ports, Protocol, Rule};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// What is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Transport {
    /// Connections (RFC 9293).
    Tcp,
    /// Datagrams (RFC 768).
    Udp,
}

/// Where a listener listens.
///
/// ```text
/// bind  = [ address ":" ] rule | "unix:" path | "fd:" name
/// rule  = ("tcp" | "udp" | "any") "/" ports           as the engine's rules, see `wharf::demux::Rule`
/// ```
///
/// An IPv6 address stands in brackets. Without an address it is every address of the host, of both families; `0.0.0.0` and
/// `[::]` are those of one.
///
/// ```
/// use wharf::proxy::config::{Bind, Transport};
/// let bind: Bind = "127.0.0.1:tcp/8080,20000-29999".parse()?;
/// assert_eq!(bind.to_string(), "127.0.0.1:tcp/8080,20000-29999");
/// assert_eq!(bind.transports(), [Transport::Tcp]);
/// assert_eq!("any/53".parse::<Bind>()?.transports(), [Transport::Tcp, Transport::Udp]);
/// assert!("sctp/2905".parse::<Bind>().is_err());
/// # Ok::<(), wharf::proxy::config::BindError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// Ports of the host.
    Ports {
        /// `None`: all addresses, IPv4 and IPv6.
        address: Option<IpAddr>,
        /// Port 0 stands for one that the kernel chooses.
        ports: Ports,
    },
    /// A stream socket in the file system.
    Unix(PathBuf),
    /// A socket that systemd has opened (`LISTEN_FDS`), by the name it was given there or its number, from 0.
    Inherited(String),
}

/// Why a text names no place to listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`: {reason}")]
pub struct BindError {
    /// As given.
    pub text: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Bind {
    /// What is listened to there: of an inherited socket, nothing is known before it is looked at.
    #[must_use]
    pub fn transports(&self) -> &'static [Transport] {
        match self {
            Self::Unix(_) => &[Transport::Tcp],
            Self::Inherited(_) => &[],
            Self::Ports { ports, .. } => match ports.protocol {
                Protocol::Tcp => &[Transport::Tcp],
                Protocol::Udp => &[Transport::Udp],
                Protocol::Any => &[Transport::Tcp, Transport::Udp],
                Protocol::Sctp => &[],
            },
        }
    }
}

impl FromStr for Bind {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        let error = |reason: &str| BindError { text: text.to_owned(), reason: reason.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(error("no path behind `unix:`"))
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if let Some(name) = text.strip_prefix("fd:") {
            return if name.is_empty() {
                Err(error("no name behind `fd:`"))
            } else {
                Ok(Self::Inherited(name.into()))
            };
        }
        // The rule's protocol has no colon in it, an address may have many.
        let (address, rule) = match text.split_once('/').and_then(|(before, _)| before.rsplit_once(':')) {
            Some((address, _)) => (Some(address), &text[address.len() + 1..]),
            None => (None, text),
        };
        let address = match address {
            None => None,
            Some(address) => {
                let bare = address.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
                let parsed = match bare {
                    Some(bare) => bare.parse().ok().filter(IpAddr::is_ipv6),
                    None => address.parse().ok().filter(IpAddr::is_ipv4),
                };
                Some(parsed.ok_or_else(|| {
                    error("before the rule stands an address, as in 127.0.0.1:tcp/80 or [::1]:tcp/80")
                })?)
            }
        };
        if rule.starts_with(|c: char| c.is_ascii_digit()) && !rule.contains('/') {
            return Err(error(&format!("a port alone: write tcp/{rule}, udp/{rule} or any/{rule}")));
        }
        match rule.parse::<Rule>() {
            Ok(Rule::Ports(ports)) if ports.protocol == Protocol::Sctp => {
                Err(error("SCTP cannot be proxied: tcp, udp or any"))
            }
            Ok(Rule::Ports(ports)) => Ok(Self::Ports { address, ports }),
            Ok(_) => Err(error("a proxy listens on ports, such as tcp/8080 or udp/53")),
            Err(fault) => {
                // What a rule may be elsewhere, a proxy has no use for.
                let protocol = rule.split_once('/').map(|(word, _)| word);
                let known = ["tcp", "udp", "any", "sctp"];
                if protocol.is_some_and(|word| !known.iter().any(|name| word.eq_ignore_ascii_case(name))) {
                    return Err(error("a proxy listens on tcp, udp or any, and ports, such as tcp/8080"));
                }
                let reason = match rule.contains('/') {
                    true => {
                        let before = text[..text.len() - rule.len()].chars().count();
                        format!("column {}: {}", before + fault.column, fault.reason)
                    }
                    false => fault.reason,
                };
                Err(BindError { text: text.to_owned(), reason })
            }
        }
    }
}

/// In the notation that [`FromStr`] reads.
impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { address, ports } => {
                match address {
                    Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
                    Some(address) => write!(f, "{address}:")?,
                    None => {}
                }
                Rule::Ports(ports.clone()).fmt(f)
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(name) => write!(f, "fd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_back_as_written() {
        for text in ["tcp/80", "127.0.0.1:tcp/80-90,443", "[::1]:udp/53", "any/53", "unix:/run/x", "fd:web"] {
            assert_eq!(text.parse::<Bind>().map(|bind| bind.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, reason) in [
            ("localhost:tcp/80", "stands an address"),
            ("::1:tcp/80", "stands an address"),
            ("[127.0.0.1]:tcp/80", "stands an address"),
            ("sctp/1", "cannot be proxied"),
            ("rest", "on ports"),
            ("port 80", "on ports"),
            ("127.0.0.1:tcp/80x", "`127.0.0.1:tcp/80x`: column 15"),
            ("tcp/99999", "`tcp/99999`: column 5"),
            ("8081", "write tcp/8081, udp/8081 or any/8081"),
            ("80-90", "write tcp/80-90, udp/80-90 or any/80-90"),
            ("foo/80", "`foo/80`: a proxy listens on tcp, udp or any"),
            ("unix:", "no path"),
            ("fd:", "no name"),
        ] {
            let error = text.parse::<Bind>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
