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
//! A source that [comes apart](crate::source::Source::divide), as a live one with a ring for each worker does, takes no
//! turns: each worker reads its own part to completion, and all they share is the count of packets. Outputs get a
//! worker's packets in their order. Chunks of different workers come to them as they are handed over, of those at hand
//! the earliest first, so that times may go back by as much as a chunk spans.
//!
//! When an output fails or has all it wanted, workers read no more; what they have read by then still goes to all
//! others, and counts as failed or surplus for the one that has ended. Where there is but that one output, nothing
//! beyond the packet at which it ended has had any effect: then the account is as if it had not been read.

use super::config::{BoxedSink, BoxedSource};
use super::cores::{self, Places};
use super::desk::{Desk, Done};
use super::ending::{Ending, Watch};
use super::lanes::{Gaps, Lanes};
use super::outlets::Outlets;
use super::output::{Output, Served};
use super::router::Router;
use super::sender::Sender;
use super::shares::{Quota, Share, Supply};
use super::stats::{Gauge, Said, Tally};
use super::turns::{Rest, Turns};
use super::worker::{Failure, Outcome};
use super::{Error, Policy, Shutdown};
use crate::ring::spsc;
use crate::sink::Sink;
use crate::source::{self, Counters, RingUse, Source};
use crossbeam::utils::CachePadded;
use std::thread::{self, Scope, ScopedJoinHandle};

/// A run on workers and outputs.
pub(super) struct Workers<'w> {
    pub(super) router: &'w Router,
    /// One for each worker; none for one worker that is not pinned.
    pub(super) cores: &'w [usize],
    pub(super) limit: Option<u64>,
    pub(super) shutdown: &'w Shutdown,
    /// One for each worker.
    pub(super) gauges: &'w [CachePadded<Gauge>],
    pub(super) policy: Policy,
    /// Parcels that a ring holds.
    pub(super) depth: usize,
    /// Memory that they may take where workers drop, in bytes.
    pub(super) most_bytes: u64,
}

