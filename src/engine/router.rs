//! Which output each packet of a batch goes to: by the filter of the run, the port map, and rules that are filters.

use crate::batch::Findings;
use crate::demux::{OutputId, PortMap, Rule};
use crate::filter::{Filter, Matcher};
use crate::frame::{Batch, Frame, LinkType};

/// All that decides where a packet goes.
pub(super) struct Router {
    map: PortMap,
    /// Packets that do not match go nowhere.
    filter: Option<Filter>,
    /// Outputs whose rules are filters, in order.
    rules: Vec<(OutputId, Filter)>,
    /// For what nobody wants.
    nowhere: OutputId,
}

impl Router {
    /// For rules in order, of which the first that fits has a packet; `nowhere` is beyond the last output.
    pub(super) fn new<'a>(
        filter: Option<Filter>,
        rules: impl Iterator<Item = &'a Rule> + Clone,
        nowhere: OutputId,
    ) -> Self {
        let numbered = rules.zip((0..).map(OutputId));
        let filters = numbered.clone().filter_map(|(rule, output)| match rule {
            Rule::Filter(filter) => Some((output, filter.clone())),
            Rule::Ports(_) | Rule::Rest => None,
        });
        Self { rules: filters.collect(), map: PortMap::new(numbered, nowhere), filter, nowhere }
    }

    /// The outputs of the packets of a batch, in order, in place of what `outputs` held.
    /// `wanted` is room to work in.
    pub(super) fn route(
        &self,
        batch: Batch<'_>,
        findings: &Findings,
        outputs: &mut Vec<OutputId>,
        wanted: &mut Vec<u16>,
    ) {
        self.map.route(findings.summaries(), outputs);
        let rest = self.map.rest();
        for (output, filter) in &self.rules {
            let mut asked = Asked::new(filter);
            for (index, chosen) in outputs.iter_mut().enumerate() {
                // A rule before this one has it.
                if (*chosen == rest || *chosen > *output) && asked.matches(&batch.frame(index)) {
                    *chosen = *output;
                }
            }
        }
        let Some(filter) = &self.filter else { return };
        if let [only] = batch.interfaces()
            && let Ok(matcher) = filter.on(only.link_type)
        {
            wanted.clear();
            matcher.choose(batch, wanted);
            let mut wanted = wanted.iter().copied().peekable();
            for (index, chosen) in outputs.iter_mut().enumerate() {
                if wanted.next_if(|&wanted| usize::from(wanted) == index).is_none() {
                    *chosen = self.nowhere;
                }
            }
            return;
        }
        let mut asked = Asked::new(filter);
        for (index, chosen) in outputs.iter_mut().enumerate() {
            if *chosen != self.nowhere && !asked.matches(&batch.frame(index)) {
                *chosen = self.nowhere;
            }
        }
    }
}

/// A filter with what it is for the link type that was asked for last: mostly it is that of all.
struct Asked<'f> {
    filter: &'f Filter,
    last: Option<(LinkType, Option<Matcher>)>,
}

impl<'f> Asked<'f> {
    fn new(filter: &'f Filter) -> Self {
        Self { filter, last: None }
    }

    fn matches(&mut self, frame: &Frame<'_>) -> bool {
        let link_type = frame.record.link_type;
        if self.last.as_ref().is_none_or(|(last, _)| *last != link_type) {
            self.last = Some((link_type, self.filter.on(link_type).ok()));
        }
        matches!(&self.last, Some((_, Some(matcher))) if matcher.matches(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::synthetic::{Synthetic, Traffic};

    fn routed(filter: Option<&str>, rules: &[&str]) -> Vec<(Option<(u16, u16)>, u16)> {
        let rules: Vec<Rule> = rules.iter().map(|rule| rule.parse().expect(rule)).collect();
        let filter = filter.map(|text| text.parse().expect(text));
        let nowhere = OutputId(u16::try_from(rules.len()).expect("few"));
        let router = Router::new(filter, rules.iter(), nowhere);
        let ports = vec![10..=19];
        let source = Synthetic::new(&Traffic { distinct: 250, ports, flows: 300, ..Traffic::default() });
        let (mut findings, mut outputs) = (Findings::new(), Vec::new());
        findings.read(source.table());
        router.route(source.table(), &findings, &mut outputs, &mut Vec::new());
        findings
            .summaries()
            .iter()
            .map(|found| found.ports())
            .zip(outputs.iter().map(|output| output.0))
            .collect()
    }

    #[test]
    fn the_first_rule_that_fits_has_a_packet_and_the_filter_goes_before_all() {
        let has = |ports: Option<(u16, u16)>, port| ports.is_some_and(|(a, b)| a == port || b == port);
        let found = routed(
            Some("not port 19"),
            &["rest", "any/10", "port 10 or port 11", "any/11,12", "port 12 or 13"],
        );
        for (ports, output) in &found {
            let expected = match ports {
                ports if has(*ports, 19) => 5,
                ports if has(*ports, 10) => 1,
                ports if has(*ports, 11) => 2,
                ports if has(*ports, 12) => 3,
                ports if has(*ports, 13) => 4,
                _ => 0,
            };
            assert_eq!(*output, expected, "{ports:?}");
        }
        for output in 0..=5 {
            assert!(found.iter().any(|(_, found)| *found == output), "nothing for {output}");
        }
    }

    #[test]
    fn without_a_rest_what_no_rule_names_goes_nowhere() {
        for (ports, output) in routed(None, &["port 10"]) {
            let named = ports.is_some_and(|(a, b)| a == 10 || b == 10);
            assert_eq!(output, u16::from(!named));
        }
    }
}
