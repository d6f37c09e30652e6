//! What a reader of synthetic traffic must count.

use super::frames::Fact;
use super::traffic::Protocol;
use std::collections::BTreeMap;

/// Exact counts over all frames of a [`Synthetic`](super::Synthetic) source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// All frames.
    pub total: Tally,
    /// By protocol and destination port of the outermost IP layer (4789 over UDP for tunnels).
    pub ports: BTreeMap<(Protocol, u16), Tally>,
    /// Frames whose outermost IP layer carries no ports: ICMP and ICMPv6.
    pub portless: Tally,
    /// Outermost layer is IPv6.
    pub ipv6: u64,
    /// With a VLAN tag.
    pub vlan: u64,
    /// With a packet inside the packet.
    pub tunnel: u64,
    /// The innermost transport checksum is wrong; it is right in all others.
    pub bad: u64,
}

/// Frames and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub frames: u64,
    /// Their lengths on the wire together.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, length: u32, times: u64) {
        self.frames += times;
        self.bytes += u64::from(length) * times;
    }
}

impl Expected {
    pub(super) fn count(&mut self, fact: &Fact, times: u64) {
        if times == 0 {
            return;
        }
        self.total.add(fact.length, times);
        match fact.port {
            Some(port) => self.ports.entry(port).or_default().add(fact.length, times),
            None => self.portless.add(fact.length, times),
        }
        for (count, holds) in [
            (&mut self.ipv6, fact.ipv6),
            (&mut self.vlan, fact.vlan),
            (&mut self.tunnel, fact.tunnel),
            (&mut self.bad, fact.bad),
        ] {
            *count += if holds { times } else { 0 };
        }
    }
}
