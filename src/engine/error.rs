//! Why a run failed.

use super::Report;
use crate::sys::affinity::CoreProblem;
use crate::{sink, source};

/// Why a run failed. Where packets had been handled by then, the report of them is in the error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// [`Builder::source`](super::Builder::source) was not called.
    #[error("the engine has no source")]
    NoSource,
    /// The filter has no meaning on any interface of the source. Of a file that tells its interfaces on the way this is known at its
    /// end, when nothing has matched.
    #[error("filter expression, {0}")]
    Filter(#[source] crate::filter::Error),
    /// The filter of a rule has no meaning on any interface of the source.
    #[error("rule `{rule}`, {fault}")]
    Rule {
        /// The rule.
        rule: String,
        /// What is the matter with it.
        #[source]
        fault: crate::filter::Error,
    },
    /// More outputs than the port map can number.
    #[error("{0} outputs are more than the {max} that can be told apart", max = crate::demux::OutputId::MAX.0)]
    TooManyOutputs(usize),
    /// A worker could not be pinned.
    #[error("cannot run on CPU {core}: {problem}")]
    Core {
        /// The CPU asked for.
        core: usize,
        /// What is the matter with it.
        #[source]
        problem: CoreProblem,
    },
    /// A CPU for two workers.
    #[error("CPU {core} is named twice")]
    CoreTwice {
        /// The CPU.
        core: usize,
    },
    /// The worker's thread could not be started.
    #[error("cannot start a worker thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The input failed; everything before was delivered and every sink is finished.
    #[error("{error}")]
    Source {
        /// What the source said.
        #[source]
        error: source::Error,
        /// What was handled before.
        report: Box<Report>,
    },
    /// An output failed; the others got the packets before it failed and are finished.
    #[error("{error}")]
    Sink {
        /// The failed output's rule.
        output: String,
        /// What the sink said.
        #[source]
        error: sink::Error,
        /// What was handled before.
        report: Box<Report>,
    },
}

impl Error {
    /// What was handled before the failure; `None` when the run never began.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Source { report, .. } | Self::Sink { report, .. } => Some(report),
            _ => None,
        }
    }

    /// True when all that happened is that the reader of our standard output went away.
    #[must_use]
    pub fn output_closed(&self) -> bool {
        matches!(self, Self::Sink { error: sink::Error::Closed, .. })
    }
}
