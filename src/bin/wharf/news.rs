//! What a run tells when it happens, and not only at its end.

use crate::exit;
use std::time::Duration;
use wharf::source::packet::Meter;

/// How often it is looked for where nothing else is told: nobody acts on it sooner.
pub(crate) const EVERY: Duration = Duration::from_millis(250);

/// What becomes of a capture's rings.
pub(crate) struct News {
    meter: Meter,
    /// So much of it has been told.
    told: usize,
}

impl News {
    pub(crate) fn of(meter: Meter) -> Self {
        Self { meter, told: 0 }
    }

    /// Tells what is new.
    pub(crate) fn tell(&mut self) {
        let all = self.meter.news();
        all.iter().skip(self.told).for_each(|news| exit::tell(news));
        self.told = all.len();
    }
}
