//! Which output a packet goes to: a map from ports to outputs.
//!
//! [`Rule`]s are written as text (`tcp/443`, `udp/5000-5999`, `any/53`, `rest`) and compiled, once, into
//! a [`PortMap`]: one direct table for each protocol, so that a packet costs the same under one rule as
//! under sixty thousand.
//!
//! The ports looked at are those of the outermost IP layer: what the host on this wire was addressed
//! by. A tunnel goes where its own port says (VXLAN to `udp/4789`), not where the packet inside it would.

mod port_map;
mod rule;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86_64;

pub use port_map::PortMap;
pub use rule::{Ports, Protocol, Rule, RuleError};

use crate::parse::IpLayer;

/// Number of an output: its place in the order in which outputs were declared, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct OutputId(pub u16);

impl OutputId {
    /// The largest number an output may have; [`PortMap`] keeps one value to itself for "no rule".
    pub const MAX: Self = Self(u16::MAX - 1);
}

/// The port by which a packet is counted or filed: the smaller of its two ports, which is the
/// server's in almost every exchange; `None` for what has no ports.
///
/// Both directions of a conversation give the same answer, and no table of known services is needed.
/// Where both ends use high ports (peer to peer, media) the choice is arbitrary but stable.
///
/// ```
/// use wharf::{demux, parse::{IpLayer, Transport}};
/// let reply = IpLayer { transport: Transport::Tcp, source_port: 443, destination_port: 50_000, ..IpLayer::default() };
/// assert_eq!(demux::service_port(&reply), Some(443));
/// ```
#[must_use]
pub fn service_port(ip: &IpLayer) -> Option<u16> {
    ports(ip).map(|(source, destination)| source.min(destination))
}

/// Source and destination port of a transport that has ports and whose header was captured.
pub(crate) fn ports(ip: &IpLayer) -> Option<(u16, u16)> {
    ip.transport.has_ports().then_some((ip.source_port, ip.destination_port))
}
