//! The threads of a run whose outputs may block, or that has several workers.
//!
//! ```text
//!             turns              rings, one for each worker and output
//!  source ----+--> worker 0 --------+----------------\
//!             |    parse..demux      \                +--> output A: files, text, JSON
//!             |    counts, discards   \  /------------/    in the source's order
//!             |                        \/
//!             |                        /\
//!             |                       /  \-----------\
//!             \--> worker 1 ---------+----------------+--> output B
//!                  parse..demux
//!                  counts, discards
//!                     ^                                      |
//!                     +--- leases and loads, by their counts ---+
//! ```
//!
//! - **Workers** are pinned. In turns they read a [`Chunk`](crate::source::Chunk): the piece of a file that was read
//!   at a time, a block of the kernel's ring, a few batches. They run it to completion: parse, verify, demultiplex,
//!   and write to [parts](crate::sink::Part) of the sinks that give out such, each worker to its own, merged at the
//!   end.
//! - **Outputs** are all other sinks, which may block: each has a thread of its own. Through its rings it gets from
//!   every chunk a [`Parcel`] of less than a cache line: a counted reference to the chunk's [`Load`], which all
//!   outputs share, and a lease of the memory if the source has lent it. A descriptor for each packet would be the
//!   finer unit, but a packet's is as large as a whole chunk's; per chunk it costs a thousandth, and records,
//!   findings and indices stay where the worker wrote them. What there is for it in the chunk is a list of indices in
//!   the load. [`Lanes`] bring the workers' rings into the source's order.
//! - **Back** goes no message but a count: dropping a parcel releases its share of the load, which its worker uses
//!   again once it is alone with it, and of the lease, which with the last reader returns to the kernel at once, in
//!   whatever order outputs finish. Nothing is allocated once every load has been out.
//! - **Copies.** The kernel's blocks go round in turn, so that one which is out for long holds up all others; and
//!   nobody can make an output that stands still give back what it reads. Under `drop`, which promises that a slow
//!   output costs its own packets only, a chunk from such memory is therefore copied, once, when there are others who
//!   would suffer. Under `wait`, or for a sole output, nothing is copied; [`Capture`](crate::source::packet::Capture)
//!   itself copies when half of its blocks are out.
//! - **A full ring** is the one place where packets may be dropped, by [`Policy`], and are counted where they are.
//!
//! When an output fails or has all it wanted, workers read no more; what they have read by then still goes to all
//! others, and counts as failed or surplus for the one that has ended. Where there is but that one output, nothing
//! beyond the batch in which it ended has had any effect: then the account is as if it had not been read.

use super::config::{BoxedSink, BoxedSource};
use super::cores::{self, Places};
use super::desk::{Desk, Done};
use super::ending::Ending;
use super::lanes::{Gaps, Lanes};
use super::outlets::Outlets;
use super::output::{Output, Served};
use super::sender::Sender;
use super::stats::{Gauge, Tally};
use super::turns::{Rest, Turns};
use super::worker::{Failure, Outcome};
use super::{Error, Policy, Shutdown};
use crate::demux::PortMap;
use crate::ring::spsc;
use crate::sink::Sink;
use crate::source::{Counters, Source};
use crossbeam::utils::CachePadded;
use std::thread::{self, Scope, ScopedJoinHandle};

/// A run on workers and outputs.
pub(super) struct Workers<'w> {
    pub(super) map: &'w PortMap,
    /// One for each worker; none for one worker that is not pinned.
    pub(super) cores: &'w [usize],
    pub(super) limit: Option<u64>,
    pub(super) shutdown: &'w Shutdown,
    /// One for each worker.
    pub(super) gauges: &'w [CachePadded<Gauge>],
    pub(super) policy: Policy,
    /// Parcels that a ring holds.
    pub(super) depth: usize,
}

impl Workers<'_> {
    /// The same packets in the same order for each sink, and the same account of them, for any number of workers.
    pub(super) fn run(&self, source: BoxedSource<'_>, sinks: &mut [BoxedSink<'_>]) -> Result<Outcome, Error> {
        let ending = Ending::default();
        let turns = Turns::new(source, self.limit, self.shutdown, &ending);
        let handled = self.run_threads(&turns, &ending, sinks);
        let rest = turns.into_rest();
        Ok(settle(handled?, ending.take_failures(), rest, sinks))
    }

    fn run_threads(
        &self,
        turns: &Turns<'_>,
        ending: &Ending,
        sinks: &mut [BoxedSink<'_>],
    ) -> Result<Handled, Error> {
        let workers = self.gauges.len();
        let mut parts: Vec<Vec<_>> =
            (0..workers).map(|_| sinks.iter().map(|sink| sink.part()).collect()).collect();
        let behind_rings: Vec<usize> =
            (0..sinks.len()).filter(|&output| parts[0][output].is_none()).collect();
        let sole = sinks.len() == 1 && behind_rings.len() == 1;
        let wanting: Vec<bool> = behind_rings.iter().map(|&output| sinks[output].wants_layers()).collect();
        let gaps: Vec<Gaps> = behind_rings.iter().map(|_| Gaps::default()).collect();
        let mut senders: Vec<Vec<Sender<'_>>> = (0..workers).map(|_| Vec::new()).collect();
        let mut lanes = Vec::new();
        for gaps in &gaps {
            let (producers, consumers): (Vec<_>, Vec<_>) = (0..workers).map(|_| spsc(self.depth)).unzip();
            for (senders, ring) in senders.iter_mut().zip(producers) {
                senders.push(Sender::new(ring, self.policy, (workers > 1).then_some(gaps)));
            }
            lanes.push(Lanes::new(consumers, gaps));
        }
        let places = Places::beside(self.cores);
        let (done, served) = thread::scope(|scope| {
            let wanted = sinks.iter_mut().enumerate().filter(|(output, _)| behind_rings.contains(output));
            let outputs: Result<Vec<_>, _> = wanted
                .zip(lanes)
                .enumerate()
                .map(|(ring, ((number, sink), lanes))| {
                    let output = Output::new(sink, (number, ring), lanes, ending, (workers, sole));
                    let places = &places;
                    start(scope, format!("wharf-output-{number}"), move || {
                        places.take();
                        output.run()
                    })
                })
                .collect();
            let desks = parts.drain(..).zip(senders).enumerate();
            let started: Result<Vec<_>, _> = desks
                .map(|(worker, (parts, senders))| {
                    let desk =
                        Desk::new(self, worker, parts, (senders, &behind_rings, sole), wanting.clone());
                    start(scope, format!("wharf-worker-{worker}"), move || {
                        // The others would go on without it, for as long as there is anything to read.
                        let pinned = self.cores.get(worker).map_or(Ok(()), |&core| cores::pin(core));
                        pinned.inspect_err(|_| ending.end())?;
                        Ok(desk.work(turns, ending))
                    })
                })
                .collect();
            // What has been started ends by itself when no more is read.
            let (started, outputs) =
                started.and_then(|started| Ok((started, outputs?))).inspect_err(|_| ending.end())?;
            let done: Result<Vec<Done>, Error> = started.into_iter().map(join).collect();
            Ok((done?, outputs.into_iter().map(join).collect::<Vec<Served>>()))
        })?;
        Ok(Handled::new(done, served, &behind_rings, sinks))
    }
}

