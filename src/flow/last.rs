//! The flows that are left when a capture ends, in the order of their first packets.

use super::meter::Meter;
use super::record::FlowRecord;

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
            flows.extend(meter.flows().map(|(entry, first, _)| (first, number, entry)));
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
        let (_, meter, entry) = *self.flows.get(at)?;
        let meter = &self.meters[meter as usize];
        meter.record(entry, meter.last_reason(entry))
    }
}
