//! What is being put together of many flows at once, within a bound.

use super::generations::Generations;
use super::hashing::Hashing;
use std::collections::HashMap;
use std::hash::Hash;

/// Something that keeps bytes.
pub(super) trait Held {
    /// How many.
    fn held(&self) -> usize;
}

/// Entries by flow: so many at most, and so many bytes in all. What is older is given up for what is younger, and counted.
#[derive(Debug)]
pub(super) struct Streams<K, V> {
    entries: Generations<K, V>,
    held: usize,
    budget: usize,
    given_up: u64,
}

impl<K: Eq + Hash, V: Held> Streams<K, V> {
    pub(super) fn new(capacity: usize, budget: usize) -> Self {
        Self { entries: Generations::new(capacity), held: 0, budget, given_up: 0 }
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
        self.held += value.held();
        let forgotten = self.entries.insert(key, value);
        self.forget(forgotten);
        self.fit();
    }

    pub(super) fn remove(&mut self, key: &K) {
        drop(self.take(key));
    }

    /// Takes it out.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        let value = self.entries.remove(key)?;
        self.held -= value.held();
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
        let entry = self.entries.get_mut(key)?;
        let before = entry.held();
        let result = work(entry);
        self.held = self.held - before + entry.held();
        self.fit();
        Some(result)
    }

    fn fit(&mut self) {
        // Both generations at most.
        while self.held > self.budget {
            let forgotten = self.entries.turn();
            self.forget(forgotten);
        }
    }

    fn forget(&mut self, forgotten: HashMap<K, V, Hashing>) {
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
        assert_eq!(streams.held, 980);
        streams.update(&97, |bytes| bytes.resize(400, 0));
        assert!(streams.held <= 1_000, "{}", streams.held);
        streams.insert(7, vec![0; 2_000]);
        assert_eq!((streams.held, streams.entries.len()), (0, 0));
    }
}
