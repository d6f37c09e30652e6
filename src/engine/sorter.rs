//! Which packets of a batch go to which output.

use super::router::Router;
use crate::batch::Findings;
use crate::demux::OutputId;
use crate::frame::Batch;
use crate::source::BATCH;

/// The index of every packet of a batch.
const EVERY: [u16; BATCH] = {
    let mut every = [0; BATCH];
    let mut index = 0;
    while index < BATCH {
        every[index] = index as u16;
        index += 1;
    }
    every
};

/// The packets of one batch, by output. The vectors are used again for the next one.
pub(super) struct Sorter {
    /// Of each packet.
    outputs: Vec<OutputId>,
    /// Indices of those that match a filter.
    wanted: Vec<u16>,
    /// By output number: indices into the batch.
    chosen: Vec<Vec<u16>>,
    /// Outputs with anything chosen, so that the others cost nothing.
    touched: Vec<usize>,
}

impl Sorter {
    /// For outputs numbered below `outputs`.
    pub(super) fn new(outputs: usize) -> Self {
        Self {
            outputs: Vec::new(),
            wanted: Vec::new(),
            chosen: vec![Vec::new(); outputs],
            touched: Vec::with_capacity(outputs),
        }
    }

    /// Takes the packets of a batch in which this was found.
    pub(super) fn sort(&mut self, router: &Router, batch: Batch<'_>, findings: &Findings) {
        router.route(batch, findings, &mut self.outputs, &mut self.wanted);
        // Often they all go the same way.
        let Some(&first) = self.outputs.first() else { return };
        let differences =
            self.outputs.iter().fold(0, |differences, output| differences | (output.0 ^ first.0));
        if let (0, Some(all)) = (differences, EVERY.get(..self.outputs.len())) {
            self.touched.push(first.0.into());
            self.chosen[usize::from(first.0)].extend_from_slice(all);
            return;
        }
        let mut others = [0; BATCH];
        let others = match self.outputs.len() {
            ..=BATCH => self.pick(first, &mut others),
            _ => return (0..).take(self.outputs.len()).for_each(|index| self.choose(index)),
        };
        // And as often there are but two ways.
        let second = self.outputs[usize::from(others[0])];
        if others.iter().all(|&index| self.outputs[usize::from(index)] == second) {
            self.touched.push(second.0.into());
            let all = &mut self.chosen[usize::from(second.0)];
            all.reserve(BATCH);
            all.extend_from_slice(others);
            return;
        }
        others.iter().for_each(|&index| self.choose(index));
    }

    /// Chooses all packets for `output` and gives the indices of the others. Which way a packet goes is hard to guess: there
    /// is no branch on it.
    fn pick<'o>(&mut self, output: OutputId, others: &'o mut [u16; BATCH]) -> &'o [u16] {
        let mut chosen = [0; BATCH];
        let (mut here, mut elsewhere) = (0, 0);
        for (index, of) in (0..).zip(&self.outputs) {
            // Written to both, to be written over in the one that it is not for.
            (chosen[here % BATCH], others[elsewhere % BATCH]) = (index, index);
            here += usize::from(*of == output);
            elsewhere += usize::from(*of != output);
        }
        self.touched.push(output.0.into());
        let all = &mut self.chosen[usize::from(output.0)];
        all.reserve(BATCH);
        all.extend_from_slice(&chosen[..here]);
        &others[..elsewhere]
    }

    fn choose(&mut self, index: u16) {
        let output = usize::from(self.outputs[usize::from(index)].0);
        if self.chosen[output].is_empty() {
            self.touched.push(output);
            // At once for as many as there can be: else a batch with more for it than any before allocates.
            self.chosen[output].reserve(BATCH);
        }
        self.chosen[output].push(index);
    }

    /// Gives each output that has any the indices of its packets, and forgets them.
    pub(super) fn drain(&mut self, mut act: impl FnMut(usize, &[u16])) {
        for output in self.touched.drain(..) {
            act(output, &self.chosen[output]);
            self.chosen[output].clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demux::Rule;
    use crate::source::synthetic::{Synthetic, Traffic};

    #[test]
    fn every_packet_goes_to_its_output_in_order() {
        let ports = vec![10..=19];
        let source = Synthetic::new(&Traffic { distinct: 250, ports, flows: 300, ..Traffic::default() });
        let table = source.table();
        let mut findings = Findings::new();
        findings.read(table);
        for outputs in 1..=8_u16 {
            let rules: Vec<Rule> =
                (10..10 + outputs).map(|port| format!("any/{port}").parse().expect("a rule")).collect();
            let router = Router::new(None, rules.iter(), OutputId(outputs));
            let mut expected = Vec::new();
            router.route(table, &findings, &mut expected, &mut Vec::new());
            let mut sorter = Sorter::new(usize::from(outputs) + 1);
            for _ in 0..2 {
                sorter.sort(&router, table, &findings);
                let mut sorted = vec![OutputId::MAX; expected.len()];
                sorter.drain(|output, chosen| {
                    assert!(!chosen.is_empty() && chosen.is_sorted());
                    chosen.iter().for_each(|&index| sorted[usize::from(index)] = OutputId(output as u16));
                });
                assert_eq!(sorted, expected, "{outputs} outputs");
            }
        }
    }
}
