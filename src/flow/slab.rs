//! Things by number, whose places are used again.

use crate::sys::prefetch;
use std::ops::{Index, IndexMut};

/// Things by number.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    things: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { things: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Puts a thing in; its number.
    pub(super) fn insert(&mut self, thing: T) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.things[number as usize] = thing;
                number
            }
            None => {
                self.things.push(thing);
                (self.things.len() - 1) as u32
            }
        }
    }

    /// The number may be used again. The thing stays until then.
    pub(super) fn remove(&mut self, number: u32) {
        self.free.push(number);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.things.len() - self.free.len()
    }

    /// How many there were at a time, at most.
    pub(super) fn places(&self) -> usize {
        self.things.len()
    }

    /// All of them, those that were removed too.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.things)
    }

    /// Asks for the lines of a thing.
    #[inline(always)]
    pub(super) fn ask(&self, number: u32) {
        if let Some(thing) = self.things.get(number as usize) {
            let start = (&raw const *thing).cast::<u8>();
            (0..size_of::<T>()).step_by(prefetch::LINE).for_each(|at| {
                prefetch::for_writing(start.wrapping_add(at));
            });
        }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.things.capacity() * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, number: u32) -> &T {
        &self.things[number as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline(always)]
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.things[number as usize]
    }
}
