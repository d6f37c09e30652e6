//! Models of the ring for loom, which runs every interleaving of two threads with up to three preemptions (of three
//! threads with two) and every value a weakly ordered load may return, and watches the slots for accesses that
//! nothing orders.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib ring::`

use loom::thread;

use super::order::Edge;
use super::shim::{Arc, WEAKENED};
use super::side::Side;
use super::*;

fn explore(model: fn(), preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Bursts of two through two slots, both indices overflowing on the way, the consumer using all its ways to read.
fn bursts_around_the_end() {
    let (mut producer, mut consumer) = from_index(2, usize::MAX);
    let writer = thread::spawn(move || {
        assert_eq!(producer.push_slice(&[0, 1]), 2);
        let mut rest = vec![2, 3];
        producer.push_from(&mut rest);
        let mut rest = rest.into_iter();
        producer.push_iter(&mut rest);
        4 - rest.len()
    });
    let mut seen: Vec<usize> = consumer.drain(2).collect();
    seen.extend(consumer.chunk(2).iter());
    consumer.pop_into(&mut seen, 1);
    let pushed = writer.join().unwrap();
    let mut rest = [0; 2];
    let count = consumer.pop_slice(&mut rest);
    seen.extend(&rest[..count]);
    assert!(seen.iter().copied().eq(0..pushed), "{seen:?} of {pushed}");
}

/// One slot, so that each item overwrites the one before.
fn one_slot_again_and_again() {
    let (mut producer, mut consumer) = from_index(1, 0);
    let writer = thread::spawn(move || (0..3).filter(|&item| producer.push(item).is_ok()).last().unwrap());
    let seen: Vec<usize> = (0..2).filter_map(|_| consumer.pop()).collect();
    assert!(seen.is_sorted());
    let last = writer.join().unwrap();
    assert_eq!(consumer.pop().or(seen.last().copied()), Some(last));
}

/// The consumer sleeps until the item comes: no wake-up is lost.
fn the_consumer_sleeps() {
    let (mut producer, mut consumer) = from_index(2, 0);
    let reader = thread::spawn(move || {
        consumer.wait().unwrap();
        consumer.pop()
    });
    producer.push(7).unwrap();
    assert_eq!(reader.join().unwrap(), Some(7));
    assert_eq!(producer.len(), 0);
}

/// The producer sleeps until there is room: no wake-up is lost, whichever pop made it.
fn the_producer_sleeps() {
    let (mut producer, mut consumer) = from_index(2, 0);
    assert_eq!(producer.push_slice(&[1, 2]), 2);
    let writer = thread::spawn(move || {
        producer.wait().unwrap();
        producer.push(3).unwrap();
        producer
    });
    assert_eq!(consumer.pop(), Some(1));
    let _producer = writer.join().unwrap();
    assert!(consumer.drain(2).eq([2, 3]));
}

/// Whoever has been told that the producer has gone has read all it pushed.
fn the_producer_goes() {
    let (mut producer, mut consumer) = from_index(2, 0);
    let writer = thread::spawn(move || {
        producer.push(1).unwrap();
        producer.push(2).unwrap();
    });
    let mut seen = 0;
    while consumer.wait().is_ok() {
        seen += consumer.drain(2).count();
    }
    assert_eq!(seen, 2);
    writer.join().unwrap();
}

/// As above, never sleeping, and the item published by the very drop: the flag alone must carry the index with it.
fn the_producer_goes_while_the_consumer_looks() {
    let (mut write, read) = slots::ends(2, 0);
    let mut consumer = Consumer::new(read);
    let writer = thread::spawn(move || write.put(1).unwrap());
    if consumer.is_closed() {
        assert_eq!(consumer.pop(), Some(1));
    }
    writer.join().unwrap();
}

/// A producer that sleeps on a full ring is told that the consumer has gone, and what stayed inside is dropped once
/// (loom reports an `Arc` that leaks).
fn the_consumer_goes() {
    let (mut producer, mut consumer) = from_index(1, 0);
    let item = Arc::new(());
    producer.push(Arc::clone(&item)).unwrap();
    let writer = thread::spawn(move || {
        let mut pushed = 0;
        while producer.wait().is_ok() {
            pushed += usize::from(producer.push(Arc::clone(&item)).is_ok());
        }
        assert_eq!(producer.len(), pushed);
        pushed
    });
    assert!(consumer.pop().is_some());
    drop(consumer);
    assert!(writer.join().unwrap() <= 1);
}

/// One thread sleeps on two rings.
fn one_consumer_of_two_rings() {
    let (mut first, one) = from_index(1, 0);
    let (mut second, two) = from_index(1, 0);
    let writer = thread::spawn(move || first.push(1).unwrap());
    let other = thread::spawn(move || second.push(2).unwrap());
    let mut rings = [one, two];
    let mut sum = 0;
    while wait_any(&mut rings, None).is_ok() {
        sum += rings.iter_mut().flat_map(Consumer::pop).sum::<i32>();
    }
    assert_eq!(sum, 3);
    writer.join().unwrap();
    other.join().unwrap();
}

/// A sleeper that waits for two items is not woken by the first: what it asked for arrives with its flag.
fn nobody_is_woken_for_less() {
    let side = Arc::new(Side::new());
    let sleeper = Arc::clone(&side);
    let arming = thread::spawn(move || sleeper.arm(2));
    side.notify(1);
    arming.join().unwrap();
    assert!(side.is_waiting(), "woken early");
}

macro_rules! models {
    ($($model:ident: $preemptions:literal)*) => {
        mod holds {
            $(
                #[test]
                fn $model() {
                    super::explore(super::$model, $preemptions);
                }
            )*
        }
    };
}

models! {
    bursts_around_the_end: 3
    one_slot_again_and_again: 3
    the_consumer_sleeps: 3
    the_producer_sleeps: 3
    the_producer_goes: 3
    the_producer_goes_while_the_consumer_looks: 3
    the_consumer_goes: 3
    one_consumer_of_two_rings: 2
    nobody_is_woken_for_less: 3
}

/// Takes one ordering away and expects the named model to find what that breaks. In a process of its own: loom panics
/// in one of its threads, and again where the others are dropped, which aborts.
fn finds(model: &str, without: Edge, expected: &str) {
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args([&format!("ring::models::holds::{model}"), "--exact", "--nocapture"])
        .env(WEAKENED, format!("{without:?}"))
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success(), "{model} is blind to {without:?}, or the ring does not need it");
    assert!(said.contains(expected), "{model} without {without:?} found something else:\n{said}");
}

