//! Wires the stages and keeps the ledger; the only place that knows the order.
//!
//! ```
//! use wharf::engine::Engine;
//! use wharf::parse::Packet;
//! use wharf::sink::{Count, Discard, each};
//! use wharf::source::synthetic::{Synthetic, Traffic};
//!
//! let mut counts = Count::new();
//! let report = Engine::builder()
//!     .source(Synthetic::new(&Traffic { ports: vec![53..=53, 80..=80, 9000..=9999], ..Traffic::default() }))
//!     .output("udp/53".parse()?, each(|packet: &Packet<'_>| assert!(packet.outer().is_some())))
//!     .output("tcp/80,443".parse()?, &mut counts)
//!     .rest(Discard)
//!     .limit(1_000)
//!     .run()?;
//! assert_eq!(counts.table().packets, report.outputs[1].ledger.delivered);
//! let ledger = report.total.to_string();
//! assert_eq!(ledger, "1000 received = 1000 delivered + 0 filtered out + 0 dropped");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where every sink can be filled in [parts](crate::sink::Part), as counts can, workers run to completion: each takes
//! batches from the source and runs every stage on them, the sinks too. A sink that may block, such as a file or a
//! terminal, has a thread of its own behind rings, so that it holds up neither the capture nor the other outputs:
//!
//! ```text
//! source --+--> worker --+--[ring]--> output: a file
//!          |    counts    \  /
//!          |               \/
//!          |               /\
//!          +--> worker --+--[ring]--> output: text
//!               counts
//! ```
//!
//! Where all threads would share one CPU, and the source is not live, the worker itself writes to a sole output: what
//! it has parsed is then still in the cache, and no thread waits for another. So it does to one that [never
//! waits](crate::sink::Sink::may_wait), such as a file in memory, if the source is live.
//!
//! A run has one worker, or one on each of the [`Builder::cores`]; sinks get the same packets in the same order from
//! any number of them. Only a live source with a ring for each worker ([`Options::parts`]) has no order of its own
//! but that of each ring: workers then do not wait for each other, and neither do sinks. When a ring is full, the
//! [`Policy`] says whether to wait or to drop, which is counted. All memory is used again: nothing is allocated for a
//! packet. A run ends when the source does, at the packet limit, when a [`Shutdown`] asks for it, or with the first
//! failure; in each case what was accepted is delivered, every sink is finished, and the [`Report`] accounts for
//! every packet.
//!
//! When an output fails, or has all it wanted, the others get what had been read by then. Where it is the only one,
//! the account is as if nothing had been read beyond the packet with which it has all it wanted, or the batch in which
//! it fails.
//!
//! [`Options::parts`]: crate::source::packet::Options::parts

mod config;
mod cores;
mod desk;
mod ending;
mod error;
mod lanes;
mod load;
mod outlets;
mod output;
mod report;
mod router;
mod sender;
mod shares;
mod shutdown;
mod sorter;
mod stats;
mod turns;
mod worker;
mod workers;

pub use crate::sys::affinity::CoreProblem;
pub use config::Policy;
pub use cores::check_cores;
pub use error::Error;
pub use report::{DropReason, Ledger, MalformedCount, OutputReport, Report};
pub use shutdown::Shutdown;
pub use stats::Snapshot;

use crate::demux::{OutputId, Rule};
use crate::filter::Filter;
use crate::frame::Interface;
use crate::sink::Sink;
use crate::source::Source;
use config::{BoxedSink, Config, Observer, Output};
use crossbeam::utils::CachePadded;
use router::Router;
use stats::Gauge;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use worker::{Failure, Outcome, Worker};
use workers::Workers;

/// Chunks in a ring where the worker waits: enough to even out the difference between the two ends, few enough to
/// stay in the cache.
const QUEUE_TO_WAIT: usize = 2;
/// The same where it drops what comes from a file: enough for an output that pauses briefly.
const QUEUE_TO_DROP: usize = 64;
/// The same where it drops what comes live: more than the kernel's rings of one worker have blocks, also once they are
/// raised. What has waited there for a process that was stopped comes all at once, and is not to be lost here.
const MOST_CHUNKS: usize = 4096;
/// Memory that they may take: that of a default ring full of small frames, and of any number of blocks with few.
const MOST_BYTES: u64 = 256 << 20;

/// The pipeline; see the [module](self).
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// A run yet without source and outputs.
    pub fn builder<'a>() -> Builder<'a> {
        Builder { config: Config::default() }
    }
}

/// A run being put together.
#[must_use = "nothing happens before `run`"]
pub struct Builder<'a> {
    config: Config<'a>,
}

impl std::fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules: Vec<String> = self.config.outputs.iter().map(|output| output.rule.to_string()).collect();
        f.debug_struct("Builder").field("outputs", &rules).finish_non_exhaustive()
    }
}

impl<'a> Builder<'a> {
    /// Where the frames come from. The last call counts.
    pub fn source(mut self, source: impl Source + Send + 'a) -> Self {
        self.config.source = Some(Box::new(source));
        self
    }

