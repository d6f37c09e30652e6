//! What each end of every TCP connection said, in a file of its own.

mod files;
mod shelf;

use super::opened::open;
use super::{Deliveries, Error, InterfaceStatistics, Sink};
use crate::flow::fragments::{self, Defragmenter};
use crate::flow::reassembly::{self, Counters, Reassembler, Segment, Side};
use crate::flow::{FlowKey, FlowRecord};
use crate::parse::Packet;
use files::Files;
use shelf::Shelf;
use std::path::Path;

/// Writes each direction of every TCP connection to a file, its bytes in order.
///
/// Files are named `tcp-SOURCE.PORT-DESTINATION.PORT`, those of further connections between the same ends `….1`, `….2` and so on,
/// and are made when their direction says something. Of what is in a tunnel or compressed (IPComp) it is the innermost. What is
/// missing is left out, and counted: [`StreamFiles::of`] tells the names and the gaps of a flow. Where a connection ends with
/// a gap that the other end never acknowledged, what came behind it may not have been received: it is in a file of its own, whose
/// name ends in `.unacknowledged`. Order and bounds are those of [`reassembly`](crate::flow::reassembly).
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::sink::StreamFiles;
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let directory = tempfile::tempdir()?;
/// let mut streams = StreamFiles::create(directory.path())?;
/// Engine::builder().source(Synthetic::new(&Traffic { frames: 100, ..Traffic::default() })).rest(&mut streams).run()?;
/// assert!(streams.counters().segments > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StreamFiles {
    reassembler: Reassembler<FlowKey>,
    defragmenter: Option<Defragmenter>,
    shelf: Shelf,
}

/// The files of a flow, in the order of its [`FlowRecord`]: of what the end that sent first has said, then of the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowStreams {
    /// Names within the directory; `None` of an end that said nothing.
    pub names: [Option<String>; 2],
    /// Bytes that are missing in each.
    pub gaps: [u64; 2],
}

impl StreamFiles {
    /// Files in a directory, which is created if need be. Those of the same names are written over.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn create(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let shelf = Shelf::new(Files::create(directory.as_ref())?);
        Ok(Self { reassembler: Reassembler::new(reassembly::Options::default()), defragmenter: None, shelf })
    }

    /// How segments are put in order.
    #[must_use]
    pub fn options(self, options: reassembly::Options) -> Self {
        Self { reassembler: Reassembler::new(options), ..self }
    }

    /// Puts IP packets together from their fragments first; without it the first fragment counts as far as it goes.
    #[must_use]
    pub fn defragment(self, options: fragments::Options) -> Self {
        Self { defragmenter: Some(Defragmenter::new(options)), ..self }
    }

    /// What became of all segments.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.reassembler.counters()
    }

    /// The files of a flow. A flow that is told in several records has them in each; of several connections within one
    /// record they are those of the first. Gaps are complete once the run has ended. For this some 200 bytes are kept of every
    /// connection.
    #[must_use]
    pub fn of(&self, record: &FlowRecord) -> FlowStreams {
        self.shelf.of(record)
    }

    /// The same, of a record after which only later ones of its flow will come: what has ended by then is forgotten.
    pub(super) fn tell(&mut self, record: &FlowRecord) -> FlowStreams {
        self.shelf.tell(record)
    }

    fn take(&mut self, packet: &Packet<'_>) {
        let time = packet.frame().record.time;
        let Self { reassembler, defragmenter, shelf } = self;
        open(packet, defragmenter.as_mut(), |packet, ip, (key, reversed)| {
            let Some(segment) = Segment::of(packet, ip) else { return };
            let side = if reversed { Side::Second } else { Side::First };
            let number = reassembler.segment(&key, side, &segment, time, |slice| shelf.put(&slice));
            shelf.packet(&key, number, time);
        });
    }
}

impl Sink for StreamFiles {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        packets.iter().for_each(|delivery| self.take(&delivery.packet));
        self.shelf.result()
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.shelf.files.flush()
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        let shelf = &mut self.shelf;
        self.reassembler.finish(|slice| shelf.put(&slice));
        shelf.result()
    }
}

#[cfg(test)]
mod tests;
