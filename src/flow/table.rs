//! The table of flows: an index of cache lines, and entries that stay where they are.
//!
//! ```text
//! hash(key) --> bucket (one line): 8 tags of 32 bits, 8 entry numbers --> entry: key and value
//!          \--> the other bucket that the key may be in
//! ```
//!
//! An index line holds eight flows, so that the index of a million is a few megabytes; a tag tells entries apart without a
//! look at them. Whoever has several keys at hand asks for all their lines before the first is used: [`Table::update`].
//!
//! Where both buckets of a new key are full the index grows by half, and the entries do not move.

use super::packed::Seed;
use crate::sys::prefetch;

/// A value by key.
#[derive(Clone, Debug)]
pub struct Table<V> {
    seed: Seed,
    buckets: Vec<Bucket>,
    entries: Vec<Entry<V>>,
    /// Numbers of entries that are not in use.
    free: Vec<u32>,
}

/// Flows in a bucket.
const WAYS: usize = 8;
/// Not an entry's number.
const NONE: u32 = u32::MAX;
/// The key of an entry that is not in use.
const VACANT: u128 = 0;
/// Keys whose lines are under way at a time.
pub(super) const BATCH: usize = 32;

#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u32; WAYS],
    entries: [u32; WAYS],
}

#[derive(Clone, Debug)]
// With a value of 48 bytes, one line.
#[repr(C, align(64))]
struct Entry<V> {
    key: u128,
    value: V,
}

impl Bucket {
    const EMPTY: Self = Self { tags: [0; WAYS], entries: [NONE; WAYS] };

    /// A bit for each way with this tag that is in use.
    #[inline(always)]
    fn with(&self, tag: u32) -> u32 {
        let mut ways = 0;
        for way in 0..WAYS {
            ways |= u32::from(self.tags[way] == tag && self.entries[way] != NONE) << way;
        }
        ways
    }

    fn put(&mut self, tag: u32, entry: u32) -> bool {
        let Some(way) = self.entries.iter().position(|&entry| entry == NONE) else { return false };
        (self.tags[way], self.entries[way]) = (tag, entry);
        true
    }
}

impl<V> Table<V> {
    /// An empty one. Its hashes depend on `seed`.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { seed, buckets: vec![Bucket::EMPTY; 16], entries: Vec::new(), free: Vec::new() }
    }

    /// How many are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that it takes, free room included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
            + self.entries.capacity() * size_of::<Entry<V>>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// The hash of a key.
    #[inline(always)]
    pub(super) fn hash(&self, key: u128) -> u64 {
        self.seed.hash(key)
    }

    /// The two buckets that a hash may be in, and its tag.
    #[inline(always)]
    fn places(&self, hash: u64) -> ([usize; 2], u32) {
        let scale = |part: u64| ((part & 0xffff_ffff) * self.buckets.len() as u64 >> 32) as usize;
        let tag = (hash >> 32) as u32;
        let other = hash ^ u64::from(tag.wrapping_mul(0x9e37_79b1));
        ([scale(hash), scale(other)], tag)
    }

    /// Asks for the line of a hash's first bucket.
    #[inline(always)]
    pub(super) fn ask(&self, hash: u64) {
        let ([first, _], _) = self.places(hash);
        prefetch::for_reading(&raw const self.buckets[first]);
    }

    /// The entry that a hash is likely to have, whose line is asked for.
    #[inline(always)]
    pub(super) fn guess(&self, hash: u64) -> u32 {
        let ([first, second], tag) = self.places(hash);
        let bucket = &self.buckets[first];
        let ways = bucket.with(tag);
        if ways == 0 {
            prefetch::for_reading(&raw const self.buckets[second]);
            return NONE;
        }
        let entry = bucket.entries[ways.trailing_zeros() as usize];
        prefetch::for_writing(&raw const self.entries[entry as usize]);
        entry
    }

    /// The entry of a key; quickly if it was guessed right.
    #[inline(always)]
    pub(super) fn find(&self, key: u128, hash: u64, guess: u32) -> Option<u32> {
        match self.entries.get(guess as usize) {
            Some(entry) if entry.key == key => Some(guess),
            _ => self.search(key, hash),
        }
    }

    #[inline(never)]
    fn search(&self, key: u128, hash: u64) -> Option<u32> {
        let (places, tag) = self.places(hash);
        places.into_iter().find_map(|place| {
            let bucket = &self.buckets[place];
            let mut ways = bucket.with(tag);
            while ways != 0 {
                let entry = bucket.entries[ways.trailing_zeros() as usize];
                if self.entries[entry as usize].key == key {
                    return Some(entry);
                }
                ways &= ways - 1;
            }
            None
        })
    }

    /// Takes in a key that is not there; its entry's number.
    ///
    /// # Panics
    /// When there are more than 2^32 - 2.
    pub(super) fn insert(&mut self, key: u128, hash: u64, value: V) -> u32 {
        debug_assert!(key != VACANT);
        let entry = Entry { key, value };
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                let number = u32::try_from(self.entries.len()).ok().filter(|number| *number != NONE);
                self.entries.push(entry);
                number.expect("the table is bounded far below")
            }
        };
        self.enter(hash, number);
        number
    }

    /// Puts an entry into the index, which grows until there is room.
    fn enter(&mut self, hash: u64, number: u32) {
        let (places, tag) = self.places(hash);
        if !places.into_iter().any(|place| self.buckets[place].put(tag, number)) {
            self.grow();
        }
    }

    /// Makes the index anew, for all entries.
    #[cold]
    fn grow(&mut self) {
        let mut size = self.buckets.len();
        'size: loop {
            size += size / 2;
            // Not resized: what is there is of no use, and a copy would be made of it.
            self.buckets = vec![Bucket::EMPTY; size];
            for (number, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.key != VACANT) {
                let (places, tag) = self.places(self.seed.hash(entry.key));
                if !places.into_iter().any(|place| self.buckets[place].put(tag, number as u32)) {
                    continue 'size;
                }
            }
            return;
        }
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, number: u32) {
        let key = std::mem::replace(&mut self.entries[number as usize].key, VACANT);
        let (places, _) = self.places(self.seed.hash(key));
        for place in places {
            if let Some(way) = self.buckets[place].entries.iter().position(|&entry| entry == number) {
                self.buckets[place].entries[way] = NONE;
                break;
            }
        }
        self.free.push(number);
    }

    /// The key and the value of an entry that is in use.
    #[inline(always)]
    pub(super) fn entry(&mut self, number: u32) -> (u128, &mut V) {
        let entry = &mut self.entries[number as usize];
        (entry.key, &mut entry.value)
    }

    /// The same, to look at.
    pub(super) fn get(&self, number: u32) -> Option<(u128, &V)> {
        let entry = self.entries.get(number as usize).filter(|entry| entry.key != VACANT)?;
        Some((entry.key, &entry.value))
    }

    /// The numbers of all entries in use.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        let used = self.entries.iter().enumerate().filter(|(_, entry)| entry.key != VACANT);
        used.map(|(number, _)| number as u32)
    }
}

