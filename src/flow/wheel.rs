//! When to look at a flow again: a timing wheel in packet time.
//!
//! A flow stands in the tick in which it would time out had nothing more come. Packets do not move it: when the tick has
//! come, whoever owns the flow looks, and puts it where it belongs by then. What is moved forward (a connection has
//! closed) leaves its old entry behind, which nobody minds: a flow knows its own tick. Where those are most of the wheel it is to
//! be [filled](Wheel::fill) anew.

use std::collections::VecDeque;

/// Ticks around the wheel.
const TICKS: i64 = 1024;

/// Where on the wheel a tick is.
fn place(tick: i64) -> usize {
    tick.rem_euclid(TICKS) as usize
}

/// The wheel; times are nanoseconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Wheel {
    ticks: Vec<VecDeque<u32>>,
    /// Nanoseconds of a tick.
    length: i64,
    /// All ticks up to this one have been looked at. `None` before the first packet.
    passed: Option<i64>,
    /// When the next tick begins.
    due: i64,
    /// No tick between the last passed and this one has anything.
    lowest: i64,
    /// Entries of all ticks.
    entries: usize,
}

impl Wheel {
    /// For times that lie up to `horizon` nanoseconds ahead, with ticks of no more than `precision` nanoseconds: what lies further
    /// ahead than they reach is looked at there.
    pub(super) fn new(horizon: i64, precision: i64) -> Self {
        let length = (horizon / (TICKS - 2) + 1).min(precision).max(1_000_000);
        let ticks = vec![VecDeque::new(); TICKS as usize];
        Self { ticks, length, passed: None, due: i64::MIN, lowest: 0, entries: 0 }
    }

    /// How many flows it has, those counted that are elsewhere by now.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Forgets all flows; it is that time.
    pub(super) fn restart(&mut self, now: i64) {
        let passed = now.div_euclid(self.length);
        self.ticks.fill_with(VecDeque::new);
        (self.entries, self.passed, self.lowest) = (0, Some(passed), passed);
        self.due = passed.saturating_add(1).saturating_mul(self.length);
    }

    /// Has these flows at their places, and no others.
    pub(super) fn fill(&mut self, flows: impl Iterator<Item = (u32, u16)>) {
        self.ticks.fill_with(VecDeque::new);
        self.entries = 0;
        for (flow, place) in flows {
            self.ticks[usize::from(place)].push_back(flow);
            self.entries += 1;
        }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let ticks = self.ticks.iter().map(|tick| size_of_val(tick) + tick.capacity() * size_of::<u32>());
        ticks.sum()
    }

    /// Puts a flow where it is looked at soon after `deadline`; the place on the wheel, which it is to remember.
    pub(super) fn schedule(&mut self, flow: u32, deadline: i64) -> u16 {
        let tick = deadline.div_euclid(self.length) + 1;
        let next = 1 + *self.passed.get_or_insert_with(|| {
            self.lowest = tick;
            tick - 1
        });
        let tick = tick.clamp(next, next + TICKS - 2);
        self.ticks[place(tick)].push_back(flow);
        self.entries += 1;
        self.lowest = self.lowest.min(tick);
        place(tick) as u16
    }

    /// Whether it [turns](Self::turn) at this time.
    #[inline(always)]
    pub(super) fn is_due(&self, now: i64) -> bool {
        now >= self.due
    }

    /// Turns by one tick, if `now` is that far: the place, and the flows there in the place of what is in `flows`.
    pub(super) fn turn(&mut self, now: i64, flows: &mut VecDeque<u32>) -> Option<u16> {
        let target = now.div_euclid(self.length);
        let passed = *self.passed.get_or_insert_with(|| {
            self.lowest = target;
            target
        });
        self.due = passed.saturating_add(1).saturating_mul(self.length);
        if target <= passed {
            return None;
        }
        // One time around sees them all.
        let tick = (passed + 1).max(target - TICKS + 1);
        self.passed = Some(tick);
        self.due = tick.saturating_add(1).saturating_mul(self.length);
        self.lowest = self.lowest.max(tick);
        // With its memory: the tick may never be as full again.
        *flows = std::mem::take(&mut self.ticks[place(tick)]);
        self.entries -= flows.len();
        Some(place(tick) as u16)
    }

