//! Which packets of a batch go to which output.

use crate::batch::Findings;
use crate::demux::{OutputId, PortMap};
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
    /// By output number: indices into the batch.
    chosen: Vec<Vec<u16>>,
    /// Outputs with anything chosen, so that the others cost nothing.
    touched: Vec<usize>,
}

impl Sorter {
    /// For outputs numbered below `outputs`.
    pub(super) fn new(outputs: usize) -> Self {
        Self { outputs: Vec::new(), chosen: vec![Vec::new(); outputs], touched: Vec::with_capacity(outputs) }
    }

    /// Takes the packets in which this was found.
    pub(super) fn sort(&mut self, map: &PortMap, findings: &Findings) {
        map.route(findings.summaries(), &mut self.outputs);
        // Often they all go the same way.
        let Some(&first) = self.outputs.first() else { return };
        let differences =
            self.outputs.iter().fold(0, |differences, output| differences | (output.0 ^ first.0));
        if let (0, Some(all)) = (differences, EVERY.get(..self.outputs.len())) {
            self.touched.push(first.0.into());
            self.chosen[usize::from(first.0)].extend_from_slice(all);
            return;
        }
        for (index, output) in (0..).zip(&self.outputs) {
            let output = usize::from(output.0);
            if self.chosen[output].is_empty() {
                self.touched.push(output);
                // At once for as many as there can be: else a batch with more for it than any before allocates.
                self.chosen[output].reserve(BATCH);
            }
            self.chosen[output].push(index);
        }
    }

    /// Gives each output that has any the indices of its packets, and forgets them.
    pub(super) fn drain(&mut self, mut act: impl FnMut(usize, &[u16])) {
        for output in self.touched.drain(..) {
            act(output, &self.chosen[output]);
            self.chosen[output].clear();
        }
    }
}
