//! What most readers want of a packet, in eight bytes.

use crate::parse::{Layers, Transport};
use crate::verify::{Verdict, Verdicts};
use std::fmt;

/// A packet in short: the transport, the ports and the two verdicts of its outermost IP layer.
///
/// All of it is in [`Layers`] and [`Verdicts`] as well; a summary is what fits a batch of them into the first cache.
///
/// ```
/// use wharf::batch::Summary;
/// use wharf::parse::Transport;
///
/// let none = Summary::default();
/// assert_eq!((none.transport(), none.ports()), (Transport::None, None));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
// From the lowest bit on: source port 16, destination port 16, transport 8, verdict over the IPv4 header 8, verdict over
// the upper layer 8, and flags.
#[repr(transparent)]
pub struct Summary(u64);

/// Transports by their number in a summary.
const TRANSPORTS: [Transport; 16] = {
    let mut transports = [Transport::None; 16];
    let known = [
        Transport::None,
        Transport::Tcp,
        Transport::Udp,
        Transport::UdpLite,
        Transport::Sctp,
        Transport::Dccp,
        Transport::Icmp,
        Transport::Icmpv6,
        Transport::Igmp,
    ];
    let mut at = 0;
    while at < known.len() {
        transports[known[at] as usize] = known[at];
        at += 1;
    }
    transports
};

const TRANSPORT_AT: u32 = 32;
const IP_AT: u32 = 40;
const L4_AT: u32 = 48;

impl Summary {
    /// Set where its exact verdicts are kept: of every packet that the general walk has read, and where one is wrong.
    const JUDGED: u64 = 1 << 56;
    /// Set where its layers are kept, as they are of every walked one.
    const LAID_OUT: u64 = 1 << 57;

    /// A packet of a common shape: a header whose ports are 0 here, both checksums as given.
    pub(super) const fn common(transport: Transport, ip: Verdict, l4: Verdict) -> Self {
        Self((transport as u64) << TRANSPORT_AT | (ip.code() as u64) << IP_AT | (l4.code() as u64) << L4_AT)
    }

    /// A packet of a common shape: its ports, 0 where it has none, and the codes of both verdicts.
    #[inline(always)]
    pub(super) fn of(
        transport: Transport,
        (source, destination): (u16, u16),
        ip_code: usize,
        l4_code: usize,
    ) -> Self {
        let ports = u64::from(source) | u64::from(destination) << 16;
        let verdicts = (ip_code as u64) << IP_AT | (l4_code as u64) << L4_AT;
        Self(ports | (transport as u64) << TRANSPORT_AT | verdicts)
    }

    /// Of a packet that the general walk has read.
    pub(super) fn walked(layers: &Layers, verdicts: &Verdicts) -> Self {
        let kept = Self::JUDGED | Self::LAID_OUT;
        let Some(ip) = &layers.outer else { return Self(kept) };
        let ports = (ip.source_port, ip.destination_port);
        Self(Self::of(ip.transport, ports, verdicts.ip.code(), verdicts.l4.code()).0 | kept)
    }

    /// The bits of it, for lanes of them.
    #[cfg(target_arch = "x86_64")]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// What has these [bits](Self::bits).
    #[cfg(target_arch = "x86_64")]
    pub(super) const fn of_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits that hold verdicts.
    pub(super) const VERDICTS: u64 = 0xff << IP_AT | 0xff << L4_AT;

    /// The same with other verdicts, which are kept.
    pub(crate) const fn judged(self, ip: Verdict, l4: Verdict) -> Self {
        let others = self.0 & !Self::VERDICTS;
        Self(others | Self::common(Transport::None, ip, l4).0 | Self::JUDGED)
    }

    pub(super) const fn is_judged(self) -> bool {
        self.0 & Self::JUDGED != 0
    }

