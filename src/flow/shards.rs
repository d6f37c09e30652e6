//! Several meters that share the flows: each may be at work on a thread of its own.
//!
//! Which meter a flow belongs to is told by its key, and how many meters there are by the options alone, so that the
//! records are the same whoever runs them. A packet's place among all says in which order records come that different
//! meters have ended. Of a live capture a secret has a say, too: who knows the code could else fill one meter alone.

use super::last::Last;
use super::meter::{self, Meter};
use super::options::{MeterCounts, MeterOptions};
use super::packed::Seed;
use super::record::FlowRecord;
use super::window::{Share, Window};
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
    share: Share,
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
    /// For so many flows in all: each meter has room for its share of them. The same packets give the same records in the
    /// same order, run by run.
    pub(crate) fn new(options: MeterOptions) -> Self {
        Self::shared(options, Share::Known)
    }

    /// The same for what comes over a network now, where somebody may choose flows that would all belong to one meter.
    pub(crate) fn live(options: MeterOptions) -> Self {
        Self::shared(options, Share::Secret)
    }

    fn shared(options: MeterOptions, share: Share) -> Self {
        let count = if options.max_flows >= MANY { METERS } else { 1 };
        let each = MeterOptions { max_flows: options.max_flows / count, ..options };
        let seed = Seed::random();
        let meters = (0..count).map(|_| Meter::seeded(each, seed)).collect();
        Self { meters, count, seed, share, without_flow: 0, ended: Vec::new() }
    }

    /// For packets on their way to these meters, which may be [apart](Shards::take_apart).
    pub(crate) fn window(&self) -> Window {
        Window::new(self.count, self.seed, self.share)
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
    pub(crate) fn take_in(&mut self, window: &Window, out: &mut impl FnMut(u32, &mut FlowRecord)) {
        self.without_flow += window.without_flow();
        let Self { meters, ended, .. } = self;
        if let [meter] = &mut meters[..] {
            meter.take_in(&window.events[0], &mut |order, mut record| out(order, &mut record));
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
pub(crate) fn in_order(ended: &mut Vec<(u32, FlowRecord)>, out: &mut impl FnMut(u32, &mut FlowRecord)) {
    // What is large stays where it is: only numbers are brought into order.
    let mut turns: Vec<_> = (0_u32..).zip(&*ended).map(|(at, (order, _))| (*order, at)).collect();
    turns.sort_unstable();
    for (order, at) in turns {
        out(order, &mut ended[at as usize].1);
    }
    ended.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Ipv4, Stack, Udp};
    use crate::flow::FlowKey;
    use crate::flow::packed::Packed;
    use crate::frame::{Frame, LinkType};
    use crate::parse::{Packet, parse};

    /// Flows that are all of one meter, as far as who knows the code can tell; a packet each.
    fn crafted(shards: &mut Shards, flows: usize) -> MeterCounts {
        let ends = (0_u32..).map(|at| ([10, 1, (at >> 8) as u8, at as u8], 1_024 + (at >> 16) as u16));
        let seed = shards.seed;
        let of_one = ends.filter(|&(address, port)| {
            let (key, _) = FlowKey::new((address.into(), port), ([192, 0, 2, 7].into(), 53), 17);
            Packed::pack(&key, &seed).spread() >> 48 & (METERS as u64 - 1) == 0
        });
        let (mut window, mut stack) = (shards.window(), Stack::new());
        for (address, port) in of_one.take(flows) {
            stack.message(b"").wrap(Udp::new(port, 53)).wrap(Ipv4::new(address, [192, 0, 2, 7]));
            let frame = Frame::new(LinkType::RAW, stack.bytes());
            let layers = parse(&frame);
            window.add(&Packet::new(frame, &layers), false);
            if window.len() == 256 {
                shards.take_in(&window, &mut |_, _| ());
                window.clear();
            }
        }
        shards.take_in(&window, &mut |_, _| ());
        shards.counts()
    }

    #[test]
    fn who_knows_the_code_cannot_fill_one_meter_of_a_live_capture() {
        let options = MeterOptions { max_flows: MANY, ..MeterOptions::default() };
        let (flows, each) = (20_000, MANY / METERS);
        let counts = crafted(&mut Shards::live(options), flows);
        assert_eq!((counts.packets, counts.evicted, counts.most), (flows as u64, 0, flows as u64));
        // Of a file the records are the same in every run, and that is what it costs: else this would show nothing.
        let counts = crafted(&mut Shards::new(options), flows);
        assert_eq!((counts.evicted, counts.most), ((flows - each) as u64, each as u64));
    }

    #[test]
    fn flows_are_shared_out_evenly_whatever_the_seed() {
        for seed in [Seed::fixed(1), Seed::fixed(2), Seed::random()] {
            for step in [1_u128, 1 << 32, 1 << 64, 1 << 112, (1 << 96) + (1 << 112)] {
                let mut meters = [0_u32; METERS];
                for key in 0..16_384_u128 {
                    meters[(seed.share(key.wrapping_mul(step)) >> 48) as usize % METERS] += 1;
                }
                // 1,024 on average, and a standard deviation of 31.
                assert!(meters.iter().all(|count| (850..1_200).contains(count)), "{step:x} {meters:?}");
            }
        }
    }
}
