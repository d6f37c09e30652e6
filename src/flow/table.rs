//! The table of flows: small tags that stay in the cache, and entries of one line each.
//!
//! ```text
//! hash(key) --> bucket: 8 tags of a byte --> of these 8 entries the one with the tag: key and value, one line
//!          \--> the other bucket that the key may be in
//! ```
//!
//! The tags of a million flows are little more than a megabyte: which line a key is in is known without a miss, and
//! whoever has several keys at hand asks for all their lines before the first is used: [`Table::update`]. A key goes to the
//! first of its two buckets while that has room, so that the other one need seldom be looked at; where both are full, one of
//! their entries moves to its other bucket, and where none can the table grows by a quarter, or, while it is small, to twice its size. As the hash is seeded, nobody
//! can make that happen early.

#[cfg(test)]
mod tests;

use super::packed::Seed;
use crate::sys::{huge_pages, prefetch};

/// A value by key.
#[derive(Clone, Debug)]
pub struct Table<V> {
    seed: Seed,
    /// A byte for each entry; 0 for none.
    tags: Vec<u64>,
    entries: Vec<Entry<V>>,
    used: usize,
    /// Buckets that are enough for as many as there will be.
    enough: usize,
}

/// Entries of a bucket: as many as there are bytes in a word.
const WAYS: usize = 8;
/// So many of so many entries may be in use where the table is as large as it will be: it hardly ever grows beyond that.
const FULL: (usize, usize) = (7, 8);
/// Buckets below which a table is small: 2 MiB of lines.
const SMALL: usize = 1 << 12;
/// Not an entry's place.
pub(super) const NONE: u32 = u32::MAX;
/// The key of an entry that is not in use.
const VACANT: u128 = 0;
/// Keys whose lines are under way at a time.
pub(super) const BATCH: usize = 32;

#[derive(Clone, Debug)]
// With a value of up to 48 bytes, one line.
#[repr(C, align(64))]
struct Entry<V> {
    key: u128,
    value: V,
}

