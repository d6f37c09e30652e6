//! Hands packets to sinks on the worker's own thread, and sees every sink through to its end.

use super::router::Router;
use super::sorter::Sorter;
use super::stats::{self, End, Tally};
use super::worker::Failure;
use crate::batch::Findings;
use crate::frame::Batch;
use crate::sink::{self, Deliveries, InterfaceStatistics, Sink, Strain};

/// The sinks of a run, with what is under way to them.
pub(super) struct Outlets<'s, S> {
    /// By output number. The rest has a number but no sink when nobody wants it.
    sinks: &'s mut [S],
    sorter: Sorter,
    /// In the order in which they happened.
    pub(super) failures: Vec<Failure>,
    /// An output has all it wanted: the run ends, and well.
    complete: bool,
    /// Where in the last batch, if it was the only one.
    pub(super) end: Option<End>,
}

impl<'s, S: Sink> Outlets<'s, S> {
    pub(super) fn new(sinks: &'s mut [S]) -> Self {
        let sorter = Sorter::new(sinks.len() + 1);
        Self { sinks, sorter, failures: Vec::new(), complete: false, end: None }
    }

    /// True when the run ends here, well or not.
    pub(super) fn ended(&self) -> bool {
        self.complete || !self.failures.is_empty()
    }

    /// Hands out the packets of `batch` to the outputs that `router` names, and its annotations to all before.
    pub(super) fn deliver(
        &mut self,
        batch: Batch<'_>,
        findings: &mut Findings,
        router: &Router,
        tally: &mut Tally,
    ) {
        self.sorter.sort(router, batch, findings);
        self.each(|sink| batch.annotations().iter().try_for_each(|annotation| sink.annotate(annotation)));
        let Self { sinks, sorter, failures, complete, end } = self;
        let sole = sinks.len() == 1;
        sorter.drain(|output, chosen| {
            let Some(sink) = sinks.get_mut(output) else {
                tally.unrouted += chosen.len() as u64;
                return;
            };
            if sink.wants_layers() {
                findings.lay_out(batch, chosen);
            }
            // An annotation may have failed already.
            let accepted = if failures.iter().any(|failure| failure.is_of(output)) {
                None
            } else {
                match sink.write(Deliveries::new(batch, findings, chosen)) {
                    Ok(()) => Some(chosen.len()),
                    Err(sink::Error::Complete { accepted }) => {
                        *complete = true;
                        *end = sole.then(|| End::after(accepted, chosen));
                        Some(accepted)
                    }
                    Err(error) => {
                        failures.push(Failure::Sink { output, error });
                        None
                    }
                }
            };
            let counted = end.map_or(chosen, |end| &chosen[..end.accepted]);
            tally.outputs[output].add(batch, counted, accepted);
        });
    }

    pub(super) fn flush(&mut self) {
        self.each(|sink| sink.flush());
    }

    /// Finishes every sink. One that failed before is finished too, but what it says then is only its failure again.
    /// What the sinks have kept at last corrects what was counted as delivered. Comes back with how hard each had it.
    pub(super) fn finish(
        &mut self,
        statistics: &[InterfaceStatistics],
        tallies: &mut [Tally],
    ) -> Vec<Option<Strain>> {
        for (output, sink) in self.sinks.iter_mut().enumerate() {
            let failed_before = self.failures.iter().any(|failure| failure.is_of(output));
            let statistics = stats::as_seen_by(output, statistics, tallies);
            self.failures.extend(failure(output, sink.finish(&statistics)).filter(|_| !failed_before));
            stats::pass_over(tallies, output, sink.passed_over());
            if let Some(kept) = sink.kept() {
                stats::settle(tallies, output, kept);
            }
        }
        self.sinks.iter().map(|sink| sink.strain()).collect()
    }

    fn each(&mut self, mut act: impl FnMut(&mut S) -> Result<(), sink::Error>) {
        for (output, sink) in self.sinks.iter_mut().enumerate() {
            self.failures.extend(failure(output, act(sink)));
        }
    }
}

fn failure(output: usize, result: Result<(), sink::Error>) -> Option<Failure> {
    result.err().map(|error| Failure::Sink { output, error })
}
