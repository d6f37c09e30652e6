//! The end of a run after so many packets that matched.

use wharf::frame::Annotation;
use wharf::sink::{Deliveries, Error, InterfaceStatistics, Sink, Strain};

/// A sink that has all it wants after so many packets.
pub(crate) struct AtMost<S> {
    pub(crate) sink: S,
    /// Packets still wanted: at least 1 to begin with.
    pub(crate) left: u64,
}

impl<S: Sink> Sink for AtMost<S> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(packets.len());
        self.sink.write(packets.first(wanted))?;
        self.left -= wanted as u64;
        if self.left == 0 { Err(Error::Complete { accepted: wanted }) } else { Ok(()) }
    }

    fn annotate(&mut self, annotation: &Annotation) -> Result<(), Error> {
        self.sink.annotate(annotation)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.sink.flush()
    }

    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        self.sink.finish(statistics)
    }

    fn kept(&self) -> Option<u64> {
        self.sink.kept()
    }

    fn passed_over(&self) -> u64 {
        self.sink.passed_over()
    }

    fn strain(&self) -> Option<Strain> {
        self.sink.strain()
    }

    fn wants_layers(&self) -> bool {
        self.sink.wants_layers()
    }

    fn wants_verdicts(&self) -> bool {
        self.sink.wants_verdicts()
    }
}
