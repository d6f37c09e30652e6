//! A word about link types whose headers wharf cannot read: packets pass, but nothing is known of them.

use crate::exit;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wharf::sink::{self, Deliveries, InterfaceStatistics, Part, Sink};

/// Watches the interfaces of what passes and tells of each unknown link type once.
#[derive(Debug, Default)]
pub(crate) struct LinkTypeNotes {
    /// How many interfaces have been looked at, by all parts together.
    seen: Arc<AtomicUsize>,
}

impl Sink for LinkTypeNotes {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
        let interfaces = packets.interfaces();
        if self.seen.load(Ordering::Relaxed) >= interfaces.len() {
            return Ok(());
        }
        let seen = self.seen.fetch_max(interfaces.len(), Ordering::Relaxed);
        for interface in interfaces.iter().skip(seen) {
            if interface.link_type.name().is_none() {
                let number = interface.link_type.0;
                exit::tell(&format!(
                    "link type {number} is not known: its packets are passed on, but not parsed"
                ));
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        Ok(())
    }

    fn wants_layers(&self) -> bool {
        false
    }

    fn wants_verdicts(&self) -> bool {
        false
    }

    /// A line for a new interface is not worth a thread.
    fn may_wait(&self) -> bool {
        false
    }

    fn part(&self) -> Option<Box<dyn Part>> {
        Some(Box::new(Self { seen: Arc::clone(&self.seen) }))
    }

    fn merge(&mut self, _: Box<dyn Any>) {}
}
