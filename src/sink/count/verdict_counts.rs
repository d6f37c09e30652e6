//! How often each verdict was given.

use crate::verify::Verdict;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Verdicts about one kind of checksum, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    counts: [u64; Verdict::NAMES.len()],
}

/// The place of a verdict's count: that of its name in [`Verdict::NAMES`].
fn place(verdict: Verdict) -> usize {
    match verdict {
        Verdict::NotApplicable => 0,
        Verdict::Good => 1,
        Verdict::Bad { .. } => 2,
        Verdict::Absent => 3,
        Verdict::NotReady => 4,
        Verdict::Vouched => 5,
        Verdict::Fragment => 6,
        Verdict::Truncated => 7,
    }
}

impl VerdictCounts {
    /// Counts one verdict.
    pub fn add(&mut self, verdict: Verdict) {
        self.counts[place(verdict)] += 1;
    }

    /// Adds what another worker counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    /// How often a verdict of this kind was given; the values within [`Verdict::Bad`] do not matter.
    ///
    /// ```
    /// use wharf::{sink::VerdictCounts, verify::Verdict};
    /// let mut counts = VerdictCounts::default();
    /// counts.add(Verdict::Bad { found: 1, expected: 2 });
    /// assert_eq!(counts.of(Verdict::Bad { found: 0, expected: 0 }), 1);
    /// ```
    #[must_use]
    pub fn of(&self, kind: Verdict) -> u64 {
        self.counts[place(kind)]
    }

    /// Each kind by name, in a fixed order, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        Verdict::NAMES.into_iter().zip(self.counts)
    }

    /// How many checksums there were: all verdicts but [`Verdict::NotApplicable`].
    #[must_use]
    pub fn checksums(&self) -> u64 {
        self.counts.iter().sum::<u64>() - self.of(Verdict::NotApplicable)
    }
}

/// `{"good": 3, "bad": 0, …}`.
impl Serialize for VerdictCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Verdict::NAMES.len()))?;
        for (name, count) in self.iter() {
            map.serialize_entry(name, &count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_counted_under_its_own_name() {
        let kinds = [
            Verdict::NotApplicable,
            Verdict::Good,
            Verdict::Bad { found: 1, expected: 2 },
            Verdict::Absent,
            Verdict::NotReady,
            Verdict::Vouched,
            Verdict::Fragment,
            Verdict::Truncated,
        ];
        let mut counts = VerdictCounts::default();
        for (times, kind) in (1..).zip(kinds) {
            (0..times).for_each(|_| counts.add(kind));
        }
        let expected: Vec<_> = kinds.iter().map(|kind| kind.name()).zip(1..).collect();
        assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
        assert_eq!(counts.checksums(), (2..=8).sum::<u64>());
    }
}
