//! Memory that is read on after the socket has gone on.

use crate::counting::open;
use crate::support::chunks::{check, give_back, next, send_some};
use crate::support::network::{LIMIT, quiet_lab, sender};
use std::time::Instant;
use wharf::source::Source;
use wharf::source::xdp::{Capture, Options};

/// 512 chunks.
fn small(interface: &str) -> Options {
    Capture::on(interface).memory_bytes(1 << 20)
}

pub(crate) fn chunks_outlive_their_turn_and_go_back_in_any_order() {
    const FRAMES: u32 = 30_000;
    let lab = quiet_lab();
    let mut capture = open(&lab.server, small(lab.server.interface)).expect("a capture");
    let socket = sender(&lab.client);
    // Up to twelve are out: more than may be leased, so that some are copies. The older half go back, the newest of
    // them first.
    let (mut out, mut seen) = (Vec::new(), vec![false; FRAMES as usize]);
    let begun = Instant::now();
    let (mut sent, mut came) = (0, 0);
    while came < FRAMES {
        assert!(begun.elapsed() < LIMIT, "stuck at {came} of {sent}: {:?}", capture.counters());
        // Half of the chunks may be lent, and some wait to be given back: far less under way than are left.
        if sent < FRAMES && sent - came < 20 {
            send_some(&socket, sent..sent + 20);
            sent += 20;
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
    assert_eq!((counters.received, counters.dropped_ring, counters.unread), (u64::from(FRAMES), 0, 0));
    assert!(seen.iter().all(|&seen| seen));
}

pub(crate) fn when_too_much_is_out_frames_are_copied() {
    let lab = quiet_lab();
    let mut capture = open(&lab.server, small(lab.server.interface)).expect("a capture");
    let socket = sender(&lab.client);
    // Nothing comes back: half of the memory is lent at most, and the rest goes round and round.
    let (mut held, mut came) = (Vec::new(), 0);
    for round in 0..100 {
        send_some(&socket, round * 100..(round + 1) * 100);
        while came < (round + 1) * 100 {
            let chunk = next(&mut capture).expect("they have come");
            came += chunk.len() as u32;
            held.push(chunk);
        }
    }
    assert_eq!(capture.counters().dropped_ring, 0);
    let numbers: Vec<_> = held.iter().flat_map(check).collect();
    assert_eq!(numbers, (0..10_000).collect::<Vec<_>>(), "nobody has written to what is lent");
    // What was lent goes round again, once we have looked.
    drop(held);
    for round in 0..20 {
        send_some(&socket, 0..200);
        let mut came = 0;
        while came < 200 {
            came += next(&mut capture).unwrap_or_else(|| panic!("{came} of round {round}")).len();
        }
    }
    let counters = capture.counters();
    assert_eq!((counters.received, counters.dropped_ring), (14_000, 0));
}