    /// Whether its layers are kept; of a common shape, they are not unless somebody asked for them.
    pub(crate) const fn is_laid_out(self) -> bool {
        self.0 & Self::LAID_OUT != 0
    }

    pub(super) const fn laid_out(self) -> Self {
        Self(self.0 | Self::LAID_OUT)
    }

    /// What of the upper layer could be read; `None` also where there is no IP layer.
    #[inline]
    #[must_use]
    pub fn transport(self) -> Transport {
        TRANSPORTS[self.transport_number()]
    }

    /// Source and destination port of a [transport](Self::transport) that has ports.
    #[inline]
    #[must_use]
    pub fn ports(self) -> Option<(u16, u16)> {
        self.transport().has_ports().then_some(self.port_fields())
    }

    /// The number of the transport as a variant: below 16.
    #[inline]
    pub(crate) const fn transport_number(self) -> usize {
        (self.0 >> TRANSPORT_AT & 15) as usize
    }

    /// The smaller of the two ports, if there are any.
    #[inline]
    pub(crate) fn lower_port(self) -> u16 {
        let (source, destination) = self.port_fields();
        source.min(destination)
    }

    /// Where the ports stand, whether there are any or not.
    #[inline]
    pub(crate) const fn port_fields(self) -> (u16, u16) {
        (self.0 as u16, (self.0 >> 16) as u16)
    }

    /// The verdict over the IPv4 header, as the place of its name in [`Verdict::NAMES`].
    #[inline]
    #[must_use]
    pub const fn ip_code(self) -> usize {
        (self.0 >> IP_AT & 7) as usize
    }

    /// The verdict over what IP carries, likewise.
    #[inline]
    #[must_use]
    pub const fn l4_code(self) -> usize {
        (self.0 >> L4_AT & 7) as usize
    }

    /// The verdicts over a packet of which none are kept: none of them says more than its code.
    pub(super) fn verdicts(self) -> Verdicts {
        let verdict = |code| match code {
            1 => Verdict::Good,
            3 => Verdict::Absent,
            5 => Verdict::Vouched,
            7 => Verdict::Truncated,
            _ => Verdict::NotApplicable,
        };
        Verdicts { ip: verdict(self.ip_code()), l4: verdict(self.l4_code()), ..Verdicts::default() }
    }
}

/// `Udp 40000 > 53, ip good, l4 absent`.
impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.transport())?;
        if let Some((source, destination)) = self.ports() {
            write!(f, " {source} > {destination}")?;
        }
        write!(f, ", ip {}, l4 {}", Verdict::NAMES[self.ip_code()], Verdict::NAMES[self.l4_code()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::IpLayer;

    #[test]
    fn what_goes_in_comes_out() {
        let bad = Verdict::Bad { found: 1, expected: 2 };
        for transport in TRANSPORTS {
            let ip =
                IpLayer { transport, source_port: 0x1234, destination_port: 0xfedc, ..IpLayer::default() };
            let layers = Layers { outer: Some(ip), ..Layers::default() };
            let summary = Summary::walked(
                &layers,
                &Verdicts { ip: bad, l4: Verdict::Truncated, ..Verdicts::default() },
            );
            assert_eq!(summary.transport(), transport);
            assert_eq!(summary.ports(), transport.has_ports().then_some((0x1234, 0xfedc)));
            assert_eq!((summary.ip_code(), summary.l4_code()), (bad.code(), Verdict::Truncated.code()));
            assert!(summary.is_judged());
        }
    }

    #[test]
    fn common_verdicts_come_back_whole() {
        for l4 in [Verdict::Good, Verdict::Absent, Verdict::Vouched, Verdict::Truncated] {
            for ip in [Verdict::Good, Verdict::NotApplicable] {
                let summary = Summary::common(Transport::Udp, ip, l4);
                assert_eq!(summary.verdicts(), Verdicts { ip, l4, ..Verdicts::default() });
                assert!(!summary.is_judged());
            }
        }
    }
}
