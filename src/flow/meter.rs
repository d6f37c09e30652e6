//! Counts packets by flow, and gives the record of each flow when it ends.

mod expiry;
mod left;

pub(super) use left::largest;

use super::FlowKey;
use super::connections::Connections;
use super::event::Event;
use super::options::{MeterCounts, MeterOptions};
use super::packed::{Packed, Seed};
use super::record::{EndReason, FlowRecord};
use super::slab::Slab;
use super::state::{self, Cold, Hot, NEVER, NONE, NOWHERE, Odd};
use super::table::{BATCH, Table};
use super::wheel::Wheel;
use super::window::Events;
use crate::frame::Timestamp;
use crate::parse::Packet;
use std::collections::VecDeque;
use std::time::Duration;

/// When to look at a flow that never times out.
const NEVER_MIND: i64 = 60_000_000_000;
/// How many ticks of the wheel the shortest timeout of silence takes at least, unless the other then took more than
/// [`MOST_TICKS`].
const PRECISION: i64 = 16;
/// Eight times around the wheel: so often a flow is looked at before it times out.
const MOST_TICKS: i64 = 1 << 13;
/// Packets so long before the latest are not just late: that one's time was wrong, or another capture follows.
const BEHIND: i64 = 600_000_000_000;
/// Most flows that have numbers.
const MOST: usize = 1 << 30;
/// Packets gathered before the table is asked.
const GATHERED: usize = 256;

/// Counts packets by flow; time is that of the packets.
#[derive(Debug)]
pub struct Meter {
    options: MeterOptions,
    idle: i64,
    active: i64,
    linger: i64,
    seed: Seed,
    table: Table<Hot>,
    /// What stands beside the table. By its numbers flows are known here: they do not change while a flow lasts.
    cold: Slab<Cold>,
    connections: Connections,
    odds: Slab<Odd>,
    /// Keys that are not whole.
    long: Slab<FlowKey>,
    wheel: Wheel,
    due: VecDeque<u32>,
    now: i64,
    /// Packets in a row that were long before it.
    behind: u32,
    /// How often the capture has lost packets.
    epoch: u16,
    gathered: Events,
    counts: MeterCounts,
    /// Flows looked at because their time had come.
    #[cfg(test)]
    pub(super) looks: u64,
}

impl Meter {
    /// Without flows yet.
    #[must_use]
    pub fn new(options: MeterOptions) -> Self {
        Self::seeded(options, Seed::random())
    }

    /// The same for events with keys of this seed.
    pub(super) fn seeded(options: MeterOptions, seed: Seed) -> Self {
        let nanos = |time: Option<Duration>| {
            time.map_or(i64::MAX, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        };
        let (idle, active) = (nanos(options.idle_timeout), nanos(options.active_timeout));
        let linger = nanos(Some(options.linger));
        let max_flows = options.max_flows.clamp(1, MOST);
        let bounded = |time: &i64| *time < i64::MAX / 4;
        let horizon = [idle, active, linger].into_iter().filter(bounded).max();
        let silence = if bounded(&idle) { idle } else { NEVER_MIND };
        let precision = (silence.min(linger) / PRECISION).max(silence / MOST_TICKS);
        Self {
            options: MeterOptions { max_flows, ..options },
            idle,
            active,
            linger,
            seed,
            table: Table::of_at_most(seed, max_flows),
            cold: Slab::default(),
            connections: Connections::new(max_flows),
            odds: Slab::default(),
            long: Slab::default(),
            wheel: Wheel::new(horizon.unwrap_or(0).max(NEVER_MIND), precision),
            due: VecDeque::new(),
            now: NEVER,
            behind: 0,
            epoch: 0,
            gathered: Events::default(),
            counts: MeterCounts::default(),
            #[cfg(test)]
            looks: 0,
        }
    }

    /// What was seen so far.
    #[must_use]
    pub fn counts(&self) -> MeterCounts {
        self.counts
    }

    /// How many flows there are now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// There is no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes that it takes, without the troubles of connections.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let slabs = self.cold.bytes() + self.connections.bytes() + self.odds.bytes() + self.long.bytes();
        self.table.bytes() + slabs + self.wheel.bytes()
    }

    /// The capture has lost packets here: a gap in what comes next need not be the network's doing.
    pub fn lost_packets(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Takes in packets, in order; the records of flows that end by them go to `out`.
    pub fn observe<'a>(
        &mut self,
        packets: impl IntoIterator<Item = Packet<'a>>,
        mut out: impl FnMut(FlowRecord),
    ) {
        let mut gathered = std::mem::take(&mut self.gathered);
        for packet in packets {
            match Event::of(&packet, &self.seed) {
                Some((event, beside)) => {
                    if beside.lost {
                        gathered.push(Event::loss(0), None);
                    }
                    if let Some(quoted) = &beside.quoted {
                        let key = Packed::pack(&quoted.key, &self.seed);
                        gathered.push(Event::tie(quoted, key, 0), None);
                    }
                    gathered.push(event, beside.long);
                }
                None => self.counts.without_flow += 1,
            }
            if gathered.len() >= GATHERED {
                self.take_in(&gathered, &mut |_, record| out(record));
                gathered.clear();
            }
        }
        self.take_in(&gathered, &mut |_, record| out(record));
        gathered.clear();
        self.gathered = gathered;
    }

