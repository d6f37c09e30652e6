//! What goes into a checksum field.

/// What a header writes into its checksum field.
///
/// ```
/// use wharf::build::{Checksum, Ipv4, Stack, Udp};
/// let mut stack = Stack::new();
/// let datagram = Udp::new(1000, 2000).checksum(Checksum::Zero); // the sender computed none
/// stack.message(b"x").wrap(datagram).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
/// assert_eq!(stack.bytes()[26..28], [0, 0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// What belongs there.
    #[default]
    Right,
    /// Neither what belongs there nor 0.
    Wrong,
    /// 0.
    Zero,
    /// The sum of the pseudo header alone, what Linux leaves for the device to complete
    /// (`CHECKSUM_PARTIAL`); 0 where there is no pseudo header.
    Partial,
    /// This number; 16-bit fields take the low half.
    Value(u32),
}

impl Checksum {
    /// The field's value, where `right` belongs there and the pseudo header alone sums up to `partial`.
    pub(super) fn field(self, right: u16, partial: u16) -> u16 {
        match self {
            Self::Right => right,
            // One bit flipped is always another sum. But 0x0100 would become 0, which says "none" in UDP.
            Self::Wrong if right == 0x0100 => 0x0200,
            Self::Wrong => right ^ 0x0100,
            Self::Zero => 0,
            Self::Partial => partial,
            Self::Value(value) => value as u16,
        }
    }

    /// Likewise for a field of 32 bits, which has no pseudo header.
    pub(super) fn wide_field(self, right: u32) -> u32 {
        match self {
            Self::Right => right,
            Self::Wrong if right == 1 => 2,
            Self::Wrong => right ^ 1,
            Self::Zero | Self::Partial => 0,
            Self::Value(value) => value,
        }
    }
}
