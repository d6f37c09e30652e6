//! Nothing is lost, or it is named.

use crate::support::frames;
use crate::support::network::{
    LIMIT, capture, device_counters, open, quiet_lab, read_to_end, send, sender, stop_and_collect,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::frame::Frame;
use wharf::source::packet::Capture;
use wharf::source::{Fill, Source};

const FRAMES: u32 = 200_000;

/// Of each hundred frames: this many of that protocol to that port.
const MIX: [(u8, u16, u32); 5] = [(17, 53, 40), (6, 443, 25), (6, 80, 20), (17, 5004, 10), (6, 22, 5)];

/// The frame with that number of the mix: the kinds spread over each hundred, sizes from 60 to 1514 bytes.
fn of_mix(number: u32) -> Vec<u8> {
    // 37 has no factor in common with 100: each remainder comes up once in a hundred.
    let mut place = number * 37 % 100;
    let kind = MIX.iter().find(|(_, _, share)| {
        let here = place < *share;
        place = place.wrapping_sub(*share);
        here
    });
    let (protocol, port, _) = *kind.expect("the shares add up to 100");
    let payload = (number % 1461) as usize;
    match protocol {
        6 => frames::tcp(40_000, port, number, payload),
        _ => frames::udp(40_000, port, number, payload),
    }
}

pub(crate) fn every_frame_of_a_known_mix_is_seen_in_order() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let socket = sender(&lab.client);
    let seen = Arc::new(AtomicU32::new(0));
    let ahead_of = Arc::clone(&seen);
    let sending = thread::spawn(move || {
        for number in 0..FRAMES {
            // An easy rate on a busy machine too: never more ahead of the reader than the ring holds.
            while number - ahead_of.load(Ordering::Relaxed) > 20_000 {
                thread::sleep(Duration::from_millis(1));
            }
            send(&socket, &of_mix(number));
            if number % 500 == 499 {
                thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let mut counts = BTreeMap::new();
    let mut next = 0;
    let begun = Instant::now();
    let mut each = |frame: Frame<'_>| {
        let (protocol, port, number) = frames::read(frame.data).expect("a frame of the mix");
        assert_eq!(number, next, "in order, none missing");
        assert_eq!(frame.data, of_mix(number), "as sent");
        assert_eq!(frame.record.number, u64::from(next) + 1);
        *counts.entry((protocol, port)).or_insert(0) += 1;
        next += 1;
        seen.store(next, Ordering::Relaxed);
    };
    let mut stopped = false;
    loop {
        match capture.fill(256).expect("fill") {
            Fill::Batch(batch) => batch.frames().for_each(&mut each),
            Fill::Idle if sending.is_finished() && !stopped => {
                capture.stop().expect("stop");
                stopped = true;
            }
            Fill::Idle => assert!(begun.elapsed() < LIMIT, "stuck"),
            Fill::End => break,
        }
    }
    sending.join().expect("the sender");
    assert_eq!(next, FRAMES);
    for (protocol, port, share) in MIX {
        assert_eq!(counts[&(protocol, port)], FRAMES / 100 * share, "port {port}");
    }
    let counters = capture.counters();
    assert_eq!((counters.received, counters.dropped_ring, counters.unread), (u64::from(FRAMES), 0, 0));
}

pub(crate) fn an_overflow_is_named_and_the_sum_is_exact() {
    let lab = quiet_lab();
    let tiny = Capture::on(lab.server.interface).ring_bytes(1).block_bytes(1);
    let mut capture = open(&lab.server, tiny).expect("a capture");
    let before = (device_counters(&lab.client), device_counters(&lab.server));
    let socket = sender(&lab.client);
    let mut sent = 0_u64;
    let mut handed = 0_u64;
    let mut numbers = Vec::new();
    for _round in 0..4 {
        for _ in 0..5_000 {
            send(&socket, &frames::udp(1, 2, sent as u32, 0));
            sent += 1;
        }
        // A reader that slept through the burst, and reads a little now.
        for _ in 0..3 {
            if let Fill::Batch(batch) = capture.fill(256).expect("fill") {
                handed += batch.len() as u64;
                numbers.extend(batch.frames().map(|frame| frames::read(frame.data).expect("ours").2));
            }
        }
    }
    for (data, _) in stop_and_collect(&mut capture) {
        handed += 1;
        numbers.push(frames::read(&data).expect("ours").2);
    }
    let counters = capture.counters();
    assert!(counters.dropped_ring > 0 && handed > 0, "{counters:?}");
    assert!(counters.freezes > 0, "{counters:?}");
    assert_eq!(counters.received, sent, "the kernel saw what was sent");
    assert_eq!(counters.received, handed + counters.dropped_ring, "received = handed out + dropped");
    assert_eq!((counters.unread, counters.filtered), (0, 0));
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order, none twice");
    let after = (device_counters(&lab.client), device_counters(&lab.server));
    assert_eq!(after.0.sent - before.0.sent, sent, "as the sender's device counts");
    assert_eq!(after.1.received - before.1.received, sent, "as the receiver's device counts");
    assert_eq!(after.0.sent_dropped, before.0.sent_dropped);
}

pub(crate) fn stop_drains_exactly_while_frames_keep_coming() {
    let lab = quiet_lab();
    for round in 0..10_u64 {
        let mut capture = capture(&lab.server);
        let socket = sender(&lab.client);
        let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    send(&socket, &frames::udp(1, 2, number as u32, 0));
                }
            });
            let mut next = 0;
            let mut each = |frame: Frame<'_>| {
                assert_eq!(frames::read(frame.data).expect("ours").2, next, "no gap");
                next += 1;
            };
            while next_of(&mut each, &mut capture) < 1_000 + round * 777 {}
            capture.stop().expect("stop");
            let floor = capture.counters().received;
            read_to_end(&mut capture, &mut each).expect("an orderly end");
            done.store(true, Ordering::Relaxed);
            let counters = capture.counters();
            assert_eq!(u64::from(next), counters.received, "{counters:?}");
            assert_eq!(counters.received, floor, "nothing new after stop");
            assert_eq!((counters.dropped_ring, counters.unread), (0, 0));
            assert!(matches!(capture.fill(1), Ok(Fill::End)), "and stays at its end");
        });
    }
}

/// One fill; how many frames were handed out up to now.
fn next_of(each: &mut impl FnMut(Frame<'_>), capture: &mut Capture) -> u64 {
    match capture.fill(100).expect("fill") {
        Fill::Batch(batch) => {
            assert!(batch.len() <= 100, "the limit holds");
            batch.frames().for_each(&mut *each);
            batch.frame(batch.len() - 1).record.number
        }
        _ => 0,
    }
}

pub(crate) fn an_idle_wire_is_reported_as_idle() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let begun = Instant::now();
    assert!(matches!(capture.fill(256), Ok(Fill::Idle)));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(90) && waited < Duration::from_secs(1), "{waited:?}");
}

pub(crate) fn what_was_not_read_is_called_unread() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let socket = sender(&lab.client);
    for number in 0..100 {
        send(&socket, &frames::udp(1, 2, number, 0));
    }
    let begun = Instant::now();
    let handed = loop {
        assert!(begun.elapsed() < LIMIT, "stuck");
        if let Fill::Batch(batch) = capture.fill(10).expect("fill") {
            break batch.len();
        }
    };
    let counters = capture.counters();
    // Fewer than asked for where the kernel closed a block while the sender was held up.
    assert!((1..=10).contains(&handed), "{handed}");
    assert_eq!((counters.received, counters.unread), (100, 100 - handed as u64));
}
