//! A word about link types whose headers wharf cannot read: packets pass, but nothing is known of them.

use crate::exit;
use wharf::sink::{self, Deliveries, InterfaceStatistics, Sink};

/// Watches the interfaces of what passes and tells of each unknown link type once.
#[derive(Debug, Default)]
pub(crate) struct LinkTypeNotes {
    seen: usize,
}

impl Sink for LinkTypeNotes {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
        for interface in packets.interfaces().iter().skip(self.seen) {
            if interface.link_type.name().is_none() {
                let number = interface.link_type.0;
                exit::tell(&format!(
                    "link type {number} is not known: its packets are passed on, but not parsed"
                ));
            }
        }
        self.seen = packets.interfaces().len();
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        Ok(())
    }
}