    /// Leaves out packets that do not match `filter`, which count as filtered out. Where it has no meaning on a
    /// packet's link type, the packet does not match. The last call counts.
    ///
    /// ```
    /// use wharf::engine::Engine;
    /// use wharf::sink::Count;
    /// use wharf::source::synthetic::{Synthetic, Traffic};
    ///
    /// let mut counts = Count::new();
    /// let report = Engine::builder()
    ///     .source(Synthetic::new(&Traffic { frames: 1_000, ..Traffic::default() }))
    ///     .filter("tcp or udp port 53".parse()?)
    ///     .rest(&mut counts)
    ///     .run()?;
    /// assert_eq!(report.total.delivered, counts.table().packets);
    /// assert_eq!(report.total.delivered + report.total.filtered_out, 1_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter(mut self, filter: Filter) -> Self {
        self.config.filter = Some(filter);
        self
    }

    /// Sends what `rule` names to `sink`. Of several rules that fit a packet, the first one called has it.
    ///
    /// A sink may be lent (`&mut sink`), to be asked for its result after the run.
    pub fn output(mut self, rule: Rule, sink: impl Sink + Send + 'a) -> Self {
        self.config.outputs.push(Output { rule, sink: Box::new(sink) });
        self
    }

    /// Sends what no rule names to `sink`; without it such packets count as filtered out.
    pub fn rest(self, sink: impl Sink + Send + 'a) -> Self {
        self.output(Rule::Rest, sink)
    }

    /// Runs a worker on each of these CPUs, numbered as the kernel does, pinned to it; without any, one worker runs
    /// wherever the kernel puts it. CPUs that the kernel isolates from its scheduler may be named too. Outputs on
    /// threads of their own keep off these CPUs where this process may use others.
    ///
    /// Sinks get the same packets in the same order whatever the number of workers. A source that cannot be shared
    /// ([`Source::chunks`] is `None`) is read by a single worker on the first of the CPUs. One that comes apart into
    /// that many parts ([`Source::divide`]) is not shared: each worker reads its own part, and only the packets of each
    /// part keep their order.
    pub fn cores(mut self, cores: impl IntoIterator<Item = usize>) -> Self {
        self.config.cores = cores.into_iter().collect();
        self
    }

    /// What a worker does when the ring to an output is full. Without a call it waits, unless the source is
    /// [live](Source::is_live).
    pub fn full_ring(mut self, policy: Policy) -> Self {
        self.config.full_ring = Some(policy);
        self
    }

    /// So many chunks, rounded up to a power of two, may be under way from each worker to each output. A chunk is
    /// what the source hands out at a time: for a capture file 256 KiB of it, for a live source a block of the
    /// kernel's ring (256 KiB by default, and much less of frames when few come before it is handed over), otherwise a
    /// batch or a few.
    ///
    /// Without a call that is 2 where workers wait (none for a sole output where there is but one CPU). Where they drop
    /// there is no such number: as many are under way as fit into 256 MiB, up to 4096.
    /// Memory is bounded by it, whatever an
    /// output does: so many chunks and two more, with some 350 bytes for each packet beside its own.
    pub fn queue(mut self, chunks: usize) -> Self {
        self.config.queue = Some(chunks);
        self
    }

    /// Ends the run after this many packets. No more than that are taken from the source: what a live
    /// source still holds then is in the ledger as left unread.
    pub fn limit(mut self, packets: u64) -> Self {
        self.config.limit = Some(packets);
        self
    }

    /// Ends the run in good order when `shutdown` is requested.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.config.shutdown = shutdown;
        self
    }

    /// Calls `show` on the caller's thread every so often while the run lasts, but not more often than every millisecond.
    pub fn observe(mut self, every: Duration, show: impl FnMut(Snapshot) + 'a) -> Self {
        self.config.observer =
            Some(Observer { every: every.max(Duration::from_millis(1)), show: Box::new(show) });
        self
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When the source or a sink fails; the first failure is returned, with the report of what was
    /// handled before it. When the run cannot begin: no source, too many outputs, a CPU that cannot be used.
    ///
    /// # Panics
    /// When a source, a sink or the [observer](Self::observe) panics. After the observer the run ends in good order first, as if
    /// its [`Shutdown`] had been requested.
    pub fn run(self) -> Result<Report, Error> {
        let Config { source, filter, outputs, cores, full_ring, queue, limit, shutdown, mut observer } =
            self.config;
        let mut source = source.ok_or(Error::NoSource)?;
        let rest = u16::try_from(outputs.len()).map(OutputId).ok().filter(|rest| *rest <= OutputId::MAX);
        let rest = rest.ok_or(Error::TooManyOutputs(outputs.len()))?;
        check_cores(&cores)?;
        let filters = Filters::of(filter.as_ref(), outputs.iter().map(|output| &output.rule));
        filters.meant_on(source.interfaces())?;
        let router = Router::new(filter, outputs.iter().map(|output| &output.rule), rest);
        let (rules, mut sinks): (Vec<String>, Vec<BoxedSink<'_>>) =
            outputs.into_iter().map(|output| (output.rule.to_string(), output.sink)).unzip();

        let workers = if source.chunks().is_some() { cores.len().max(1) } else { 1 };
        let policy = full_ring.unwrap_or(if source.is_live() { Policy::Drop } else { Policy::Wait });
        let waits = policy == Policy::Wait && !source.is_live() && queue.is_none();
        let at_once = source.is_live() && queue.is_none();
        let depth = queue.unwrap_or(match policy {
            Policy::Drop if source.is_live() => MOST_CHUNKS,
            Policy::Drop => QUEUE_TO_DROP,
            Policy::Wait => QUEUE_TO_WAIT,
        });
        let most_bytes = if queue.is_some() { u64::MAX } else { MOST_BYTES };
        let gauges: Vec<_> = (0..workers).map(|_| CachePadded::new(Gauge::default())).collect();
        let (router, shutdown, gauges) = (&router, &shutdown, &gauges[..]);
        let outcome = thread::scope(|scope| {
            // Dropped by the thread when it ends, which ends the wait below.
            let (running, ended) = mpsc::channel::<()>();
            let cores = &cores;
            let run = move || {
                let _running = running;
                let may_block = sinks.iter().any(|sink| sink.part().is_none());
                // On a thread of its own a sole output would only take turns with the worker, and what it is given
                // would have left the cache.
                // Before a live source, whose worker must not be held up, that goes for a sink that never waits.
                let never_waits = at_once && sinks.iter().all(|sink| !sink.may_wait());
                let alone = sinks.len() == 1 && (never_waits || waits && cores::are_one(cores));
                if workers > 1 || may_block && !alone {
                    let workers =
                        Workers { router, cores, limit, shutdown, gauges, policy, depth, most_bytes };
                    return workers.run(source, &mut sinks);
                }
                cores.first().map_or(Ok(()), |&core| cores::pin(core))?;
                Ok(Worker { router, limit, shutdown, gauge: &gauges[0] }.run(source, &mut sinks))
            };
            let thread = thread::Builder::new().name("wharf-run".into()).spawn_scoped(scope, run);
            let thread = thread.map_err(Error::Thread)?;
            if let Some(Observer { every, show }) = &mut observer {
                let _stop = StopOnPanic(shutdown);
                while ended.recv_timeout(*every) == Err(mpsc::RecvTimeoutError::Timeout) {
                    show(Snapshot::read(gauges));
                }
            }
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let report = conclude(outcome, rules)?;
        filters.meant()?;
        Ok(report)
    }
}

/// Asks a run to end when the code beside it panics: the scope would wait for it, and it might last for ever.
struct StopOnPanic<'r>(&'r Shutdown);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.request();
        }
    }
}

