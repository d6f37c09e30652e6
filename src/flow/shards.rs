//! Several meters that share the flows: each may be at work on a thread of its own.
//!
//! Which meter a flow belongs to is told by its key alone, and how many meters there are by the options alone, so that the
//! records are the same whoever runs them. A packet's place among all says in which order records come that different
//! meters have ended.

use super::last::Last;
use super::meter::{self, Meter};
use super::options::{MeterCounts, MeterOptions};
use super::packed::Seed;
use super::record::FlowRecord;
use super::window::Window;
use crate::frame::Timestamp;

/// Meters, where there are many flows: a power of two.
const METERS: usize = 16;
/// For fewer flows than that at a time there is one, whose room is all there is.
const MANY: usize = 1 << 16;

/// The meters together.
#[derive(Debug)]
pub(crate) struct Shards {
    meters: Vec<Meter>,
    count: usize,
    seed: Seed,
    without_flow: u64,
    /// Room for records that are brought into order.
    ended: Vec<(u32, FlowRecord)>,
}

/// One of the meters, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Shard {
    meter: Meter,
    number: usize,
}

impl Shards {
    /// For so many flows in all: each meter has room for its share of them.
    pub(crate) fn new(options: MeterOptions) -> Self {
        let count = if options.max_flows >= MANY { METERS } else { 1 };
        let each = MeterOptions { max_flows: options.max_flows / count, ..options };
        let seed = Seed::random();
        let meters = (0..count).map(|_| Meter::seeded(each, seed)).collect();
        Self { meters, count, seed, without_flow: 0, ended: Vec::new() }
    }

    /// For packets on their way to these meters, which may be [apart](Shards::take_apart).
    pub(crate) fn window(&self) -> Window {
        Window::new(self.count, self.seed)
    }

    /// What was seen so far. The most flows at a time are those of each meter, added up.
    pub(crate) fn counts(&self) -> MeterCounts {
        let mut counts = MeterCounts { without_flow: self.without_flow, ..MeterCounts::default() };
        self.meters.iter().for_each(|meter| counts.merge(&meter.counts()));
        counts
    }

    /// How many flows there are now.
    pub(crate) fn len(&self) -> usize {
        self.meters.iter().map(Meter::len).sum()
    }

    /// Takes in packets. Records come in the order of the packets that have ended them, with their places.
    pub(crate) fn take_in(&mut self, window: &Window, out: &mut impl FnMut(u32, FlowRecord)) {
        self.without_flow += window.without_flow();
        let Self { meters, ended, .. } = self;
        if let [meter] = &mut meters[..] {
            meter.take_in(&window.events[0], out);
        } else {
            for (meter, events) in meters.iter_mut().zip(&window.events) {
                meter.take_in(events, &mut |order, record| ended.push((order, record)));
            }
            in_order(ended, out);
        }
    }

    /// No packet came until then: flows that have timed out end.
    pub(crate) fn advance(&mut self, now: Timestamp, out: &mut impl FnMut(FlowRecord)) {
        self.meters.iter_mut().for_each(|meter| meter.advance(now, &mut *out));
    }

    /// The flows that are going on, the largest first, as records; at most so many.
    pub(crate) fn largest(&self, count: usize) -> Vec<FlowRecord> {
        meter::largest(&self.meters, count)
    }

    /// The flows that are left.
    pub(crate) fn last(&self) -> Last<'_> {
        Last::of(&self.meters)
    }

    /// Forgets all flows, of which so many records were made.
    pub(crate) fn forget(&mut self, records: u64) {
        self.meters.iter_mut().for_each(|meter| meter.forget(0));
        if let Some(meter) = self.meters.first_mut() {
            meter.forget(records);
        }
    }

    /// The meters one by one. What was counted without a flow stays.
    pub(crate) fn take_apart(&mut self) -> Vec<Shard> {
        let meters = std::mem::take(&mut self.meters).into_iter().enumerate();
        meters.map(|(number, meter)| Shard { meter, number }).collect()
    }

    /// Puts back what was taken apart, with so many packets that were of no flow.
    pub(crate) fn put_together(&mut self, shards: impl IntoIterator<Item = Shard>, without_flow: u64) {
        self.meters = shards.into_iter().map(|shard| shard.meter).collect();
        self.without_flow += without_flow;
    }
}

impl Shard {
    /// Takes in its share of some packets. Records come with the places of the packets that have ended them.
    pub(crate) fn take_in(&mut self, window: &Window, out: &mut impl FnMut(u32, FlowRecord)) {
        self.meter.take_in(&window.events[self.number], out);
    }
}

/// Gives records in the order of the packets that have ended them, and forgets them there; those of one packet are one
/// meter's and stay in its order.
pub(crate) fn in_order(ended: &mut Vec<(u32, FlowRecord)>, out: &mut impl FnMut(u32, FlowRecord)) {
    ended.sort_by_key(|(order, _)| *order);
    ended.drain(..).for_each(|(order, record)| out(order, record));
}
