//! A ring between this process and the kernel: one writes entries, the other reads them.
//!
//! Each end owns one index and reads the other's; both count on for ever and wrap at 32 bits. The writer stores its index
//! with Release after it has written entries, the reader loads it with Acquire before it reads them; and the same the
//! other way round, so that no entry is overwritten before it has been read. The kernel's side is `net/xdp/xsk_queue.h`.

use super::abi::{Descriptor, NEED_WAKEUP};
use crate::sys::mapping::Mapping;
use std::io;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Where the parts of a ring lie in its mapping, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The index of who writes.
    pub(crate) producer: usize,
    /// The index of who reads.
    pub(crate) consumer: usize,
    /// The flags; where the kernel has none (before Linux 5.4) it never has to be woken.
    pub(crate) flags: Option<usize>,
    /// The first entry.
    pub(crate) entries: usize,
}

#[cfg(test)]
impl Layout {
    /// How the kernel lays it out, more or less: for rings in plain memory.
    pub(crate) const PLAIN: Self = Self { producer: 0, consumer: 64, flags: Some(128), entries: 192 };
}

/// What a ring carries: one or two double words.
pub(crate) trait Entry: Copy {
    /// How many.
    const WORDS: usize;

    /// Reads one.
    fn load(words: &[AtomicU64]) -> Self;

    /// Writes one.
    fn store(self, words: &[AtomicU64]);
}

/// Of the fill and the completion ring: where a chunk begins, counted from the start of the UMEM.
impl Entry for u64 {
    const WORDS: usize = 1;

    #[inline]
    fn load(words: &[AtomicU64]) -> Self {
        words[0].load(Ordering::Relaxed)
    }

    #[inline]
    fn store(self, words: &[AtomicU64]) {
        words[0].store(self, Ordering::Relaxed);
    }
}

/// Of the rx and the tx ring.
impl Entry for Descriptor {
    const WORDS: usize = 2;

    #[inline]
    fn load(words: &[AtomicU64]) -> Self {
        let [address, rest] = [0, 1].map(|word: usize| words[word].load(Ordering::Relaxed));
        let [a, b, c, d, e, f, g, h] = rest.to_ne_bytes();
        let (length, options) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        Self { address, length, options }
    }

    #[inline]
    fn store(self, words: &[AtomicU64]) {
        let ([a, b, c, d], [e, f, g, h]) = (self.length.to_ne_bytes(), self.options.to_ne_bytes());
        words[0].store(self.address, Ordering::Relaxed);
        words[1].store(u64::from_ne_bytes([a, b, c, d, e, f, g, h]), Ordering::Relaxed);
    }
}

/// What both ends have.
#[derive(Debug)]
struct Ring<E> {
    mapping: Mapping,
    layout: Layout,
    /// Number of entries less 1: a power of two less 1.
    mask: u32,
    entry: PhantomData<fn(E) -> E>,
}

impl<E: Entry> Ring<E> {
    fn new(mapping: Mapping, layout: Layout, entries: u32) -> io::Result<Self> {
        let bytes =
            (entries as usize).checked_mul(8 * E::WORDS).and_then(|bytes| bytes.checked_add(layout.entries));
        let word_fits = |offset: usize| offset.is_multiple_of(4) && offset <= mapping.len().saturating_sub(4);
        let words = [Some(layout.producer), Some(layout.consumer), layout.flags];
        let fits = bytes.is_some_and(|bytes| bytes <= mapping.len())
            && words.into_iter().flatten().all(word_fits)
            && layout.entries.is_multiple_of(8);
        if !entries.is_power_of_two() || !fits {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { mapping, layout, mask: entries - 1, entry: PhantomData })
    }