#[test]
fn a_race_is_found_when_items_are_published_relaxed() {
    finds("bursts_around_the_end", Edge::PublishItems, "Causality violation");
}

#[test]
fn a_race_is_found_when_items_are_seen_relaxed() {
    finds("bursts_around_the_end", Edge::SeeItems, "Causality violation");
}

#[test]
fn a_race_is_found_when_slots_are_released_relaxed() {
    finds("one_slot_again_and_again", Edge::ReleaseSlots, "Causality violation");
}

#[test]
fn a_race_is_found_when_slots_are_seen_relaxed() {
    finds("one_slot_again_and_again", Edge::SeeSlots, "Causality violation");
}

#[test]
fn a_lost_item_is_found_when_leaving_is_relaxed() {
    finds("the_producer_goes_while_the_consumer_looks", Edge::Leave, "left == right");
}

#[test]
fn a_lost_item_is_found_when_leaving_is_seen_relaxed() {
    finds("the_producer_goes_while_the_consumer_looks", Edge::SeeLeft, "left == right");
}

#[test]
fn a_lost_wake_up_is_found_without_the_barrier() {
    finds("the_consumer_sleeps", Edge::StoreThenLook, "deadlock");
    finds("the_producer_sleeps", Edge::StoreThenLook, "deadlock");
}

#[test]
fn an_early_wake_up_is_found_when_arming_is_relaxed() {
    finds("nobody_is_woken_for_less", Edge::Arm, "woken early");
}

#[test]
fn an_early_wake_up_is_found_when_arming_is_seen_relaxed() {
    finds("nobody_is_woken_for_less", Edge::SeeArmed, "woken early");
}

#[test]
fn a_lost_wake_up_is_found_when_waking_is_relaxed() {
    finds("the_producer_goes", Edge::Wake, "deadlock");
    finds("the_consumer_goes", Edge::Wake, "deadlock");
}
