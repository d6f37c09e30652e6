//! What a TCP segment says of itself.

use super::header::tcp_of;
use crate::parse::{IpLayer, Packet, TcpFlags, TcpHeader, TcpOption};

/// What a TCP segment says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of its first byte.
    pub sequence: u32,
    /// What it acknowledges, where ACK is set.
    pub acknowledgment: u32,
    /// Bytes of payload, captured or not.
    pub length: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window as it stands.
    pub window: u16,
    /// What its options say, of a SYN.
    pub options: SynOptions,
}

/// What the options of a SYN say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynOptions {
    /// Largest segment taken.
    pub mss: Option<u16>,
    /// Shift of windows.
    pub window_scale: Option<u8>,
    /// Selective acknowledgments are taken.
    pub sack: bool,
    /// Timestamps are sent.
    pub timestamps: bool,
}

impl Segment {
    /// The segment in an IP layer of a packet, if it is one; its options as far as they were captured.
    #[must_use]
    pub fn of(packet: &Packet<'_>, ip: &IpLayer) -> Option<Self> {
        tcp_of(packet, ip).map(|(tcp, length)| Self::new(&tcp, length))
    }

    /// The segment with this header and so many bytes.
    #[must_use]
    pub fn new(tcp: &TcpHeader<'_>, length: u32) -> Self {
        let flags = tcp.flags();
        let options = if flags.syn() { SynOptions::of(tcp) } else { SynOptions::default() };
        Self {
            sequence: tcp.sequence(),
            acknowledgment: tcp.acknowledgment(),
            length,
            flags,
            window: tcp.window(),
            options,
        }
    }

    /// It takes up sequence numbers.
    #[inline]
    pub(super) fn is_numbered(&self) -> bool {
        self.length > 0 || self.has(TcpFlags(TcpFlags::SYN.0 | TcpFlags::FIN.0))
    }

    /// One beyond its last sequence number.
    #[inline]
    pub(super) fn end(&self) -> u32 {
        let syn_or_fin = self.has(TcpFlags(TcpFlags::SYN.0 | TcpFlags::FIN.0));
        self.sequence.wrapping_add(self.length).wrapping_add(syn_or_fin.into())
    }

    /// Any of these bits is set.
    #[inline]
    pub(super) fn has(&self, bits: TcpFlags) -> bool {
        self.flags.0 & bits.0 != 0
    }

    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        !self.has(TcpFlags(TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0))
    }
}

impl SynOptions {
    pub(in crate::flow) fn of(tcp: &TcpHeader<'_>) -> Self {
        let mut options = Self::default();
        for option in tcp.options().flatten() {
            match option {
                TcpOption::MaximumSegmentSize(mss) => options.mss = Some(mss),
                TcpOption::WindowScale(shift) => options.window_scale = Some(shift),
                TcpOption::SackPermitted => options.sack = true,
                TcpOption::Timestamps { .. } => options.timestamps = true,
                _ => {}
            }
        }
        options
    }
}

/// The same in four bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::flow) struct PackedOptions(u32);

impl PackedOptions {
    /// A SYN that has none, or a segment that is no SYN.
    pub(in crate::flow) const NONE: Self = Self(0);
    const MSS: u32 = 1;
    const WINDOW_SCALE: u32 = 2;
    const SACK: u32 = 4;
    const TIMESTAMPS: u32 = 8;

    pub(in crate::flow) fn pack(options: SynOptions) -> Self {
        let SynOptions { mss, window_scale, sack, timestamps } = options;
        let bit = |there: bool, bit: u32| if there { bit } else { 0 };
        let numbers = u32::from(mss.unwrap_or(0)) << 16 | u32::from(window_scale.unwrap_or(0)) << 8;
        let there = bit(mss.is_some(), Self::MSS) | bit(window_scale.is_some(), Self::WINDOW_SCALE);
        Self(numbers | there | bit(sack, Self::SACK) | bit(timestamps, Self::TIMESTAMPS))
    }

    /// As a number, of which bits 4 to 7 are 0.
    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline(always)]
    pub(in crate::flow) fn unpack(self) -> SynOptions {
        let has = |bit: u32| self.0 & bit != 0;
        SynOptions {
            mss: has(Self::MSS).then_some((self.0 >> 16) as u16),
            window_scale: has(Self::WINDOW_SCALE).then_some((self.0 >> 8) as u8),
            sack: has(Self::SACK),
            timestamps: has(Self::TIMESTAMPS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back() {
        for mss in [None, Some(0), Some(1460), Some(u16::MAX)] {
            for window_scale in [None, Some(0), Some(14), Some(u8::MAX)] {
                for (sack, timestamps) in [(false, false), (true, false), (false, true), (true, true)] {
                    let options = SynOptions { mss, window_scale, sack, timestamps };
                    assert_eq!(PackedOptions::pack(options).unpack(), options);
                }
            }
        }
        assert_eq!(PackedOptions::pack(SynOptions::default()), PackedOptions::NONE);
    }
}