    fn producer(&self) -> &AtomicU32 {
        self.mapping.word(self.layout.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.mapping.word(self.layout.consumer)
    }

    #[inline]
    fn at(&self, index: u32) -> &[AtomicU64] {
        let place = (index & self.mask) as usize * 8 * E::WORDS;
        self.mapping.double_words(self.layout.entries + place, E::WORDS)
    }

    fn needs_wakeup(&self) -> bool {
        // Relaxed: a hint. The kernel sets it before it looks at the ring for a last time, and whoever sets it too late
        // for us does so for our next look: we come back as long as there is anything to be done.
        let flags = self.layout.flags.map(|flags| self.mapping.word(flags).load(Ordering::Relaxed));
        flags.is_some_and(|flags| flags & NEED_WAKEUP != 0)
    }
}

/// The end that writes: ours of the fill and the tx ring.
#[derive(Debug)]
pub(crate) struct Writer<E> {
    ring: Ring<E>,
    /// Our index, of which the kernel knows up to the last [`Self::publish`].
    next: u32,
    /// The kernel's as last seen: so far it has read at least.
    read: u32,
}

impl<E: Entry> Writer<E> {
    /// Over a ring of `entries`, which nobody has written to yet.
    ///
    /// # Errors
    /// `InvalidInput` when they are not a power of two, or do not lie within the mapping.
    pub(crate) fn new(mapping: Mapping, layout: Layout, entries: u32) -> io::Result<Self> {
        let ring = Ring::new(mapping, layout, entries)?;
        let next = ring.producer().load(Ordering::Relaxed);
        let read = ring.consumer().load(Ordering::Acquire);
        Ok(Self { ring, next, read })
    }

    /// How many entries may be written; less than `wanted` only if there is no more.
    #[inline]
    pub(crate) fn room(&mut self, wanted: u32) -> u32 {
        let size = self.ring.mask + 1;
        let room = |read: u32| size.saturating_sub(self.next.wrapping_sub(read));
        let known = room(self.read);
        if known >= wanted {
            return known;
        }
        // Acquire: the kernel has read the entries before this index before we overwrite them.
        self.read = self.ring.consumer().load(Ordering::Acquire);
        room(self.read)
    }

    /// Entries written that the kernel has not read yet.
    pub(crate) fn pending(&mut self) -> u32 {
        self.read = self.ring.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.read)
    }

    /// Writes an entry; the kernel sees it after [`Self::publish`].
    ///
    /// # Panics
    /// When there is no [room](Self::room) as last told.
    #[inline]
    pub(crate) fn write(&mut self, entry: E) {
        assert!(self.next.wrapping_sub(self.read) <= self.ring.mask, "room is asked for before");
        entry.store(self.ring.at(self.next));
        self.next = self.next.wrapping_add(1);
    }

    /// Lets the kernel see what was written.
    #[inline]
    pub(crate) fn publish(&self) {
        // Release: what was written to the entries, and done with the memory they name, comes before.
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// Whether the kernel has to be called to go on with this ring.
    #[must_use]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// The end that reads: ours of the rx and the completion ring.
#[derive(Debug)]
pub(crate) struct Reader<E> {
    ring: Ring<E>,
    /// Our index, of which the kernel knows up to the last [`Self::publish`].
    next: u32,
    /// The kernel's as last seen.
    written: u32,
}

impl<E: Entry> Reader<E> {
    /// Over a ring of `entries`.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub(crate) fn new(mapping: Mapping, layout: Layout, entries: u32) -> io::Result<Self> {
        let ring = Ring::new(mapping, layout, entries)?;
        let next = ring.consumer().load(Ordering::Relaxed);
        Ok(Self { ring, next, written: next })
    }

    /// How many entries there are to be read; 0 only if the kernel has written none.
    #[inline]
    pub(crate) fn available(&mut self) -> u32 {
        match self.written.wrapping_sub(self.next) {
            0 => self.look(),
            known => known.min(self.ring.mask + 1),
        }
    }

    /// The same, as of now.
    pub(crate) fn look(&mut self) -> u32 {
        // Acquire: what the kernel has written to the entries before this index, and to the frames they name, is
        // visible after.
        self.written = self.ring.producer().load(Ordering::Acquire);
        // Whatever the kernel says, there are no more entries than that.
        self.written.wrapping_sub(self.next).min(self.ring.mask + 1)
    }

    /// The next entry, which stays where it is; `None` when there is none as last told.
    #[inline]
    pub(crate) fn peek(&self) -> Option<E> {
        (self.written != self.next).then(|| E::load(self.ring.at(self.next)))
    }

    /// Goes past the entry that [`Self::peek`] shows.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if self.written != self.next {
            self.next = self.next.wrapping_add(1);
        }
    }

    /// Lets the kernel use the entries gone past again.
    #[inline]
    pub(crate) fn publish(&self) {
        // Release: our reads of the entries come before the kernel overwrites them.
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}