    /// So many flows after the one that [`Wheel::take_first`] takes next, if that is in the same tick.
    pub(super) fn ahead(&self, count: usize) -> Option<u32> {
        self.ticks[place(self.lowest)].get(count).copied()
    }

    /// Takes out the first flow of the next tick that has any: whose turn would come first, as far as is known here.
    pub(super) fn take_first(&mut self) -> Option<(u32, u16)> {
        let passed = self.passed?;
        self.lowest = self.lowest.max(passed + 1);
        while self.lowest < passed + TICKS {
            let tick = &mut self.ticks[place(self.lowest)];
            if let Some(flow) = tick.pop_front() {
                self.entries -= 1;
                return Some((flow, place(self.lowest) as u16));
            }
            *tick = VecDeque::new();
            self.lowest += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn turns(wheel: &mut Wheel, now: i64) -> Vec<u32> {
        let (mut flows, mut all) = (VecDeque::new(), Vec::new());
        while wheel.turn(now, &mut flows).is_some() {
            all.extend(&flows);
        }
        all
    }

    #[test]
    fn a_flow_comes_after_its_deadline_and_not_much() {
        let mut wheel = Wheel::new(1_000 * MS, 1_000 * MS);
        assert!(turns(&mut wheel, 5_000 * MS).is_empty());
        for (flow, deadline) in [(1, 5_100), (2, 5_050), (3, 6_000), (4, 4_000)] {
            wheel.schedule(flow, deadline * MS);
        }
        assert_eq!(turns(&mut wheel, 5_002 * MS), [4], "overdue ones come next");
        assert!(turns(&mut wheel, 5_050 * MS).is_empty());
        assert_eq!(turns(&mut wheel, 5_053 * MS), [2]);
        assert!(turns(&mut wheel, 4_000 * MS).is_empty(), "time does not run back");
        assert_eq!(turns(&mut wheel, 900_000 * MS), [1, 3], "a leap passes all");
    }

    #[test]
    fn what_lies_further_ahead_than_its_ticks_reach_comes_there() {
        let mut wheel = Wheel::new(1_000_000 * MS, 10 * MS);
        turns(&mut wheel, 0);
        wheel.schedule(1, 1_000_000 * MS);
        wheel.schedule(2, 95 * MS);
        assert_eq!(turns(&mut wheel, 101 * MS), [2]);
        assert!(turns(&mut wheel, 10_200 * MS).is_empty());
        assert_eq!(turns(&mut wheel, 10_240 * MS), [1]);
    }

    #[test]
    fn it_can_be_filled_anew() {
        let mut wheel = Wheel::new(1_000 * MS, 1_000 * MS);
        turns(&mut wheel, 0);
        let places: Vec<_> = (0..5_000).map(|flow| wheel.schedule(flow, 500 * MS)).collect();
        let (full, last) = (wheel.bytes(), wheel.schedule(7, 200 * MS));
        wheel.fill([(6, places[6]), (7, last)].into_iter());
        assert!(wheel.len() == 2 && wheel.bytes() + 19_000 < full, "{}", wheel.bytes());
        assert_eq!([wheel.take_first(), wheel.take_first()], [Some((7, last)), Some((6, places[6]))]);
        assert_eq!((wheel.take_first(), wheel.len()), (None, 0));
    }

    #[test]
    fn the_first_is_whose_turn_comes_first() {
        let mut wheel = Wheel::new(1_000 * MS, 1_000 * MS);
        assert_eq!(wheel.take_first(), None);
        turns(&mut wheel, 0);
        wheel.schedule(1, 500 * MS);
        wheel.schedule(2, 300 * MS);
        wheel.schedule(3, 300 * MS);
        assert_eq!(wheel.take_first().map(|(flow, _)| flow), Some(2));
        wheel.schedule(4, 100 * MS);
        let rest: Vec<u32> = std::iter::from_fn(|| wheel.take_first()).map(|(flow, _)| flow).collect();
        assert_eq!(rest, [4, 3, 1]);
    }
}
