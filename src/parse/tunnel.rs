//! What carries packets in packets: by IP protocol number, by UDP port, by what the payload looks like.
//!
//! A protocol number is the sender's word, and what contradicts it is malformed. A port is a guess: where
//! the payload is not what the port suggests, it is just payload.

use super::transport::protocol;
use super::walk::{Step, Visit, Walk, be16};
use super::{Fragment, IpLayer, Layer, Reason, Transport};

/// Every UDP port at which a tunnel is looked for, of whatever kind.
pub(crate) const TUNNEL_PORTS: [u16; 17] =
    [1701, 2152, 2268, 3386, 3544, 4341, 4754, 4789, 4790, 5072, 5247, 6081, 6635, 8472, 12222, 12223, 37008];

/// Tunnels over UDP, by their registered ports.
#[derive(Clone, Copy)]
enum OverUdp {
    Vxlan,
    VxlanGpe,
    Geneve,
    Gtp,
    Teredo,
    Mpls,
    L2tp,
    Ayiya,
    Lisp,
    Gre,
    Capwap,
    Tzsp,
    Amt,
    Lwapp,
}

impl OverUdp {
    #[inline]
    const fn of(port: u16) -> Option<Self> {
        Some(match port {
            1701 => Self::L2tp,
            2268 => Self::Amt,
            2152 | 3386 => Self::Gtp,
            3544 => Self::Teredo,
            // RFC 7348, and Linux' port from before (OTV's registered one, of the same layout).
            4789 | 8472 => Self::Vxlan,
            4790 => Self::VxlanGpe,
            4341 => Self::Lisp,
            4754 => Self::Gre,
            5072 => Self::Ayiya,
            5247 => Self::Capwap,
            6081 => Self::Geneve,
            12222 | 12223 => Self::Lwapp,
            6635 => Self::Mpls,
            37008 => Self::Tzsp,
            _ => return None,
        })
    }
}

/// Whether it is one of [`TUNNEL_PORTS`]: looked up without a branch, in one line of memory.
#[inline(always)]
pub(crate) const fn is_tunnel_port(port: u16) -> bool {
    HASHED_PORTS[hash(port, HASH_FACTOR)] == port
}

/// The upper bits of a port's product with [`HASH_FACTOR`] are its hash: so many.
pub(crate) const HASH_BITS: u32 = 5;

/// With it the [hash](hash) has no collisions over [`TUNNEL_PORTS`].
pub(crate) const HASH_FACTOR: u16 = {
    let mut factor = 1;
    while !tells_apart(factor) {
        factor += 2;
    }
    factor
};

/// The tunnel port of each hash. Where there is none stands one that has another hash, and so is never found there.
pub(crate) const HASHED_PORTS: [u16; 1 << HASH_BITS] = {
    let mut table = [TUNNEL_PORTS[0]; 1 << HASH_BITS];
    table[hash(TUNNEL_PORTS[0], HASH_FACTOR)] = TUNNEL_PORTS[1];
    let mut at = 0;
    while at < TUNNEL_PORTS.len() {
        table[hash(TUNNEL_PORTS[at], HASH_FACTOR)] = TUNNEL_PORTS[at];
        at += 1;
    }
    table
};

#[inline(always)]
const fn hash(port: u16, factor: u16) -> usize {
    (port.wrapping_mul(factor) >> (16 - HASH_BITS)) as usize
}

const fn tells_apart(factor: u16) -> bool {
    let (mut seen, mut at) = (0_u32, 0);
    while at < TUNNEL_PORTS.len() {
        let bit = 1 << hash(TUNNEL_PORTS[at], factor);
        if seen & bit != 0 {
            return false;
        }
        seen |= bit;
        at += 1;
    }
    true
}

