//! Which of many was used longest ago: what flows and sessions make room by.

/// No slot.
const NONE: u32 = u32::MAX;

/// Slots in the order in which they were last touched: a list through an array, so that any step takes the same time.
#[derive(Debug)]
pub(crate) struct Recency {
    /// Of each slot the one before and the one after; itself twice when it is not in the list.
    links: Vec<(u32, u32)>,
    oldest: u32,
    newest: u32,
}

impl Default for Recency {
    fn default() -> Self {
        Self { links: Vec::new(), oldest: NONE, newest: NONE }
    }
}

impl Recency {
    /// The slot that was touched longest ago.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Whether a slot is in the list.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.links.get(slot as usize).is_some_and(|links| *links != (slot, slot))
    }

    /// Makes a slot the newest, be it in the list or not.
    pub(crate) fn touch(&mut self, slot: u32) {
        if self.newest == slot {
            return;
        }
        while self.links.len() <= slot as usize {
            let new = self.links.len() as u32;
            self.links.push((new, new));
        }
        self.remove(slot);
        self.links[slot as usize] = (self.newest, NONE);
        match self.newest {
            NONE => self.oldest = slot,
            newest => self.links[newest as usize].1 = slot,
        }
        self.newest = slot;
    }

    /// Takes a slot out, if it is in.
    pub(crate) fn remove(&mut self, slot: u32) {
        if !self.contains(slot) {
            return;
        }
        let (before, after) = std::mem::replace(&mut self.links[slot as usize], (slot, slot));
        match before {
            NONE => self.oldest = after,
            before => self.links[before as usize].1 = after,
        }
        match after {
            NONE => self.newest = before,
            after => self.links[after as usize].0 = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_one_not_touched_for_longest() {
        let mut recency = Recency::default();
        let mut model: Vec<u32> = Vec::new();
        // A walk over few slots meets every case: the first, the last, the only one, one not in the list.
        for step in 0..5_000_u32 {
            let slot = step.wrapping_mul(2_654_435_761) >> 13 & 7;
            model.retain(|&other| other != slot);
            if step % 3 == 0 {
                recency.remove(slot);
            } else {
                recency.touch(slot);
                model.push(slot);
            }
            assert_eq!(recency.oldest(), model.first().copied());
            assert!((0..8).all(|slot| recency.contains(slot) == model.contains(&slot)));
        }
    }
}
