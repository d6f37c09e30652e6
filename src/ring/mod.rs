//! A bounded ring from one thread to one other: batched both ways, lock-free, and asleep when idle.
//!
//! [`spsc`] makes the two ends. Each may be sent to a thread of its own; neither can be cloned.
//!
//! ```
//! use std::thread;
//! use wharf::ring;
//!
//! let (mut producer, mut consumer) = ring::spsc::<u32>(1024);
//! let summing = thread::spawn(move || {
//!     let mut sum = 0;
//!     while consumer.wait().is_ok() {
//!         sum += consumer.drain(32).sum::<u32>();
//!     }
//!     sum // the producer has gone and nothing is left
//! });
//!
//! let mut batch: Vec<u32> = (0..10_000).collect();
//! while !batch.is_empty() {
//!     producer.push_from(&mut batch); // as many as fit; the rest stay
//!     producer.wait()?; // until there is room again
//! }
//! drop(producer);
//! assert_eq!(summing.join().unwrap(), 49_995_000);
//! # Ok::<(), ring::Closed>(())
//! ```
//!
//! # Contract
//!
//! - **Up to n.** Every batched call moves as many items as it can, says how many, and leaves the rest where they
//!   were. None of them blocks; [`Producer::wait`] and [`Consumer::wait`] do.
//! - **In order, once.** Items come out in the order they went in, each exactly once. What is still inside when both
//!   ends have gone is dropped there.
//! - **A full ring drops nothing.** It is the producer who decides whether to wait or to drop, and who counts.
//! - **Gone is seen.** Dropping an end closes the ring. A consumer is told [`Closed`] only once the ring has been
//!   drained, so shutting down from the source loses nothing. A producer without a consumer can push no more, and
//!   [`Producer::len`] is then the exact number of items that nobody will read.
//! - **Idle costs nothing.** A wait spins for some microseconds, then sleeps in the kernel until the other end wakes
//!   it. The other end pays for that only when somebody sleeps: on the fast path it looks at one flag that stays in
//!   its nearest cache, without a fence (see below).
//!
//! # How it is fast
//!
//! Each end keeps its own index in its handle, and a copy of the other end's that it refreshes only when that copy
//! says "not enough"; an index costs one store to a line of its own a batch. The slots a burst will need next are
//! fetched for writing while the producer is busy with something else. On two cores, what remains is the transfer of
//! the items' own lines.
//!
//! To sleep safely an end must say so and then look once more, while the other stores its index and then looks
//! whether anyone sleeps; that order of a store and a later load needs a full barrier on both sides, 10 ns and more
//! a batch. Here membarrier(2) lets the sleeper, who has time, pay for both.
//!
//! # How it is checked
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib ring::` runs the models: all interleavings of short runs,
//! slots included, through wrap-around, closing and sleeping, and each memory ordering of `order.rs` taken away once to
//! see that the models notice (of one of them, half: it is said there).

mod consumer;
mod order;
mod producer;
mod shim;
mod side;
#[allow(unsafe_code)]
mod slots;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

pub use consumer::{Chunk, Consumer, Drain, wait_any};
pub use producer::{Producer, PushError};

/// Makes a ring of at least `capacity` slots and gives out its two ends.
///
/// The capacity is rounded up to a power of two, from 1 on; [`Producer::capacity`] says which. A few bursts are enough
/// to keep two busy threads apart; more absorbs longer pauses of the consumer, at the price of cache.
///
/// # Panics
///
/// If the slots would not fit into the address space.
///
/// ```
/// let (mut producer, mut consumer) = wharf::ring::spsc(1000);
/// assert_eq!(producer.capacity(), 1024);
/// producer.push("a frame")?;
/// assert_eq!(consumer.pop(), Some("a frame"));
/// # Ok::<(), wharf::ring::PushError<&str>>(())
/// ```
pub fn spsc<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    from_index(capacity, 0)
}

/// As [`spsc`], with both indices at `start`: how the tests get to where they overflow.
fn from_index<T: Send>(capacity: usize, start: usize) -> (Producer<T>, Consumer<T>) {
    let slots =
        capacity.max(1).checked_next_power_of_two().expect("the ring is larger than the address space");
    let (write, read) = slots::ends(slots, start);
    (Producer::new(write), Consumer::new(read))
}

/// The other end of the ring has been dropped; for a consumer, also that nothing is left to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end of the ring has gone")]
pub struct Closed;
