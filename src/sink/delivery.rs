//! Packets on their way into a sink.

use crate::batch::{Findings, Summary};
use crate::frame::{Batch, Frame, Interface, Record};
use crate::parse::{Layers, Packet};
use crate::verify::{Verdict, Verdicts};

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
    pub(super) batch: Batch<'a>,
    findings: &'a Findings,
    pub(super) chosen: &'a [u16],
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

    /// Whether a checksum of the batch is wrong.
    pub(crate) fn any_bad(&self) -> bool {
        self.findings.checksums().any_bad()
    }

    /// The summary of one of [these packets](Self::briefs), where what the sending host has left to its device is not called
    /// wrong.
    pub(crate) fn finished(&self, packet: Brief<'_>) -> Summary {
        let Verdicts { ip, l4, .. } = self.findings.finished_verdicts(self.batch, packet.index);
        packet.summary.judged(ip, l4)
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

    /// What verification concluded of one of [these packets](Self::briefs).
    pub(crate) fn verdicts(&self, packet: Brief<'_>) -> Verdicts {
        self.findings.verdicts(packet.index)
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

/// Batches of which all can be gone through once more; see [`Sink::look_back`](super::Sink::look_back).
pub trait Chunked {
    /// In order.
    fn batches(&self) -> Box<dyn Iterator<Item = Batch<'_>> + '_>;
}
