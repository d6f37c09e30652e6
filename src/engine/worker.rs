//! The loop: fill, parse, verify, demultiplex, deliver, and again, one batch at a time.

use super::Shutdown;
use super::config::{BoxedSink, BoxedSource};
use super::stats::{Gauge, Tally};
use crate::demux::PortMap;
use crate::frame::Batch;
use crate::parse::{self, Layers, Packet};
use crate::sink::{self, Deliveries};
use crate::source::{self, BATCH, Fill, Source};
use crate::verify::{self, Verdicts};

/// A thread's share of a run.
pub(super) struct Worker<'w, 'a> {
    pub(super) map: &'w PortMap,
    /// By output number. The rest has a number but no sink when nobody wants it.
    pub(super) sinks: &'w mut [BoxedSink<'a>],
    pub(super) limit: Option<u64>,
    pub(super) shutdown: &'w Shutdown,
    pub(super) gauge: &'w Gauge,
}

/// What a worker comes back with.
pub(super) struct Outcome {
    pub(super) tally: Tally,
    /// In the order in which they happened.
    pub(super) failures: Vec<Failure>,
}

/// Something that ends a run.
pub(super) enum Failure {
    Source(source::Error),
    Sink { output: usize, error: sink::Error },
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Sink { error, .. } => error.fmt(f),
        }
    }
}

impl Failure {
    fn is_of(&self, sink: usize) -> bool {
        matches!(self, Self::Sink { output, .. } if *output == sink)
    }
}

/// What the loop works on; all of it is used again for the next batch.
struct Desk {
    /// One for each frame of the batch.
    layers: Vec<Layers>,
    /// Likewise.
    verdicts: Vec<Verdicts>,
    /// By output number: indices into the batch.
    chosen: Vec<Vec<u16>>,
    /// Outputs with anything chosen, so that the others cost nothing.
    touched: Vec<usize>,
    tally: Tally,
    failures: Vec<Failure>,
    /// An output has all it wanted: the run ends, and well.
    complete: bool,
}

impl Worker<'_, '_> {
    /// Runs until the source ends, the limit is reached, an output is complete, the end is asked for,
    /// or something fails; then settles with the source and finishes every sink.
    pub(super) fn run(mut self, mut source: BoxedSource<'_>) -> Outcome {
        let mut desk = Desk::new(self.sinks.len());
        if !self.run_loop(&mut *source, &mut desk) {
            // Nothing may come from here on that the counters would miss.
            if let Err(error) = source.stop() {
                desk.failures.push(Failure::Source(error));
            }
        }
        let Desk { mut tally, mut failures, .. } = desk;
        tally.source = source.counters();
        let statistics = tally.interface_statistics(source.interfaces().len());
        for (output, sink) in self.sinks.iter_mut().enumerate() {
            let failed_before = failures.iter().any(|failure| failure.is_of(output));
            // A sink that failed is finished too, but what it says then is only its failure again.
            failures.extend(failure(output, sink.finish(&statistics)).filter(|_| !failed_before));
            if let Some(kept) = sink.kept() {
                tally.outputs[output].settle(kept);
            }
        }
        Outcome { tally, failures }
    }

    /// True when the source is at its end, false when it was left before.
    fn run_loop(&mut self, source: &mut dyn Source, desk: &mut Desk) -> bool {
        let mut stopping = false;
        while desk.failures.is_empty() && !desk.complete {
            if self.shutdown.requested() && !stopping {
                stopping = true;
                if let Err(error) = source.stop() {
                    desk.failures.push(Failure::Source(error));
                    return true;
                }
            }
            let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(desk.tally.packets));
            let room = usize::try_from(left).unwrap_or(BATCH).min(BATCH);
            if room == 0 {
                return false;
            }
            match source.fill(room) {
                Ok(Fill::Batch(batch)) => self.handle(batch, desk),
                Ok(Fill::Idle) => self.flush(desk),
                Ok(Fill::End) => return true,
                Err(error) => {
                    desk.failures.push(Failure::Source(error));
                    return true;
                }
            }
            self.gauge.publish(&desk.tally, source);
        }
        false
    }

    fn handle(&mut self, batch: Batch<'_>, desk: &mut Desk) {
        desk.read(batch);
        desk.route(self.map);
        for (output, sink) in self.sinks.iter_mut().enumerate() {
            let result = batch.annotations().iter().try_for_each(|annotation| sink.annotate(annotation));
            desk.failures.extend(failure(output, result));
        }
        let Desk { layers, verdicts, chosen, touched, tally, failures, complete } = desk;
        for output in touched.drain(..) {
            let chosen = &mut chosen[output];
            let Some(sink) = self.sinks.get_mut(output) else {
                tally.unrouted += chosen.len() as u64;
                chosen.clear();
                continue;
            };
            // An annotation may have failed already.
            let accepted = if failures.iter().any(|failure| failure.is_of(output)) {
                None
            } else {
                match sink.write(Deliveries::new(batch, layers, verdicts, chosen)) {
                    Ok(()) => Some(chosen.len()),
                    Err(sink::Error::Complete { accepted }) => {
                        *complete = true;
                        Some(accepted)
                    }
                    Err(error) => {
                        failures.push(Failure::Sink { output, error });
                        None
                    }
                }
            };
            tally.outputs[output].add(batch, chosen, accepted);
            chosen.clear();
        }
    }

    fn flush(&mut self, desk: &mut Desk) {
        for (output, sink) in self.sinks.iter_mut().enumerate() {
            desk.failures.extend(failure(output, sink.flush()));
        }
    }
}

impl Desk {
    fn new(sinks: usize) -> Self {
        Self {
            layers: Vec::with_capacity(BATCH),
            verdicts: Vec::with_capacity(BATCH),
            chosen: vec![Vec::new(); sinks + 1],
            touched: Vec::with_capacity(sinks + 1),
            tally: Tally::new(sinks),
            failures: Vec::new(),
            complete: false,
        }
    }

    /// Parses, verifies and counts every frame of the batch.
    fn read(&mut self, batch: Batch<'_>) {
        self.layers.clear();
        self.layers.extend(batch.frames().map(|frame| parse::parse(&frame)));
        self.verdicts.clear();
        let packets = batch.frames().zip(&self.layers);
        verify::verify_all(packets.map(|(frame, layers)| Packet::new(frame, layers)), &mut self.verdicts);
        for ((frame, layers), verdicts) in batch.frames().zip(&self.layers).zip(&self.verdicts) {
            self.tally.take(&frame, layers, verdicts);
        }
    }

    /// Sorts the packets by output.
    fn route(&mut self, map: &PortMap) {
        for (index, layers) in (0..).zip(&self.layers) {
            let output = usize::from(map.output(layers).0);
            if self.chosen[output].is_empty() {
                self.touched.push(output);
            }
            self.chosen[output].push(index);
        }
    }
}

fn failure(output: usize, result: Result<(), sink::Error>) -> Option<Failure> {
    result.err().map(|error| Failure::Sink { output, error })
}
