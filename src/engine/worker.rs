//! A run on one thread, to completion: fill, parse, verify, demultiplex, deliver, and again, one batch at a time.

use super::Shutdown;
use super::config::{BoxedSink, BoxedSource};
use super::outlets::Outlets;
use super::router::Router;
use super::stats::{Gauge, Said, Tally};
use crate::batch::Findings;
use crate::frame::Batch;
use crate::sink::{self, Sink, Strain};
use crate::source::{self, BATCH, Fill, RingUse, Source};

/// A run on one thread.
pub(super) struct Worker<'w> {
    pub(super) router: &'w Router,
    pub(super) limit: Option<u64>,
    pub(super) shutdown: &'w Shutdown,
    pub(super) gauge: &'w Gauge,
}

/// What a run comes back with.
pub(super) struct Outcome {
    /// One for each worker.
    pub(super) tallies: Vec<Tally>,
    /// In the order in which they happened.
    pub(super) failures: Vec<Failure>,
    /// One for each output.
    pub(super) strains: Vec<Option<Strain>>,
    /// How the kernel's rings fared.
    pub(super) rings: Option<RingUse>,
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
    pub(super) fn is_of(&self, sink: usize) -> bool {
        matches!(self, Self::Sink { output, .. } if *output == sink)
    }
}

/// What the loop works on.
struct Bench<'d, S> {
    findings: Findings,
    /// Somebody asks for verdicts.
    verify: bool,
    outlets: Outlets<'d, S>,
    tally: Tally,
    /// Packets handed out by the source.
    taken: u64,
}

impl Worker<'_> {
    /// Runs until the source ends, the limit is reached, an output is complete, the end is asked for,
    /// or something fails; then settles with the source and finishes every sink.
    pub(super) fn run(&self, mut source: BoxedSource<'_>, sinks: &mut [BoxedSink<'_>]) -> Outcome {
        let mut bench = Bench::new(sinks);
        if !self.run_loop(&mut *source, &mut bench) {
            // Nothing may come from here on that the counters would miss.
            if let Err(error) = source.stop() {
                bench.outlets.failures.push(Failure::Source(error));
            }
        }
        let Bench { mut outlets, mut tally, taken, .. } = bench;
        if outlets.failures.is_empty() {
            outlets.failures.extend(source.settle().err().map(Failure::Source));
        }
        tally.source = source.counters();
        // Read, but beyond the end of the run.
        let beyond = taken.saturating_sub(tally.packets);
        if source.is_live() {
            tally.source.unread += beyond;
        } else {
            tally.source.received = tally.source.received.saturating_sub(beyond);
        }
        let mut tallies = vec![tally];
        let statistics = tallies[0].interface_statistics(&Said::by(&*source));
        let strains = outlets.finish(&statistics, &mut tallies);
        Outcome { tallies, failures: outlets.failures, strains, rings: source.ring_use() }
    }

    /// True when the source is at its end, false when it was left before.
    fn run_loop<S: Sink>(&self, source: &mut dyn Source, bench: &mut Bench<'_, S>) -> bool {
        let mut stopping = false;
        while !bench.outlets.ended() {
            if self.shutdown.requested() && !stopping {
                stopping = true;
                if let Err(error) = source.stop() {
                    bench.outlets.failures.push(Failure::Source(error));
                    return true;
                }
            }
            let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(bench.tally.packets));
            let room = usize::try_from(left).unwrap_or(BATCH).min(BATCH);
            if room == 0 {
                return false;
            }
            match source.fill(room) {
                Ok(Fill::Batch(batch)) => bench.handle(batch, self.router),
                Ok(Fill::Idle) => bench.outlets.flush(),
                Ok(Fill::End) => return true,
                Err(error) => {
                    bench.outlets.failures.push(Failure::Source(error));
                    return true;
                }
            }
            self.gauge.publish((bench.tally.packets, bench.tally.bytes), (0, 0), source.progress());
        }
        false
    }
}

impl<'d, S: Sink> Bench<'d, S> {
    fn new(sinks: &'d mut [S]) -> Self {
        let tally = Tally::new(sinks.len());
        let verify = sinks.is_empty() || sinks.iter().any(Sink::wants_verdicts);
        Self { findings: Findings::default(), verify, outlets: Outlets::new(sinks), tally, taken: 0 }
    }

    /// Every stage, for one batch.
    fn handle(&mut self, batch: Batch<'_>, router: &Router) {
        let Self { findings, verify, outlets, tally, taken } = self;
        if *verify {
            findings.read(batch);
        } else {
            findings.read_unverified(batch);
        }
        *taken += batch.len() as u64;
        let unrouted = tally.unrouted;
        outlets.deliver(batch, findings, router, tally);
        match outlets.end {
            None => tally.take(batch, findings),
            Some(end) => {
                tally.unrouted = unrouted;
                tally.take_up_to(end, batch, *verify);
            }
        }
    }
}
