use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Counts how often it is dropped.
#[derive(Clone, Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let drops = Arc::new(AtomicUsize::new(0));
        (Self(Arc::clone(&drops)), drops)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Bursts of every size up to beyond the capacity, from starts that make slots wrap and indices overflow, each way of
/// pushing against each way of popping, all compared with a queue from `std`.
#[test]
fn agrees_with_a_plain_queue() {
    type Push = fn(&mut Producer<u64>, &mut Vec<u64>) -> usize;
    type Pop = fn(&mut Consumer<u64>, usize) -> Vec<u64>;
    let pushes: [Push; 4] = [
        |producer, items| {
            let count = producer.push_slice(items);
            items.drain(..count);
            count
        },
        |producer, items| producer.push_from(items),
        |producer, items| {
            let mut all = std::mem::take(items).into_iter();
            let count = producer.push_iter(&mut all);
            items.extend(all);
            count
        },
        |producer, items| {
            let taken = items.iter().take_while(|&&item| producer.push(item).is_ok()).count();
            items.drain(..taken);
            taken
        },
    ];
    let pops: [Pop; 5] = [
        |consumer, max| {
            let mut items = vec![0; max];
            let count = consumer.pop_slice(&mut items);
            items.truncate(count);
            items
        },
        |consumer, max| {
            let mut items = Vec::new();
            consumer.pop_into(&mut items, max);
            items
        },
        |consumer, max| consumer.drain(max).collect(),
        |consumer, max| consumer.chunk(max).iter().copied().collect(),
        |consumer, max| std::iter::from_fn(|| consumer.pop()).take(max).collect(),
    ];
    for start in [0, 5, usize::MAX - 2] {
        for capacity in [1, 2, 8] {
            for push in pushes {
                for pop in pops {
                    let (mut producer, mut consumer) = from_index(capacity, start);
                    let mut model = std::collections::VecDeque::new();
                    let mut next = 0..;
                    for step in 0..60 {
                        let mut items: Vec<u64> = next.by_ref().take(step % 11).collect();
                        let offered = items.clone();
                        let count = push(&mut producer, &mut items);
                        assert_eq!(count, offered.len().min(capacity - model.len()));
                        assert_eq!(items, offered[count..]);
                        model.extend(&offered[..count]);
                        assert_eq!((producer.len(), consumer.len()), (model.len(), model.len()));
                        assert_eq!(producer.room(), capacity - model.len());
                        let max = step * 7 % 10;
                        let expected: Vec<u64> = model.drain(..max.min(model.len())).collect();
                        assert_eq!(pop(&mut consumer, max), expected);
                    }
                }
            }
        }
    }
}

#[test]
fn rounds_the_capacity_up() {
    for (asked, made) in [(0, 1), (1, 1), (3, 4), (64, 64), (1025, 2048)] {
        let (producer, consumer) = spsc::<u8>(asked);
        assert_eq!((producer.capacity(), consumer.capacity()), (made, made));
    }
}

#[test]
fn holds_items_without_size() {
    let (mut producer, mut consumer) = spsc::<()>(4);
    assert_eq!(producer.push_slice(&[(); 6]), 4);
    assert_eq!(consumer.drain(9).count(), 4);
}

#[test]
fn drops_each_item_once() {
    let (item, drops) = Counted::new();
    let (mut producer, mut consumer) = from_index(8, 6);
    let mut batch = vec![item.clone(); 8];
    drop(item);
    assert_eq!(producer.push_from(&mut batch), 8);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    drop(consumer.pop());
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    assert_eq!(consumer.chunk(2).len(), 2);
    assert_eq!(drops.load(Ordering::Relaxed), 4);
    // Taken one of three: the others stay.
    drop(consumer.drain(3).next());
    assert_eq!(drops.load(Ordering::Relaxed), 5);
    assert_eq!(consumer.len(), 4);
    drop(consumer);
    assert_eq!(drops.load(Ordering::Relaxed), 5, "the producer can still count what is inside");
    assert_eq!(producer.len(), 4);
    drop(producer);
    assert_eq!(drops.load(Ordering::Relaxed), 9);
}

