//! The slots and the two ends that reach into them: the ring's island of unsafe code.
//!
//! ```text
//!            head                 tail
//!   . . . . . x x x x x x x x x x . . . . .      x: items, the consumer's to read
//!             |<---- at most ---->|              .: free, the producer's to write
//!                  `capacity`
//! ```
//!
//! Both indices count up for ever and wrap with `usize`; the slot of index `i` is `i & (capacity - 1)`.
//! One invariant carries every proof below, called *the window* there:
//!
//! > The slots of `[head, tail)` hold initialised items and no others do, where `head` is the read end's own
//! > index and `tail` the write end's. The write end touches only slots of `[tail, seen_head + capacity)`, the
//! > read end only those of `[head, seen_tail)`, where `seen_*` is a value the other end had published. Published
//! > indices never run ahead of the end's own, and what an end did to a slot happens before its index is published.
//!
//! As the two ranges cannot meet, no slot is ever touched from both ends at once. Everything an end exports is
//! safe: it needs `&mut` and there is one value of each end to a ring.

mod buffer;

use crate::sys::prefetch::{self, LINE};
use std::marker::PhantomData;
use std::ptr;

use crossbeam::utils::CachePadded;

use self::buffer::Buffer;
use super::order::Edge;
use super::shim::{Arc, AtomicUsize, Ordering};
use super::side::Side;

/// What the two ends share: an index a line, a flag word a line, and the slots.
pub(super) struct Shared<T> {
    tail: CachePadded<AtomicUsize>,
    head: CachePadded<AtomicUsize>,
    pub(super) producer: CachePadded<Side>,
    pub(super) consumer: CachePadded<Side>,
    slots: Buffer<T>,
}

/// The ends of a new ring of `capacity` slots (a power of two), both indices at `start`.
pub(super) fn ends<T>(capacity: usize, start: usize) -> (WriteEnd<T>, ReadEnd<T>) {
    let shared = Arc::new(Shared {
        tail: CachePadded::new(AtomicUsize::new(start)),
        head: CachePadded::new(AtomicUsize::new(start)),
        producer: CachePadded::new(Side::new()),
        consumer: CachePadded::new(Side::new()),
        slots: Buffer::new(capacity),
    });
    (
        WriteEnd { shared: Arc::clone(&shared), tail: start, seen_head: start, awaited: true },
        ReadEnd { shared, head: start, seen_tail: start, items: PhantomData },
    )
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Both ends have published on their way out, and the Arc has ordered that before this.
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        // SAFETY: no end is left, so by the window [head, tail) is initialised, ours alone, and never read again.
        unsafe { self.slots.drop_items(head, tail.wrapping_sub(head)) };
    }
}

/// The producer's hold on the slots.
pub(super) struct WriteEnd<T> {
    pub(super) shared: Arc<Shared<T>>,
    /// Index of the next slot to write; ahead of the published one until `publish`.
    pub(super) tail: usize,
    /// The consumer's index when last looked at: it may have moved on.
    seen_head: usize,
    /// Whether the ring was empty then, as it is when each item is waited for, and hardly ever is in a stream of them: some
    /// are always on their way.
    awaited: bool,
}

impl<T> WriteEnd<T> {
    #[inline(always)]
    pub(super) fn capacity(&self) -> usize {
        self.shared.slots.capacity()
    }

    /// Items in the ring now. The consumer may be taking some: the true number is this or less.
    pub(super) fn len(&self) -> usize {
        self.tail.wrapping_sub(self.shared.head.load(Edge::SeeSlots.ordering()))
    }

    /// Free slots; looks at the consumer's index only if fewer than `want` are known to be free.
    #[inline(always)]
    pub(super) fn room(&mut self, want: usize) -> usize {
        let known = self.known_room();
        if known >= want {
            return known;
        }
        self.seen_head = self.shared.head.load(Edge::SeeSlots.ordering());
        self.awaited = self.seen_head == self.tail;
        self.known_room()
    }

    #[inline(always)]
    fn known_room(&self) -> usize {
        self.capacity() - self.tail.wrapping_sub(self.seen_head)
    }

