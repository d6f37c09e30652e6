//! Counts packets by flow, and gives the record of each flow when it ends.

use super::packed::{Packed, Seed};
use super::record::{EndReason, FlowRecord};
use super::sighting::Sighting;
use super::slab::Slab;
use super::state::{self, Cold, Hot, NEVER, NONE, NOWHERE};
use super::table::{BATCH, Table};
use super::tcp::Connection;
use super::wheel::Wheel;
use super::{FlowKey, quoted::Quoted};
use crate::frame::Timestamp;
use crate::parse::Packet;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a flow is kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterOptions {
    /// At most so many at a time, at least 1. One more, and that whose timeout is the nearest makes room, unless packets have
    /// come since it was passed over; its record comes out.
    pub max_flows: usize,
    /// A flow ends when nothing has come for that long; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// A record ends when the flow has gone on for that long, and the next begins; `None`: never.
    pub active_timeout: Option<Duration>,
    /// A TCP connection that has ended is kept that long, for what comes late.
    pub linger: Duration,
}

impl Default for MeterOptions {
    /// A million flows, idle after a minute (UDP programs are silent for less, and TCP keeps alive), a record at least every
    /// half hour, five seconds after the end of a connection.
    fn default() -> Self {
        Self {
            max_flows: 1 << 20,
            idle_timeout: Some(Duration::from_secs(60)),
            active_timeout: Some(Duration::from_secs(1800)),
            linger: Duration::from_secs(5),
        }
    }
}

/// What a meter has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterCounts {
    /// Packets of flows.
    pub packets: u64,
    /// Packets of none: not IP, or their addresses were not captured.
    pub without_flow: u64,
    /// Records of flows that have ended.
    pub records: u64,
    /// Of those, how many had to make room.
    pub evicted: u64,
    /// The most flows at a time.
    pub most: u64,
}

impl MeterCounts {
    /// Adds what another meter has seen of other packets.
    pub fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        self.without_flow += other.without_flow;
        self.records += other.records;
        self.evicted += other.evicted;
        self.most += other.most;
    }
}

/// Flows that are passed over for one that is evicted, as packets have come since they were looked at last: what goes on is
/// seldom evicted, a flood of single packets evicts itself, and looking has an end.
const SECOND_LOOKS: u32 = 8;
/// When to look at a flow that never times out.
const NEVER_MIND: i64 = 60_000_000_000;

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
    connections: Slab<Connection>,
    /// Keys that are not whole.
    long: Slab<FlowKey>,
    wheel: Wheel,
    due: VecDeque<u32>,
    now: i64,
    /// How often the capture has lost packets.
    epoch: u16,
    batch: Vec<Sighting>,
    counts: MeterCounts,
}

