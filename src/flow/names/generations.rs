//! A map that is bounded by forgetting its older half.

use super::hashing::Hashing;
use std::collections::HashMap;
use std::hash::Hash;

/// Two maps: what was put in lately, and what was before that. When the young one has half of what may be kept, it
/// becomes the old one, and what was old is forgotten: whatever is put in stays for at least half the capacity of
/// further entries. No step takes more than a look-up, but for forgetting, which is shared by all that are forgotten.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashMap<K, V, Hashing>,
    old: HashMap<K, V, Hashing>,
    half: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Of at most `capacity` entries, and at least two.
    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half: (capacity / 2).max(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// With whether it is young.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<(&mut V, bool)> {
        match self.young.get_mut(key) {
            Some(value) => Some((value, true)),
            None => self.old.get_mut(key).map(|value| (value, false)),
        }
    }

    /// The next that is put in makes those that are young old.
    pub(super) fn is_full(&self) -> bool {
        self.young.len() >= self.half
    }

    /// Puts in, or replaces. Gives back what had to be forgotten for it.
    pub(super) fn insert(&mut self, key: K, value: V) -> HashMap<K, V, Hashing> {
        if !self.old.is_empty() {
            self.old.remove(&key);
        }
        let full = self.is_full() && !self.young.contains_key(&key);
        let forgotten = if full { self.turn() } else { HashMap::default() };
        self.young.insert(key, value);
        forgotten
    }

    /// Takes it out, with whether it was young.
    pub(super) fn remove(&mut self, key: &K) -> Option<(V, bool)> {
        // A map hashes the key even if there is nothing in it.
        [(&mut self.young, true), (&mut self.old, false)]
            .into_iter()
            .filter(|(map, _)| !map.is_empty())
            .find_map(|(map, young)| map.remove(key).map(|value| (value, young)))
    }

    /// What is young grows old; gives back what was.
    pub(super) fn turn(&mut self) -> HashMap<K, V, Hashing> {
        std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_stays_for_half_the_capacity() {
        let mut map = Generations::new(8);
        let mut forgotten = 0;
        for key in 0..100 {
            forgotten += map.insert(key, key).len();
            assert!(map.len() <= 8);
            assert!((key - 4..=key).all(|kept| kept < 0 || map.get(&kept) == Some(&kept)), "{key}");
        }
        assert_eq!(forgotten + map.len(), 100);
        assert_eq!(map.get(&0), None);
    }

    #[test]
    fn an_entry_is_there_once() {
        let mut map = Generations::new(4);
        map.insert(1, "a");
        map.insert(2, "b");
        map.insert(3, "c");
        map.insert(1, "d");
        *map.get_mut(&2).unwrap().0 = "e";
        assert_eq!((map.get(&1), map.get(&2), map.len()), (Some(&"d"), Some(&"e"), 3));
        let [first, again, old] = [1, 1, 2].map(|key| map.remove(&key));
        assert_eq!((first, again, old), (Some(("d", true)), None, Some(("e", false))));
    }
}