    /// Asks for the two lines that pushing one item will write. Before anything else in a push: the processor gets here
    /// while it still waits for what led to the item, so that the lines travel meanwhile (a sixth off a round trip).
    ///
    /// In a stream of single items that would take lines from a consumer that is looking at them, over and over, where
    /// several stores could go to each at once when it comes: there only a slot that is a line of its own is asked for.
    #[inline(always)]
    pub(super) fn fetch_next(&self) {
        if self.awaited || size_of::<T>() >= LINE {
            prefetch::for_writing(self.shared.slots.address(self.tail));
        }
        if self.awaited {
            prefetch::for_writing(&*self.shared.tail);
        }
    }

    /// Writes one item, unpublished; hands it back when the ring is full.
    #[inline(always)]
    pub(super) fn put(&mut self, item: T) -> Result<(), T> {
        if self.room(1) == 0 {
            return Err(item);
        }
        // SAFETY: by the window a slot at `tail` that is within the room is free and this end's to write.
        unsafe { self.shared.slots.write(self.tail, item) };
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// Copies as many of `items` as there is room for, unpublished; how many those were.
    #[inline(always)]
    pub(super) fn put_slice(&mut self, items: &[T]) -> usize
    where
        T: Copy,
    {
        let count = self.room(items.len()).min(items.len());
        // SAFETY: `count` slots from `tail` on are free and this end's to write; `items` has as many; a Copy
        // type may be duplicated by its bytes.
        unsafe { self.shared.slots.write_many(self.tail, items.as_ptr(), count) };
        self.tail = self.tail.wrapping_add(count);
        count
    }

    /// Moves as many of `items` as there is room for, from the front, unpublished; how many those were.
    #[inline(always)]
    pub(super) fn put_vec(&mut self, items: &mut Vec<T>) -> usize {
        let all = items.len();
        let count = self.room(all).min(all);
        // SAFETY: `count` slots from `tail` on are free and this end's to write. The items become the ring's: the
        // vector forgets all before anything is moved, then gets back those that stay, shifted to its front.
        unsafe {
            items.set_len(0);
            self.shared.slots.write_many(self.tail, items.as_ptr(), count);
            let front = items.as_mut_ptr();
            ptr::copy(front.add(count), front, all - count);
            items.set_len(all - count);
        }
        self.tail = self.tail.wrapping_add(count);
        count
    }

    /// Shows the consumer all that has been written, and fetches the lines that the next burst of `count` items
    /// will write, so that they travel from the consumer's cache while the producer is busy elsewhere.
    #[inline(always)]
    pub(super) fn publish(&mut self, count: usize) {
        self.shared.tail.store(self.tail, Edge::PublishItems.ordering());
        let next = count.min(self.known_room());
        self.shared.slots.prefetch_for_writing(self.tail, next);
    }
}

impl<T> Drop for WriteEnd<T> {
    fn drop(&mut self) {
        self.publish(0);
        self.shared.producer.leave(&self.shared.consumer);
    }
}

/// The consumer's hold on the slots.
///
/// [`peek`](Self::peek) gives `&T` out for a `&self`, so several threads may share it only if they may share a `T`. They may
/// not share a `Cell`:
///
/// ```compile_fail,E0277
/// use std::cell::Cell;
/// use std::thread;
///
/// let (mut producer, mut consumer) = wharf::ring::spsc(4);
/// producer.push(Cell::new(0_u64)).unwrap();
/// let chunk = consumer.chunk(1);
/// thread::scope(|scope| {
///     scope.spawn(|| chunk.iter().for_each(|cell| cell.set(1)));
///     scope.spawn(|| chunk.iter().for_each(|cell| cell.set(2)));
/// });
/// ```
pub(super) struct ReadEnd<T> {
    pub(super) shared: Arc<Shared<T>>,
    /// Index of the next slot to read; ahead of the published one until `publish`.
    pub(super) head: usize,
    /// The producer's index when last looked at: it may have moved on.
    seen_tail: usize,
    /// As if it held the items: to be sent takes `T: Send`, to be shared `T: Sync`.
    items: PhantomData<T>,
}

impl<T> ReadEnd<T> {
    #[inline(always)]
    pub(super) fn capacity(&self) -> usize {
        self.shared.slots.capacity()
    }

