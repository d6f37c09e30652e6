//! Rings between two pinned threads: items a second, and the time of a round trip.
//!
//! Every contestant moves the same numbered items, batch by batch, through 1,024 slots and spins when it cannot go on; the reader
//! adds up what it sees. A peer with a batched interface is used through the fastest part of it that was found.

use std::hint::spin_loop;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Instant;

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};

use crate::contest::{Better, Contest, Pinned, Setup};

const CAPACITY: usize = 1024;

/// Items that are sent over and over. Made before the clock starts: a batch written just before it is sent would
/// measure how a processor forwards small stores to large loads, which takes longer than the ring.
const SOURCE: u64 = 256;

/// Something to send: its number, in as many bytes as asked for.
trait Item: Copy + Send + Sync + 'static {
    fn numbered(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    fn numbered(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

/// A cache line, as a packet's descriptor is.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

impl Item for Line {
    fn numbered(number: u64) -> Self {
        Self([number; 8])
    }

    fn number(&self) -> u64 {
        self.0[0]
    }
}

/// The writing end: sends the whole batch, spinning while there is no room.
trait SendAll<T>: FnMut(&[T]) + Send + 'static {}
impl<T, F: FnMut(&[T]) + Send + 'static> SendAll<T> for F {}

/// The reading end: what it read in one go, as their count and the sum of their numbers.
trait Receive: FnMut() -> (u64, u64) + Send + 'static {}
impl<F: FnMut() -> (u64, u64) + Send + 'static> Receive for F {}

fn tally<'a, T: Item>(items: impl Iterator<Item = &'a T>) -> (u64, u64) {
    items.fold((0, 0), |(count, sum), item| (count + 1, sum + item.number()))
}

mod ends {
    use super::*;

    pub fn wharf<T: Item, const BATCH: usize>() -> (impl SendAll<T>, impl Receive) {
        let (mut producer, mut consumer) = wharf::ring::spsc::<T>(CAPACITY);
        let send = move |mut items: &[T]| {
            loop {
                items = &items[producer.push_slice(items)..];
                if items.is_empty() {
                    break;
                }
                spin_loop();
            }
        };
        let receive = move || {
            let chunk = consumer.chunk(BATCH);
            let (first, second) = chunk.as_slices();
            let (a, b) = (tally(first.iter()), tally(second.iter()));
            (a.0 + b.0, a.1 + b.1)
        };
        (send, receive)
    }

    /// The same through the calls that need no Copy: a vector in, a vector out.
    pub fn wharf_moving<T: Item, const BATCH: usize>() -> (impl SendAll<T>, impl Receive) {
        let (mut producer, mut consumer) = wharf::ring::spsc::<T>(CAPACITY);
        let mut batch = Vec::with_capacity(BATCH);
        let send = move |items: &[T]| {
            batch.extend_from_slice(items);
            while producer.push_from(&mut batch) == 0 || !batch.is_empty() {
                spin_loop();
            }
        };
        let mut popped = Vec::with_capacity(BATCH);
        let receive = move || {
            popped.clear();
            consumer.pop_into(&mut popped, BATCH);
            tally(popped.iter())
        };
        (send, receive)
    }

    /// The same with the calls that sleep when there is nothing to do for long.
    pub fn wharf_waiting<T: Item, const BATCH: usize>() -> (impl SendAll<T>, impl Receive) {
        let (mut producer, mut consumer) = wharf::ring::spsc::<T>(CAPACITY);
        let send = move |mut items: &[T]| {
            loop {
                items = &items[producer.push_slice(items)..];
                if items.is_empty() {
                    break;
                }
                producer.wait().expect("the reader is there");
            }
        };
        let receive = move || {
            if consumer.wait().is_err() {
                return (0, 0);
            }
            let chunk = consumer.chunk(BATCH);
            let (first, second) = chunk.as_slices();
            let (a, b) = (tally(first.iter()), tally(second.iter()));
            (a.0 + b.0, a.1 + b.1)
        };
        (send, receive)
    }

    pub fn wharf_one_by_one<T: Item>() -> (impl SendAll<T>, impl Receive) {
        let (mut producer, mut consumer) = wharf::ring::spsc::<T>(CAPACITY);
        let send = move |items: &[T]| {
            for &item in items {
                while producer.push(item).is_err() {
                    spin_loop();
                }
            }
        };
        (send, move || tally(consumer.pop().iter()))
    }

    pub fn rtrb<T: Item, const BATCH: usize>() -> (impl SendAll<T>, impl Receive) {
        let (mut producer, mut consumer) = rtrb::RingBuffer::<T>::new(CAPACITY);
        let send = move |items: &[T]| {
            while producer.push_entire_slice(items).is_err() {
                spin_loop();
            }
        };
        let receive = move || {
            let Ok(chunk) = consumer.read_chunk(BATCH) else { return (0, 0) };
            let (first, second) = chunk.as_slices();
            let (a, b) = (tally(first.iter()), tally(second.iter()));
            chunk.commit_all();
            (a.0 + b.0, a.1 + b.1)
        };
        (send, receive)
    }

    pub fn rtrb_one_by_one<T: Item>() -> (impl SendAll<T>, impl Receive) {
        let (mut producer, mut consumer) = rtrb::RingBuffer::<T>::new(CAPACITY);
        let send = move |items: &[T]| {
            for &item in items {
                while producer.push(item).is_err() {
                    spin_loop();
                }
            }
        };
        (send, move || tally(consumer.pop().iter()))
    }

    pub fn ringbuf<T: Item, const BATCH: usize>() -> (impl SendAll<T>, impl Receive) {
        let (mut producer, mut consumer) = ringbuf::HeapRb::<T>::new(CAPACITY).split();
        let send = move |mut items: &[T]| {
            loop {
                items = &items[producer.push_slice(items)..];
                if items.is_empty() {
                    break;
                }
                spin_loop();
            }
        };
        let mut popped = [T::numbered(0); BATCH];
        let receive = move || {
            let count = consumer.pop_slice(&mut popped);
            tally(popped[..count].iter())
        };
        (send, receive)
    }

    pub fn array_queue<T: Item>() -> (impl SendAll<T>, impl Receive) {
        let queue = Arc::new(ArrayQueue::new(CAPACITY));
        let reader = Arc::clone(&queue);
        let send = move |items: &[T]| {
            for &item in items {
                while queue.push(item).is_err() {
                    spin_loop();
                }
            }
        };
        (send, move || tally(reader.pop().iter()))
    }

    pub fn channel<T: Item>() -> (impl SendAll<T>, impl Receive) {
        let (sender, receiver) = crossbeam::channel::bounded(CAPACITY);
        let send = move |items: &[T]| {
            for &item in items {
                while sender.try_send(item).is_err() {
                    spin_loop();
                }
            }
        };
        (send, move || tally(receiver.try_recv().iter()))
    }

    pub fn sync_channel<T: Item>() -> (impl SendAll<T>, impl Receive) {
        let (sender, receiver) = mpsc::sync_channel(CAPACITY);
        let send = move |items: &[T]| {
            for &item in items {
                while sender.try_send(item).is_err() {
                    spin_loop();
                }
            }
        };
        (send, move || tally(receiver.try_recv().iter()))
    }
}

/// Not every peer's handles are padded, and side by side on the heap they would disturb each other.
fn padded<S, R>((send, receive): (S, R)) -> (CachePadded<S>, CachePadded<R>) {
    (CachePadded::new(send), CachePadded::new(receive))
}

/// Millions of items a second.
fn throughput<T: Item, const BATCH: usize, S: SendAll<T>, R: Receive>(
    setup: &Setup,
    items: f64,
    ends: fn() -> (S, R),
) -> impl FnMut() -> f64 + 'static {
    // Whole turns through the source.
    let turns = (items * setup.scale) as u64 / SOURCE + 1;
    let batches = (turns * SOURCE) as usize / BATCH;
    let items = turns * SOURCE;
    let cores = setup.cores;
    let source: Vec<T> = (0..SOURCE).map(T::numbered).collect();
    move || {
        let (mut send, mut receive) = padded(ends());
        let barrier = Barrier::new(2);
        let seconds = thread::scope(|scope| {
            scope.spawn(|| {
                let _pinned = Pinned::to(cores[0]);
                barrier.wait();
                for batch in source.chunks_exact(BATCH).cycle().take(batches) {
                    send(batch);
                }
            });
            let reader = scope.spawn(|| {
                let _pinned = Pinned::to(cores[1]);
                barrier.wait();
                let start = Instant::now();
                let (mut count, mut sum) = (0, 0);
                while count < items {
                    let (more, of) = receive();
                    if more == 0 {
                        spin_loop();
                    }
                    count += more;
                    sum += of;
                }
                assert_eq!((count, sum), (items, turns * (SOURCE * (SOURCE - 1) / 2)));
                start.elapsed().as_secs_f64()
            });
            reader.join().expect("the answer is right")
        });
        items as f64 / seconds / 1e6
    }
}

