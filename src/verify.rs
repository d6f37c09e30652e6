//! What checksum verification concluded, layer by layer.
//!
//! A checksum is judged only when it can be: a fragment, a packet cut by the snap length, or one
//! that the sending host has left to its device, gets a verdict of its own and is never called bad.
//! The length fields of the packet count, not the frame's: Ethernet padding is outside, and a length that
//! reaches beyond the bytes there are makes the sum impossible ([`Verdict::Truncated`]).

use crate::checksum::{self, Kernel, Sum, Task};
use crate::frame::Offload;
use crate::parse::{IpLayer, IpVersion, Layers, Packet};
use std::fmt;

mod counts;
mod transport;
mod unfinished;

pub use counts::{Checksums, VerdictCounts};

/// Conclusion about one checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// There is no checksum here, or no header, or a length field that leaves nothing to sum up.
    #[default]
    NotApplicable,
    /// Right.
    Good,
    /// Wrong. 16 bits of Internet checksum, or 32 of SCTP's CRC32c in the order they stand in the packet.
    Bad {
        /// The field's value.
        found: u32,
        /// What it should have been; 0 where 0 was found, is not allowed, and the bytes that would tell
        /// what is right are not all there.
        expected: u32,
    },
    /// UDP over IPv4 with 0: the sender computed none (RFC 768).
    Absent,
    /// Offloaded: the field is not the checksum yet (`TP_STATUS_CSUMNOTREADY`).
    NotReady,
    /// The kernel or the device has already found it right (`TP_STATUS_CSUM_VALID`).
    Vouched,
    /// Part of a fragmented packet: the sum covers bytes that are elsewhere.
    Fragment,
    /// The bytes it covers were not all captured.
    Truncated,
}

impl Verdict {
    /// Every name there is, in the order of the variants.
    pub const NAMES: [&str; 8] =
        ["not_applicable", "good", "bad", "absent", "not_ready", "vouched", "fragment", "truncated"];

    /// Its name in reports: `good`, `bad`, `not_ready`, ...
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.code()]
    }

    /// Which kind it is, as the place of its name in [`Verdict::NAMES`]: 0 to 7.
    #[must_use]
    pub const fn code(self) -> usize {
        match self {
            Self::NotApplicable => 0,
            Self::Good => 1,
            Self::Bad { .. } => 2,
            Self::Absent => 3,
            Self::NotReady => 4,
            Self::Vouched => 5,
            Self::Fragment => 6,
            Self::Truncated => 7,
        }
    }

    /// Found wrong.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Bad { .. })
    }

    /// Found right, here or by the kernel.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good | Self::Vouched)
    }

    /// There is a checksum, and whether it is right cannot be told.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::NotReady | Self::Fragment | Self::Truncated)
    }
}

/// The verdict's [name](Verdict::name).
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Verdicts over a packet's layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Outermost IPv4 header.
    pub ip: Verdict,
    /// What the outermost IP layer carries.
    pub l4: Verdict,
    /// Innermost IPv4 header, where there is more than one IP layer.
    pub inner_ip: Verdict,
    /// What the innermost IP layer carries, likewise.
    pub inner_l4: Verdict,
}

impl Verdicts {
    /// The four of them, outermost first.
    #[must_use]
    pub const fn all(self) -> [Verdict; 4] {
        [self.ip, self.l4, self.inner_ip, self.inner_l4]
    }

    /// Whether any checksum is wrong.
    #[must_use]
    pub fn any_bad(self) -> bool {
        self.all().into_iter().any(Verdict::is_bad)
    }
}

/// Verifies every checksum of a packet that can be verified.
///
/// ```
/// use wharf::build::{Ipv4, Stack, Udp};
/// use wharf::parse::{Packet, parse};
/// use wharf::verify::{Verdict, verify};
///
/// let mut stack = Stack::new();
/// stack.message(b"Hello").wrap(Udp::new(40_000, 7)).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
/// let frame = stack.frame();
/// let layers = parse(&frame);
/// let verdicts = verify(&Packet::new(frame, &layers));
/// assert_eq!((verdicts.ip, verdicts.l4), (Verdict::Good, Verdict::Good));
/// ```
///
/// What the kernel knows of a frame concerns its outermost transport checksum when it says valid, and the
/// innermost one when it says not ready. Since the bytes do not tell where the sending host's device
/// was to begin, no transport checksum of a frame that is not ready is called bad. Where it is not known whether a frame
/// is ready ([`Offload::checksum_unsure`]), a wrong checksum tells: one that the device was to complete is the sum of the
/// pseudo header alone.
#[inline(always)] // As `parse`.
#[must_use]
pub fn verify(packet: &Packet<'_>) -> Verdicts {
    struct One<'p, 'a>(&'p Packet<'a>, &'p mut Verdicts);
    impl Task for One<'_, '_> {
        type Output = ();

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) {
            let Self(packet, verdicts) = self;
            verify_into(
                kernel,
                packet.frame().data,
                packet.frame().record.offload,
                packet.layers(),
                verdicts,
            );
        }
    }
    let mut verdicts = Verdicts::default();
    checksum::run(One(packet, &mut verdicts));
    verdicts
}