fn start<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    run: impl FnOnce() -> R + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, R>, Error> {
    thread::Builder::new().name(name).spawn_scoped(scope, run).map_err(Error::Thread)
}

fn join<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What the threads have come back with, put together.
struct Handled {
    /// One for each worker.
    tallies: Vec<Tally>,
    /// The only output ended the run, and so many interfaces were known then.
    ended_at: Option<usize>,
}

impl Handled {
    fn new(
        done: Vec<Done>,
        served: Vec<Served>,
        behind_rings: &[usize],
        sinks: &mut [BoxedSink<'_>],
    ) -> Self {
        let mut tallies = Vec::new();
        for Done { parts, tally } in done {
            for (sink, part) in sinks.iter_mut().zip(parts) {
                part.into_iter().for_each(|part| sink.merge(part));
            }
            tallies.push(tally);
        }
        let mut ended_at = None;
        for (&output, served) in behind_rings.iter().zip(served) {
            for (tally, counts) in tallies.iter_mut().zip(&served.counts) {
                tally.outputs[output].merge(counts);
            }
            tallies.iter_mut().zip(&served.taken).for_each(|(tally, taken)| tally.merge(taken));
            ended_at = ended_at.or(served.ended_at);
        }
        Self { tallies, ended_at }
    }
}

/// Accounts for every packet and finishes the sinks.
fn settle(handled: Handled, failures: Vec<Failure>, rest: Rest<'_>, sinks: &mut [BoxedSink<'_>]) -> Outcome {
    let Handled { mut tallies, ended_at } = handled;
    let Rest { mut source, taken, error } = rest;
    let counted = source.counters();
    let mut handled = 0;
    for tally in &mut tallies {
        tally.source.received = tally.packets;
        handled += tally.packets;
    }
    // Read, but beyond the end of the run. What the source counts besides must be nothing; if not, the ledger shows it.
    let beyond = taken.saturating_sub(handled);
    let unread = counted.unread + if source.is_live() { beyond } else { 0 };
    if let Some(first) = tallies.first_mut() {
        let more = (counted.received + if source.is_live() { beyond } else { 0 }).saturating_sub(taken);
        first.source = Counters { received: first.source.received + more, unread, ..counted };
    }
    let mut outlets = Outlets::new(sinks);
    outlets.failures = failures;
    if ended_at.is_none() {
        outlets.failures.extend(error.map(Failure::Source));
    }
    let mut all = Tally::new(tallies.first().map_or(0, |tally| tally.outputs.len()));
    tallies.iter().for_each(|tally| all.merge(tally));
    let known = ended_at.unwrap_or(source.interfaces().len());
    let statistics = all.interface_statistics(known, &*source);
    let strains = outlets.finish(&statistics, &mut tallies);
    Outcome { tallies, failures: outlets.failures, strains }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demux::OutputId;
    use crate::sink::Discard;
    use crate::source::synthetic::{Synthetic, Traffic};
    use std::time::Duration;

    /// A CPU may go between the check and here. The other worker would go on for as long as a live source does.
    #[test]
    fn a_worker_that_cannot_be_pinned_ends_the_run() {
        let shutdown = Shutdown::default();
        let late = shutdown.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(10));
            late.request();
        });
        let map = PortMap::new([], OutputId(0));
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        let here = (0..rustix::thread::CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)).unwrap();
        let gauges: Vec<_> = (0..2).map(|_| CachePadded::new(Gauge::default())).collect();
        let run = Workers {
            map: &map,
            cores: &[here, 100_000],
            limit: None,
            shutdown: &shutdown,
            gauges: &gauges,
            policy: Policy::Wait,
            depth: 2,
        };
        let source = Synthetic::new(&Traffic { frames: u64::MAX, ..Traffic::default() });
        let outcome = run.run(Box::new(source), &mut [Box::new(Discard)]);
        assert!(matches!(outcome, Err(Error::Core { core: 100_000, .. })));
        assert!(!shutdown.requested(), "it went on until it was told to end");
    }
}
