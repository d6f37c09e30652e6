//! The end that reads.

use std::fmt;
use std::time::Duration;

use crossbeam::utils::CachePadded;

use super::Closed;
use super::side::{self, Await, Patience, Side};
use super::slots::ReadEnd;

/// The reading end of a ring. Dropping it closes the ring; items inside are dropped with the producer.
pub struct Consumer<T> {
    /// Padded, as it changes with each batch: wherever the handle lies, it shares no line with the other one.
    end: CachePadded<ReadEnd<T>>,
    patience: Patience,
}

impl<T> Consumer<T> {
    pub(super) fn new(end: ReadEnd<T>) -> Self {
        Self { end: CachePadded::new(end), patience: Patience::new() }
    }

    /// Slots in the ring, a power of two.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.end.capacity()
    }

    /// Items in the ring now: that many at least, since the producer may be adding more.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end.len()
    }

    /// Whether there is nothing to read at present.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the producer has gone. There may still be items inside; once this is true, [`len`](Self::len) is exact.
    #[must_use]
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.end.shared.producer.is_gone()
    }

    /// Takes the next item.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let item = self.end.take()?;
        self.publish();
        Some(item)
    }

    /// Copies the next items into `items`, as many as there are and fit, and says how many.
    ///
    /// ```
    /// let (mut producer, mut consumer) = wharf::ring::spsc(4);
    /// producer.push_slice(&[1, 2, 3]);
    /// let mut items = [0; 8];
    /// assert_eq!(consumer.pop_slice(&mut items), 3);
    /// assert_eq!(items[..3], [1, 2, 3]);
    /// ```
    #[inline]
    pub fn pop_slice(&mut self, items: &mut [T]) -> usize
    where
        T: Copy,
    {
        let count = self.end.take_slice(items);
        self.publish_some(count);
        count
    }

    /// Moves up to `max` items to the end of `items` and says how many.
    #[inline]
    pub fn pop_into(&mut self, items: &mut Vec<T>, max: usize) -> usize {
        let count = self.end.take_vec(items, max);
        self.publish_some(count);
        count
    }

    /// Up to `max` items, one by one. The slots of those that were taken go back together when the iterator is
    /// dropped; items that were not taken stay in the ring.
    ///
    /// ```
    /// let (mut producer, mut consumer) = wharf::ring::spsc(4);
    /// producer.push_slice(&[1, 2, 3]);
    /// assert!(consumer.drain(2).eq([1, 2]));
    /// assert_eq!(consumer.pop(), Some(3));
    /// ```
    #[inline]
    pub fn drain(&mut self, max: usize) -> Drain<'_, T> {
        let left = self.end.ready(max);
        Drain { taken: false, left, consumer: self }
    }

    /// Up to `max` items, to be read where they lie; all of them are dropped with the chunk, and their slots go back.
    ///
    /// ```
    /// let (mut producer, mut consumer) = wharf::ring::spsc(4);
    /// producer.push_slice(&[1, 2, 3]);
    /// assert_eq!(consumer.chunk(2).iter().sum::<u32>(), 3);
    /// assert_eq!(consumer.pop(), Some(3));
    /// ```
    #[inline]
    pub fn chunk(&mut self, max: usize) -> Chunk<'_, T> {
        let len = self.end.ready(max);
        Chunk { len, consumer: self }
    }

    /// Waits until there is something to read: spins for some microseconds, then sleeps until an item comes.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the producer has gone and everything has been read.
    pub fn wait(&mut self) -> Result<(), Closed> {
        side::wait(std::slice::from_mut(self), None).map(|_| ())
    }

    /// As [`wait`](Self::wait), for `timeout` at most; false if there is still nothing.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the producer has gone and everything has been read.
    pub fn wait_for(&mut self, timeout: Duration) -> Result<bool, Closed> {
        side::wait(std::slice::from_mut(self), Some(timeout))
    }

    /// An empty batch leaves the producer's copy of the index alone.
    #[inline(always)]
    fn publish_some(&mut self, count: usize) {
        if count > 0 {
            self.publish();
        }
    }

    #[inline(always)]
    fn publish(&mut self) {
        self.end.publish();
        self.end.shared.producer.notify(self.end.head);
    }
}

/// Waits until one of several rings has something to read, or `timeout` has passed (never, if there is none): how one
/// thread serves the rings of many. True when there is something; false when the time is up.
///
/// # Errors
///
/// [`Closed`] when every producer has gone and everything has been read.
///
/// ```
/// use wharf::ring;
///
/// let (mut first, one) = ring::spsc(4);
/// let (second, two) = ring::spsc(4);
/// let mut rings = [one, two];
/// first.push(7)?;
/// drop((first, second));
/// let mut all = Vec::new();
/// while ring::wait_any(&mut rings, None).is_ok() {
///     for ring in &mut rings {
///         ring.pop_into(&mut all, 32);
///     }
/// }
/// assert_eq!(all, [7]);
/// # Ok::<(), ring::PushError<u32>>(())
/// ```
pub fn wait_any<T>(consumers: &mut [Consumer<T>], timeout: Option<Duration>) -> Result<bool, Closed> {
    side::wait(consumers, timeout)
}

impl<T> Await for [Consumer<T>] {
    fn poll(&mut self) -> Option<Result<(), Closed>> {
        let mut open = false;
        for consumer in self {
            // In this order: what the producer pushed before it went is visible once it is seen to have gone.
            let closed = consumer.is_closed();
            if consumer.end.ready(1) > 0 {
                return Some(Ok(()));
            }
            open |= !closed;
        }
        (!open).then_some(Err(Closed))
    }

    fn patience(&mut self) -> &mut Patience {
        // Without a ring there is nothing to wait for, and `poll` says so.
        &mut self[0].patience
    }

    fn each_side(&self, mut visit: impl FnMut(&Side, usize)) {
        for consumer in self {
            visit(&consumer.end.shared.consumer, consumer.end.head.wrapping_add(1));
        }
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// An iterator over the next items of a ring; see [`Consumer::drain`].
#[derive(Debug)]
pub struct Drain<'a, T> {
    consumer: &'a mut Consumer<T>,
    left: usize,
    taken: bool,
}

impl<T> Iterator for Drain<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        self.taken = true;
        self.consumer.end.take()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Drain<'_, T> {}

impl<T> Drop for Drain<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.taken {
            self.consumer.publish();
        }
    }
}

/// The next items of a ring, where they lie; see [`Consumer::chunk`].
#[derive(Debug)]
pub struct Chunk<'a, T> {
    consumer: &'a mut Consumer<T>,
    len: usize,
}

impl<T> Chunk<'_, T> {
    /// Items in the chunk.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there was nothing to read.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The items in order: first those of the one slice, then those of the other, which is empty most of the time.
    #[inline]
    pub fn as_slices(&self) -> (&[T], &[T]) {
        self.consumer.end.peek(self.len)
    }

    /// The items in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let (first, second) = self.as_slices();
        first.iter().chain(second)
    }
}

impl<T> Drop for Chunk<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.len > 0 {
            self.consumer.end.skip(self.len);
            self.consumer.publish();
        }
    }
}
