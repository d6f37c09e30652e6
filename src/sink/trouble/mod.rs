//! Only the flows that had trouble, from some time before it on.

mod kinds;
mod memory;
mod watch;

pub use kinds::{TroubleKind, TroubleKinds};

use super::capture_file::CaptureFileWriter;
use super::{Deliveries, Error, InterfaceStatistics, Sink, Strain};
use crate::flow::FlowKey;
use crate::frame::{Annotation, Interface, Timestamp};
use memory::{Held, Memory};
use std::time::Duration;
use watch::{Seen, Watch};

/// What is written of a flow that had trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TroubleOptions {
    /// What counts as trouble.
    pub kinds: TroubleKinds,
    /// How much of the flow before it is written too. So long packets are kept in memory.
    pub before: Duration,
    /// How much after it.
    pub after: Duration,
    /// Most bytes of memory for packets that are kept: beyond it the oldest are decided on early.
    pub memory: usize,
}

impl Default for TroubleOptions {
    /// All kinds, five seconds before and after, 256 MiB.
    fn default() -> Self {
        Self {
            kinds: TroubleKinds::ALL,
            before: Duration::from_secs(5),
            after: Duration::from_secs(5),
            memory: 256 << 20,
        }
    }
}

/// What a run with [`Trouble`] came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TroubleCounts {
    /// How often there was trouble, by [`TroubleKind`].
    pub found: [u64; 4],
    /// Packets written.
    pub written: u64,
    /// Packets of flows without trouble at their time, and of no flow: filtered out.
    pub passed_over: u64,
    /// Packets that were decided on before their time was over, because the memory was full.
    pub early: u64,
    /// Flows of which it was forgotten what had been seen, because there were too many.
    pub forgotten: u64,
}

/// Keeps the last seconds in memory, and writes packets of flows that had [trouble](TroubleKind), in the order they came.
///
/// What is not written counts as filtered out. Time is the packets' own.
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::sink::{CaptureFileWriter, Trouble, TroubleOptions};
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let directory = tempfile::tempdir()?;
/// let file = CaptureFileWriter::create(directory.path().join("trouble.pcapng"))?;
/// let mut trouble = Trouble::new(file, TroubleOptions::default());
/// let source = Synthetic::new(&Traffic { frames: 100, ..Traffic::default() });
/// let report = Engine::builder().source(source).rest(&mut trouble).run()?;
/// let counts = trouble.counts();
/// assert_eq!((report.total.delivered, report.total.filtered_out), (counts.written, counts.passed_over));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Trouble {
    file: CaptureFileWriter,
    memory: Memory,
    watch: Watch,
    before: i64,
    interfaces: Vec<Interface>,
    /// Time counts from the first packet, in nanoseconds.
    origin: Option<Timestamp>,
    now: i64,
    /// The wanted number of files has been written.
    complete: bool,
    counts: TroubleCounts,
}

impl Trouble {
    /// Writes to a capture file.
    #[must_use]
    pub fn new(file: CaptureFileWriter, options: TroubleOptions) -> Self {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        let (before, after) = (nanos(options.before), nanos(options.after));
        Self {
            file,
            memory: Memory::new(options.memory),
            watch: Watch::new(options.kinds, before, after),
            before,
            interfaces: Vec::new(),
            origin: None,
            now: 0,
            complete: false,
            counts: TroubleCounts::default(),
        }
    }

    /// What the run came to so far.
    #[must_use]
    pub fn counts(&self) -> TroubleCounts {
        TroubleCounts { found: self.watch.found, forgotten: self.watch.forgotten, ..self.counts }
    }

    /// Decides on the packets whose time is over, and on the oldest while there are too many.
    fn release(&mut self) -> Result<(), Error> {
        loop {
            let over = self.memory.oldest().is_some_and(|time| time.saturating_add(self.before) < self.now);
            if !over && !self.memory.is_full() {
                return Ok(());
            }
            self.counts.early += u64::from(!over);
            if !self.release_oldest()? {
                return Ok(());
            }
        }
    }

    /// False when there is none.
    fn release_oldest(&mut self) -> Result<bool, Error> {
        let Some(held) = self.memory.pop() else { return Ok(false) };
        let waited = held.time.saturating_add(self.before) < self.now;
        if !self.complete
            && held.flow.is_some_and(|flow| self.watch.is_wanted(&flow, held.time, held.asks && waited))
        {
            match self.file.write_frame(&held.frame(), &self.interfaces) {
                Err(Error::Complete { .. }) => self.complete = true,
                result => result?,
            }
            self.counts.written += u64::from(!self.complete);
            self.counts.passed_over += u64::from(self.complete);
        } else {
            self.counts.passed_over += 1;
        }
        Ok(true)
    }
}

impl Sink for Trouble {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        if let Some(new) = packets.interfaces().get(self.interfaces.len()..) {
            self.interfaces.extend_from_slice(new);
        }
        self.file.lose(packets.lost());
        if packets.lost() > 0 {
            self.watch.loss();
        }
        for (index, delivery) in packets.iter().enumerate() {
            let frame = delivery.packet.frame();
            if let Some(time) = frame.record.time {
                let origin = *self.origin.get_or_insert(time);
                self.now = time.nanos_since(origin);
            }
            if frame.options.lost().is_some_and(|lost| lost > 0) {
                self.watch.loss();
            }
            let keyed = FlowKey::of(&delivery.packet);
            let seen = keyed.map(|keyed| self.watch.packet(&delivery, &keyed, self.now));
            let asks = seen.is_some_and(|Seen { asks }| asks);
            let flow = keyed.map(|keyed| keyed.key);
            self.memory.push(Held::new(frame, flow, self.now, asks));
            self.release()?;
            if self.complete {
                return Err(Error::Complete { accepted: index + 1 });
            }
        }
        Ok(())
    }

    fn annotate(&mut self, annotation: &Annotation) -> Result<(), Error> {
        self.file.annotate(annotation)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.flush()
    }

    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        let mut result = Ok(());
        // After a failure what is left is only counted.
        loop {
            match self.release_oldest() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.file.finish(statistics).and(result)
    }

    fn kept(&self) -> Option<u64> {
        self.file.kept()
    }

    fn passed_over(&self) -> u64 {
        self.counts.passed_over
    }

    fn strain(&self) -> Option<Strain> {
        self.file.strain()
    }
}
