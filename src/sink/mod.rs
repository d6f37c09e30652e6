//! What becomes of a packet: a line of text, a JSON object, a record in a file, a count, a frame on a wire.
//!
//! A sink only reads: it never calls a stage. Each output of the port map feeds one.

mod capture_file;
mod combine;
mod count;
mod delivery;
mod export;
mod flows;
pub mod follow;
mod format;
mod interface_names;
pub mod json;
mod lines;
mod opened;
mod services;
mod split;
mod streams;
pub mod text;
pub mod transmit;
mod trouble;

pub use capture_file::{CaptureFileOptions, CaptureFileWriter, CaptureFormat, PcapPrecision, Rotation};
pub use combine::{Discard, Each, Tee, each};
pub use count::{Count, CountTable, Row};
pub use delivery::{Brief, Chunked, Deliveries, Delivery};
#[cfg(feature = "parquet")]
pub use export::Parquet;
pub use export::{FlowExport, Ipfix, IpfixCounts, IpfixEncoder};
#[cfg(feature = "kafka")]
pub use export::{Kafka, KafkaCounts, KafkaOptions};
pub use flows::{FlowFormat, Flows, FlowsOptions, flow_story};
pub use follow::Follow;
pub use interface_names::InterfaceNames;
pub use json::Json;
pub use split::{Split, SplitFile, Template};
pub use streams::{FlowStreams, StreamFiles};
pub use text::{Text, TextOptions};
pub use transmit::Transmit;
pub use trouble::{Trouble, TroubleCounts, TroubleKind, TroubleKinds, TroubleOptions};

pub use crate::frame::InterfaceStatistics;

use crate::frame::Annotation;
use crate::sys::problem::Problem;
use serde::{Serialize, Serializer};
use std::any::Any;
use std::time::Duration;

/// Where an output's packets end.
///
/// Contract: packets come in the order of the source; [`Sink::finish`] is called once, last, also after
/// an error or ^C, and leaves whatever was written complete and readable.
pub trait Sink {
    /// Takes the packets of one batch.
    ///
    /// # Errors
    /// When they cannot be written; the run ends.
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error>;

    /// A block of the source file that belongs between packets (secrets, names). Only writers of pcapng care.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn annotate(&mut self, annotation: &Annotation) -> Result<(), Error> {
        let _ = annotation;
        Ok(())
    }

    /// The source is idle: show what is buffered.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// No more packets. `statistics` has one entry for each interface that is known.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error>;

    /// Of all packets handed over, how many are where they should be; asked after [`Sink::finish`]. What was
    /// buffered when a disk filled up is not, and of the batch that failed a part may be.
    ///
    /// `None`, the default, is for a sink whose [`Sink::write`] keeps a batch as a whole or fails as a whole.
    fn kept(&self) -> Option<u64> {
        None
    }

    /// How many of the packets handed over it took only to find that they are not wanted: they count as filtered out.
    /// Asked after [`Sink::finish`]; they are not among those [kept](Sink::kept).
    fn passed_over(&self) -> u64 {
        0
    }

    /// How hard it was to write all this in time; `None`, the default, for a sink that does not watch it.
    fn strain(&self) -> Option<Strain> {
        None
    }

    /// Whether it asks for the layers of each of its packets, so that they are found before, by the worker, all at
    /// once. They are found one by one when a sink that says no asks all the same.
    fn wants_layers(&self) -> bool {
        true
    }

    /// Whether it asks for what verification concluded. Where no sink does, checksums are not looked at, and neither is what
    /// is behind the headers.
    fn wants_verdicts(&self) -> bool {
        true
    }

    /// Whether a write may have to wait: for a disk, a terminal, a reader at the other end. Where it may, a sink of a live
    /// source gets a thread of its own; the worker itself writes to a sole sink that never waits, while what it has
    /// parsed is still in the cache.
    fn may_wait(&self) -> bool {
        true
    }

    /// Something that takes packets in this sink's place on a worker of its own; `None` when this sink wants every
    /// packet itself, in order.
    ///
    /// Each part gets some of the packets, in any order. It cannot fail, and wants all it gets.
    fn part(&self) -> Option<Box<dyn Part>> {
        None
    }

    /// Of a [part](Sink::part): the batches of a chunk once more, of which it has been given its packets; just before the
    /// [mark](Mark::Chunk) with the same number.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn look_back(&mut self, number: Option<u64>, chunk: &dyn Chunked) -> Result<(), Error> {
        let _ = (number, chunk);
        Ok(())
    }

    /// Of a [part](Sink::part): how far the source has come. Called by the worker that writes to the part.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn mark(&mut self, mark: Mark) -> Result<(), Error> {
        let _ = mark;
        Ok(())
    }

    /// Whether it is to be called on a thread of its own to [gather](Sink::gather) while its parts are at work.
    fn gathers(&self) -> bool {
        false
    }

    /// Does what is to be done with what its parts have ready, until all of them have [ended](Mark::End).
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn gather(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Takes in what a part of this sink has gathered. Called for every part, before [`Sink::finish`].
    ///
    /// # Panics
    /// When `part` is not one of this sink's.
    fn merge(&mut self, part: Box<dyn Any>) {
        let _ = part;
        unreachable!("a sink that gives out parts takes them in");
    }
}

/// How far a source has come; see [`Sink::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// All packets of a chunk have been written, if any of them was for this output. Chunks of all workers together are
    /// numbered from 0 in the order of the source; `None` where it has no order.
    Chunk(Option<u64>),
    /// There is no more.
    End,
}

/// A part of a sink; see [`Sink::part`]. Any sink that owns what it needs can be one. It is not finished but merged.
pub trait Part: Sink + Any + Send {}

impl<S: Sink + Any + Send> Part for S {}

/// How well a [queue](CaptureFileOptions::queue) before a disk sufficed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Strain {
    /// The most bytes that ever waited to be written.
    pub queued_most: u64,
    /// How many could.
    pub queue: u64,
    /// How long packets had to wait until there was room for them; in JSON, seconds.
    #[serde(rename = "waited_seconds", serialize_with = "as_seconds")]
    pub waited: Duration,
    /// How long the longest write took; in JSON, seconds.
    #[serde(rename = "longest_write_seconds", serialize_with = "as_seconds")]
    pub longest_write: Duration,
}

fn as_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Why a sink failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Whoever read our standard output has closed it: end quietly.
    #[error("standard output was closed")]
    Closed,
    /// The wanted number of files has been written: end quietly.
    #[error("the wanted number of files has been written")]
    Complete {
        /// Packets of the batch that were still taken; the others are beyond the last file.
        accepted: usize,
    },
    /// The file cannot be created or written.
    #[error("{path}: {source}")]
    Io {
        /// File, or `standard output`.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// The packet does not fit the format.
    #[error("{path}: {reason}")]
    Format {
        /// File.
        path: String,
        /// What does not fit and what to do.
        reason: String,
    },
    /// The interface cannot be sent on, or has gone.
    #[error("{interface}: {reason}")]
    Interface {
        /// Its name.
        interface: String,
        /// What happened and what to do.
        reason: String,
        /// The system's word, where it was the system that said so.
        source: Option<std::io::Error>,
    },
}

impl Error {
    pub(crate) fn of_interface(interface: String, problem: impl Into<Problem>) -> Self {
        let Problem { reason, cause } = problem.into();
        Self::Interface { interface, reason, source: cause }
    }
}
