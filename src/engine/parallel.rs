//! Several workers over one file. They read its chunks in turns and parse and verify them side by side.
//!
//! Where every sink gives out [parts](crate::sink::Part), each worker runs to completion into parts of its own, which are
//! merged at the end. Otherwise the chunks go on to the sinks [in order](super::in_order).

use super::Error;
use super::config::{BoxedSink, BoxedSource};
use super::cores::pin;
use super::outlets::Outlets;
use super::stats::{Gauge, Tally};
use super::turns::Turns;
use super::worker::{Desk, Failure, Outcome};
use super::{Shutdown, in_order};
use crate::demux::PortMap;
use crate::sink::{Part, Sink};
use crate::source::{Chunk, Counters, Source};
use crossbeam::utils::CachePadded;
use std::thread::{self, Scope, ScopedJoinHandle};

/// A run on several workers.
pub(super) struct Parallel<'w> {
    pub(super) map: &'w PortMap,
    /// One for each worker.
    pub(super) cores: &'w [usize],
    pub(super) limit: Option<u64>,
    pub(super) shutdown: &'w Shutdown,
    /// One for each worker.
    pub(super) gauges: &'w [CachePadded<Gauge>],
}

/// What the workers, or the sinks' thread in their place, come back with.
pub(super) struct Handled {
    pub(super) tallies: Vec<Tally>,
    pub(super) failures: Vec<Failure>,
    /// The sinks ended the run, and knew so many interfaces then.
    pub(super) ended_at: Option<usize>,
}

impl Parallel<'_> {
    /// As a single worker would: the same packets in the same order for the sinks, the same account of them.
    pub(super) fn run(&self, source: BoxedSource<'_>, sinks: &mut [BoxedSink<'_>]) -> Result<Outcome, Error> {
        let turns = Turns::new(source, self.limit, self.shutdown);
        let parts: Option<Vec<Vec<_>>> =
            self.cores.iter().map(|_| sinks.iter().map(|sink| sink.part()).collect()).collect();
        let handled = match parts {
            Some(parts) => self.run_parts(&turns, parts, sinks)?,
            None => in_order::run(self, &turns, sinks)?,
        };
        let (source, error) = turns.into_source();
        Ok(settle(handled, source, error.map(Failure::Source), sinks))
    }

    fn run_parts(
        &self,
        turns: &Turns<'_>,
        parts: Vec<Vec<Box<dyn Part>>>,
        sinks: &mut [BoxedSink<'_>],
    ) -> Result<Handled, Error> {
        let ended = self.spawn(turns, parts, |worker, parts| self.run_part(worker, turns, parts))?;
        let mut handled = Handled { tallies: Vec::new(), failures: Vec::new(), ended_at: None };
        for (parts, tally, failures) in ended {
            sinks.iter_mut().zip(parts).for_each(|(sink, part)| sink.merge(part));
            handled.tallies.push(tally);
            handled.failures.extend(failures);
        }
        Ok(handled)
    }

    /// One worker: every stage, into its own parts of the sinks.
    fn run_part(
        &self,
        worker: usize,
        turns: &Turns<'_>,
        mut parts: Vec<Box<dyn Part>>,
    ) -> (Vec<Box<dyn Part>>, Tally, Vec<Failure>) {
        let mut desk = Desk::new(&mut parts);
        let mut chunk = Chunk::default();
        while let Some(turn) = turns.next(&mut chunk) {
            chunk.batches().for_each(|batch| desk.handle(batch, self.map));
            desk.tally.source.received += chunk.len() as u64;
            self.gauges[worker].publish(&desk.tally, turn.progress);
            if desk.outlets.ended() {
                turns.end();
            }
        }
        let Desk { tally, outlets: Outlets { failures, .. }, .. } = desk;
        (parts, tally, failures)
    }

    /// Runs `work` on a pinned thread for each worker, with the worker's number and its share of `shares`, and
    /// `beside` on this thread; gives what each of them came back with.
    pub(super) fn spawn<T: Send, R: Send>(
        &self,
        turns: &Turns<'_>,
        shares: Vec<T>,
        work: impl Fn(usize, T) -> R + Sync,
    ) -> Result<Vec<R>, Error> {
        self.spawn_beside(turns, shares, work, || ()).map(|(ended, ())| ended)
    }

    /// As [`Self::spawn`], and runs `beside` on this thread meanwhile.
    pub(super) fn spawn_beside<T: Send, R: Send, B>(
        &self,
        turns: &Turns<'_>,
        shares: Vec<T>,
        work: impl Fn(usize, T) -> R + Sync,
        beside: impl FnOnce() -> B,
    ) -> Result<(Vec<R>, B), Error> {
        thread::scope(|scope| {
            let work = &work;
            let spawn = |(worker, share)| self.spawn_one(scope, worker, move || work(worker, share));
            let threads: Result<Vec<_>, _> = shares.into_iter().enumerate().map(spawn).collect();
            let threads = threads.inspect_err(|_| turns.end())?;
            let beside = beside();
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            Ok((ended.collect::<Result<_, _>>()?, beside))
        })
    }

    fn spawn_one<'scope, R: Send + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        worker: usize,
        work: impl FnOnce() -> R + Send + 'scope,
    ) -> Result<ScopedJoinHandle<'scope, Result<R, Error>>, Error> {
        let core = self.cores[worker];
        let thread = thread::Builder::new().name(format!("wharf-worker-{worker}"));
        let run = move || {
            pin(core)?;
            Ok(work())
        };
        thread.spawn_scoped(scope, run).map_err(Error::Thread)
    }
}

/// Accounts for every packet and finishes the sinks.
fn settle(
    handled: Handled,
    mut source: BoxedSource<'_>,
    error: Option<Failure>,
    sinks: &mut [BoxedSink<'_>],
) -> Outcome {
    let Handled { mut tallies, failures, ended_at } = handled;
    let mut all = Tally::new(sinks.len());
    let mut outlets = Outlets::new(sinks);
    outlets.failures = failures;
    if ended_at.is_none() {
        // What the source counts must all be with the workers; if not, the ledger shows it.
        let counted = source.counters();
        let received: u64 = tallies.iter().map(|tally| tally.source.received).sum();
        if let Some(first) = tallies.first_mut() {
            let received = first.source.received + counted.received.saturating_sub(received);
            first.source = Counters { received, ..counted };
        }
        outlets.failures.extend(error);
    }
    tallies.iter().for_each(|tally| all.merge(tally));
    let statistics = all.interface_statistics(ended_at.unwrap_or(source.interfaces().len()));
    outlets.finish(&statistics, &mut tallies);
    Outcome { tallies, failures: outlets.failures }
}
