//! The end that writes.

use std::fmt;
use std::time::Duration;

use crossbeam::utils::CachePadded;

use super::Closed;
use super::side::{self, Await, Patience, Side};
use super::slots::WriteEnd;

/// The writing end of a ring. Dropping it closes the ring once the consumer has read what is inside.
pub struct Producer<T> {
    /// Padded, as it changes with each batch: wherever the handle lies, it shares no line with the other one.
    end: CachePadded<WriteEnd<T>>,
    patience: Patience,
}

/// Why an item was not taken, and the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError<T> {
    /// No slot is free at present.
    #[error("the ring is full")]
    Full(T),
    /// The consumer has gone: no slot will ever be free.
    #[error("the consumer of the ring has gone")]
    Closed(T),
}

impl<T> PushError<T> {
    /// The item that was not taken.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> Producer<T> {
    pub(super) fn new(end: WriteEnd<T>) -> Self {
        Self { end: CachePadded::new(end), patience: Patience::new() }
    }

    /// Slots in the ring, a power of two.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.end.capacity()
    }

    /// Items in the ring now: that many at most, since the consumer may be taking some. Exact once it has gone.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end.len()
    }

    /// Whether all items have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Free slots now: that many at least, since the consumer may be freeing more.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity() - self.len()
    }

    /// Whether the consumer has gone.
    #[must_use]
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.end.shared.consumer.is_gone()
    }

    /// Pushes one item.
    ///
    /// # Errors
    ///
    /// Hands the item back when the ring is full or closed.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), PushError<T>> {
        self.end.fetch_next();
        if self.is_closed() {
            return Err(PushError::Closed(item));
        }
        self.end.put(item).map_err(PushError::Full)?;
        self.publish(1);
        Ok(())
    }

    /// Pushes copies of the first items, as many as fit, and says how many.
    ///
    /// ```
    /// let (mut producer, _consumer) = wharf::ring::spsc(4);
    /// assert_eq!(producer.push_slice(&[1, 2, 3]), 3);
    /// assert_eq!(producer.push_slice(&[4, 5, 6]), 1);
    /// ```
    #[inline]
    pub fn push_slice(&mut self, items: &[T]) -> usize
    where
        T: Copy,
    {
        if self.is_closed() {
            return 0;
        }
        let count = self.end.put_slice(items);
        self.publish(count);
        count
    }

    /// Moves the first items out of `items`, as many as fit, and says how many; the others move up to its front.
    ///
    /// ```
    /// let (mut producer, _consumer) = wharf::ring::spsc(2);
    /// let mut batch = vec![String::from("a"), String::from("b"), String::from("c")];
    /// assert_eq!(producer.push_from(&mut batch), 2);
    /// assert_eq!(batch, ["c"]);
    /// ```
    #[inline]
    pub fn push_from(&mut self, items: &mut Vec<T>) -> usize {
        if self.is_closed() {
            return 0;
        }
        let count = self.end.put_vec(items);
        self.publish(count);
        count
    }

    /// Pushes from an iterator, which is asked for an item only when there is a slot for it, and says how many went
    /// in. They become visible to the consumer together.
    ///
    /// ```
    /// let (mut producer, _consumer) = wharf::ring::spsc(4);
    /// let mut numbers = 0..6;
    /// assert_eq!(producer.push_iter(&mut numbers), 4);
    /// assert_eq!(numbers, 4..6);
    /// ```
    #[inline]
    pub fn push_iter(&mut self, items: &mut impl Iterator<Item = T>) -> usize {
        if self.is_closed() {
            return 0;
        }
        let before = self.end.tail;
        while self.end.room(1) > 0 {
            let Some(item) = items.next() else { break };
            if self.end.put(item).is_err() {
                unreachable!("there was room, and only this end fills it");
            }
        }
        let count = self.end.tail.wrapping_sub(before);
        self.publish(count);
        count
    }

    /// Waits until there is room: spins for some microseconds, then sleeps until half of the slots are free, so that
    /// a full ring does not cost a wake-up an item.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the consumer has gone.
    pub fn wait(&mut self) -> Result<(), Closed> {
        side::wait(self, None).map(|_| ())
    }

    /// As [`wait`](Self::wait), for `timeout` at most; false if there is still no room.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the consumer has gone.
    pub fn wait_for(&mut self, timeout: Duration) -> Result<bool, Closed> {
        side::wait(self, Some(timeout))
    }

    #[inline(always)]
    fn publish(&mut self, count: usize) {
        self.end.publish(count);
        self.end.shared.consumer.notify(self.end.tail);
    }
}

impl<T> Await for Producer<T> {
    fn poll(&mut self) -> Option<Result<(), Closed>> {
        if self.is_closed() { Some(Err(Closed)) } else { (self.end.room(1) > 0).then_some(Ok(())) }
    }

    fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    fn each_side(&self, mut visit: impl FnMut(&Side, usize)) {
        let half = self.capacity().div_ceil(2);
        visit(&self.end.shared.producer, self.end.tail.wrapping_sub(half));
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish()
    }
}
