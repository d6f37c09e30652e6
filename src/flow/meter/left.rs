//! The flows that are going on, or are left when a capture ends.

use super::Meter;
use crate::flow::FlowKey;
use crate::flow::last::Last;
use crate::flow::options::MeterCounts;
use crate::flow::record::{EndReason, FlowRecord};
use crate::flow::state::NOWHERE;

impl Meter {
    /// Flows of which there is something to tell, each as its place in the table with its first packet's time and its bytes.
    pub(in crate::flow) fn flows(&self) -> impl Iterator<Item = (u32, i64, u64)> {
        let all = self.cold.all().filter(|(_, cold)| cold.place != NOWHERE);
        all.filter_map(|(_, cold)| {
            let (_, hot) = self.table.get(cold.entry).filter(|(_, hot)| hot.packets != [0; 2])?;
            Some((cold.entry, cold.first, hot.bytes(&self.odd(cold)).iter().sum()))
        })
    }

    /// Flows of which there may be something to tell, each as its first packet's time and its place in the table.
    pub(in crate::flow) fn places(&self) -> impl Iterator<Item = (i64, u32)> {
        let all = self.cold.all().filter(|(_, cold)| cold.place != NOWHERE);
        all.map(|(_, cold)| (cold.first, cold.entry))
    }

    /// Whether there is something to tell of the flow at a place in the table: a packet since its last record.
    pub(in crate::flow) fn is_to_tell(&self, entry: u32) -> bool {
        self.table.get(entry).is_some_and(|(_, hot)| hot.packets != [0; 2])
    }

    /// Asks for the line of the flow at a place in the table.
    #[inline]
    pub(in crate::flow) fn ask(&self, entry: u32) {
        self.table.ask_entry(entry);
    }

    /// Asks for what stands beside that flow, whose line has been asked for.
    #[inline]
    pub(in crate::flow) fn ask_beside(&self, entry: u32) {
        if let Some((_, hot)) = self.table.get(entry) {
            self.cold.ask(hot.cold);
            self.connections.ask(hot.connection);
        }
    }

    /// The key of the flow at a place in the table.
    pub(in crate::flow) fn key_at(&self, entry: u32) -> Option<FlowKey> {
        self.table.get(entry).map(|(packed, hot)| self.key(packed, &self.cold[hot.cold]))
    }

    /// Why the record of a flow would end if nothing more came.
    pub(in crate::flow) fn last_reason(&self, entry: u32) -> EndReason {
        let over = self.table.get(entry).is_some_and(|(_, hot)| self.cold[hot.cold].is_over());
        if over { EndReason::Closed } else { EndReason::CaptureEnd }
    }

    /// The flows that are going on, the largest first, as records; at most so many.
    #[must_use]
    pub fn largest(&self, count: usize) -> Vec<FlowRecord> {
        largest(std::slice::from_ref(self), count)
    }

    /// Ends all flows. Their records come by the time of their first packets.
    pub fn finish(&mut self, mut out: impl FnMut(FlowRecord)) {
        let last = Last::of(std::slice::from_ref(self));
        (0..last.len()).filter_map(|at| last.record(at)).for_each(&mut out);
        let records = last.len() as u64;
        self.forget(records);
    }

    /// Forgets all flows, of which so many records were made.
    pub(in crate::flow) fn forget(&mut self, records: u64) {
        let counts = MeterCounts { records: self.counts.records + records, ..self.counts };
        *self = Self { counts, epoch: self.epoch, ..Self::seeded(self.options, self.seed) };
    }
}

/// The flows of some meters that are going on, the largest first, as records; at most so many. Only those are put in order.
pub(in crate::flow) fn largest(meters: &[Meter], count: usize) -> Vec<FlowRecord> {
    type Flow<'m> = (&'m Meter, (u32, i64, u64));
    let order = |(a, (entry_a, first_a, bytes_a)): &Flow<'_>, (b, (entry_b, first_b, bytes_b)): &Flow<'_>| {
        let keys = || a.key_at(*entry_a).cmp(&b.key_at(*entry_b));
        bytes_b.cmp(bytes_a).then(first_a.cmp(first_b)).then_with(keys)
    };
    let flows = meters.iter().map(|meter| meter.flows().map(move |flow| (meter, flow)));
    let mut flows: Vec<Flow<'_>> = flows.flatten().collect();
    if count < flows.len() {
        flows.select_nth_unstable_by(count, order);
        flows.truncate(count);
    }
    flows.sort_unstable_by(order);
    let records = flows.iter().map(|(meter, (entry, ..))| meter.record(*entry, EndReason::CaptureEnd));
    records.flatten().collect()
}
