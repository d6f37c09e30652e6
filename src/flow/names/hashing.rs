//! Hashes of the keys that names are kept by: quicker than those of the standard library, and as little to be foreseen.

use crate::flow::packed::Seed;
use std::hash::{BuildHasher, Hasher};

/// Makes hashers with a secret of their own.
#[derive(Clone, Debug)]
pub(super) struct Hashing(Seed);

impl Default for Hashing {
    fn default() -> Self {
        Self(Seed::random())
    }
}

impl BuildHasher for Hashing {
    type Hasher = Folding;

    #[inline]
    fn build_hasher(&self) -> Folding {
        Folding { seed: self.0, state: 0 }
    }
}

/// Takes in a word at a time.
#[derive(Debug)]
pub(super) struct Folding {
    seed: Seed,
    state: u64,
}

impl Folding {
    #[inline]
    fn word(&mut self, word: u64) {
        self.state = self.seed.hash(u128::from(self.state) << 64 | u128::from(word));
    }
}

impl Hasher for Folding {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            // With the length in it: zeros at the end count.
            let word = rest.iter().fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte));
            self.word(word);
        }
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.word(word.into());
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.word(word);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.word(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_differs_in_little_has_another_hash() {
        let (one, other) = (Hashing::default(), Hashing::default());
        let mut seen = HashSet::new();
        for length in 0..40_usize {
            assert!(seen.insert(one.hash_one(vec![0_u8; length])), "{length} zeros");
            assert!(seen.insert(one.hash_one((length, 1_u8))));
        }
        assert!(!seen.contains(&other.hash_one(vec![0_u8; 7])), "another secret");
    }
}