/// Nanoseconds from sending a number over one ring until it has come back over another.
fn round_trip<S: SendAll<u64>, R: Receive>(
    setup: &Setup,
    ends: fn() -> (S, R),
) -> impl FnMut() -> f64 + 'static {
    let trips = (20_000.0 * setup.scale) as u64;
    let cores = setup.cores;
    move || {
        let (mut there, mut arrived) = padded(ends());
        let (mut back, mut returned) = padded(ends());
        thread::scope(|scope| {
            scope.spawn(move || {
                let _pinned = Pinned::to(cores[0]);
                for number in 0..trips {
                    while arrived() != (1, number) {
                        spin_loop();
                    }
                    back(&[number]);
                }
            });
            let timed = scope.spawn(move || {
                let _pinned = Pinned::to(cores[1]);
                let mut start = Instant::now();
                for number in 0..trips {
                    if number == trips / 10 {
                        start = Instant::now();
                    }
                    there(&[number]);
                    while returned() != (1, number) {
                        spin_loop();
                    }
                }
                start.elapsed().as_secs_f64() * 1e9 / (trips - trips / 10) as f64
            });
            timed.join().expect("every number comes back")
        })
    }
}

/// What the ring has to show.
pub fn contests(setup: &Setup) -> Vec<Contest> {
    const SMALL: f64 = 4e6;
    const LARGE: f64 = 1e6;
    use Better::{Higher, Lower};
    macro_rules! run {
        ($item:ty, $batch:literal, $items:expr, $ends:expr) => {
            throughput::<$item, $batch, _, _>(setup, $items, || $ends)
        };
    }
    vec![
        Contest::new(
            "ring, 8 B, batch 32, M items/s",
            Higher,
            run!(u64, 32, SMALL, ends::wharf::<u64, 32>()),
        )
        .owed("rtrb chunks", 1.6, run!(u64, 32, SMALL, ends::rtrb::<u64, 32>()))
        .peer("ringbuf slices", run!(u64, 32, SMALL, ends::ringbuf::<u64, 32>()))
        .owed("crossbeam ArrayQueue", 10.0, run!(u64, 32, SMALL / 8.0, ends::array_queue()))
        .peer("crossbeam channel", run!(u64, 32, SMALL / 8.0, ends::channel()))
        .peer("std sync_channel", run!(u64, 32, SMALL / 8.0, ends::sync_channel()))
        .peer("wharf, by moving vectors", run!(u64, 32, SMALL, ends::wharf_moving::<u64, 32>()))
        .peer("wharf, waiting", run!(u64, 32, SMALL, ends::wharf_waiting::<u64, 32>())),
        Contest::new(
            "ring, 8 B, batch 256, M items/s",
            Higher,
            run!(u64, 256, SMALL, ends::wharf::<u64, 256>()),
        )
        .peer("rtrb chunks", run!(u64, 256, SMALL, ends::rtrb::<u64, 256>()))
        .peer("ringbuf slices", run!(u64, 256, SMALL, ends::ringbuf::<u64, 256>())),
        Contest::new(
            "ring, 8 B, one by one, M items/s",
            Higher,
            run!(u64, 32, LARGE, ends::wharf_one_by_one()),
        )
        .peer("rtrb", run!(u64, 32, LARGE, ends::rtrb_one_by_one())),
        Contest::new(
            "ring, 64 B, batch 32, M items/s",
            Higher,
            run!(Line, 32, LARGE, ends::wharf::<Line, 32>()),
        )
        .owed("rtrb chunks", 1.3, run!(Line, 32, LARGE, ends::rtrb::<Line, 32>()))
        .peer("ringbuf slices", run!(Line, 32, LARGE, ends::ringbuf::<Line, 32>()))
        .peer("crossbeam ArrayQueue", run!(Line, 32, LARGE / 4.0, ends::array_queue()))
        .peer("crossbeam channel", run!(Line, 32, LARGE / 4.0, ends::channel()))
        .peer("std sync_channel", run!(Line, 32, LARGE / 4.0, ends::sync_channel()))
        .peer("wharf, by moving vectors", run!(Line, 32, LARGE, ends::wharf_moving::<Line, 32>()))
        .peer("wharf, waiting", run!(Line, 32, LARGE, ends::wharf_waiting::<Line, 32>())),
        Contest::new(
            "ring, 64 B, batch 256, M items/s",
            Higher,
            run!(Line, 256, LARGE, ends::wharf::<Line, 256>()),
        )
        .peer("rtrb chunks", run!(Line, 256, LARGE, ends::rtrb::<Line, 256>()))
        .peer("ringbuf slices", run!(Line, 256, LARGE, ends::ringbuf::<Line, 256>())),
        Contest::new(
            "ring, 64 B, one by one, M items/s",
            Higher,
            run!(Line, 32, LARGE, ends::wharf_one_by_one()),
        )
        .peer("rtrb", run!(Line, 32, LARGE, ends::rtrb_one_by_one())),
        Contest::new("ring, round trip, ns", Lower, round_trip(setup, ends::wharf_one_by_one))
            .owed("rtrb", 1.0, round_trip(setup, ends::rtrb_one_by_one))
            .peer("crossbeam ArrayQueue", round_trip(setup, ends::array_queue))
            .peer("crossbeam channel", round_trip(setup, ends::channel))
            .peer("std sync_channel", round_trip(setup, ends::sync_channel)),
    ]
}
