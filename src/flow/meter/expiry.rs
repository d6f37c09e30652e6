//! How flows end by time, and for want of room.

use super::{Meter, NEVER_MIND};
use crate::flow::record::{EndReason, FlowRecord};

/// Flows that are passed over for one that is evicted, as packets have come since they were looked at last: what goes on is
/// seldom evicted, a flood of single packets evicts itself, and looking has an end.
const SECOND_LOOKS: u32 = 8;

impl Meter {
    /// When a flow times out for one reason or another.
    pub(super) fn deadline(&self, first: i64, last: i64, over: bool) -> i64 {
        let idle = match (over, self.idle) {
            (true, idle) => self.linger.min(idle),
            (false, i64::MAX) => NEVER_MIND,
            (false, idle) => idle,
        };
        last.saturating_add(idle).min(first.saturating_add(self.active))
    }

    /// Ends what has timed out.
    #[inline(never)]
    pub(super) fn turn(&mut self, out: &mut impl FnMut(FlowRecord)) {
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
        self.cold[flow].place = self.wheel.schedule(flow, self.deadline(first, last, over));
    }

    /// Makes room: the flow goes whose timeout is the nearest and of which no second packet has come, or none since it was
    /// passed over.
    #[inline(never)]
    pub(super) fn evict(&mut self, out: &mut impl FnMut(FlowRecord)) {
        let mut looks = 0;
        while let Some((flow, place)) = self.wheel.take_first() {
            if !self.is_at(flow, place) {
                continue;
            }
            let cold = self.cold[flow];
            let (first, over, entry) = (cold.first, cold.is_over(), cold.entry);
            let last = self.table.entry(entry).1.last;
            looks += 1;
            let next = self.wheel.schedule(flow, self.deadline(first, last, over));
            let cold = &mut self.cold[flow];
            cold.place = next;
            if looks <= SECOND_LOOKS && !over && (cold.take_busy() || next != place) {
                continue;
            }
            self.counts.evicted += 1;
            return self.end(entry, EndReason::Evicted, out);
        }
        unreachable!("every flow is on the wheel");
    }
}
