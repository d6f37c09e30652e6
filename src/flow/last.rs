//! The flows that are left when a capture ends, in the order of their first packets.

use super::meter::Meter;
use super::record::FlowRecord;

/// So many flows ahead a line is asked for, and half as many what that tells of.
const AHEAD: usize = 16;

/// Flows of some meters by the time of their first packets, those of one time by their keys. Their records are made when they
/// are asked for, by whatever thread.
pub(crate) struct Last<'m> {
    meters: &'m [Meter],
    /// Time of the first packet, number of the meter, place in its table.
    flows: Vec<(i64, u32, u32)>,
}

impl<'m> Last<'m> {
    pub(super) fn of(meters: &'m [Meter]) -> Self {
        let mut flows = Vec::with_capacity(meters.iter().map(Meter::len).sum());
        for (number, meter) in (0..).zip(meters) {
            let places: Vec<_> = meter.places().collect();
            for (at, &(first, entry)) in places.iter().enumerate() {
                if let Some((_, ahead)) = places.get(at + AHEAD) {
                    meter.ask(*ahead);
                }
                if meter.is_to_tell(entry) {
                    flows.push((first, number, entry));
                }
            }
        }
        let key = |(_, meter, entry): (i64, u32, u32)| meters[meter as usize].key_at(entry);
        flows.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(*a).cmp(&key(*b))));
        Self { meters, flows }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// The record of the flow at that place, below [`Last::len`].
    pub(crate) fn record(&self, at: usize) -> Option<FlowRecord> {
        let find = |at: usize| {
            let (_, meter, entry) = *self.flows.get(at)?;
            Some((&self.meters[meter as usize], entry))
        };
        // They lie all over the memory. Those that are next are likely to be asked for next.
        if let Some((meter, entry)) = find(at + AHEAD) {
            meter.ask(entry);
        }
        if let Some((meter, entry)) = find(at + AHEAD / 2) {
            meter.ask_beside(entry);
        }
        let (meter, entry) = find(at)?;
        meter.record(entry, meter.last_reason(entry))
    }
}
