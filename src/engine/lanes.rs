//! An output's rings, one from each worker, as one stream: in the source's order, or, where each worker has a part of the
//! source, in the order in which chunks come.

use super::load::Parcel;
use crate::ring::{self, Consumer};
use std::sync::{Mutex, PoisonError};

/// Chunks that an output will not get, because there was no room for them.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// First and last number of each run of them, ascending. Between two that the output has passed nothing is added.
    runs: Mutex<Vec<(u64, u64)>>,
}

impl Gaps {
    /// The chunk with that number is not to be waited for.
    pub(super) fn add(&self, number: u64) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let at = runs.partition_point(|run| run.1 < number);
        let joins_before = at > 0 && runs[at - 1].1 + 1 == number;
        let joins_after = runs.get(at).is_some_and(|run| run.0 == number + 1);
        match (joins_before, joins_after) {
            (true, true) => {
                runs[at - 1].1 = runs[at].1;
                runs.remove(at);
            }
            (true, false) => runs[at - 1].1 = number,
            (false, true) => runs[at].0 = number,
            (false, false) => runs.insert(at, (number, number)),
        }
    }

    /// The first number from `next` on that is not known to be missing.
    fn pass(&self, next: u64) -> u64 {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let past = runs.partition_point(|run| run.1 < next);
        runs.drain(..past);
        match runs.first() {
            Some(&(first, last)) if first <= next => last + 1,
            _ => next,
        }
    }
}

/// The reading ends of an output's rings.
///
/// Within a ring numbers ascend. So it is enough to have the first parcel of each at hand: what comes next in the
/// source's order is one of those, or will come through a ring whose first is not there yet.
pub(super) struct Lanes<'g> {
    rings: Vec<Consumer<Parcel>>,
    /// The first parcel of each ring, once it has come.
    heads: Vec<Option<Parcel>>,
    /// The number that is due.
    next: u64,
    /// `None` where parts of a source know no common order. Then whatever is at hand is next; of several chunks that
    /// whose first packet is the earliest. Nobody is waited for: a part in which nothing comes would hold up all.
    gaps: Option<&'g Gaps>,
}

impl<'g> Lanes<'g> {
    pub(super) fn new(rings: Vec<Consumer<Parcel>>, gaps: Option<&'g Gaps>) -> Self {
        let heads = rings.iter().map(|_| None).collect();
        Self { rings, heads, next: 0, gaps }
    }

    /// The next parcel: a chunk in its turn, or a request to flush as soon as it is seen. Waits for it; `None` when all
    /// workers have gone and everything has been read.
    pub(super) fn next(&mut self) -> Option<Parcel> {
        loop {
            if self.look() {
                return Some(Parcel::Flush);
            }
            match self.gaps {
                None => {
                    let there = (0..self.heads.len()).filter(|&at| self.heads[at].is_some());
                    if let Some(at) = there.min_by_key(|&at| self.heads[at].as_ref().and_then(Parcel::time)) {
                        return self.take(at);
                    }
                }
                Some(gaps) => {
                    if let Some(at) = self.heads.iter().position(|head| number(head) == Some(self.next)) {
                        return self.take(at);
                    }
                    let next = gaps.pass(self.next);
                    if next > self.next {
                        self.next = next;
                        continue;
                    }
                }
            }
            let empty = self.bring_empty_ones_to_the_front();
            if ring::wait_any(&mut self.rings[..empty], None).is_err() {
                // Through none of them will anything come any more. If what is due is not there, it is in a gap, or
                // has gone down with its worker.
                let first = (empty..self.heads.len()).min_by_key(|&at| number(&self.heads[at]))?;
                return self.take(first);
            }
        }
    }

    /// Fetches what has come to the front of each ring; true when that is a request to flush.
    fn look(&mut self) -> bool {
        for (ring, head) in self.rings.iter_mut().zip(&mut self.heads) {
            while head.is_none() {
                match ring.pop() {
                    Some(Parcel::Flush) => return true,
                    Some(Parcel::Nudge) => {}
                    Some(parcel) => *head = Some(parcel),
                    None => break,
                }
            }
        }
        false
    }

    fn take(&mut self, at: usize) -> Option<Parcel> {
        let parcel = self.heads[at].take();
        self.next = number(&parcel).map_or(self.next, |number| number + 1);
        parcel
    }

    /// Rings without a head come first, so that they can be waited for together; says how many there are. Which ring
    /// is whose does not matter.
    fn bring_empty_ones_to_the_front(&mut self) -> usize {
        let mut empty = 0;
        for at in 0..self.heads.len() {
            if self.heads[at].is_none() {
                self.heads.swap(empty, at);
                self.rings.swap(empty, at);
                empty += 1;
            }
        }
        empty
    }
}

