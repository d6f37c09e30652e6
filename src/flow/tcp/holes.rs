//! What of one side was passed over and has not come.

/// So many holes are known at a time; of more the oldest is taken for one that will not be filled.
const MOST: usize = 4;

/// Ranges of sequence numbers: the first, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holes {
    /// The oldest first; those of no bytes come last.
    ranges: [(u32, u32); MOST],
}

impl Holes {
    /// So many bytes from there on were passed over.
    pub(super) fn open(&mut self, start: u32, bytes: u32) {
        if self.ranges[MOST - 1].1 > 0 {
            self.ranges.rotate_left(1);
            self.ranges[MOST - 1] = (0, 0);
        }
        if let Some(free) = self.ranges.iter_mut().find(|range| range.1 == 0) {
            *free = (start, bytes);
        }
    }

    /// These bytes have come after all: how many of them were missing.
    pub(super) fn fill(&mut self, start: u32, bytes: u32) -> u32 {
        let mut filled = 0;
        for at in 0..MOST {
            let (hole, length) = self.ranges[at];
            // Where they begin and end, as seen from the hole's beginning.
            let from = i64::from(start.wrapping_sub(hole) as i32);
            let until = (from + i64::from(bytes)).clamp(0, length.into()) as u32;
            let from = from.clamp(0, length.into()) as u32;
            if until <= from {
                continue;
            }
            filled += until - from;
            let (before, after) = ((hole, from), (hole.wrapping_add(until), length - until));
            self.ranges[at] = if from > 0 { before } else { after };
            if self.ranges[at].1 == 0 {
                self.ranges[at] = (0, 0);
            }
            if from > 0 && after.1 > 0 {
                self.open(after.0, after.1);
            }
        }
        self.ranges.sort_by_key(|range| range.1 == 0);
        filled
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
        (0..6).for_each(|hole| holes.open(hole * 100, 10));
        assert_eq!(holes.fill(0, 1_000), 40, "the oldest two are given up");
    }

    proptest! {
        /// As if every byte were kept, as long as there are no more holes than that.
        #[test]
        fn holes_are_as_in_a_model(fills in prop::collection::vec((0..60_u32, 0..40_u32), 0..3), start: u32) {
            let (mut holes, mut missing) = (Holes::default(), [false; 100]);
            holes.open(start.wrapping_add(20), 50);
            missing[20..70].fill(true);
            for (from, bytes) in fills {
                let came = missing[from as usize..(from + bytes) as usize].iter_mut();
                let filled = came.map(|missing| u32::from(std::mem::take(missing))).sum::<u32>();
                prop_assert_eq!(holes.fill(start.wrapping_add(from), bytes), filled);
            }
        }
    }
}
