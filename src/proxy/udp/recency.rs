//! Numbers in the order in which they were last used.

const NONE: u32 = u32::MAX;

/// A list of numbers, the one used last in front.
#[derive(Debug)]
pub(super) struct Recency {
    newest: u32,
    oldest: u32,
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    newer: u32,
    older: u32,
    /// It is in the list.
    there: bool,
}

impl Recency {
    pub(super) fn new() -> Self {
        Self { newest: NONE, oldest: NONE, links: Vec::new() }
    }

    /// This number was used just now.
    pub(super) fn touch(&mut self, number: u32) {
        if number == self.newest {
            return;
        }
        self.remove(number);
        if self.links.len() <= number as usize {
            self.links.resize(number as usize + 1, Link { newer: NONE, older: NONE, there: false });
        }
        self.links[number as usize] = Link { newer: NONE, older: self.newest, there: true };
        match self.links.get_mut(self.newest as usize) {
            Some(link) => link.newer = number,
            None => self.oldest = number,
        }
        self.newest = number;
    }

    /// Takes a number out, where it is in.
    pub(super) fn remove(&mut self, number: u32) {
        let Some(link) = self.links.get_mut(number as usize).filter(|link| link.there) else { return };
        link.there = false;
        let Link { newer, older, .. } = *link;
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// The number that was not used for longest.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a plain list.
        #[test]
        fn agrees_with_a_list(steps in proptest::collection::vec((0_u32..8, any::<bool>()), 1..100)) {
            let (mut recency, mut list) = (Recency::new(), Vec::new());
            for (number, touch) in steps {
                list.retain(|&other| other != number);
                if touch {
                    recency.touch(number);
                    list.push(number);
                } else {
                    recency.remove(number);
                }
                prop_assert_eq!(recency.oldest(), list.first().copied());
            }
        }
    }
}
