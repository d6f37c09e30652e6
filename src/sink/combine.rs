//! Sinks made of other things: a closure, two sinks, none.

use super::{Chunked, Deliveries, Error, InterfaceStatistics, Mark, Part, Sink, Strain};
use crate::frame::Annotation;
use crate::parse::Packet;
use std::any::Any;

/// A closure as a sink: called once for each packet.
///
/// ```
/// use wharf::engine::Engine;
/// use wharf::parse::Packet;
/// use wharf::sink::each;
/// use wharf::source::synthetic::{Synthetic, Traffic};
///
/// let mut bytes = 0;
/// let source = Synthetic::new(&Traffic { frames: 100, ..Traffic::default() });
/// let sink = each(|packet: &Packet<'_>| bytes += packet.frame().data.len());
/// Engine::builder().source(source).rest(sink).run()?;
/// assert_eq!(bytes, 100 * 60);
/// # Ok::<(), wharf::engine::Error>(())
/// ```
pub fn each<F: FnMut(&Packet<'_>)>(act: F) -> Each<F> {
    Each { act }
}

/// See [`each`].
#[derive(Clone, Debug)]
pub struct Each<F> {
    act: F,
}

impl<F: FnMut(&Packet<'_>)> Sink for Each<F> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        packets.iter().for_each(|delivery| (self.act)(&delivery.packet));
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        Ok(())
    }
}

/// Two sinks fed with the same packets, the first one first.
///
/// When one fails the run ends, as it does for any sink; both are finished all the same. When the first is
/// [complete](Error::Complete), the second gets as many packets as the first took.
#[derive(Clone, Debug)]
pub struct Tee<A, B>(pub A, pub B);

impl<A: Sink, B: Sink> Sink for Tee<A, B> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        let first = self.0.write(packets);
        match first {
            // The second gets what the first has taken, so that both have seen the same.
            Err(Error::Complete { accepted }) => self.1.write(packets.first(accepted)).and(first),
            first => first.and_then(|()| self.1.write(packets)),
        }
    }

    fn annotate(&mut self, annotation: &Annotation) -> Result<(), Error> {
        self.0.annotate(annotation)?;
        self.1.annotate(annotation)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.0.flush()?;
        self.1.flush()
    }

    fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error> {
        let first = self.0.finish(statistics);
        self.1.finish(statistics).and(first)
    }

    /// What both have kept, as far as they know.
    fn kept(&self) -> Option<u64> {
        match (self.0.kept(), self.1.kept()) {
            (Some(first), Some(second)) => Some(first.min(second)),
            (first, second) => first.or(second),
        }
    }

    /// The more of what either passed over, as [`Tee::kept`] is the fewer.
    fn passed_over(&self) -> u64 {
        self.0.passed_over().max(self.1.passed_over())
    }

    /// That of the first which has any.
    fn strain(&self) -> Option<Strain> {
        self.0.strain().or_else(|| self.1.strain())
    }

    fn wants_layers(&self) -> bool {
        self.0.wants_layers() || self.1.wants_layers()
    }

    fn wants_verdicts(&self) -> bool {
        self.0.wants_verdicts() || self.1.wants_verdicts()
    }

    fn may_wait(&self) -> bool {
        self.0.may_wait() || self.1.may_wait()
    }

    fn part(&self) -> Option<Box<dyn Part>> {
        Some(Box::new(Tee(self.0.part()?, self.1.part()?)))
    }

    fn look_back(&mut self, number: Option<u64>, chunk: &dyn Chunked) -> Result<(), Error> {
        self.0.look_back(number, chunk)?;
        self.1.look_back(number, chunk)
    }

    fn mark(&mut self, mark: Mark) -> Result<(), Error> {
        self.0.mark(mark)?;
        self.1.mark(mark)
    }

    fn gathers(&self) -> bool {
        self.0.gathers() || self.1.gathers()
    }

    /// The second is gathered when the first has been: where both gather, its parts may have to wait so long.
    fn gather(&mut self) -> Result<(), Error> {
        let first = self.0.gather();
        self.1.gather().and(first)
    }

    fn merge(&mut self, part: Box<dyn Any>) {
        let Tee(first, second) = *part.downcast::<Parts>().expect("a part of this sink");
        self.0.merge(first);
        self.1.merge(second);
    }
}

/// The part of a [`Tee`].
type Parts = Tee<Box<dyn Part>, Box<dyn Part>>;

/// Takes packets and does nothing with them: they count as delivered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn write(&mut self, _: Deliveries<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        Ok(())
    }

    fn wants_layers(&self) -> bool {
        false
    }

    fn may_wait(&self) -> bool {
        false
    }

    fn part(&self) -> Option<Box<dyn Part>> {
        Some(Box::new(Self))
    }

    fn merge(&mut self, _: Box<dyn Any>) {}
}

/// Passes every call on to what `$pointer` points to.
macro_rules! forward {
    ($(#[$doc:meta])* $pointer:ty) => {
        $(#[$doc])*
        impl<S: Sink + ?Sized> Sink for $pointer {
            fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
                (**self).write(packets)
            }

            fn annotate(&mut self, annotation: &Annotation) -> Result<(), Error> {
                (**self).annotate(annotation)
            }

            fn flush(&mut self) -> Result<(), Error> {
                (**self).flush()
            }

            fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), Error> {
                (**self).finish(statistics)
            }

            fn kept(&self) -> Option<u64> {
                (**self).kept()
            }

            fn passed_over(&self) -> u64 {
                (**self).passed_over()
            }

            fn strain(&self) -> Option<Strain> {
                (**self).strain()
            }

            fn wants_layers(&self) -> bool {
                (**self).wants_layers()
            }

            fn wants_verdicts(&self) -> bool {
                (**self).wants_verdicts()
            }

            fn may_wait(&self) -> bool {
                (**self).may_wait()
            }

            fn look_back(&mut self, number: Option<u64>, chunk: &dyn Chunked) -> Result<(), Error> {
                (**self).look_back(number, chunk)
            }

            fn mark(&mut self, mark: Mark) -> Result<(), Error> {
                (**self).mark(mark)
            }

            fn gathers(&self) -> bool {
                (**self).gathers()
            }

            fn gather(&mut self) -> Result<(), Error> {
                (**self).gather()
            }

            fn part(&self) -> Option<Box<dyn Part>> {
                (**self).part()
            }

            fn merge(&mut self, part: Box<dyn Any>) {
                (**self).merge(part);
            }
        }
    };
}

forward! {
    /// A sink lent to a run, to be asked for its result afterwards.
    &mut S
}

forward! {
    /// A sink chosen at run time.
    Box<S>
}
