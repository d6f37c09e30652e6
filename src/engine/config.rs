//! What a run is made of: passive data, no behaviour.

use super::{Shutdown, Snapshot};
use crate::demux::Rule;
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

#[derive(Default)]
pub(super) struct Config<'a> {
    pub(super) source: Option<BoxedSource<'a>>,
    /// In the order in which their rules take precedence.
    pub(super) outputs: Vec<Output<'a>>,
    /// CPUs to pin a worker to each.
    pub(super) cores: Vec<usize>,
    /// Most packets to take from the source.
    pub(super) limit: Option<u64>,
    pub(super) shutdown: Shutdown,
    pub(super) observer: Option<Observer<'a>>,
}
