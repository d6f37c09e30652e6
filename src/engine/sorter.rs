//! Which packets of a batch go to which output.

use crate::demux::OutputId;

/// The packets of one batch, by output. The vectors are used again for the next one.
pub(super) struct Sorter {
    /// By output number: indices into the batch.
    chosen: Vec<Vec<u16>>,
    /// Outputs with anything chosen, so that the others cost nothing.
    touched: Vec<usize>,
}

impl Sorter {
    /// For outputs numbered below `outputs`.
    pub(super) fn new(outputs: usize) -> Self {
        Self { chosen: vec![Vec::new(); outputs], touched: Vec::with_capacity(outputs) }
    }

    /// Takes the output of each packet, in order.
    pub(super) fn sort(&mut self, outputs: impl Iterator<Item = OutputId>) {
        for (index, output) in (0..).zip(outputs) {
            let output = usize::from(output.0);
            if self.chosen[output].is_empty() {
                self.touched.push(output);
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