/// The filters of a run: its own and its rules'.
struct Filters {
    of_run: Option<Filter>,
    of_rules: Vec<Filter>,
}

impl Filters {
    fn of<'r>(filter: Option<&Filter>, rules: impl Iterator<Item = &'r Rule>) -> Self {
        let of_rules = rules.filter_map(|rule| match rule {
            Rule::Filter(filter) => Some(filter.clone()),
            Rule::Ports(_) | Rule::Rest => None,
        });
        Self { of_run: filter.cloned(), of_rules: of_rules.collect() }
    }

    /// Refuses those that have a meaning on none of the interfaces that are known.
    fn meant_on(&self, interfaces: &[Interface]) -> Result<(), Error> {
        self.refuse(|filter| {
            let mut faults = interfaces.iter().map(|interface| filter.on(interface.link_type).err());
            let first = faults.next()??;
            faults.all(|fault| fault.is_some()).then_some(first)
        })
    }

    /// The same of those that had a meaning for none of the packets: their interfaces came with them.
    fn meant(&self) -> Result<(), Error> {
        self.refuse(Filter::fault)
    }

    fn refuse(&self, fault: impl Fn(&Filter) -> Option<crate::filter::Error>) -> Result<(), Error> {
        if let Some(fault) = self.of_run.as_ref().and_then(&fault) {
            return Err(Error::Filter(fault));
        }
        let mut faults = self.of_rules.iter().filter_map(|filter| Some((filter, fault(filter)?)));
        let Some((filter, fault)) = faults.next() else { return Ok(()) };
        Err(Error::Rule { rule: filter.text().to_owned(), fault })
    }
}

/// The report, or the first failure with the report in it.
fn conclude(outcome: Outcome, rules: Vec<String>) -> Result<Report, Error> {
    let Outcome { tallies, failures, strains, rings } = outcome;
    let mut report = Report::new(&tallies, rules.clone());
    report.outputs.iter_mut().zip(strains).for_each(|(output, strain)| output.strain = strain);
    report.rings = rings;
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(report) };
    report.further_failures = failures.map(|failure| failure.to_string()).collect();
    let report = Box::new(report);
    Err(match first {
        Failure::Source(error) => Error::Source { error, report },
        Failure::Sink { output, error } => Error::Sink { output: rules[output].clone(), error, report },
    })
}