    /// Items in the ring now. The producer may be adding some: the true number is this or more.
    pub(super) fn len(&self) -> usize {
        self.shared.tail.load(Edge::SeeItems.ordering()).wrapping_sub(self.head)
    }

    /// Items to read, `want` at most; looks at the producer's index only if fewer are known to be there.
    #[inline(always)]
    pub(super) fn ready(&mut self, want: usize) -> usize {
        let known = self.seen_tail.wrapping_sub(self.head);
        if known >= want {
            return want;
        }
        self.seen_tail = self.shared.tail.load(Edge::SeeItems.ordering());
        self.seen_tail.wrapping_sub(self.head).min(want)
    }

    /// Whether there is an item. If none was known to be there, the line of its slot is asked for together with the
    /// producer's index: should the item have come, it has not to be waited for a second time (a fifth off a round
    /// trip).
    #[inline(always)]
    pub(super) fn look(&mut self) -> bool {
        if self.seen_tail == self.head {
            prefetch::for_reading(self.shared.slots.address(self.head));
        }
        self.ready(1) > 0
    }

    /// Takes one item; its slot stays unpublished.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Option<T> {
        if !self.look() {
            return None;
        }
        // SAFETY: by the window the slot at `head` is initialised and this end's; it is read once, as `head` moves.
        let item = unsafe { self.shared.slots.read(self.head) };
        self.head = self.head.wrapping_add(1);
        Some(item)
    }

    /// Copies the next items into `items` as far as there are any; how many those were. Their slots stay unpublished.
    #[inline(always)]
    pub(super) fn take_slice(&mut self, items: &mut [T]) -> usize
    where
        T: Copy,
    {
        let count = self.ready(items.len());
        // SAFETY: `count` slots from `head` on are initialised and this end's; `items` has room for them and, T being
        // Copy, nothing there needs to be dropped.
        unsafe { self.shared.slots.read_many(self.head, items.as_mut_ptr(), count) };
        self.head = self.head.wrapping_add(count);
        count
    }

    /// Moves up to `max` items to the end of `items`; how many those were. Their slots stay unpublished.
    #[inline(always)]
    pub(super) fn take_vec(&mut self, items: &mut Vec<T>, max: usize) -> usize {
        let count = self.ready(max);
        items.reserve(count);
        let len = items.len();
        // SAFETY: `count` slots from `head` on are initialised and this end's; the vector has room for them behind
        // `len`. They are the vector's from here on, as `head` moves past them.
        unsafe {
            self.shared.slots.read_many(self.head, items.as_mut_ptr().add(len), count);
            items.set_len(len + count);
        }
        self.head = self.head.wrapping_add(count);
        count
    }

    /// The next `count` items where they lie, in two pieces if they wrap around the end of the slots.
    ///
    /// # Panics
    ///
    /// If fewer are known to be there, which `ready` would have said.
    #[inline(always)]
    pub(super) fn peek(&self, count: usize) -> (&[T], &[T]) {
        assert!(count <= self.seen_tail.wrapping_sub(self.head), "more items than are ready");
        // SAFETY: by the window these slots are initialised, and the write end stays out of them until `head` has
        // moved past them and been published, which needs `&mut self` and so ends this borrow.
        unsafe { self.shared.slots.items(self.head, count) }
    }

    /// Drops the next `count` items where they lie; their slots stay unpublished.
    ///
    /// # Panics
    ///
    /// If fewer are known to be there.
    #[inline(always)]
    pub(super) fn skip(&mut self, count: usize) {
        let head = self.head;
        assert!(count <= self.seen_tail.wrapping_sub(head), "more items than are ready");
        // First: should an item's destructor panic, none is dropped twice.
        self.head = head.wrapping_add(count);
        // SAFETY: by the window these slots were initialised and this end's, and `head` has just moved past them.
        unsafe { self.shared.slots.drop_items(head, count) };
    }

    /// Gives the producer all slots that have been read.
    #[inline(always)]
    pub(super) fn publish(&mut self) {
        self.shared.head.store(self.head, Edge::ReleaseSlots.ordering());
    }
}

impl<T> Drop for ReadEnd<T> {
    fn drop(&mut self) {
        self.publish();
        self.shared.consumer.leave(&self.shared.producer);
    }
}
