//! What becomes of a packet: a line of text, a JSON object, a record in a file, a count, a frame on a wire.
//!
//! A sink only reads: it never calls a stage. Each output of the port map feeds one.

mod capture_file;
mod combine;
mod count;
mod export;
mod flows;
pub mod follow;
mod format;
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
#[cfg(feature = "parquet")]
pub use export::Parquet;
pub use export::{FlowExport, Ipfix, IpfixCounts, IpfixEncoder};
#[cfg(feature = "kafka")]
pub use export::{Kafka, KafkaCounts, KafkaOptions};
pub use flows::{FlowFormat, Flows, FlowsOptions, flow_story};
pub use follow::Follow;
pub use json::Json;
pub use split::{Split, SplitFile, Template};
pub use streams::{FlowStreams, StreamFiles};
pub use text::{Text, TextOptions};
pub use transmit::Transmit;
pub use trouble::{Trouble, TroubleCounts, TroubleKind, TroubleKinds, TroubleOptions};

pub use crate::frame::InterfaceStatistics;

use crate::batch::{Findings, Summary};
use crate::frame::{Annotation, Batch, Frame, Interface, Record};
use crate::parse::{Layers, Packet};
use crate::verify::{Verdict, Verdicts};
use serde::{Serialize, Serializer};
use std::any::Any;
use std::time::Duration;

/// A packet as a sink receives it: parsed, with its verdicts.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The parsed frame.
    pub packet: Packet<'a>,
    /// What verification concluded.
    pub verdicts: Verdicts,
}

/// A packet in short, for a sink that need not know where every header is.
///
/// ```
/// use wharf::batch::Findings;
/// use wharf::sink::Deliveries;
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let source = Synthetic::new(&Traffic::default());
/// let mut findings = Findings::new();
/// findings.read(source.table());
/// let packets = Deliveries::new(source.table(), &findings, &[0, 3]);
/// for packet in packets.briefs() {
///     let ip = packets.layers(packet).outer.unwrap_or_default();
///     assert_eq!(packet.summary.transport(), ip.transport);
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Brief<'a> {
    /// What is known of the frame.
    pub record: &'a Record,
    /// What it is.
    pub summary: Summary,
    index: usize,
}

/// The packets of one batch that go to one output, in order.
#[derive(Clone, Copy, Debug)]
pub struct Deliveries<'a> {
    batch: Batch<'a>,
    findings: &'a Findings,
    chosen: &'a [u16],
    lost: u64,
}

impl<'a> Deliveries<'a> {
    /// `findings` are those in the batch; `chosen` are the indices of the frames delivered.
    ///
    /// # Panics
    /// When the findings do not have one entry for each frame.
    #[must_use]
    pub fn new(batch: Batch<'a>, findings: &'a Findings, chosen: &'a [u16]) -> Self {
        assert!(batch.len() == findings.summaries().len(), "one entry a frame");
        Self { batch, findings, chosen, lost: batch.lost() }
    }

    /// The same, before the first of which so many packets were lost.
    #[must_use]
    pub fn after_loss(self, packets: u64) -> Self {
        Self { lost: packets, ..self }
    }

    /// How many packets were lost between the last one delivered to this output and the first of these: before they
    /// came to any output, whichever it would have been, or on the way to this one.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// No packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Only the first `count` of them; all when there are fewer.
    #[must_use]
    pub fn first(self, count: usize) -> Self {
        Self { chosen: &self.chosen[..count.min(self.chosen.len())], ..self }
    }

    /// All interfaces the source has met so far; a frame's interface id indexes them.
    #[must_use]
    pub fn interfaces(&self) -> &'a [Interface] {
        self.batch.interfaces()
    }

    /// The packets in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Delivery<'a>> + use<'a> {
        let Self { batch, findings, chosen, .. } = *self;
        chosen.iter().map(move |&index| {
            let index = usize::from(index);
            let frame = settled(batch.frame(index), findings, index);
            let packet = Packet::new(frame, findings.layers_in(batch, index));
            Delivery { packet, verdicts: findings.verdicts(index) }
        })
    }

    /// The frames in order, for a sink that does not look into them.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = Frame<'a>> + use<'a> {
        let packets = *self;
        self.briefs().map(move |packet| packets.frame(packet))
    }

    /// The frame of one of [these packets](Self::briefs).
    // As Batch::frame.
    #[inline(always)]
    pub(crate) fn frame(&self, packet: Brief<'_>) -> Frame<'a> {
        settled(self.batch.frame(packet.index), self.findings, packet.index)
    }

    /// What is known of their frames, in order.
    pub(crate) fn records(&self) -> impl ExactSizeIterator<Item = &'a Record> + use<'a> {
        let (records, chosen) = (self.batch.records(), self.chosen);
        chosen.iter().map(move |&index| &records[usize::from(index)])
    }

    /// The packets in order, in short.
    pub fn briefs(&self) -> impl ExactSizeIterator<Item = Brief<'a>> + use<'a> {
        let Self { batch, findings, chosen, .. } = *self;
        let (records, summaries) = (batch.records(), findings.summaries());
        chosen.iter().map(move |&index| {
            let index = usize::from(index);
            Brief { record: &records[index], summary: summaries[index], index }
        })
    }

    /// The captured bytes of one of [these packets](Self::briefs), if its layers have yet to be found: then it is of a
    /// [common shape](crate::batch).
    #[inline(always)]
    pub(crate) fn common(&self, packet: Brief<'_>) -> Option<&'a [u8]> {
        let Record { offset, captured, .. } = *packet.record;
        let laid_out = packet.summary.is_laid_out();
        if laid_out { None } else { self.batch.slab().get(offset as usize..)?.get(..captured as usize) }
    }

    /// One of [these packets](Self::briefs), parsed.
    pub(crate) fn packet(&self, packet: Brief<'_>) -> Packet<'a> {
        Packet::new(self.frame(packet), self.findings.layers_in(self.batch, packet.index))
    }

    /// The packet that [`Self::briefs`] gives after so many others.
    ///
    /// # Panics
    /// When there are no more than that.
    pub(crate) fn brief(&self, at: usize) -> Brief<'a> {
        let index = usize::from(self.chosen[at]);
        Brief { record: &self.batch.records()[index], summary: self.findings.summaries()[index], index }
    }

    /// Where the headers of one of [these packets](Self::briefs) lie: all there is to know, found when it is asked for.
    ///
    /// # Panics
    /// When the packet is another batch's and its index is beyond this one. One of another batch that is not beyond
    /// gets the layers of the packet here with the same index.
    #[must_use]
    pub fn layers(&self, packet: Brief<'_>) -> &'a Layers {
        self.findings.layers_in(self.batch, packet.index)
    }
}

/// What verification found out of a frame of which its source [could not
/// tell](crate::frame::Offload::checksum_unsure), told as other sources tell it.
#[inline(always)]
fn settled<'a>(mut frame: Frame<'a>, findings: &Findings, index: usize) -> Frame<'a> {
    if frame.record.offload.checksum_unsure {
        let Verdicts { l4, inner_l4, .. } = findings.verdicts(index);
        frame.record.offload.checksum_not_ready |= [l4, inner_l4].contains(&Verdict::NotReady);
    }
    frame
}

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
    },
}