/// The verdicts over the packet in `data` whose headers are `layers`, in place of what is in `verdicts`.
///
/// Each is written where it belongs as soon as it is known: put together elsewhere and copied from there, it would wait for
/// its own stores, for longer than a sum takes.
#[inline]
pub(crate) fn verify_into<K: Kernel>(
    kernel: K,
    data: &[u8],
    offload: Offload,
    layers: &Layers,
    verdicts: &mut Verdicts,
) {
    let Offload { checksum_not_ready: not_ready, checksum_valid, checksum_unsure: unsure, .. } = offload;
    *verdicts = Verdicts::default();
    let Verdicts { ip, l4, inner_ip, inner_l4 } = verdicts;
    if let Some(layer) = &layers.outer {
        verify_layer(kernel, data, layer, (not_ready, checksum_valid && !not_ready), (ip, l4));
    }
    if let Some(layer) = &layers.inner {
        verify_layer(kernel, data, layer, (not_ready, false), (inner_ip, inner_l4));
    }
    if unsure && verdicts.any_bad() {
        unfinished::settle(data, layers, verdicts);
    }
}

/// The verdicts over one IP layer's header and over what it carries, of which the kernel says whether it is ready and whether
/// it vouches for it.
#[inline]
fn verify_layer<K: Kernel>(
    kernel: K,
    data: &[u8],
    ip: &IpLayer,
    (not_ready, vouched): (bool, bool),
    (header_verdict, verdict): (&mut Verdict, &mut Verdict),
) {
    if is_plain_header(kernel, data, ip) {
        *header_verdict = Verdict::Good;
    } else {
        *header_verdict = header(kernel, data, ip);
    }
    if !vouched && transport::is_plainly_right(kernel, data, ip) {
        *verdict = Verdict::Good;
    } else {
        transport::judge(kernel, data, ip, vouched, verdict);
        if not_ready && verdict.is_bad() {
            *verdict = Verdict::NotReady;
        }
    }
}

/// The same verdicts, where it is not known whether the frame is [ready](Offload::checksum_unsure), nor what system has sent it:
/// what people are told. A capture file seldom says what was left to the device.
#[inline]
pub(crate) fn finished(packet: &Packet<'_>, mut verdicts: Verdicts) -> Verdicts {
    if verdicts.any_bad() {
        unfinished::settle_of_any_host(packet.frame().data, packet.layers(), &mut verdicts);
    }
    verdicts
}

/// Whether it is an IPv4 header without options, and right. False says nothing.
#[inline(always)]
fn is_plain_header<K: Kernel>(kernel: K, data: &[u8], ip: &IpLayer) -> bool {
    let Some(header) = data.get(ip.start as usize..).and_then(<[u8]>::first_chunk::<20>) else {
        return false;
    };
    (ip.version == IpVersion::V4) & (header[0] & 0x0f == 5) && kernel.sum(header).fold() == 0xffff
}

/// The IPv4 header checksum, options included (RFC 791 section 3.1). IPv6 has none.
fn header<K: Kernel>(kernel: K, data: &[u8], ip: &IpLayer) -> Verdict {
    if ip.version == IpVersion::V6 {
        return Verdict::NotApplicable;
    }
    let Some(bytes @ [first, ..]) = data.get(ip.start as usize..) else { return Verdict::Truncated };
    let length = usize::from(first & 0x0f) * 4;
    if length < 20 {
        return Verdict::NotApplicable;
    }
    match bytes.get(..length) {
        Some(header) => transport::internet(kernel, Sum::ZERO, header, 10),
        None => Verdict::Truncated,
    }
}

#[cfg(test)]
mod tests;
