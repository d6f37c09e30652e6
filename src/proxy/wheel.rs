//! A timing wheel: deadlines of many connections, set and taken off at a constant cost.
//!
//! A deadline is not moved when a byte comes by: the connection notes when that was, and is asked when its deadline has
//! come. What lies beyond the wheel's horizon waits in its last slot and is asked more than once.

use std::time::{Duration, Instant};

/// How finely time is told.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// Ticks round the wheel: 25.6 seconds.
const SLOTS: usize = 512;

const NONE: u32 = u32::MAX;

/// Ticks since the wheel was made.
pub(super) type Tick = u64;

/// Which of the numbered have a deadline, and when.
#[derive(Debug)]
pub(super) struct Wheel {
    began: Instant,
    /// The first of each slot's list.
    slots: Box<[u32]>,
    nodes: Vec<Node>,
    /// All slots before this tick were gone through.
    now: Tick,
    armed: usize,
    /// Nothing comes up before this tick. It may be early, where what was to come up then was disarmed.
    soonest: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    previous: u32,
    next: u32,
    /// The slot it is in, or [`NONE`].
    slot: u32,
}

impl Wheel {
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            slots: vec![NONE; SLOTS].into_boxed_slice(),
            nodes: Vec::new(),
            now: 0,
            armed: 0,
            soonest: Tick::MAX,
        }
    }

    /// The tick that an instant is in.
    pub(super) fn tick(&self, at: Instant) -> Tick {
        (at.saturating_duration_since(self.began).as_millis() / TICK.as_millis()) as Tick
    }

    /// How many ticks a duration takes, at least one.
    pub(super) fn ticks(duration: Duration) -> Tick {
        (duration.as_millis().div_ceil(TICK.as_millis()) as Tick).max(1)
    }

    /// Has this number come up at a tick or, where that is beyond the horizon, before; in place of its former deadline.
    pub(super) fn arm(&mut self, number: u32, at: Tick) {
        self.disarm(number);
        if self.nodes.len() <= number as usize {
            self.nodes.resize(number as usize + 1, Node { previous: NONE, next: NONE, slot: NONE });
        }
        let at = at.clamp(self.now + 1, self.now + SLOTS as Tick - 1);
        let slot = at as usize % SLOTS;
        let first = std::mem::replace(&mut self.slots[slot], number);
        self.nodes[number as usize] = Node { previous: NONE, next: first, slot: slot as u32 };
        if let Some(node) = self.nodes.get_mut(first as usize) {
            node.previous = number;
        }
        self.soonest = if self.armed == 0 { at } else { self.soonest.min(at) };
        self.armed += 1;
    }

    /// Takes a number's deadline off, where it has one.
    pub(super) fn disarm(&mut self, number: u32) {
        let Some(node) = self.nodes.get_mut(number as usize) else { return };
        let Node { previous, next, slot } = *node;
        if slot == NONE {
            return;
        }
        node.slot = NONE;
        self.armed -= 1;
        match self.nodes.get_mut(previous as usize) {
            Some(node) => node.next = next,
            None => self.slots[slot as usize] = next,
        }
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = previous;
        }
    }

    /// Takes off what has come up by a tick, and puts its numbers into `due`.
    pub(super) fn advance(&mut self, to: Tick, due: &mut Vec<u32>) {
        if self.armed == 0 {
            self.now = self.now.max(to);
        }
        while self.now < to {
            self.now += 1;
            let slot = self.now as usize % SLOTS;
            while self.slots[slot] != NONE {
                let number = self.slots[slot];
                self.disarm(number);
                due.push(number);
            }
        }
        if self.soonest <= self.now {
            let is_taken = |at: &Tick| self.slots[*at as usize % SLOTS] != NONE;
            let ahead = self.now + 1..self.now + SLOTS as Tick;
            self.soonest = ahead.into_iter().find(is_taken).unwrap_or(Tick::MAX);
        }
    }

    /// How long from `at` until the next one comes up, at most; `None` when nothing is armed.
    pub(super) fn wait(&self, at: Instant) -> Option<Duration> {
        if self.armed == 0 {
            return None;
        }
        let due = self.began + TICK * u32::try_from(self.soonest).unwrap_or(u32::MAX);
        Some(due.saturating_duration_since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn due(wheel: &mut Wheel, to: Tick) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.advance(to, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn deadlines_come_up_once_and_in_time() {
        let mut wheel = Wheel::new(Instant::now());
        for (number, at) in [(0, 3), (1, 3), (7, 5), (2, 0), (3, 100_000)] {
            wheel.arm(number, at);
        }
        wheel.disarm(1);
        wheel.arm(7, 4);
        assert_eq!(due(&mut wheel, 2), [2]);
        assert_eq!(due(&mut wheel, 4), [0, 7]);
        assert_eq!(due(&mut wheel, 400), [0; 0]);
        // Beyond the horizon: asked at its end, and armed again by whoever knows better.
        assert_eq!(due(&mut wheel, 600), [3]);
        assert_eq!(wheel.wait(Instant::now()), None);
    }

    #[test]
    fn says_how_long_to_wait() {
        let began = Instant::now();
        let mut wheel = Wheel::new(began);
        wheel.arm(0, 10);
        assert_eq!(wheel.wait(began), Some(TICK * 10));
        assert_eq!(wheel.wait(began + TICK * 20), Some(Duration::ZERO));
        due(&mut wheel, 9);
        assert_eq!(wheel.wait(began + TICK * 9), Some(TICK));
        assert_eq!((wheel.tick(began + TICK * 9), Wheel::ticks(TICK * 9)), (9, 9));
    }

    proptest! {
        /// Against a plain list of deadlines.
        #[test]
        fn agrees_with_a_list(steps in proptest::collection::vec((0_u32..20, 0_u64..600, 0_u8..3), 1..200)) {
            let (mut wheel, mut list, mut now) = (Wheel::new(Instant::now()), [None; 20], 0);
            for (number, ticks, what) in steps {
                match what {
                    0 => {
                        wheel.arm(number, now + ticks);
                        list[number as usize] = Some((now + ticks).clamp(now + 1, now + SLOTS as Tick - 1));
                    }
                    1 => {
                        wheel.disarm(number);
                        list[number as usize] = None;
                    }
                    _ => {
                        now += ticks / 4;
                        let up = |at: &Option<Tick>| at.is_some_and(|at| at <= now);
                        let wanted: Vec<_> = (0..20).filter(|&number| up(&list[number as usize])).collect();
                        list.iter_mut().filter(|at| up(at)).for_each(|at| *at = None);
                        prop_assert_eq!(due(&mut wheel, now), wanted);
                    }
                }
                prop_assert_eq!(wheel.armed, list.iter().flatten().count());
                // Never too late, and never for what has passed.
                if let Some(&soonest) = list.iter().flatten().min() {
                    prop_assert!(now < wheel.soonest && wheel.soonest <= soonest);
                }
            }
        }
    }
}