impl<V: Default> Table<V> {
    /// Does something to the value of each of these keys, in order. A key that is not there begins with the default; 0 is
    /// not a key.
    ///
    /// ```
    /// use wharf::flow::{Seed, Table};
    ///
    /// let mut table = Table::new(Seed::random());
    /// table.update(&[7, 8, 7], |_, count: &mut u32| *count += 1);
    /// table.update(&[7], |_, count| assert_eq!(*count, 2));
    /// assert_eq!(table.len(), 2);
    /// ```
    #[inline]
    pub fn update(&mut self, keys: &[u128], mut act: impl FnMut(usize, &mut V)) {
        let mut hashes = [0; BATCH];
        let mut guesses = [NONE; BATCH];
        for (batch, keys) in keys.chunks(BATCH).enumerate() {
            for (hash, &key) in hashes.iter_mut().zip(keys) {
                *hash = self.hash(key);
                self.ask(*hash);
            }
            for (guess, &hash) in guesses.iter_mut().zip(&hashes[..keys.len()]) {
                *guess = self.guess(hash);
            }
            for (at, &key) in keys.iter().enumerate() {
                let found = self.find(key, hashes[at], guesses[at]);
                let number = found.unwrap_or_else(|| self.insert(key, hashes[at], V::default()));
                act(batch * BATCH + at, &mut self.entries[number as usize].value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Whatever is put in, taken out, and asked for.
        #[test]
        fn it_is_a_map(steps: Vec<(u8, u16)>) {
            let mut table = Table::<u64>::new(Seed::fixed(1));
            let mut map = HashMap::new();
            for (step, key) in steps {
                let key = u128::from(key % 300 + 1) << 60;
                if step % 3 == 0 {
                    let found = table.find(key, table.hash(key), NONE);
                    prop_assert_eq!(found.is_some(), map.remove(&key).is_some());
                    found.map_or((), |number| table.remove(number));
                } else {
                    table.update(&[key; 3], |_, value| *value += u64::from(step));
                    *map.entry(key).or_insert(0) += 3 * u64::from(step);
                }
            }
            prop_assert_eq!(table.len(), map.len());
            for number in table.numbers().collect::<Vec<_>>() {
                let (key, value) = table.entry(number);
                prop_assert_eq!(map.get(&key), Some(&*value));
            }
        }
    }

    #[test]
    fn it_grows_with_what_is_in_it_and_not_beyond() {
        let mut table = Table::<[u64; 6]>::new(Seed::random());
        let keys: Vec<u128> = (1..=200_000).map(|key| key << 33 | 1).collect();
        for _ in 0..2 {
            table.update(&keys, |_, value| value[0] += 1);
        }
        assert_eq!(table.len(), keys.len());
        table.update(&keys, |at, value| assert_eq!(value[0], 2, "{at}"));
        let index = table.buckets.len() * size_of::<Bucket>() / keys.len();
        assert!(index <= 20, "{index} bytes of index a flow");
        keys.iter().for_each(|&key| {
            let number = table.find(key, table.hash(key), NONE).unwrap();
            table.remove(number);
        });
        assert!(table.is_empty());
        let before = table.bytes();
        table.update(&keys, |_, value| assert_eq!(value[0], 0));
        assert_eq!(
            (table.len(), table.buckets.len() * size_of::<Bucket>() / keys.len()),
            (keys.len(), index)
        );
        assert!(table.bytes() <= before);
    }
}
