//! Blocks of the kernel's ring that are read on after the ring has gone on.

use crate::support::chunks::{check, frame, give_back, next, send_some};
use crate::support::network::{LIMIT, open, quiet_lab, sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::{DropReason, Engine, Shutdown};
use wharf::parse::Packet;
use wharf::sink::each;
use wharf::source::Source;
use wharf::source::packet::{Capture, Options};

/// Sixteen blocks of 64 KiB.
fn small_ring(interface: &str) -> Options {
    Capture::on(interface).ring_bytes(1 << 20).block_bytes(64 << 10).retire_after(Duration::from_millis(2))
}

pub(crate) fn chunks_outlive_their_turn_and_go_back_in_any_order() {
    const FRAMES: u32 = 30_000;
    let lab = quiet_lab();
    let mut capture = open(&lab.server, small_ring(lab.server.interface)).expect("a capture");
    let socket = sender(&lab.client);
    // Up to twelve are out: more than the eight that may be leased, so that some are copies. The older half go back,
    // the newest of them first.
    let (mut out, mut seen) = (Vec::new(), vec![false; FRAMES as usize]);
    let begun = Instant::now();
    let (mut sent, mut came) = (0, 0);
    // On a busy machine blocks are retired when they hold but a few frames, and then the kernel may run out of them.
    while came + (capture.counters().dropped_ring as u32) < FRAMES {
        assert!(begun.elapsed() < LIMIT, "stuck");
        // Far less under way than the blocks that are not out hold.
        if sent < FRAMES && sent - came - (capture.counters().dropped_ring as u32) < 100 {
            send_some(&socket, sent..sent + 100);
            sent += 100;
        }
        let Some(chunk) = next(&mut capture) else { continue };
        came += chunk.len() as u32;
        out.push(chunk);
        if out.len() == 12 {
            give_back(&mut out, &mut seen);
        }
    }
    while !out.is_empty() {
        give_back(&mut out, &mut seen);
    }
    let counters = capture.counters();
    assert_eq!((counters.received, counters.unread), (u64::from(FRAMES), 0));
    let came = seen.iter().filter(|&&seen| seen).count() as u64;
    assert_eq!(came + counters.dropped_ring, u64::from(FRAMES));
    assert!(came > u64::from(FRAMES) / 2, "{counters:?}");
}

pub(crate) fn a_block_that_comes_back_late_holds_up_the_kernel_alone() {
    let lab = quiet_lab();
    let mut capture = open(&lab.server, small_ring(lab.server.interface)).expect("a capture");
    let socket = sender(&lab.client);
    send_some(&socket, 0..50);
    let held = loop {
        if let Some(chunk) = next(&mut capture) {
            break chunk;
        }
    };
    // The kernel goes once around its ring, comes to the block that is still out, and drops what comes then.
    let begun = Instant::now();
    let mut handed = held.len() as u64;
    while capture.counters().dropped_ring == 0 {
        assert!(begun.elapsed() < LIMIT, "the kernel has gone past a block that is being read");
        send_some(&socket, 50..100);
        handed += next(&mut capture).map_or(0, |chunk| chunk.len() as u64);
    }
    while let Some(chunk) = next(&mut capture) {
        handed += chunk.len() as u64;
    }
    assert_eq!(check(&held), (0..held.len() as u32).collect::<Vec<_>>(), "nobody has written to it");
    drop(held);
    // The ring goes on from there.
    let dropped = capture.counters().dropped_ring;
    send_some(&socket, 100..150);
    let (before, begun) = (handed, Instant::now());
    while handed < before + 50 {
        assert!(begun.elapsed() < LIMIT, "the block has not come back");
        handed += next(&mut capture).map_or(0, |chunk| chunk.len() as u64);
    }
    let counters = capture.counters();
    assert_eq!((counters.dropped_ring, counters.unread), (dropped, 0));
    assert_eq!(counters.received, handed + dropped);
}

pub(crate) fn an_output_that_stands_still_costs_neither_the_capture_nor_the_others() {
    const FRAMES: u32 = 20_000;
    let lab = quiet_lab();
    let capture = open(&lab.server, small_ring(lab.server.interface)).expect("a capture");
    let socket = sender(&lab.client);
    let (shutdown, quick) = (Shutdown::default(), Arc::new(AtomicU64::new(0)));
    let open = Arc::new(AtomicBool::new(false));
    let (gate, seen) = (Arc::clone(&open), Arc::clone(&quick));
    let mut standing = 0;
    let builder = Engine::builder()
        .source(capture)
        .output(
            "udp/53".parse().expect("a rule"),
            each(|_: &Packet<'_>| {
                while !gate.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
                standing += 1;
            }),
        )
        .output(
            "udp/80".parse().expect("a rule"),
            each(move |packet: &Packet<'_>| {
                let number = 2 * seen.fetch_add(1, Ordering::SeqCst) as u32 + 1;
                assert_eq!(packet.frame().data, frame(number));
            }),
        )
        .queue(16)
        .shutdown(shutdown.clone());
    let driver = thread::spawn(move || {
        let begun = Instant::now();
        let in_time = (0..FRAMES).step_by(100).all(|number| {
            send_some(&socket, number..number + 100);
            while quick.load(Ordering::SeqCst) < u64::from(number + 100) / 2 && begun.elapsed() < LIMIT {
                thread::sleep(Duration::from_micros(200));
            }
            begun.elapsed() < LIMIT
        });
        shutdown.request();
        open.store(true, Ordering::SeqCst);
        in_time
    });
    let report = builder.run().expect("a run");
    assert!(driver.join().expect("the driver"), "the quick output is held up");
    assert!(report.balanced(), "{report}");
    let [slow, quick] = [0, 1].map(|output| &report.outputs[output].ledger);
    assert_eq!((quick.delivered, quick.lost()), (u64::from(FRAMES / 2), 0));
    assert_eq!((slow.received, slow.delivered), (u64::from(FRAMES / 2), standing));
    assert!(slow.dropped[&DropReason::OutputRingFull] > 0, "{report}");
    assert!(!report.total.dropped.contains_key(&DropReason::KernelRingFull), "{report}");
}
