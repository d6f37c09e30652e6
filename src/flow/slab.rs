//! Things by number, whose places are used again.
//!
//! They lie in chunks, each twice as large as the one before, so that none is ever moved: a table that grows by copying leaves
//! its old memory behind in the heap, where little else fits.

use crate::sys::{huge_pages, prefetch};
use std::ops::{Index, IndexMut};

/// Things by number.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    /// Full ones, then one that is being filled, then empty ones.
    chunks: [Vec<T>; CHUNKS],
    /// So many places there are.
    places: u32,
    free: Vec<u32>,
}

/// Things of the first chunk.
const FIRST: u64 = 1 << 10;
/// Chunks for any number of 30 bits.
const CHUNKS: usize = 21;
/// Bytes of a chunk that gets huge pages: it has one at least.
const HUGE: usize = 4 << 20;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: [const { Vec::new() }; CHUNKS], places: 0, free: Vec::new() }
    }
}

/// The chunk of a number, and the place in it.
#[inline(always)]
fn place(number: u32) -> (usize, usize) {
    let at = u64::from(number) + FIRST;
    let top = at.ilog2();
    ((top - FIRST.ilog2()) as usize, (at ^ 1 << top) as usize)
}

impl<T> Slab<T> {
    /// Puts a thing in; its number.
    #[inline]
    pub(super) fn insert(&mut self, thing: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self[number] = thing;
            return number;
        }
        let number = self.places;
        let chunk = place(number).0;
        if self.chunks[chunk].is_empty() {
            self.begin(chunk);
        }
        self.chunks[chunk].push(thing);
        self.places += 1;
        number
    }

    #[cold]
    fn begin(&mut self, chunk: usize) {
        let things = &mut self.chunks[chunk];
        let count = (FIRST as usize) << chunk;
        things.reserve_exact(count);
        if count * size_of::<T>() >= HUGE {
            huge_pages::ask_for(things.spare_capacity_mut());
        }
    }

    /// The number may be used again. The thing stays until then.
    pub(super) fn remove(&mut self, number: u32) {
        self.free.push(number);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places() - self.free.len()
    }

    /// How many there were at a time, at most.
    pub(super) fn places(&self) -> usize {
        self.places as usize
    }

    /// All of them, those that were removed too.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.chunks.iter().flatten())
    }

    /// Asks for the lines of a thing.
    #[inline(always)]
    pub(super) fn ask(&self, number: u32) {
        let (chunk, at) = place(number);
        if let Some(thing) = self.chunks.get(chunk).and_then(|things| things.get(at)) {
            let start = (&raw const *thing).cast::<u8>();
            (0..size_of::<T>()).step_by(prefetch::LINE).for_each(|at| {
                prefetch::for_writing(start.wrapping_add(at));
            });
            // It may begin within a line, and then ends in one more.
            if !align_of::<T>().is_multiple_of(prefetch::LINE) {
                prefetch::for_writing(start.wrapping_add(size_of::<T>() - 1));
            }
        }
    }

    /// Bytes that it takes. What is not filled yet of its last chunk the system has not given out.
    pub(super) fn bytes(&self) -> usize {
        self.places() * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, number: u32) -> &T {
        let (chunk, at) = place(number);
        &self.chunks[chunk][at]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline(always)]
    fn index_mut(&mut self, number: u32) -> &mut T {
        let (chunk, at) = place(number);
        &mut self.chunks[chunk][at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_keep_their_numbers_and_never_move() {
        let mut slab = Slab::default();
        let first = (0..10_000_u32).map(|number| (slab.insert(number), number)).collect::<Vec<_>>();
        let addresses: Vec<_> = (0..10_000).map(|number| (&raw const slab[number]).addr()).collect();
        assert!(first.iter().all(|(number, thing)| number == thing && slab[*number] == *thing));
        slab.remove(1_024);
        assert_eq!((slab.len(), slab.insert(7), slab[1_024]), (9_999, 1_024, 7));
        (10_000..100_000).for_each(|number| assert_eq!(slab.insert(number), number));
        assert!((0..10_000).all(|number| (&raw const slab[number]).addr() == addresses[number as usize]));
        assert_eq!(
            (slab.places(), slab.all().count(), place((1 << 30) - 1).0),
            (100_000, 100_000, CHUNKS - 1)
        );
        assert!(slab.all().all(|(number, thing)| number == *thing || number == 1_024));
    }
}
