//! Where we differ from libpcap, and why we are right: the whole list, which `src/filter/differences.md` publishes.

use std::collections::BTreeMap;
use std::fmt;

/// What of libpcap was avoided when it was asked again ([`crate::proof`]), or what a frame lacks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Reason {
    Moved,
    Guard,
    Optimiser,
    Division,
    Known,
    LinkType,
    Family,
    Sap,
    NoMpls,
    Labels,
    Radiotap,
    Authentication,
    Endless,
    Places,
    Cut,
    Missing,
}

impl Reason {
    const ALL: [Self; 16] = [
        Self::Moved,
        Self::Guard,
        Self::Optimiser,
        Self::Division,
        Self::Known,
        Self::LinkType,
        Self::Family,
        Self::Sap,
        Self::NoMpls,
        Self::Labels,
        Self::Radiotap,
        Self::Authentication,
        Self::Endless,
        Self::Places,
        Self::Cut,
        Self::Missing,
    ];

    /// As its row of the published list begins.
    const fn name(self) -> &'static str {
        match self {
            Self::Moved => "alternatives",
            Self::Guard => "guards",
            Self::Optimiser => "optimiser",
            Self::Division => "division",
            Self::Known => "direction",
            Self::LinkType => "link types",
            Self::Family => "families",
            Self::Sap => "access points",
            Self::NoMpls => "labels",
            Self::Labels => "Geneve behind labels",
            Self::Radiotap => "radiotap",
            Self::Authentication => "authentication",
            Self::Endless => "endless",
            Self::Places => "places",
            Self::Cut => "cut frames",
            Self::Missing => "missing bytes",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Verdicts that were shown to be right against libpcap's, by reason.
#[derive(Default)]
pub(crate) struct Excused(BTreeMap<String, [usize; 2]>);

impl Excused {
    /// Counts frames of one expression, by what was shown of each.
    pub(crate) fn count(&mut self, frames: BTreeMap<String, usize>) {
        for (reasons, frames) in frames {
            let [expressions, verdicts] = self.0.entry(reasons).or_default();
            *expressions += 1;
            *verdicts += frames;
        }
    }
}

impl fmt::Display for Excused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (reasons, [expressions, verdicts]) in &self.0 {
            write!(f, "\n  shown, {reasons}: {verdicts} verdicts of {expressions} expressions")?;
        }
        Ok(())
    }
}

#[test]
fn every_reason_is_published() {
    let published = include_str!("../../src/filter/differences.md");
    let rows: Vec<&str> =
        published.lines().filter_map(|line| line.strip_prefix("| **")?.split("**").next()).collect();
    let names: Vec<&str> = Reason::ALL.into_iter().map(Reason::name).collect();
    assert_eq!(rows, names);
}
