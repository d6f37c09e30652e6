//! What of one side was passed over and has not come.

/// So many holes are known one by one; of more the two oldest are taken together.
const MOST: usize = 8;

/// Ranges of sequence numbers with bytes missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holes {
    /// In the order of the stream; those without missing bytes come last.
    ranges: [Hole; MOST],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hole {
    start: u32,
    length: u32,
    /// Fewer than the length where several were taken together: which of them is not known then.
    missing: u32,
}

impl Holes {
    /// So many bytes from there on were passed over.
    pub(super) fn open(&mut self, start: u32, bytes: u32) {
        let at = self.ranges.iter().position(|hole| hole.missing == 0).unwrap_or(MOST);
        self.insert(at, Hole { start, length: bytes, missing: bytes });
    }

    /// These bytes have come after all: how many of them were missing.
    pub(super) fn fill(&mut self, start: u32, bytes: u32) -> u64 {
        let (mut filled, mut at) = (0, 0);
        while at < MOST && self.ranges[at].missing > 0 {
            let hole = self.ranges[at];
            // Where they begin and end, as seen from the hole's beginning.
            let from = i64::from(start.wrapping_sub(hole.start) as i32);
            let until = (from + i64::from(bytes)).clamp(0, hole.length.into()) as u32;
            let from = from.clamp(0, hole.length.into()) as u32;
            let came = until.saturating_sub(from).min(hole.missing);
            filled += u64::from(came);
            if came == hole.missing {
                self.ranges[at..].rotate_left(1);
                self.ranges[MOST - 1] = Hole::default();
                continue;
            }
            if hole.missing < hole.length {
                self.ranges[at].missing -= came;
            } else if came > 0 {
                let whole = |start: u32, length: u32| Hole { start, length, missing: length };
                let before = whole(hole.start, from);
                let after = whole(hole.start.wrapping_add(until), hole.length - until);
                self.ranges[at] = if from > 0 { before } else { after };
                if from > 0 && after.length > 0 {
                    self.insert(at + 1, after);
                    at += 1;
                }
            }
            at += 1;
        }
        filled
    }

    fn insert(&mut self, mut at: usize, hole: Hole) {
        if self.ranges[MOST - 1].missing > 0 {
            let [first, second, ..] = self.ranges;
            let length = second.start.wrapping_add(second.length).wrapping_sub(first.start);
            let missing = first.missing.saturating_add(second.missing);
            self.ranges[1] = Hole { start: first.start, length: length.max(missing), missing };
            self.ranges.rotate_left(1);
            at = at.saturating_sub(1);
            self.ranges[MOST - 1] = Hole::default();
        }
        self.ranges[at..].rotate_right(1);
        self.ranges[at] = hole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hole_is_filled_once() {
        let mut holes = Holes::default();
        let start = u32::MAX - 999;
        holes.open(start, 3_000);
        assert_eq!(holes.fill(start.wrapping_sub(500), 400), 0, "it was never missing");
        assert_eq!(holes.fill(start.wrapping_sub(500), 1_500), 1_000);
        assert_eq!(holes.fill(start, 1_000), 0, "that was filled");
        assert_eq!((holes.fill(500, 100), holes.fill(0, 2_500), holes.fill(0, 2_500)), (100, 1_900, 0));
        assert_eq!(holes, Holes::default());
    }

    /// However many there are, in the end nothing is missing.
    #[test]
    fn segments_in_any_order_leave_no_hole() {
        for holes_at_once in [1, 5, MOST as u32, 40] {
            let mut holes = Holes::default();
            let mut missing = 0;
            for hole in 0..holes_at_once {
                holes.open(hole * 2_000, 1_000);
                missing += 1_000;
            }
            for hole in 0..holes_at_once {
                missing -= holes.fill(hole * 2_000, 1_000);
            }
            assert_eq!((missing, holes), (0, Holes::default()), "{holes_at_once} holes");
        }
    }

    proptest! {
        /// As if every byte were kept, as long as there are no more holes than are known one by one; and never more than are
        /// missing.
        #[test]
        fn holes_are_as_in_a_model(fills in prop::collection::vec((0..60_u32, 0..40_u32), 0..30), start: u32) {
            let (mut holes, mut missing) = (Holes::default(), [false; 100]);
            holes.open(start.wrapping_add(20), 50);
            missing[20..70].fill(true);
            let (mut exact, mut left) = (true, 50);
            for (from, bytes) in fills {
                let came = missing[from as usize..(from + bytes) as usize].iter_mut();
                let expected = came.map(|missing| u64::from(std::mem::take(missing))).sum::<u64>();
                let filled = holes.fill(start.wrapping_add(from), bytes);
                left -= filled as i64;
                let runs = missing.windows(2).filter(|pair| pair[1] && !pair[0]).count();
                exact &= runs < MOST;
                prop_assert!(left >= 0);
                prop_assert!(!exact || filled == expected, "{} for {}", filled, expected);
            }
        }
    }
}
