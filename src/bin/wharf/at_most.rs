//! The end of a run after so many packets that matched.

use wharf::frame::Annotation;
use wharf::sink::{Deliveries, Error, InterfaceStatistics, Sink, Strain};

/// `sink`, which gets no more than `most` packets where there is a limit.
pub(crate) fn at_most<'a>(sink: impl Sink + Send + 'a, most: Option<u64>) -> Box<dyn Sink + Send + 'a> {
    match most {
        Some(left) => Box::new(AtMost { sink, left }),
        None => Box::new(sink),
    }
}

/// A sink that has all it wants after so many packets.
struct AtMost<S> {
    sink: S,
    /// Packets still wanted: at least 1 to begin with.
    left: u64,
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