fn number(parcel: &Option<Parcel>) -> Option<u64> {
    parcel.as_ref().and_then(Parcel::number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Producer, spsc};
    use std::thread;

    fn rings(count: usize) -> (Vec<Producer<Parcel>>, Vec<Consumer<Parcel>>) {
        (0..count).map(|_| spsc(4)).unzip()
    }

    fn push(ring: &mut Producer<Parcel>, numbers: &[u64]) {
        let mut parcels = numbers.iter().map(|&number| Parcel::Nothing { number });
        assert_eq!(ring.push_iter(&mut parcels), numbers.len());
    }

    fn rest(lanes: &mut Lanes<'_>) -> Vec<u64> {
        std::iter::from_fn(|| lanes.next()).filter_map(|parcel| parcel.number()).collect()
    }

    #[test]
    fn gaps_join_and_are_passed() {
        let gaps = Gaps::default();
        [5, 3, 9, 4, 8].into_iter().for_each(|number| gaps.add(number));
        assert_eq!(*gaps.runs.lock().unwrap(), [(3, 5), (8, 9)]);
        assert_eq!([2, 3, 4, 6, 8].map(|next| gaps.pass(next)), [2, 6, 6, 6, 10]);
        assert_eq!(*gaps.runs.lock().unwrap(), [(8, 9)]);
    }

    #[test]
    fn chunks_come_in_the_order_of_the_source() {
        let (mut producers, consumers) = rings(3);
        let gaps = Gaps::default();
        let mut lanes = Lanes::new(consumers, Some(&gaps));
        push(&mut producers[0], &[1, 4]);
        push(&mut producers[1], &[0, 2, 5]);
        producers[2].push(Parcel::Flush).unwrap_or_else(|_| panic!("full"));
        push(&mut producers[2], &[3]);
        assert!(matches!(lanes.next(), Some(Parcel::Flush)));
        drop(producers);
        assert_eq!(rest(&mut lanes), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_was_dropped_is_not_waited_for() {
        let (mut producers, consumers) = rings(2);
        let gaps = Gaps::default();
        let mut lanes = Lanes::new(consumers, Some(&gaps));
        push(&mut producers[1], &[1, 2]);
        thread::scope(|scope| {
            let reader = scope.spawn(move || [lanes.next(), lanes.next()].map(|parcel| number(&parcel)));
            // It waits for 0 by now, or will look after this.
            thread::sleep(std::time::Duration::from_millis(20));
            gaps.add(0);
            producers[0].push(Parcel::Nudge).unwrap_or_else(|_| panic!("full"));
            assert_eq!(reader.join().unwrap(), [Some(1), Some(2)]);
        });
    }

    #[test]
    fn a_single_ring_needs_no_gaps_told() {
        let (mut producers, consumers) = rings(1);
        let gaps = Gaps::default();
        let mut lanes = Lanes::new(consumers, Some(&gaps));
        push(&mut producers[0], &[7, 9]);
        assert_eq!(lanes.next().unwrap().number(), Some(7));
        assert_eq!(lanes.next().unwrap().number(), Some(9));
    }

    #[test]
    fn parts_of_a_source_do_not_wait_for_each_other() {
        let (mut producers, consumers) = rings(3);
        let mut lanes = Lanes::new(consumers, None);
        push(&mut producers[1], &[0, 1, 2]);
        assert_eq!([lanes.next(), lanes.next()].map(|parcel| number(&parcel)), [Some(0), Some(1)]);
        push(&mut producers[2], &[0, 1]);
        producers[0].push(Parcel::Flush).unwrap_or_else(|_| panic!("full"));
        assert!(matches!(lanes.next(), Some(Parcel::Flush)));
        drop(producers);
        assert_eq!(rest(&mut lanes).len(), 3);
    }

    #[test]
    fn a_worker_that_has_gone_is_not_waited_for() {
        let (mut producers, consumers) = rings(2);
        let gaps = Gaps::default();
        let mut lanes = Lanes::new(consumers, Some(&gaps));
        push(&mut producers[1], &[1, 3]);
        let broken = producers.remove(0);
        thread::spawn(move || {
            let _ring = broken;
            panic!("on purpose, with chunks 0 and 2");
        });
        assert_eq!([lanes.next(), lanes.next()].map(|parcel| number(&parcel)), [Some(1), Some(3)]);
        drop(producers);
        assert!(lanes.next().is_none());
    }
}
