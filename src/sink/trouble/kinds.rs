//! What counts as trouble.

use crate::ValueError;
use std::fmt;
use std::str::FromStr;

/// Something that a flow should not have to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TroubleKind {
    /// TCP sent bytes (or a SYN) again, or bytes are missing that this capture itself has not lost.
    Loss,
    /// TCP was cut off (RST).
    Reset,
    /// A checksum was wrong: not one that the sending host has left to its device. What such a packet says is not believed.
    Checksum,
    /// A SYN, a DNS query (UDP port 53) or a ping had no answer for as long as packets are kept.
    Unanswered,
}

impl TroubleKind {
    /// Every kind, in the order of its counts.
    pub const ALL: [Self; 4] = [Self::Loss, Self::Reset, Self::Checksum, Self::Unanswered];

    /// Lower-case name.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Reset => "reset",
            Self::Checksum => "checksum",
            Self::Unanswered => "unanswered",
        }
    }
}

impl fmt::Display for TroubleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// Some kinds of trouble.
///
/// ```
/// use wharf::sink::{TroubleKind, TroubleKinds};
/// let kinds: TroubleKinds = "loss,reset".parse()?;
/// assert!(kinds.contains(TroubleKind::Reset) && !kinds.contains(TroubleKind::Checksum));
/// # Ok::<(), wharf::ValueError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TroubleKinds(u8);

impl TroubleKinds {
    /// All of them.
    pub const ALL: Self = Self(0b1111);

    /// Whether a kind is among them.
    #[must_use]
    pub const fn contains(self, kind: TroubleKind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

/// Names joined by commas.
impl FromStr for TroubleKinds {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut kinds = 0;
        for name in text.split(',') {
            let kind = TroubleKind::ALL.into_iter().find(|kind| kind.key() == name.trim());
            let kind = kind.ok_or_else(|| {
                ValueError(format!(
                    "{name:?} is no trouble: some of loss, reset, checksum, unanswered, joined by commas"
                ))
            })?;
            kinds |= 1 << kind as u8;
        }
        Ok(Self(kinds))
    }
}