/// The kernel's ends, for tests: over the same memory as ours, which is mapped twice.
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    /// Memory for a ring that can be mapped more than once.
    pub(in super::super) fn memory() -> OwnedFd {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(1 << 20).expect("room");
        file.into()
    }

    pub(in super::super) fn map(memory: &OwnedFd) -> Mapping {
        Mapping::shared(memory, 1 << 20).expect("a mapping")
    }

    fn pair<E: Entry>(entries: u32, start: u32) -> (Writer<E>, Reader<E>) {
        let memory = memory();
        let mapping = map(&memory);
        for index in [Layout::PLAIN.producer, Layout::PLAIN.consumer] {
            mapping.word(index).store(start, Ordering::Relaxed);
        }
        (
            Writer::new(mapping, Layout::PLAIN, entries).expect("a ring"),
            Reader::new(map(&memory), Layout::PLAIN, entries).expect("a ring"),
        )
    }

    #[test]
    fn entries_come_in_order_past_the_wrap_of_ring_and_index() {
        let (mut writer, mut reader) = pair::<Descriptor>(4, u32::MAX - 5);
        let entry = |number: u64| Descriptor { address: number << 40, length: number as u32, options: 7 };
        let (mut wrote, mut read) = (0, 0);
        for burst in [1, 4, 3, 4, 2, 4, 4] {
            assert_eq!(writer.room(burst), 4);
            for _ in 0..burst {
                writer.write(entry(wrote));
                wrote += 1;
            }
            assert_eq!(reader.look(), 0, "nothing is published yet");
            writer.publish();
            assert_eq!((writer.pending(), reader.available()), (burst, burst));
            while let Some(found) = reader.peek() {
                assert_eq!(found, entry(read));
                reader.advance();
                read += 1;
            }
            assert_eq!(writer.room(4), 4 - burst, "not given back yet");
            reader.publish();
        }
        assert_eq!(wrote, read);
    }

    #[test]
    #[should_panic(expected = "room is asked for before")]
    fn a_full_ring_is_not_written_to() {
        let (mut writer, _reader) = pair::<u64>(2, 0);
        (0..3).for_each(|entry| writer.write(entry));
    }

    #[test]
    fn an_index_that_runs_away_gives_no_more_than_the_ring_has() {
        let (writer, mut reader) = pair::<u64>(8, 0);
        writer.ring.producer().store(1000, Ordering::Release);
        assert_eq!(reader.look(), 8);
        writer.ring.consumer().store(2000, Ordering::Release);
        let mut writer = writer;
        assert!(writer.room(8) <= 8);
    }

    #[test]
    fn the_flag_asks_for_a_call() {
        let (writer, _) = pair::<u64>(8, 0);
        assert!(!writer.needs_wakeup());
        writer.ring.mapping.word(128).store(1, Ordering::Relaxed);
        assert!(writer.needs_wakeup());
    }

    #[test]
    fn a_layout_beyond_the_mapping_is_refused() {
        for (layout, entries) in [
            (Layout::PLAIN, 3),
            (Layout::PLAIN, 1 << 20),
            (Layout { producer: 1 << 20, ..Layout::PLAIN }, 4),
            (Layout { entries: 196, ..Layout::PLAIN }, 4),
        ] {
            assert!(Writer::<u64>::new(map(&memory()), layout, entries).is_err(), "{layout:?}");
        }
    }

    /// What is passed on by another thread is whole: each entry names memory that was written before.
    #[test]
    fn what_entries_name_is_seen_on_the_other_side() {
        const COUNT: u64 = 100_000;
        let (mut writer, mut reader) = pair::<u64>(64, 0);
        let named: Vec<AtomicU64> = (0..64).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..COUNT {
                    while writer.room(1) == 0 {
                        std::thread::yield_now();
                    }
                    named[number as usize % 64].store(number, Ordering::Relaxed);
                    writer.write(number);
                    writer.publish();
                }
            });
            for number in 0..COUNT {
                while reader.available() == 0 {
                    std::thread::yield_now();
                }
                assert_eq!(reader.peek(), Some(number));
                assert_eq!(named[number as usize % 64].load(Ordering::Relaxed), number);
                reader.advance();
                reader.publish();
            }
        });
    }
}