    /// No packet came until then: flows that have timed out end.
    pub fn advance(&mut self, now: Timestamp, mut out: impl FnMut(FlowRecord)) {
        let now = now.seconds.saturating_mul(1_000_000_000).saturating_add(now.nanos.into());
        if now > self.now {
            self.now = now;
            if self.wheel.is_due(now) {
                self.turn(&mut out);
            }
        }
    }

    /// Takes in events, in order; the records of flows that end by one come with its place. The lines of some are asked for
    /// while those before them are dealt with.
    pub(super) fn take_in(&mut self, events: &Events, out: &mut impl FnMut(u32, FlowRecord)) {
        let mut batches = events.list.chunks(BATCH);
        let Some(mut current) = batches.next() else { return };
        let mut asked = self.table.prepare(current.iter().map(|event| event.key.0));
        loop {
            let next = batches.next();
            let next_asked = next.map(|events| self.table.prepare(events.iter().map(|event| event.key.0)));
            for (_, guess) in &asked[..current.len()] {
                if let Some((_, hot)) = self.table.get(*guess) {
                    self.cold.ask(hot.cold);
                    self.connections.ask(hot.connection);
                }
            }
            for (event, &place) in current.iter().zip(&asked) {
                if event.is_packet() {
                    self.take(event, &events.long, place, &mut |record| out(event.order, record));
                } else {
                    self.note(event, place.0);
                }
            }
            match next.zip(next_asked) {
                Some(next) => (current, asked) = next,
                None => return,
            }
        }
    }

    #[inline(always)]
    fn take(
        &mut self,
        event: &Event,
        long: &[FlowKey],
        (hash, guess): (u64, u32),
        out: &mut impl FnMut(FlowRecord),
    ) {
        let time = if event.time == NEVER { self.now } else { event.time };
        if time > self.now {
            self.now = time;
            self.behind = 0;
            if self.wheel.is_due(time) {
                self.turn(out);
            }
        } else if self.now.saturating_sub(time) > BEHIND {
            self.fall_back(time);
        } else {
            self.behind = 0;
        }
        self.counts.packets += 1;
        let found = self.table.find(event.key.0, hash, guess);
        let (entry, again) = match found {
            Some(entry) => match self.cut(entry, event, time) {
                None => (entry, true),
                Some(EndReason::ActiveTimeout) => {
                    self.renew(entry, time, out);
                    (entry, false)
                }
                Some(end) => {
                    self.end(entry, end, out);
                    (self.begin(event, long, (hash, time), out), false)
                }
            },
            None => (self.begin(event, long, (hash, time), out), false),
        };
        let Self { table, cold, odds, connections, epoch, active, .. } = self;
        let (_, hot) = table.entry(entry);
        let flow = hot.cold;
        let cold = &mut cold[flow];
        cold.set_busy(again);
        let direction = usize::from(event.is_reversed() != cold.is_reversed());
        let copy = cold.take(event, hot, direction, odds);
        // A record that a timeout has begun begins with this packet; and packets need not come in the order of their times.
        // Not so much, where two clocks meet in a flow, that the active timeout would end a record every time.
        let earlier = time < cold.first && { cold.first }.saturating_sub(time) <= BEHIND.min(*active / 2);
        if hot.packets == [0; 2] || earlier {
            cold.first = time;
        }
        let before = hot.last;
        let carried = hot.count(event, direction, time);
        if carried.any() {
            cold.carry(carried, direction, odds);
        }
        if event.is_wrong() {
            cold.damaged(direction, odds);
            self.counts.bad_checksums += 1;
        }
        let times = (before, hot.last);
        let segment = event.segment();
        // What is wrong its receiver never had: what comes again is no more than the first time. And what the capture has seen twice
        // was sent once.
        let Some(segment) = segment.filter(|_| !event.is_wrong() && !copy) else {
            return connections.pass(&mut hot.connection, times, segment.is_some());
        };
        let over = connections.observe(&mut hot.connection, times, (&segment, direction), time, *epoch);
        if over != cold.is_over() {
            self.turn_over(flow, over, times.1);
        }
    }