/// The lowest bit of every byte.
const LOW: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The highest bit of each byte that is 0; of one above such a byte it may be set, too (a 1 borrows).
#[inline(always)]
const fn zeroes(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

/// Which byte the lowest of these bits is in.
#[inline(always)]
const fn way(bits: u64) -> usize {
    (bits.trailing_zeros() / 8) as usize
}

/// Where a key may be.
#[derive(Clone, Copy)]
struct Places {
    buckets: [usize; 2],
    tag: u8,
}

impl<V: Default> Table<V> {
    /// An empty one. Its hashes depend on `seed`.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self::of_at_most(seed, usize::MAX)
    }

    /// An empty one that grows no further than so many need.
    pub(super) fn of_at_most(seed: Seed, most: usize) -> Self {
        let enough = (most / WAYS).saturating_add(1).saturating_mul(FULL.1) / FULL.0;
        let mut table = Self { seed, tags: Vec::new(), entries: Vec::new(), used: 0, enough };
        table.make(16);
        table
    }

    fn make(&mut self, buckets: usize) {
        self.tags = Vec::with_capacity(buckets);
        huge_pages::ask_for(self.tags.spare_capacity_mut());
        self.tags.resize(buckets, 0);
        self.entries = Vec::with_capacity(buckets * WAYS);
        huge_pages::ask_for(self.entries.spare_capacity_mut());
        self.entries.resize_with(buckets * WAYS, || Entry { key: VACANT, value: V::default() });
    }

    /// How many are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Bytes that it takes, free room included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.tags) + size_of_val(&*self.entries)
    }

    /// The hash of a key.
    #[inline(always)]
    pub(super) fn hash(&self, key: u128) -> u64 {
        self.seed.hash(key)
    }

    #[inline(always)]
    fn places(&self, hash: u64) -> Places {
        let scale = |part: u64| (((part & 0xffff_ffff) * self.tags.len() as u64) >> 32) as usize;
        // The tag is from bits that the first bucket is not from.
        Places { buckets: [scale(hash), scale(hash >> 24)], tag: ((hash >> 56) as u8).max(1) }
    }

    /// Asks for the tags of the bucket that a hash is likely to be in.
    #[inline(always)]
    fn ask(&self, hash: u64) {
        prefetch::for_reading(&raw const self.tags[self.places(hash).buckets[0]]);
    }

    /// The place that a hash is likely to have, whose line is asked for.
    #[inline(always)]
    fn guess(&self, hash: u64) -> u32 {
        let Places { buckets: [first, second], tag } = self.places(hash);
        let wanted = LOW * u64::from(tag);
        let mut found = (first, zeroes(self.tags[first] ^ wanted));
        if found.1 == 0 {
            found = (second, zeroes(self.tags[second] ^ wanted));
        }
        let (bucket, ways) = found;
        let place = bucket * WAYS + way(ways) % WAYS;
        prefetch::for_writing(&raw const self.entries[place]);
        if ways & ways.wrapping_sub(1) != 0 {
            self.ask_further(bucket, ways);
        }
        place as u32
    }

    /// Asks for the lines of all entries with the tag.
    #[inline(never)]
    fn ask_further(&self, bucket: usize, mut ways: u64) {
        while ways != 0 {
            prefetch::for_writing(&raw const self.entries[bucket * WAYS + way(ways)]);
            ways &= ways - 1;
        }
    }

    /// The place of a key; quickly if it was guessed right.
    #[inline(always)]
    pub(super) fn find(&self, key: u128, hash: u64, guess: u32) -> Option<u32> {
        match self.entries.get(guess as usize) {
            Some(entry) if entry.key == key => Some(guess),
            _ => self.search(key, hash),
        }
    }

    #[inline(never)]
    fn search(&self, key: u128, hash: u64) -> Option<u32> {
        let Places { buckets, tag } = self.places(hash);
        buckets.into_iter().find_map(|bucket| {
            let mut ways = zeroes(self.tags[bucket] ^ (LOW * u64::from(tag)));
            while ways != 0 {
                let place = bucket * WAYS + way(ways);
                if self.entries[place].key == key {
                    return Some(place as u32);
                }
                ways &= ways - 1;
            }
            None
        })
    }

    /// Takes in a key that is not there; its place. When the table grows for it, others are `moved` to other places.
    pub(super) fn insert(&mut self, key: u128, hash: u64, value: V, mut moved: impl FnMut(&V, u32)) -> u32 {
        debug_assert!(key != VACANT);
        let mut entry = Entry { key, value };
        loop {
            match self.put(hash, entry) {
                Ok(place) => {
                    self.used += 1;
                    return place;
                }
                Err(back) => entry = back,
            }
            if !self.move_one(hash, &mut moved) {
                self.grow(&mut moved);
            }
        }
    }

    /// Puts an entry into the first of its buckets that has room; gives it back if both are full.
    #[inline(always)]
    fn put(&mut self, hash: u64, entry: Entry<V>) -> Result<u32, Entry<V>> {
        let Places { buckets: [first, second], tag } = self.places(hash);
        let mut found = (first, zeroes(self.tags[first]));
        if found.1 == 0 {
            found = (second, zeroes(self.tags[second]));
        }
        let (bucket, free) = found;
        if free == 0 {
            return Err(entry);
        }
        let way = way(free);
        self.tags[bucket] |= u64::from(tag) << (8 * way);
        self.entries[bucket * WAYS + way] = entry;
        Ok((bucket * WAYS + way) as u32)
    }

    /// Makes room in one of two full buckets, by moving an entry to its other bucket, if one has room there. Where the table is as
    /// large as it will be, room is made there, too: so it can be full to more than nine tenths. One that may grow does so before
    /// many keys are in their second bucket.
    #[inline(never)]
    fn move_one(&mut self, hash: u64, moved: &mut impl FnMut(&V, u32)) -> bool {
        let buckets = self.places(hash).buckets;
        if buckets.into_iter().any(|bucket| self.make_room(bucket, moved)) {
            return true;
        }
        if self.tags.len() < self.enough {
            return false;
        }
        buckets.into_iter().any(|bucket| {
            (bucket * WAYS..(bucket + 1) * WAYS).any(|from| {
                let (other, _) = self.other_bucket(from);
                self.make_room(other, moved) && (other == bucket || self.make_room(bucket, moved))
            })
        })
    }

    /// Where the entry at a place could be instead, and its tag.
    fn other_bucket(&self, place: usize) -> (usize, u8) {
        let hash = self.seed.hash(self.entries[place].key);
        let Places { buckets: [first, second], tag } = self.places(hash);
        (if first == place / WAYS { second } else { first }, tag)
    }

    /// Makes room in a full bucket, by moving an entry to its other bucket, if one has room there.
    fn make_room(&mut self, bucket: usize, moved: &mut impl FnMut(&V, u32)) -> bool {
        for from in bucket * WAYS..(bucket + 1) * WAYS {
            let (other, tag) = self.other_bucket(from);
            let free = zeroes(self.tags[other]);
            if free != 0 {
                let to = other * WAYS + way(free);
                self.entries.swap(from, to);
                self.entries[from].key = VACANT;
                self.tags[bucket] &= !(0xff << (8 * (from % WAYS)));
                self.tags[other] |= u64::from(tag) << (8 * way(free));
                moved(&self.entries[to].value, to as u32);
                return true;
            }
        }
        false
    }

    /// A quarter more, unless that is more than there will ever be need for. Of a small table a quarter would be soon gone, and
    /// what it had before is as much to fetch anew: it becomes twice as large.
    fn next_size(&self, buckets: usize) -> usize {
        let more = buckets + if buckets < SMALL { buckets } else { buckets / 4 };
        if buckets < self.enough { more.min(self.enough) } else { buckets + buckets / 32 + 1 }
    }

    /// Makes room for a quarter more, and perhaps for more than that.
    #[cold]
    fn grow(&mut self, moved: &mut impl FnMut(&V, u32)) {
        let mut buckets = self.tags.len();
        let mut entries = std::mem::take(&mut self.entries);
        'larger: loop {
            buckets = self.next_size(buckets);
            self.make(buckets);
            for at in 0..entries.len() {
                if entries[at].key == VACANT {
                    continue;
                }
                let hash = self.seed.hash(entries[at].key);
                let mut entry = Entry { key: entries[at].key, value: std::mem::take(&mut entries[at].value) };
                while let Err(back) = self.put(hash, entry) {
                    entry = back;
                    if !self.move_one(hash, &mut |_, _| {}) {
                        // Once in a long while: what has been put must come along.
                        entries[at].value = entry.value;
                        let put = std::mem::take(&mut self.entries).into_iter();
                        // Of the size it will have: what is outgrown on the way there would stay behind in the heap.
                        let mut all = Vec::with_capacity(self.used);
                        all.extend(put.chain(entries.drain(at..)).filter(|entry| entry.key != VACANT));
                        entries = all;
                        continue 'larger;
                    }
                }
            }
            break;
        }
        let used = self.entries.iter().enumerate().filter(|(_, entry)| entry.key != VACANT);
        used.for_each(|(place, entry)| moved(&entry.value, place as u32));
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, place: u32) {
        let place = place as usize;
        self.entries[place].key = VACANT;
        self.tags[place / WAYS] &= !(0xff << (8 * (place % WAYS)));
        self.used -= 1;
    }

    /// The key and the value of an entry that is in use.
    #[inline(always)]
    pub(super) fn entry(&mut self, place: u32) -> (u128, &mut V) {
        let entry = &mut self.entries[place as usize];
        (entry.key, &mut entry.value)
    }

    /// The same, to look at.
    #[inline(always)]
    pub(super) fn get(&self, place: u32) -> Option<(u128, &V)> {
        let entry = self.entries.get(place as usize).filter(|entry| entry.key != VACANT)?;
        Some((entry.key, &entry.value))
    }

    /// Asks for the line of an entry.
    #[inline(always)]
    pub(super) fn ask_entry(&self, place: u32) {
        if let Some(entry) = self.entries.get(place as usize) {
            prefetch::for_writing(&raw const *entry);
        }
    }

    /// The places of all entries in use.
    #[cfg(test)]
    fn places_in_use(&self) -> impl Iterator<Item = u32> {
        let used = self.entries.iter().enumerate().filter(|(_, entry)| entry.key != VACANT);
        used.map(|(place, _)| place as u32)
    }

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
        let mut batches = keys.chunks(BATCH);
        let Some(mut current) = batches.next() else { return };
        let mut asked = self.prepare(current.iter().copied());
        let mut at = 0;
        loop {
            // Lines of the next batch are under way while this one is dealt with.
            let next = batches.next();
            let next_asked = next.map(|keys| self.prepare(keys.iter().copied()));
            for (&key, &(hash, guess)) in current.iter().zip(&asked) {
                let found = self.find(key, hash, guess);
                let place = found.unwrap_or_else(|| self.insert(key, hash, V::default(), |_, _| {}));
                act(at, &mut self.entries[place as usize].value);
                at += 1;
            }
            match next.zip(next_asked) {
                Some(next) => (current, asked) = next,
                None => return,
            }
        }
    }

    /// Hashes and guesses of at most [`BATCH`] keys, whose lines are asked for.
    #[inline(always)]
    pub(super) fn prepare(&self, keys: impl ExactSizeIterator<Item = u128>) -> [(u64, u32); BATCH] {
        let mut asked = [(0, NONE); BATCH];
        let count = keys.len().min(BATCH);
        for (asked, key) in asked.iter_mut().zip(keys) {
            asked.0 = self.hash(key);
            self.ask(asked.0);
        }
        for asked in &mut asked[..count] {
            asked.1 = self.guess(asked.0);
        }
        asked
    }
}
