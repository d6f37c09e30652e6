//! Values that keep their number for as long as they stay, in memory that is used again.

/// A table of values by number. A number is given anew once its value was taken out.
#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The first free entry, where there is one.
    free: Option<u32>,
    taken: usize,
}

#[derive(Debug)]
enum Entry<T> {
    Taken(T),
    Free { next: Option<u32> },
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), free: None, taken: 0 }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// Puts a value in; tells its number.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.taken += 1;
        if let Some(number) = self.free
            && let Some(entry) = self.entries.get_mut(number as usize)
            && let Entry::Free { next } = *entry
        {
            self.free = next;
            *entry = Entry::Taken(value);
            return number;
        }
        self.entries.push(Entry::Taken(value));
        self.entries.len() as u32 - 1
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        match self.entries.get_mut(number as usize) {
            Some(Entry::Taken(value)) => Some(value),
            _ => None,
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        match self.entries.get(number as usize) {
            Some(Entry::Taken(value)) => Some(value),
            _ => None,
        }
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let entry = self.entries.get_mut(number as usize).filter(|entry| matches!(entry, Entry::Taken(_)))?;
        let free = std::mem::replace(entry, Entry::Free { next: self.free });
        self.free = Some(number);
        self.taken -= 1;
        match free {
            Entry::Taken(value) => Some(value),
            Entry::Free { .. } => None,
        }
    }

    /// The numbers in use, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        let taken = |(number, entry): (u32, &Entry<T>)| matches!(entry, Entry::Taken(_)).then_some(number);
        (0..).zip(&self.entries).filter_map(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_are_used_again() {
        let mut slab = Slab::new();
        assert_eq!(["a", "b", "c"].map(|value| slab.insert(value)), [0, 1, 2]);
        assert_eq!(slab.remove(1), Some("b"));
        assert_eq!((slab.remove(1), slab.remove(9), slab.len()), (None, None, 2));
        assert_eq!(slab.remove(0), Some("a"));
        assert_eq!((slab.insert("d"), slab.insert("e"), slab.insert("f")), (0, 1, 3));
        assert_eq!((slab.get(2), slab.get(4)), (Some(&"c"), None));
        assert_eq!(slab.get_mut(1).copied(), Some("e"));
        slab.remove(2);
        assert_eq!(slab.numbers().collect::<Vec<_>>(), [0, 1, 3]);
    }
}
