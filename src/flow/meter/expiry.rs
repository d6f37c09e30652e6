//! How flows end by time, and for want of room.

use super::{Meter, NEVER_MIND};
use crate::flow::record::{EndReason, FlowRecord};
use crate::flow::state::NOWHERE;

/// Flows that are passed over for one that is evicted, as packets have come since they were looked at last: what goes on is
/// seldom evicted, a flood of single packets evicts itself, and looking has an end.
const SECOND_LOOKS: u32 = 8;

/// Entries of the wheel that do no harm, be there ever so few flows.
const STALE: usize = 1 << 12;

/// So many flows ahead what stands beside the table is asked for, and half as many the line in it.
const AHEAD: usize = 16;

/// So many packets at least tell the time against one.
const IN_A_ROW: u32 = 1 << 10;

impl Meter {
    /// When a flow times out for one reason or another, or is to be looked at if it never does.
    pub(super) fn deadline(&self, first: i64, last: i64, over: bool) -> i64 {
        let idle = match (over, self.idle) {
            (true, idle) => last.saturating_add(self.linger.min(idle)),
            // However long it has been silent.
            (false, i64::MAX) => self.now.saturating_add(NEVER_MIND),
            (false, idle) => last.saturating_add(idle),
        };
        idle.min(first.saturating_add(self.active))
    }

    /// Puts a flow on the wheel, where it is looked at soon after `deadline`.
    #[inline]
    pub(super) fn schedule(&mut self, flow: u32, deadline: i64) {
        self.cold[flow].place = self.wheel.schedule(flow, deadline);
    }

    /// Clears the wheel of entries of flows that have ended early, or were put elsewhere, where those are most of it: it takes
    /// room for at most twice as many flows as there ever were at a time, and some. As many must have come since, so it costs
    /// each of them no more than a step.
    #[inline]
    pub(super) fn keep_wheel(&mut self) {
        if self.wheel.len() > 2 * self.cold.places() + STALE {
            let flows = self.cold.all().filter(|(_, cold)| cold.place != NOWHERE);
            self.wheel.fill(flows.map(|(flow, cold)| (flow, cold.place)));
        }
    }

    /// A packet came long before the time that it is by those before it. When that was so of some in a row, they are right.
    #[cold]
    pub(super) fn fall_back(&mut self, time: i64) {
        self.behind += 1;
        // At least as many as there are flows: each is looked at.
        if self.behind < IN_A_ROW.max(self.cold.places() as u32) {
            return;
        }
        (self.behind, self.now) = (0, time);
        self.wheel.restart(time);
        for flow in 0..self.cold.places() as u32 {
            let cold = self.cold[flow];
            if cold.place != NOWHERE {
                let last = self.table.entry(cold.entry).1.last;
                // Not of a packet whose time was wrong.
                self.schedule(flow, self.deadline(cold.first.min(time), last.min(time), cold.is_over()));
            }
        }
    }

    /// Ends what has timed out.
    #[inline(never)]
    pub(super) fn turn(&mut self, out: &mut impl FnMut(FlowRecord)) {
        let mut due = std::mem::take(&mut self.due);
        while let Some(place) = self.wheel.turn(self.now, &mut due) {
            for at in 0..due.len() {
                if let Some(&ahead) = due.get(at + AHEAD) {
                    self.cold.ask(ahead);
                }
                if let Some(&ahead) = due.get(at + AHEAD / 2) {
                    self.table.ask_entry(self.cold[ahead].entry);
                }
                let flow = due[at];
                if self.is_at(flow, place) {
                    self.look(flow, out);
                }
            }
            due.clear();
        }
        self.due = due;
    }

    /// Whether that entry of the wheel is the flow's own.
    fn is_at(&self, flow: u32, place: u16) -> bool {
        self.cold[flow].place == place
    }

    /// Ends a flow whose time has come, or puts it where that will be.
    fn look(&mut self, flow: u32, out: &mut impl FnMut(FlowRecord)) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let cold = self.cold[flow];
        let (first, over, entry) = (cold.first, cold.is_over(), cold.entry);
        let last = self.table.entry(entry).1.last;
        let quiet = self.now.saturating_sub(last);
        if over && quiet > self.linger {
            return self.end(entry, EndReason::Closed, out);
        }
        if quiet > self.idle {
            return self.end(entry, EndReason::IdleTimeout, out);
        }
        if self.now.saturating_sub(first) > self.active {
            // What comes next begins with its own time.
            self.renew(entry, self.now, out);
        }
        let first = self.cold[flow].first;
        self.schedule(flow, self.deadline(first, last, over));
    }

    /// Makes room: the flow goes whose timeout is the nearest and of which no second packet has come, or none since it was
    /// passed over.
    #[inline(never)]
    pub(super) fn evict(&mut self, out: &mut impl FnMut(FlowRecord)) {
        let mut looks = 0;
        while let Some((flow, place)) = self.wheel.take_first() {
            // Those that come after it are likely to go next.
            if let Some(ahead) = self.wheel.ahead(AHEAD) {
                self.cold.ask(ahead);
            }
            if let Some(ahead) = self.wheel.ahead(AHEAD / 2) {
                self.table.ask_entry(self.cold[ahead].entry);
            }
            if !self.is_at(flow, place) {
                continue;
            }
            let cold = self.cold[flow];
            let (first, over, entry) = (cold.first, cold.is_over(), cold.entry);
            let last = self.table.entry(entry).1.last;
            looks += 1;
            if looks <= SECOND_LOOKS && !over && self.cold[flow].take_busy() {
                self.schedule(flow, self.deadline(first, last, over));
                continue;
            }
            self.counts.evicted += 1;
            return self.end(entry, EndReason::Evicted, out);
        }
        unreachable!("every flow is on the wheel");
    }
}