    /// The connection of a flow whose last packet was at that time is over, or has begun again.
    #[inline(never)]
    fn turn_over(&mut self, flow: u32, over: bool, last: i64) {
        let cold = &mut self.cold[flow];
        cold.set_over(over);
        let first = cold.first;
        self.schedule(flow, self.deadline(first, last, over));
        // It may end and begin again with every packet.
        self.keep_wheel();
    }

    /// Takes in what is not a packet of a flow.
    #[inline(never)]
    fn note(&mut self, event: &Event, hash: u64) {
        let Some(kind) = event.error() else { return self.lost_packets() };
        if let Some(entry) = self.table.find(event.key.0, hash, NONE) {
            let cold = &mut self.cold[self.table.entry(entry).1.cold];
            cold.refused(usize::from(event.is_reversed() != cold.is_reversed()), kind, &mut self.odds);
        }
    }

    /// Why a flow's record ends before this packet, if it does.
    #[inline(always)]
    fn cut(&mut self, entry: u32, event: &Event, time: i64) -> Option<EndReason> {
        let (_, hot) = self.table.entry(entry);
        let cold = &self.cold[hot.cold];
        if time.saturating_sub(hot.last) > self.idle {
            return Some(EndReason::IdleTimeout);
        }
        if event.flags().syn()
            && !event.is_wrong()
            && hot.connection != NONE
            && let Some(segment) = event.segment()
        {
            let direction = usize::from(event.is_reversed() != cold.is_reversed());
            if self.connections.is_followed_by(hot.connection, hot.last, &segment, direction) {
                return Some(EndReason::Reused);
            }
        }
        // Counters that are full end a record, too.
        let full = hot.packets[0].max(hot.packets[1]) == u32::MAX;
        (full || time.saturating_sub(cold.first) > self.active).then_some(EndReason::ActiveTimeout)
    }

    /// A flow begins with this packet; its place in the table.
    #[inline(never)]
    fn begin(
        &mut self,
        event: &Event,
        long: &[FlowKey],
        (hash, time): (u64, i64),
        out: &mut impl FnMut(FlowRecord),
    ) -> u32 {
        while self.table.len() >= self.options.max_flows {
            self.evict(out);
        }
        let mut cold = Cold::new(event, time);
        if event.is_long() {
            cold.long = self.long.insert(long[event.long as usize]);
        }
        let flow = self.cold.insert(cold);
        let Self { table, cold, .. } = self;
        let moved = |hot: &Hot, entry| cold[hot.cold].entry = entry;
        let entry = table.insert(event.key.0, hash, Hot::new(time, flow, NONE), moved);
        self.cold[flow].entry = entry;
        self.schedule(flow, self.deadline(time, time, false));
        self.keep_wheel();
        self.counts.most = self.counts.most.max(self.table.len() as u64);
        entry
    }

    /// The record of a flow, as it would be if that ended now; `None` when it has no packet.
    pub(super) fn record(&self, entry: u32, end: EndReason) -> Option<FlowRecord> {
        let (packed, hot) = self.table.get(entry).filter(|(_, hot)| hot.packets != [0; 2])?;
        let cold = &self.cold[hot.cold];
        let key = self.key(packed, cold);
        let odd = self.odd(cold);
        let story = self.connections.story(hot.connection, hot.last);
        Some(state::record(key, hot, (cold, odd), story, end))
    }

    fn odd(&self, cold: &Cold) -> Odd {
        if cold.odd == NONE { Odd::default() } else { self.odds[cold.odd] }
    }

    fn key(&self, packed: u128, cold: &Cold) -> FlowKey {
        Packed(packed).unpack().unwrap_or_else(|| self.long[cold.long])
    }

    /// The record so far goes out, and the flow goes on.
    #[inline(never)]
    fn renew(&mut self, entry: u32, time: i64, out: &mut impl FnMut(FlowRecord)) {
        if let Some(record) = self.record(entry, EndReason::ActiveTimeout) {
            self.counts.records += 1;
            out(record);
        }
        let (_, hot) = self.table.entry(entry);
        *hot = Hot::new(hot.last, hot.cold, hot.connection);
        let cold = &mut self.cold[hot.cold];
        if cold.odd != NONE {
            self.odds.remove(cold.odd);
        }
        cold.restart(time);
        self.connections.restart(&mut hot.connection, hot.last);
    }

    #[inline(never)]
    fn end(&mut self, entry: u32, end: EndReason, out: &mut impl FnMut(FlowRecord)) {
        if let Some(record) = self.record(entry, end) {
            self.counts.records += 1;
            out(record);
        }
        let Hot { cold: flow, connection, .. } = *self.table.entry(entry).1;
        let cold = &mut self.cold[flow];
        cold.place = NOWHERE;
        self.connections.remove(connection);
        if cold.odd != NONE {
            self.odds.remove(cold.odd);
        }
        if cold.long != NONE {
            self.long.remove(cold.long);
        }
        self.table.remove(entry);
        self.cold.remove(flow);
    }
}
