//! What the outputs of a run want of its source: the kernel may leave out the rest.

use wharf::demux::{Ports, Protocol, Rule};
use wharf::filter::Filter;
use wharf::source::packet::PortSet;

/// What the outputs of a run want of the source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// Somebody watches packets come.
    soon: bool,
    /// Nobody wants packets that none of these names: the kernel may leave them out. Empty if all are wanted.
    rules: Vec<Rule>,
    /// Nobody wants packets that do not match.
    filter: Option<Filter>,
    counts_matches: bool,
}

impl Wish {
    /// Wants the packets that these rules name: all, if one of them is for the rest.
    pub(crate) fn of(rules: Vec<Rule>) -> Self {
        Self { rules: if rules.contains(&Rule::Rest) { Vec::new() } else { rules }, ..Self::default() }
    }

    /// Wants them soon, because somebody watches.
    pub(crate) fn soon(self, soon: bool) -> Self {
        Self { soon, ..self }
    }

    /// Whether somebody does.
    pub(crate) fn is_soon(&self) -> bool {
        self.soon
    }

    /// Wants of those only what matches.
    pub(crate) fn matching(self, filter: Option<Filter>) -> Self {
        Self { filter, ..self }
    }

    /// A limit is one of packets that match.
    pub(crate) fn counting_matches(self) -> Self {
        Self { counts_matches: true, ..self }
    }

    /// Whether it is.
    pub(crate) fn counts_matches(&self) -> bool {
        self.counts_matches
    }

    /// What must match.
    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Those of rules.
    pub(crate) fn filters_of_rules(&self) -> impl Iterator<Item = &Filter> {
        self.rules.iter().filter_map(|rule| match rule {
            Rule::Filter(filter) => Some(filter),
            Rule::Ports(_) | Rule::Rest => None,
        })
    }

    /// The rules that name all that is wanted, if that is not everything.
    pub(crate) fn rules(&self) -> Option<&[Rule]> {
        (!self.rules.is_empty()).then_some(&self.rules)
    }

    /// The ports without which nobody wants a packet, if that is all there is to it.
    pub(crate) fn ports(&self) -> Option<PortSet> {
        self.rules().and_then(ports_of)
    }
}

/// The ports of some rules together; `None` if one of them wants the rest.
fn ports_of(rules: &[Rule]) -> Option<PortSet> {
    let mut set = PortSet::new();
    for rule in rules {
        let Rule::Ports(Ports { protocol, ranges }) = rule else { return None };
        for range in ranges.iter().cloned() {
            set = match protocol {
                Protocol::Tcp => set.tcp(range),
                Protocol::Udp => set.udp(range),
                Protocol::Sctp => set.sctp(range),
                Protocol::Any => set.tcp(range.clone()).udp(range.clone()).sctp(range),
            };
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_without_a_rest_are_a_set_of_ports() {
        let rules =
            |texts: &[&str]| -> Vec<Rule> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let set = ports_of(&rules(&["tcp/443,80-81", "any/53"])).unwrap();
        assert_eq!(set.to_string(), "tcp/53,80-81,443 udp/53 sctp/53");
        assert_eq!(ports_of(&rules(&["tcp/443", "rest"])), None);
    }
}
