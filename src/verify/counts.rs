//! How often each verdict was given.

use super::{Verdict, Verdicts};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Verdicts about one kind of checksum, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    counts: [u64; Verdict::NAMES.len()],
}

impl VerdictCounts {
    /// Counts one verdict.
    pub fn add(&mut self, verdict: Verdict) {
        self.add_many(verdict, 1);
    }

    /// Counts a verdict that was given so many times.
    pub fn add_many(&mut self, verdict: Verdict, times: u64) {
        self.add_code(verdict.code(), times);
    }

    /// The same, by the verdict's [code](Verdict::code).
    ///
    /// # Panics
    /// When the code is above 7.
    #[inline]
    pub fn add_code(&mut self, code: usize, times: u64) {
        self.counts[code] += times;
    }

    /// Counts a verdict as another one than the one it was counted as.
    fn recount(&mut self, was: Verdict, is: Verdict) {
        self.counts[was.code()] -= 1;
        self.counts[is.code()] += 1;
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
    /// use wharf::verify::{Verdict, VerdictCounts};
    /// let mut counts = VerdictCounts::default();
    /// counts.add(Verdict::Bad { found: 1, expected: 2 });
    /// assert_eq!(counts.of(Verdict::Bad { found: 0, expected: 0 }), 1);
    /// ```
    #[must_use]
    pub fn of(&self, kind: Verdict) -> u64 {
        self.counts[kind.code()]
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

/// Verdicts by layer, counted over packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Checksums {
    /// Outermost IPv4 headers.
    pub ip: VerdictCounts,
    /// TCP, UDP, ICMP, ICMPv6 in the outermost IP layer.
    pub l4: VerdictCounts,
    /// Innermost IPv4 headers, in tunnels.
    pub inner_ip: VerdictCounts,
    /// What the innermost IP layer carries, likewise.
    pub inner_l4: VerdictCounts,
}

impl Checksums {
    /// Counts one packet.
    pub fn add(&mut self, verdicts: &Verdicts) {
        self.ip.add(verdicts.ip);
        self.l4.add(verdicts.l4);
        self.inner_ip.add(verdicts.inner_ip);
        self.inner_l4.add(verdicts.inner_l4);
    }

    /// Whether any of them was wrong.
    #[must_use]
    pub fn any_bad(&self) -> bool {
        let bad = Verdict::Bad { found: 0, expected: 0 };
        [&self.ip, &self.l4, &self.inner_ip, &self.inner_l4].into_iter().any(|counts| counts.of(bad) > 0)
    }

    /// Counts a packet's verdicts as others than those it was counted with.
    pub(crate) fn recount(&mut self, was: &Verdicts, is: &Verdicts) {
        self.ip.recount(was.ip, is.ip);
        self.l4.recount(was.l4, is.l4);
        self.inner_ip.recount(was.inner_ip, is.inner_ip);
        self.inner_l4.recount(was.inner_l4, is.inner_l4);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.ip.merge(&other.ip);
        self.l4.merge(&other.l4);
        self.inner_ip.merge(&other.inner_ip);
        self.inner_l4.merge(&other.inner_l4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::KINDS;

    #[test]
    fn every_kind_is_counted_under_its_own_name() {
        let mut counts = VerdictCounts::default();
        for (times, kind) in (1..).zip(KINDS) {
            (0..times).for_each(|_| counts.add(kind));
        }
        let expected: Vec<_> = KINDS.iter().map(|kind| kind.name()).zip(1..).collect();
        assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
        assert_eq!(counts.checksums(), (2..=8).sum::<u64>());
    }
}
