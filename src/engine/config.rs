//! What a run is made of: passive data, no behaviour.

use super::{Shutdown, Snapshot};
use crate::demux::Rule;
use crate::filter::Filter;
use crate::sink::Sink;
use crate::source::Source;
use std::time::Duration;

pub(super) type BoxedSource<'a> = Box<dyn Source + Send + 'a>;
pub(super) type BoxedSink<'a> = Box<dyn Sink + Send + 'a>;

/// A sink and the rule that feeds it.
pub(super) struct Output<'a> {
    pub(super) rule: Rule,
    pub(super) sink: BoxedSink<'a>,
}

/// A callback that is shown the progress of the run, every so often.
pub(super) struct Observer<'a> {
    pub(super) every: Duration,
    pub(super) show: Box<dyn FnMut(Snapshot) + 'a>,
}

/// What a worker does when an output is so slow that the ring to it is full.
///
/// ```
/// use std::{thread::sleep, time::Duration};
/// use wharf::engine::{DropReason, Engine, Policy};
/// use wharf::parse::Packet;
/// use wharf::sink::each;
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let run = |policy| {
///     let slow = each(|_: &Packet<'_>| sleep(Duration::from_micros(1)));
///     let source = Synthetic::new(&Traffic { frames: 5_000, ..Traffic::default() });
///     Engine::builder().source(source).rest(slow).full_ring(policy).queue(1).run()
/// };
/// assert_eq!(run(Policy::Wait)?.total.delivered, 5_000);
/// let report = run(Policy::Drop)?;
/// let dropped = report.total.dropped.get(&DropReason::OutputRingFull).unwrap_or(&0);
/// assert_eq!(report.total.delivered + dropped, 5_000);
/// # Ok::<(), wharf::engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Goes on without: this output does not get the packets of this chunk, which are counted as
    /// [`DropReason::OutputRingFull`](super::DropReason::OutputRingFull). The other outputs get theirs. The default
    /// for a live source, which does not wait for anybody.
    Drop,
    /// Waits until there is room: nothing is lost, and the slowest output sets the pace. The default for files, pipes
    /// and generators.
    Wait,
}

#[derive(Default)]
pub(super) struct Config<'a> {
    pub(super) source: Option<BoxedSource<'a>>,
    /// Packets that do not match are left out.
    pub(super) filter: Option<Filter>,
    /// In the order in which their rules take precedence.
    pub(super) outputs: Vec<Output<'a>>,
    /// CPUs to pin a worker to each.
    pub(super) cores: Vec<usize>,
    /// What to do when the ring to an output is full; by the kind of source if not said.
    pub(super) full_ring: Option<Policy>,
    /// Chunks a ring holds; likewise.
    pub(super) queue: Option<usize>,
    /// Most packets to take from the source.
    pub(super) limit: Option<u64>,
    pub(super) shutdown: Shutdown,
    pub(super) observer: Option<Observer<'a>>,
}