impl Workers<'_> {
    /// The same packets for each sink, and the same account of them, for any number of workers; in the same order too
    /// where they share one source.
    pub(super) fn run(
        &self,
        mut source: BoxedSource<'_>,
        sinks: &mut [BoxedSink<'_>],
    ) -> Result<Outcome, Error> {
        let ending = Ending::default();
        let workers = self.gauges.len();
        let parts = if workers > 1 { source.divide(workers) } else { None };
        let (handled, rest) = match parts {
            None => {
                let turns = Turns::new(source, (workers, self.limit), self.shutdown, &ending);
                let supplies = (0..workers).map(|_| Supply::Turns(&turns)).collect();
                let handled = self.run_threads(supplies, &ending, sinks, true);
                let rest = turns.into_rest();
                (handled?.0, rest)
            }
            Some(Ok(parts)) => {
                let quota = Quota::new(self.limit);
                let share = |part: BoxedSource<'static>| Share::new(part, &quota, self.shutdown, &ending);
                let supplies = parts.into_iter().map(|part| Supply::Share(share(part))).collect();
                let (handled, rests) = self.run_threads(supplies, &ending, sinks, false)?;
                return Ok(settle_parts(handled, ending.take_failures(), rests, sinks));
            }
            Some(Err(error)) => {
                let tallies = vec![Tally::new(sinks.len()); workers];
                let rest = Rest { source, taken: 0, error: Some(error) };
                (Handled { tallies, ended_at: None }, rest)
            }
        };
        Ok(settle(handled, ending.take_failures(), rest, sinks))
    }

    fn run_threads<'a>(
        &self,
        supplies: Vec<Supply<'_, 'a>>,
        ending: &Ending,
        sinks: &mut [BoxedSink<'_>],
        ordered: bool,
    ) -> Result<(Handled, Vec<Rest<'a>>), Error> {
        let workers = self.gauges.len();
        let mut parts: Vec<Vec<_>> =
            (0..workers).map(|_| sinks.iter().map(|sink| sink.part()).collect()).collect();
        let behind_rings: Vec<usize> =
            (0..sinks.len()).filter(|&output| parts[0][output].is_none()).collect();
        let sole = sinks.len() == 1 && behind_rings.len() == 1;
        let wanting: Vec<bool> = behind_rings.iter().map(|&output| sinks[output].wants_layers()).collect();
        let verify = sinks.is_empty() || sinks.iter().any(|sink| sink.wants_verdicts());
        let gaps: Vec<Gaps> = behind_rings.iter().map(|_| Gaps::default()).collect();
        let mut senders: Vec<Vec<Sender<'_>>> = (0..workers).map(|_| Vec::new()).collect();
        let mut lanes = Vec::new();
        for gaps in &gaps {
            let (producers, consumers): (Vec<_>, Vec<_>) = (0..workers).map(|_| spsc(self.depth)).unzip();
            for (senders, ring) in senders.iter_mut().zip(producers) {
                let gaps = (workers > 1 && ordered).then_some(gaps);
                senders.push(Sender::new(ring, self.policy, gaps, self.most_bytes));
            }
            lanes.push(Lanes::new(consumers, ordered.then_some(gaps)));
        }
        let places = Places::beside(self.cores);
        let (done, served) = thread::scope(|scope| {
            let sinks = sinks.iter_mut().enumerate();
            let (wanted, filled): (Vec<_>, Vec<_>) =
                sinks.partition(|(output, _)| behind_rings.contains(output));
            let gatherers = filled.into_iter().filter(|(_, sink)| sink.gathers());
            let gatherers: Result<Vec<_>, _> = gatherers
                .map(|(output, sink)| {
                    start(scope, format!("wharf-output-{output}"), move || {
                        let _watch = Watch(ending);
                        let gathered = sink.gather();
                        gathered.unwrap_or_else(|error| ending.fail(Failure::Sink { output, error }));
                    })
                })
                .collect();
            let outputs: Result<Vec<_>, _> = wanted
                .into_iter()
                .zip(lanes)
                .enumerate()
                .map(|(ring, ((number, sink), lanes))| {
                    let output = Output::new(sink, (number, ring), lanes, ending, (workers, sole, verify));
                    let places = &places;
                    start(scope, format!("wharf-output-{number}"), move || {
                        places.take();
                        output.run()
                    })
                })
                .collect();
            let desks = parts.drain(..).zip(senders).zip(supplies).enumerate();
            let started: Result<Vec<_>, _> = desks
                .map(|(worker, ((parts, senders), supply))| {
                    let exits = (senders, &behind_rings[..], sole);
                    let asked = (wanting.clone(), verify);
                    let desk = Desk::new(self, worker, parts, exits, asked, ordered);
                    start(scope, format!("wharf-worker-{worker}"), move || {
                        // The others would go on without it, for as long as there is anything to read.
                        let pinned = self.cores.get(worker).map_or(Ok(()), |&core| cores::pin(core));
                        pinned.inspect_err(|_| ending.end())?;
                        Ok(desk.work(supply, ending))
                    })
                })
                .collect();
            // What has been started ends by itself when no more is read.
            let (started, outputs) = started
                .and_then(|started| Ok((started, outputs?)))
                .and_then(|threads| gatherers.map(|_| threads))
                .inspect_err(|_| ending.end())?;
            let done: Result<Vec<Done<'a>>, Error> = started.into_iter().map(join).collect();
            Ok((done?, outputs.into_iter().map(join).collect::<Vec<Served>>()))
        })?;
        let mut done = done;
        let rests = done.iter_mut().filter_map(|done| done.rest.take()).collect();
        Ok((Handled::new(done, served, &behind_rings, sinks), rests))
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
        done: Vec<Done<'_>>,
        served: Vec<Served>,
        behind_rings: &[usize],
        sinks: &mut [BoxedSink<'_>],
    ) -> Self {
        let mut tallies = Vec::new();
        for Done { parts, tally, .. } in done {
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

/// Accounts for every packet of a shared source and finishes the sinks.
fn settle(handled: Handled, failures: Vec<Failure>, rest: Rest<'_>, sinks: &mut [BoxedSink<'_>]) -> Outcome {
    let Handled { mut tallies, ended_at } = handled;
    let Rest { mut source, taken, error } = rest;
    let error = error.or_else(|| source.settle().err());
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
    let mut said = Said::by(&*source);
    said.known = ended_at.unwrap_or(said.known);
    let error = error.filter(|_| ended_at.is_none());
    finish(tallies, failures.into_iter().chain(error.map(Failure::Source)), (said, source.ring_use()), sinks)
}

/// The same, where each worker had a part of the source.
fn settle_parts(
    handled: Handled,
    failures: Vec<Failure>,
    rests: Vec<Rest<'_>>,
    sinks: &mut [BoxedSink<'_>],
) -> Outcome {
    let Handled { mut tallies, ended_at } = handled;
    let (mut said, mut rings, mut errors) = (Said::default(), None::<RingUse>, Vec::<source::Error>::new());
    for (tally, Rest { mut source, taken, error }) in tallies.iter_mut().zip(rests) {
        let counted = source.counters();
        // Read, but beyond the end of the run.
        let unread = counted.unread + taken.saturating_sub(tally.packets);
        tally.source = Counters { unread, ..counted };
        said.merge(Said::by(&*source));
        if let Some(more) = source.ring_use() {
            rings.get_or_insert_default().merge(more);
        }
        // When an interface goes, all parts say the same.
        let is_new =
            |error: &source::Error| errors.iter().all(|known| known.to_string() != error.to_string());
        let error = error.filter(is_new);
        errors.extend(error);
    }
    if ended_at.is_some() {
        errors.clear();
    }
    let failures = failures.into_iter().chain(errors.into_iter().map(Failure::Source));
    said.known = ended_at.unwrap_or(said.known);
    finish(tallies, failures, (said, rings), sinks)
}

fn finish(
    mut tallies: Vec<Tally>,
    failures: impl IntoIterator<Item = Failure>,
    (said, rings): (Said, Option<RingUse>),
    sinks: &mut [BoxedSink<'_>],
) -> Outcome {
    let mut outlets = Outlets::new(sinks);
    outlets.failures.extend(failures);
    let mut all = Tally::new(tallies.first().map_or(0, |tally| tally.outputs.len()));
    tallies.iter().for_each(|tally| all.merge(tally));
    let strains = outlets.finish(&all.interface_statistics(&said), &mut tallies);
    Outcome { tallies, failures: outlets.failures, strains, rings }
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
        let router = Router::new(None, [].iter(), OutputId(0));
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        let here = (0..rustix::thread::CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)).unwrap();
        let gauges: Vec<_> = (0..2).map(|_| CachePadded::new(Gauge::default())).collect();
        let run = Workers {
            router: &router,
            cores: &[here, 100_000],
            limit: None,
            shutdown: &shutdown,
            gauges: &gauges,
            policy: Policy::Wait,
            depth: 2,
            most_bytes: u64::MAX,
        };
        let source = Synthetic::new(&Traffic { frames: u64::MAX, ..Traffic::default() });
        let outcome = run.run(Box::new(source), &mut [Box::new(Discard)]);
        assert!(matches!(outcome, Err(Error::Core { core: 100_000, .. })));
        assert!(!shutdown.requested(), "it went on until it was told to end");
    }
}