impl Meter {
    /// Without flows yet.
    #[must_use]
    pub fn new(options: MeterOptions) -> Self {
        let nanos = |time: Option<Duration>| {
            time.map_or(i64::MAX, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        };
        let (idle, active) = (nanos(options.idle_timeout), nanos(options.active_timeout));
        let linger = nanos(Some(options.linger));
        let horizon = [idle, active, linger].into_iter().filter(|&time| time < i64::MAX / 4).max();
        let seed = Seed::random();
        Self {
            options: MeterOptions { max_flows: options.max_flows.clamp(1, NONE as usize - 1), ..options },
            idle,
            active,
            linger,
            seed,
            table: Table::new(seed),
            cold: Slab::default(),
            connections: Slab::default(),
            long: Slab::default(),
            wheel: Wheel::new(horizon.unwrap_or(0).max(NEVER_MIND)),
            due: VecDeque::new(),
            now: NEVER,
            epoch: 0,
            batch: Vec::with_capacity(BATCH),
            counts: MeterCounts::default(),
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

    /// Bytes that it takes, without what few flows have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table.bytes()
            + self.cold.bytes()
            + self.connections.bytes()
            + self.long.bytes()
            + self.table.len() * size_of::<u32>()
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
        let mut batch = std::mem::take(&mut self.batch);
        for packet in packets {
            match Sighting::of(&packet, &self.seed) {
                Some(sighting) => batch.push(sighting),
                None => self.counts.without_flow += 1,
            }
            if batch.len() == BATCH {
                self.handle(&mut batch, &mut out);
            }
        }
        self.handle(&mut batch, &mut out);
        self.batch = batch;
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

    /// All lines are asked for before the first is used.
    fn handle(&mut self, batch: &mut Vec<Sighting>, out: &mut impl FnMut(FlowRecord)) {
        batch.iter().for_each(|sighting| self.table.ask(sighting.hash));
        let mut guesses = [NONE; BATCH];
        for (guess, sighting) in guesses.iter_mut().zip(&*batch) {
            *guess = self.table.guess(sighting.hash);
        }
        for guess in &guesses[..batch.len()] {
            if let Some((_, hot)) = self.table.get(*guess) {
                self.cold.ask(hot.cold);
            }
        }
        for (sighting, guess) in batch.iter().zip(guesses) {
            self.take(sighting, guess, out);
        }
        batch.clear();
    }

    #[inline]
    fn take(&mut self, sighting: &Sighting, guess: u32, out: &mut impl FnMut(FlowRecord)) {
        let time = sighting.time.unwrap_or(self.now);
        if time > self.now {
            self.now = time;
            if self.wheel.is_due(time) {
                self.turn(out);
            }
        }
        if sighting.lost_before > 0 {
            self.lost_packets();
        }
        self.counts.packets += 1;
        if let Some(quoted) = &sighting.quoted {
            self.tie(quoted);
        }
        let found = self.table.find(sighting.key.0, sighting.hash, guess);
        let flow = match found.map(|entry| self.table.entry(entry).1.cold) {
            Some(flow) => match self.cut(flow, sighting, time) {
                None => {
                    self.cold[flow].busy = true;
                    flow
                }
                Some(EndReason::ActiveTimeout) => {
                    self.renew(flow, time, out);
                    flow
                }
                Some(end) => {
                    self.end(flow, end, out);
                    self.begin(sighting, time, out)
                }
            },
            None => self.begin(sighting, time, out),
        };
        let cold = &mut self.cold[flow];
        let direction = usize::from(sighting.reversed != cold.reversed);
        cold.take(sighting, direction);
        let (_, hot) = self.table.entry(cold.entry);
        if hot.packets == [0; 2] {
            // A record that a timeout has begun begins with this packet.
            cold.first = time;
        }
        hot.count(direction, time, sighting.wire_length, sighting.payload);
        let Some(segment) = &sighting.tcp else { return };
        if cold.connection == NONE {
            cold.connection = self.connections.insert(Connection::default());
        }
        let connection = &mut self.connections[cold.connection];
        connection.observe(segment, direction, time, self.epoch);
        if connection.is_over() && !cold.over {
            cold.over = true;
            cold.place = self.wheel.schedule(flow, time.saturating_add(self.linger));
        }
    }

    /// Why a flow's record ends before this packet, if it does.
    #[inline(always)]
    fn cut(&mut self, flow: u32, sighting: &Sighting, time: i64) -> Option<EndReason> {
        let cold = &self.cold[flow];
        let (_, hot) = self.table.entry(cold.entry);
        if time.saturating_sub(hot.last) > self.idle {
            return Some(EndReason::IdleTimeout);
        }
        if let Some(segment) = &sighting.tcp
            && segment.flags.syn()
            && cold.connection != NONE
        {
            let direction = usize::from(sighting.reversed != cold.reversed);
            if self.connections[cold.connection].is_followed_by(segment, direction) {
                return Some(EndReason::Reused);
            }
        }
        // Counters that are full end a record, too.
        let full = hot.packets[0].max(hot.packets[1]) == u32::MAX;
        (full || time.saturating_sub(cold.first) > self.active).then_some(EndReason::ActiveTimeout)
    }

    /// A flow begins with this packet.
    #[inline(never)]
    fn begin(&mut self, sighting: &Sighting, time: i64, out: &mut impl FnMut(FlowRecord)) -> u32 {
        while self.table.len() >= self.options.max_flows {
            self.evict(out);
        }
        let mut cold = Cold::new(sighting, time);
        if let Some(long) = sighting.long {
            cold.long = self.long.insert(long);
        }
        let flow = self.cold.insert(cold);
        let Self { table, cold, .. } = self;
        let hot = Hot::new(time, flow);
        let moved = |hot: &Hot, entry| cold[hot.cold].entry = entry;
        let entry = table.insert(sighting.key.0, sighting.hash, hot, moved);
        let place = self.wheel.schedule(flow, self.deadline(time, time, false));
        (self.cold[flow].entry, self.cold[flow].place) = (entry, place);
        self.counts.most = self.counts.most.max(self.table.len() as u64);
        flow
    }

    /// When a flow times out for one reason or another.
    fn deadline(&self, first: i64, last: i64, over: bool) -> i64 {
        let idle = match (over, self.idle) {
            (true, idle) => self.linger.min(idle),
            (false, i64::MAX) => NEVER_MIND,
            (false, idle) => idle,
        };
        last.saturating_add(idle).min(first.saturating_add(self.active))
    }

    /// Ends what has timed out.
    #[inline(never)]
    fn turn(&mut self, out: &mut impl FnMut(FlowRecord)) {
        let mut due = std::mem::take(&mut self.due);
        while let Some(place) = self.wheel.turn(self.now, &mut due) {
            for flow in due.drain(..) {
                if self.is_at(flow, place) {
                    self.look(flow, out);
                }
            }
        }
        self.due = due;
    }

    /// Whether that entry of the wheel is the flow's own.
    fn is_at(&self, flow: u32, place: u16) -> bool {
        self.cold[flow].place == place
    }

    /// Ends a flow whose time has come, or puts it where that will be.
    fn look(&mut self, flow: u32, out: &mut impl FnMut(FlowRecord)) {
        let cold = &self.cold[flow];
        let (first, over) = (cold.first, cold.over);
        let last = self.table.entry(cold.entry).1.last;
        let quiet = self.now.saturating_sub(last);
        if over && quiet > self.linger {
            return self.end(flow, EndReason::Closed, out);
        }
        if quiet > self.idle {
            return self.end(flow, EndReason::IdleTimeout, out);
        }
        if self.now.saturating_sub(first) > self.active {
            // What comes next begins with its own time.
            self.renew(flow, self.now, out);
        }
        let first = self.cold[flow].first;
        self.cold[flow].place = self.wheel.schedule(flow, self.deadline(first, last, over));
    }

    /// Makes room: the flow goes whose timeout is the nearest and of which no second packet has come, or none since it was
    /// passed over.
    #[inline(never)]
    fn evict(&mut self, out: &mut impl FnMut(FlowRecord)) {
        let mut looks = 0;
        while let Some((flow, place)) = self.wheel.take_first() {
            if !self.is_at(flow, place) {
                continue;
            }
            let cold = &self.cold[flow];
            let (first, over) = (cold.first, cold.over);
            let last = self.table.entry(cold.entry).1.last;
            looks += 1;
            let next = self.wheel.schedule(flow, self.deadline(first, last, over));
            let cold = &mut self.cold[flow];
            cold.place = next;
            if looks <= SECOND_LOOKS && !over && (std::mem::take(&mut cold.busy) || next != place) {
                continue;
            }
            self.counts.evicted += 1;
            return self.end(flow, EndReason::Evicted, out);
        }
        unreachable!("every flow is on the wheel");
    }

    /// An error quotes a packet of a flow.
    #[inline(never)]
    fn tie(&mut self, quoted: &Quoted) {
        let key = Packed::pack(&quoted.key, &self.seed);
        if let Some(entry) = self.table.find(key.0, self.seed.hash(key.0), NONE) {
            let cold = &mut self.cold[self.table.entry(entry).1.cold];
            cold.refused(usize::from(quoted.reversed != cold.reversed), quoted.kind);
        }
    }

    fn record(&self, flow: u32, end: EndReason) -> Option<FlowRecord> {
        let cold = &self.cold[flow];
        let (packed, hot) = self.table.get(cold.entry)?;
        let key = Packed(packed).unpack().unwrap_or_else(|| self.long[cold.long]);
        let connection = (cold.connection != NONE).then(|| &self.connections[cold.connection]);
        Some(state::record(key, hot, cold, connection, end))
    }

    /// The record so far goes out, and the flow goes on.
    #[inline(never)]
    fn renew(&mut self, flow: u32, time: i64, out: &mut impl FnMut(FlowRecord)) {
        if let Some(record) =
            self.record(flow, EndReason::ActiveTimeout).filter(|record| record.all_packets() > 0)
        {
            self.counts.records += 1;
            out(record);
        }
        let cold = &mut self.cold[flow];
        cold.restart(time);
        if cold.connection != NONE {
            self.connections[cold.connection].restart();
        }
        let (_, hot) = self.table.entry(cold.entry);
        *hot = Hot::new(hot.last, flow);
    }

    #[inline(never)]
    fn end(&mut self, flow: u32, end: EndReason, out: &mut impl FnMut(FlowRecord)) {
        if let Some(record) = self.record(flow, end).filter(|record| record.all_packets() > 0) {
            self.counts.records += 1;
            out(record);
        }
        let cold = &mut self.cold[flow];
        cold.place = NOWHERE;
        if cold.connection != NONE {
            self.connections.remove(cold.connection);
        }
        if cold.long != NONE {
            self.long.remove(cold.long);
        }
        self.table.remove(cold.entry);
        self.cold.remove(flow);
    }

    fn flows(&self) -> Vec<u32> {
        self.cold.all().filter(|(_, cold)| cold.place != NOWHERE).map(|(flow, _)| flow).collect()
    }

    /// The flows that are going on, the largest first, as records; at most so many.
    #[must_use]
    pub fn largest(&self, count: usize) -> Vec<FlowRecord> {
        let mut flows = self.flows();
        let size = |flow: &u32| {
            let cold = &self.cold[*flow];
            let bytes = self.table.get(cold.entry).map_or(0, |(_, hot)| hot.bytes().iter().sum());
            (Reverse::<u64>(bytes), cold.first)
        };
        flows.sort_by_cached_key(size);
        flows.iter().take(count).filter_map(|&flow| self.record(flow, EndReason::CaptureEnd)).collect()
    }

    /// Ends all flows. Their records come by the time of their first packets.
    pub fn finish(&mut self, mut out: impl FnMut(FlowRecord)) {
        let mut records: Vec<FlowRecord> = Vec::with_capacity(self.table.len());
        for flow in self.flows() {
            let over = self.cold[flow].over;
            let end = if over { EndReason::Closed } else { EndReason::CaptureEnd };
            self.end(flow, end, &mut |record| records.push(record));
        }
        records.sort_by_key(|record| (record.first, record.key));
        records.into_iter().for_each(&mut out);
    }
}