impl<V: Visit> Walk<'_, V> {
    /// Opens what `ip` carries, if it is a tunnel.
    #[inline(always)]
    pub(super) fn tunnel(&mut self, ip: &IpLayer) -> Step {
        // As cheap for TCP as to branch around it, and nobody can guess which comes next.
        let port = is_tunnel_port(ip.destination_port) | is_tunnel_port(ip.source_port);
        let version_6 = self.data.get(ip.data as usize).is_some_and(|first| first >> 4 == 6);
        if (ip.transport == Transport::Udp) & (port | version_6) {
            let ports = (ip.source_port, ip.destination_port);
            return self.over_udp(ports, ip.payload as usize, (ip.data, ip.declared_end));
        }
        if ip.transport == Transport::None && ip.fragment != Fragment::Later {
            return self.over_ip(ip.protocol, ip.payload as usize);
        }
        Ok(())
    }

    #[inline(never)]
    fn over_ip(&mut self, protocol: u8, at: usize) -> Step {
        match protocol {
            protocol::IPV4 => self.ipv4(at),
            protocol::IPV6 => self.ipv6(at),
            protocol::IPIP => self.guess(|walk| walk.ip(at)),
            protocol::GRE => self.gre(at),
            protocol::ETHERIP => self.etherip(at),
            protocol::PIM => self.pim(at),
            protocol::MPLS => self.mpls(at),
            protocol::ETHERNET => self.ethernet(at),
            _ => Ok(()),
        }
    }

    /// A datagram at `at` that may be a tunnel: by its ports, source and destination, or by its data, which begin and end there.
    #[inline(never)]
    fn over_udp(&mut self, ports: (u16, u16), at: usize, data: (u32, u32)) -> Step {
        let Some(kind) = OverUdp::of(ports.1).or(OverUdp::of(ports.0)) else {
            return if self.looks_like_teredo(data) { self.teredo(data.0 as usize) } else { Ok(()) };
        };
        self.narrow(self.udp_end(at));
        let at = data.0 as usize;
        self.guess(|walk| match kind {
            OverUdp::Vxlan => walk.vxlan(at),
            OverUdp::VxlanGpe => walk.vxlan_gpe(at),
            OverUdp::Geneve => walk.geneve(at),
            OverUdp::Gtp => walk.gtp(at),
            OverUdp::Teredo => walk.teredo(at),
            OverUdp::Mpls => walk.mpls_over_udp(at),
            OverUdp::L2tp => walk.l2tp(at),
            OverUdp::Ayiya => walk.ayiya(at),
            OverUdp::Lisp => walk.lisp(at),
            OverUdp::Gre => walk.gre(at),
            OverUdp::Capwap => walk.capwap(at),
            OverUdp::Tzsp => walk.tzsp(at),
            OverUdp::Amt => walk.amt(at),
            OverUdp::Lwapp => walk.lwapp(at),
        })
    }

    /// RFC 7510. Any bytes look like labels: only an IP packet below them tells.
    fn mpls_over_udp(&mut self, at: usize) -> Step {
        let depth = self.layers.ip_depth;
        self.mpls(at)?;
        if self.layers.ip_depth > depth {
            return Ok(());
        }
        Err(self.bad(Layer::Mpls, Reason::BadVersion, 4, 0))
    }

    /// RFC 3378 3: version 3, 12 reserved bits.
    fn etherip(&mut self, at: usize) -> Step {
        let &[version, _] = self.fixed::<2>(Layer::EtherIp, at)?;
        if version >> 4 != 3 {
            return Err(self.bad(Layer::EtherIp, Reason::BadVersion, 3, (version >> 4).into()));
        }
        self.pass(Layer::EtherIp, at, at + 2)?;
        self.ethernet(at + 2)
    }

    /// A register message (RFC 7761 4.9.3) brings a multicast packet to the rendezvous point.
    fn pim(&mut self, at: usize) -> Step {
        const VERSION_2_REGISTER: u8 = 0x21;
        if !matches!(self.peek::<8>(at), Some([VERSION_2_REGISTER, ..])) {
            return Ok(());
        }
        self.guess(|walk| {
            walk.pass(Layer::Pim, at, at + 8)?;
            walk.ip(at + 8)
        })
    }

    /// RFC 4380 5.1.1: authentication (type 1) and origin (type 0) may come before the packet.
    fn teredo(&mut self, start: usize) -> Step {
        let mut at = start;
        if let Some(&[0, 1, id_length, value_length]) = self.peek::<4>(at) {
            // Identifier, value, 8 bytes of nonce, 1 of confirmation.
            at += 4 + usize::from(id_length) + usize::from(value_length) + 9;
        }
        if self.peek::<2>(at) == Some(&[0, 0]) {
            at += 8;
        }
        let Some(header) = self.peek::<40>(at) else { return Ok(()) };
        let fits = at + 40 + usize::from(be16(header, 4)) <= self.limit;
        if header[0] >> 4 != 6 || !fits {
            return Ok(());
        }
        if at > start {
            self.pass(Layer::Teredo, start, at)?;
        }
        self.guess(|walk| walk.ipv6(at))
    }

    /// On any port: an IPv6 packet that fits exactly and has an address in 2001::/32 (RFC 4380 2.6).
    fn looks_like_teredo(&self, (start, declared_end): (u32, u32)) -> bool {
        const PREFIX: [u8; 4] = [0x20, 0x01, 0, 0];
        match self.peek::<40>(start as usize) {
            Some(header) if header[0] >> 4 == 6 => {
                let length = declared_end.saturating_sub(start + 40);
                u32::from(be16(header, 4)) == length && (header[8..12] == PREFIX || header[24..28] == PREFIX)
            }
            _ => false,
        }
    }

    /// L2TP version 2 (RFC 2661 3.1): data messages carry PPP.
    fn l2tp(&mut self, at: usize) -> Step {
        const CONTROL: u16 = 0x8000;
        const LENGTH: u16 = 0x4000;
        const SEQUENCE: u16 = 0x0800;
        const OFFSET: u16 = 0x0200;
        let flags = be16(self.fixed::<2>(Layer::L2tp, at)?, 0);
        if flags & CONTROL != 0 || flags & 0x000f != 2 {
            return Ok(());
        }
        let mut end = at + 6;
        if flags & LENGTH != 0 {
            end += 2;
        }
        if flags & SEQUENCE != 0 {
            end += 4;
        }
        if flags & OFFSET != 0 {
            end += 2 + usize::from(be16(self.fixed::<2>(Layer::L2tp, end)?, 0));
        }
        self.bytes(Layer::L2tp, at, end - at)?;
        self.pass(Layer::L2tp, at, end)?;
        self.ppp(end)
    }

    /// AYIYA (draft-massar-v6ops-ayiya-02 3): header, identity and signature by their lengths.
    fn ayiya(&mut self, at: usize) -> Step {
        const FORWARD: u8 = 1;
        let &[identity, signature, operation, next, ..] = self.fixed::<8>(Layer::Ayiya, at)?;
        let end = at + 8 + (1 << (identity >> 4)) + 4 * usize::from(signature >> 4);
        if operation & 0x0f != FORWARD || !matches!(next, protocol::IPV4 | protocol::IPV6) {
            return Ok(());
        }
        self.bytes(Layer::Ayiya, at, end - at)?;
        self.pass(Layer::Ayiya, at, end)?;
        if next == protocol::IPV4 { self.ipv4(end) } else { self.ipv6(end) }
    }

    /// LISP data (RFC 9300 5.3): 8 bytes, then IP.
    fn lisp(&mut self, at: usize) -> Step {
        self.fixed::<8>(Layer::Lisp, at)?;
        self.pass(Layer::Lisp, at, at + 8)?;
        self.ip(at + 8)
    }

    /// CAPWAP data (RFC 5415 4.3): whole payloads that are not encrypted.
    fn capwap(&mut self, at: usize) -> Step {
        const NATIVE: u8 = 0x01;
        const FRAGMENT: u8 = 0x80;
        let &[preamble, lengths, binding, flags, ..] = self.fixed::<8>(Layer::Capwap, at)?;
        let end = at + 4 * usize::from(lengths >> 3);
        if preamble != 0 || flags & FRAGMENT != 0 || end < at + 8 {
            return Ok(());
        }
        self.bytes(Layer::Capwap, at, end - at)?;
        self.pass(Layer::Capwap, at, end)?;
        match (binding & NATIVE, binding >> 1 & 0x1f) {
            (NATIVE, 1) => self.wireless_in_capwap(end),
            (NATIVE, _) => Ok(()),
            _ => self.ethernet(end),
        }
    }

    /// Automatic multicast tunnelling (RFC 7450 5.1.5, 5.1.6): membership updates and multicast data.
    fn amt(&mut self, at: usize) -> Step {
        let length = match self.fixed::<2>(Layer::Amt, at)?[0] {
            5 => 12,
            6 => 2,
            _ => return Ok(()),
        };
        self.bytes(Layer::Amt, at, length)?;
        self.pass(Layer::Amt, at, at + length)?;
        self.ip(at + length)
    }

    /// LWAPP data (RFC 5412 3.3): whole 802.11 frames.
    fn lwapp(&mut self, at: usize) -> Step {
        const CONTROL: u8 = 0x04;
        const FRAGMENT: u8 = 0x02;
        let header = self.fixed::<6>(Layer::Lwapp, at)?;
        if header[0] & (CONTROL | FRAGMENT) != 0 {
            return Ok(());
        }
        self.pass(Layer::Lwapp, at, at + 6)?;
        self.wireless_in_capwap(at + 6)
    }

    /// TZSP: version 1, type, encapsulation, tagged fields up to an end mark.
    pub(super) fn tzsp(&mut self, at: usize) -> Step {
        const PADDING: u8 = 0;
        const END: u8 = 1;
        let header = self.fixed::<4>(Layer::Tzsp, at)?;
        let mut end = at + 4;
        loop {
            match self.fixed::<1>(Layer::Tzsp, end)?[0] {
                PADDING => end += 1,
                END => break,
                _ => end += 2 + usize::from(self.fixed::<2>(Layer::Tzsp, end)?[1]),
            }
        }
        end += 1;
        self.pass(Layer::Tzsp, at, end)?;
        match be16(header, 2) {
            1 => self.ethernet(end),
            18 => self.wireless_bare(end),
            119 => self.prism(end),
            127 => self.avs(end),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tunnel_port_is_listed() {
        for port in 0..=u16::MAX {
            assert_eq!(OverUdp::of(port).is_some(), TUNNEL_PORTS.contains(&port), "{port}");
            assert_eq!(OverUdp::of(port).is_some(), is_tunnel_port(port), "{port}");
        }
    }
}
