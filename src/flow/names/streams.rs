//! What is being put together of many flows at once, within a bound.

use super::generations::Generations;
use std::hash::Hash;

/// Something that keeps bytes.
pub(super) trait Held {
    /// How many.
    fn held(&self) -> usize;
}

/// Entries by flow: so many at most, and so many bytes in all. What is older is given up for what is younger, and counted: when the
/// young ones have half of either, the others go.
#[derive(Debug)]
pub(super) struct Streams<K, V> {
    entries: Generations<K, V>,
    held: usize,
    /// Of that, bytes of those that are young.
    young: usize,
    budget: usize,
    given_up: u64,
}

impl<K: Eq + Hash, V: Held> Streams<K, V> {
    pub(super) fn new(capacity: usize, budget: usize) -> Self {
        Self { entries: Generations::new(capacity), held: 0, young: 0, budget, given_up: 0 }
    }

    /// How many were given up.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        self.add(key, value);
    }

    /// Puts in what is known not to be there.
    pub(super) fn add(&mut self, key: K, value: V) {
        debug_assert!(!self.contains(&key));
        if self.entries.is_full() {
            self.turn();
        }
        self.held += value.held();
        self.young += value.held();
        self.entries.insert(key, value);
        self.fit();
    }

    pub(super) fn remove(&mut self, key: &K) {
        drop(self.take(key));
    }

    /// Takes it out.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        let (value, young) = self.entries.remove(key)?;
        self.held -= value.held();
        self.young -= if young { value.held() } else { 0 };
        Some(value)
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.get(key).is_some()
    }

    /// Lets the entry be worked on, if there is one.
    pub(super) fn update<T>(&mut self, key: &K, work: impl FnOnce(&mut V) -> T) -> Option<T> {
        let (entry, young) = self.entries.get_mut(key)?;
        let before = entry.held();
        let result = work(entry);
        let after = entry.held();
        self.held = self.held - before + after;
        if young {
            self.young = self.young - before + after;
        }
        self.fit();
        Some(result)
    }

    fn fit(&mut self) {
        if self.young > self.budget / 2 {
            self.turn();
        }
        // Both generations at most.
        while self.held > self.budget {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let forgotten = self.entries.turn();
        self.young = 0;
        self.given_up += forgotten.len() as u64;
        self.held -= forgotten.values().map(Held::held).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Held for Vec<u8> {
        fn held(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn entries_and_bytes_are_bounded() {
        let mut streams = Streams::new(10, 1_000);
        for key in 0..100 {
            streams.insert(key, vec![0; 10]);
        }
        assert_eq!((streams.held, streams.given_up()), (100, 90));
        streams.update(&99, |bytes| bytes.resize(500, 0));
        streams.update(&98, |bytes| bytes.resize(400, 0));
        assert_eq!(streams.held, 540 + 390, "those before 95 went when the others had half");
        streams.update(&97, |bytes| bytes.resize(400, 0));
        assert!(streams.held <= 1_000, "{}", streams.held);
        streams.insert(7, vec![0; 2_000]);
        assert_eq!((streams.held, streams.entries.len()), (0, 0));
    }

    /// Too many bytes cost the older half, not all.
    #[test]
    fn the_younger_half_of_the_bytes_stays() {
        let mut streams = Streams::new(10_000, 1_000);
        for key in 0..1_000 {
            streams.insert(key, vec![0; 5]);
            streams.update(&key, |bytes| bytes.resize(10, 0));
            assert!(streams.held <= 1_000, "{}", streams.held);
            assert!((key - 48..=key).all(|kept| kept < 0 || streams.contains(&kept)), "{key}");
        }
        assert_eq!(streams.given_up() + streams.len() as u64, 1_000);
        (0..1_000).for_each(|key| streams.remove(&key));
        assert_eq!((streams.held, streams.young, streams.len()), (0, 0, 0));
    }
}