#[test]
fn forgotten_guards_and_panicking_iterators_lose_and_double_nothing() {
    let (item, drops) = Counted::new();
    let (mut producer, mut consumer) = spsc(8);
    let mut items = 0..6;
    let pushed = catch_unwind(AssertUnwindSafe(|| {
        producer.push_iter(&mut std::iter::from_fn(|| {
            let index = items.next()?;
            assert!(index != 3, "the fourth item fails");
            Some(item.clone())
        }))
    }));
    assert!(pushed.is_err());
    assert!(consumer.is_empty(), "nothing was published");
    assert!(producer.push(item.clone()).is_ok());
    assert_eq!(consumer.len(), 4);
    let mut drain = consumer.drain(4);
    drop(drain.next());
    std::mem::forget(drain);
    std::mem::forget(consumer.chunk(4));
    assert_eq!(consumer.len(), 3);
    drop((producer, consumer, item));
    assert_eq!(drops.load(Ordering::Relaxed), 5);
}

#[test]
fn hands_back_what_does_not_fit() {
    let (mut producer, consumer) = spsc(1);
    producer.push("one").unwrap();
    assert_eq!(producer.push("two"), Err(PushError::Full("two")));
    drop(consumer);
    assert_eq!(producer.push("two"), Err(PushError::Closed("two")));
    let mut batch = vec!["three"];
    assert_eq!(producer.push_from(&mut batch), 0);
    assert_eq!(producer.push_slice(&batch), 0);
    assert_eq!(producer.push_iter(&mut batch.drain(..)), 0);
    assert_eq!(producer.wait(), Err(Closed));
    assert_eq!(producer.len(), 1, "what nobody will read can be counted");
}

#[test]
fn closes_only_when_drained() {
    let (mut producer, mut consumer) = spsc(4);
    assert_eq!(producer.push_slice(&[1, 2]), 2);
    drop(producer);
    assert!(consumer.is_closed());
    assert_eq!(consumer.wait(), Ok(()));
    assert_eq!(consumer.pop(), Some(1));
    assert_eq!(consumer.wait_for(Duration::ZERO), Ok(true));
    assert_eq!(consumer.pop(), Some(2));
    assert_eq!(consumer.wait(), Err(Closed));
    assert_eq!(wait_any(&mut [consumer], None), Err(Closed));
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let (mut producer, mut consumer) = spsc(1);
    let timeout = Duration::from_millis(20);
    let before = Instant::now();
    assert_eq!(consumer.wait_for(timeout), Ok(false));
    producer.push(1).unwrap();
    assert_eq!(producer.wait_for(timeout), Ok(false));
    assert!(before.elapsed() >= 2 * timeout);
}

#[test]
fn a_sleeper_is_woken_by_an_item_by_room_and_by_the_end() {
    let pause = Duration::from_millis(30);
    let (mut producer, mut consumer) = spsc(4);
    let reader = thread::spawn(move || {
        consumer.wait().unwrap();
        assert_eq!(consumer.pop(), Some(0));
        thread::sleep(pause);
        let mut seen = 0;
        while consumer.wait().is_ok() {
            seen += consumer.drain(1).count();
        }
        seen
    });
    thread::sleep(pause);
    producer.push(0).unwrap();
    for item in 1..=20 {
        let mut item = Some(item);
        while let Some(rejected) = item.take().and_then(|item| producer.push(item).err()) {
            item = Some(rejected.into_inner());
            producer.wait().unwrap();
        }
    }
    thread::sleep(pause);
    drop(producer);
    assert_eq!(reader.join().unwrap(), 20);

    let (mut producer, consumer) = spsc(1);
    producer.push(0).unwrap();
    let writer = thread::spawn(move || producer.wait());
    thread::sleep(pause);
    drop(consumer);
    assert_eq!(writer.join().unwrap(), Err(Closed));
}

#[test]
fn an_idle_ring_uses_no_processor_time() {
    let (mut producer, mut consumer) = spsc::<u8>(4);
    let idle = thread::spawn(move || {
        let before = cpu_time();
        consumer.wait().unwrap();
        cpu_time() - before
    });
    thread::sleep(Duration::from_millis(300));
    producer.push(1).unwrap();
    let used = idle.join().unwrap();
    assert!(used < Duration::from_millis(15), "{used:?} of 300 ms");
}

fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().expect("a positive time")
}

/// Several producers, one consumer that sleeps between: every item arrives, in order within its ring.
#[test]
fn one_thread_serves_several_rings() {
    const ITEMS: usize = 20_000;
    let (producers, mut consumers): (Vec<_>, Vec<_>) = (0..3).map(|_| spsc::<usize>(16)).unzip();
    let writers: Vec<_> = producers
        .into_iter()
        .map(|mut producer| {
            thread::spawn(move || {
                let mut items = 0..ITEMS;
                while !items.is_empty() {
                    producer.push_iter(&mut items);
                    producer.wait().unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; 3];
    while wait_any(&mut consumers, None).is_ok() {
        for (consumer, next) in consumers.iter_mut().zip(&mut next) {
            for item in consumer.drain(7) {
                assert_eq!(item, *next);
                *next += 1;
            }
        }
    }
    assert_eq!(next, [ITEMS; 3]);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

/// Two threads, items with a destructor, bursts of changing size, both ends sleeping now and then.
#[test]
fn survives_two_threads() {
    const ITEMS: usize = if cfg!(miri) { 500 } else { 400_000 };
    let (mut producer, mut consumer) = from_index(64, usize::MAX - 1000);
    let writer = thread::spawn(move || {
        let mut batch = Vec::new();
        let mut items = (0..ITEMS).map(Box::new);
        for round in 0.. {
            batch.extend(items.by_ref().take(round % 97));
            if batch.is_empty() && items.len() == 0 {
                break;
            }
            while !batch.is_empty() {
                producer.push_from(&mut batch);
                if !batch.is_empty() {
                    producer.wait().unwrap();
                }
            }
            if round % 500 == 0 {
                thread::sleep(Duration::from_micros(200));
            }
        }
    });
    let mut next = 0;
    let mut check = |item: &usize| {
        assert_eq!(*item, next);
        next += 1;
    };
    let mut popped = Vec::new();
    for round in 0.. {
        if consumer.wait().is_err() {
            break;
        }
        match round % 3 {
            0 => consumer.drain(round % 41).for_each(|item| check(&item)),
            1 => consumer.chunk(round % 43).iter().for_each(|item| check(item)),
            _ => {
                consumer.pop_into(&mut popped, round % 37);
                popped.drain(..).for_each(|item| check(&item));
            }
        }
        if round % 700 == 0 {
            thread::sleep(Duration::from_micros(200));
        }
    }
    writer.join().unwrap();
    assert_eq!(next, ITEMS);
}

#[test]
fn says_what_is_inside_when_debugged() {
    let (mut producer, consumer) = spsc(2);
    producer.push(1).unwrap();
    assert_eq!(format!("{producer:?}"), "Producer { capacity: 2, len: 1, closed: false }");
    assert_eq!(format!("{consumer:?}"), "Consumer { capacity: 2, len: 1, closed: false }");
}

/// Who may have the ends: no item is on two threads at once but where one end lends it out by reference.
#[test]
fn ends_go_to_other_threads_as_far_as_items_do() {
    use std::cell::Cell;

    fn sent<T: Send>() {}
    fn shared<T: Sync>() {}

    sent::<Producer<Cell<u64>>>();
    sent::<Consumer<Cell<u64>>>();
    sent::<Chunk<'static, Cell<u64>>>();
    shared::<Producer<Cell<u64>>>();
    shared::<Consumer<u64>>();
    shared::<Chunk<'static, u64>>();
}

/// Found by who refreshes its copy of the other index: every `capacity` items.
#[test]
fn a_full_ring_that_was_emptied_takes_single_items_again_and_again() {
    for lag in [0, 1, 3] {
        let (mut producer, mut consumer) = spsc(4);
        let mut popped = Vec::new();
        for item in 0..50 {
            producer.push(item).unwrap();
            if item >= lag {
                popped.extend(consumer.pop());
            }
        }
        popped.extend(std::iter::from_fn(|| consumer.pop()));
        assert!(popped.into_iter().eq(0..50), "{lag} behind");
    }
}
