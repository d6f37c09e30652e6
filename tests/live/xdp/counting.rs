//! Nothing is lost, or it is named.

use crate::support::frames;
use crate::support::network::{LIMIT, device_counters, quiet_lab, send, sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::frame::{Direction, Frame};
use wharf::source::xdp::{AttachMode, Capture, Modes, Options, Waiting};
use wharf::source::{Error, Fill, Source};
use wharf::sys::lab::Host;
use wharf::sys::link;

const FRAMES: u32 = 100_000;

/// Opens a capture inside a host.
pub(crate) fn open(host: &Host, options: Options) -> Result<Capture, Error> {
    host.namespace.run(|| Ok(options.open())).expect("inside the namespace")
}

/// A capture of the host's wire in its driver.
pub(crate) fn capture(host: &Host) -> Capture {
    let native = Modes::Only(AttachMode::Native);
    open(host, Capture::on(host.interface).modes(native)).expect("a capture")
}

/// Reads on until the source ends; every frame goes to `each`.
pub(crate) fn read_to_end(capture: &mut Capture, mut each: impl FnMut(Frame<'_>)) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        match capture.fill(256)? {
            Fill::Batch(batch) => batch.frames().for_each(&mut each),
            Fill::Idle => assert!(begun.elapsed() < LIMIT, "the source does not end"),
            Fill::End => return Ok(()),
        }
    }
}

/// The frame with that number: two protocols, sizes from 60 to 1518 bytes, every seventh with a tag.
fn of_mix(number: u32) -> Vec<u8> {
    let payload = (number % 1461) as usize;
    let frame = match number % 3 {
        0 => frames::tcp(40_000, 443, number, payload),
        _ => frames::udp(40_000, 53, number, payload),
    };
    if number.is_multiple_of(7) { frames::tagged(&frame, 0x8100, 5) } else { frame }
}

fn sees_the_mix(options: impl Fn(Options) -> Options, frames: u32) -> Capture {
    let lab = quiet_lab();
    let mut capture = open(&lab.server, options(Capture::on(lab.server.interface))).expect("a capture");
    let socket = sender(&lab.client);
    let seen = Arc::new(AtomicU32::new(0));
    let progress = Arc::clone(&seen);
    let sending = thread::spawn(move || {
        for number in 0..frames {
            // Far less under way than there is memory for.
            while number - progress.load(Ordering::Relaxed) > 4000 {
                thread::yield_now();
            }
            send(&socket, &of_mix(number));
        }
    });
    let (mut next, mut stopped) = (0, false);
    let begun = Instant::now();
    loop {
        match capture.fill(256).expect("fill") {
            Fill::Batch(batch) => {
                for frame in batch.frames() {
                    assert_eq!(frame.data, of_mix(next), "as sent, in order");
                    assert_eq!(frame.record.number, u64::from(next) + 1);
                    assert_eq!(frame.record.direction, Direction::In);
                    next += 1;
                }
                seen.store(next, Ordering::Relaxed);
            }
            Fill::Idle if sending.is_finished() && !stopped => {
                capture.stop().expect("stop");
                stopped = true;
            }
            Fill::Idle => assert!(begun.elapsed() < LIMIT, "stuck"),
            Fill::End => break,
        }
    }
    sending.join().expect("the sender");
    assert_eq!(next, frames);
    let counters = capture.counters();
    assert_eq!((counters.received, counters.dropped_ring, counters.unread), (u64::from(frames), 0, 0));
    capture
}

pub(crate) fn every_frame_of_a_known_mix_is_seen_in_order() {
    let capture = sees_the_mix(|options| options.modes(Modes::Auto), FRAMES);
    assert_eq!((capture.mode(), capture.queues()), (AttachMode::Native, 1));
    assert!(!capture.is_zero_copy(), "a veth pair cannot");
    assert!(capture.notes().is_empty(), "{:?}", capture.notes());
}

pub(crate) fn generic_mode_sees_the_same() {
    let capture = sees_the_mix(|options| options.modes(Modes::Only(AttachMode::Generic)), FRAMES / 10);
    assert_eq!(capture.mode(), AttachMode::Generic);
}

pub(crate) fn spinning_sees_the_same() {
    sees_the_mix(|options| options.waiting(Waiting::Spin), FRAMES / 10);
}

pub(crate) fn an_overflow_is_named_and_the_sum_is_exact() {
    let lab = quiet_lab();
    let tiny = Capture::on(lab.server.interface).memory_bytes(1);
    let mut capture = open(&lab.server, tiny).expect("a capture");
    let before = device_counters(&lab.client);
    let socket = sender(&lab.client);
    let (mut sent, mut handed) = (0_u64, 0_u64);
    for _round in 0..4 {
        for _ in 0..5_000 {
            send(&socket, &frames::udp(1, 2, sent as u32, 0));
            sent += 1;
        }
        while let Fill::Batch(batch) = capture.fill(256).expect("fill") {
            handed += batch.len() as u64;
        }
    }
    capture.stop().expect("stop");
    read_to_end(&mut capture, |_| handed += 1).expect("an orderly end");
    let counters = capture.counters();
    let lost_before = device_counters(&lab.client).sent_dropped - before.sent_dropped;
    assert_eq!(counters.received + lost_before, sent, "{counters:?}");
    assert_eq!(counters.received, handed + counters.dropped_ring);
    assert!(counters.dropped_ring > 10_000 && handed >= 4 * 64, "{counters:?} {handed}");
    assert_eq!(counters.unread, 0);
}

pub(crate) fn stop_drains_exactly_while_frames_keep_coming() {
    let lab = quiet_lab();
    for _round in 0..5 {
        let mut capture = capture(&lab.server);
        let socket = sender(&lab.client);
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let sending = thread::spawn(move || {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                send(&socket, &frames::udp(1, 2, number, 0));
                number += 1;
            }
            number
        });
        let mut next = 0;
        let mut check = |frame: Frame<'_>| {
            let (_, _, number) = frames::read(frame.data).expect("ours");
            assert!(number >= next, "in order");
            next = number + 1;
        };
        let mut handed = 0;
        while handed < 3_000 {
            if let Fill::Batch(batch) = capture.fill(256).expect("fill") {
                handed += batch.len() as u64;
                batch.frames().for_each(&mut check);
            }
        }
        capture.stop().expect("stop");
        let counters = capture.counters();
        let mut rest = 0;
        read_to_end(&mut capture, |frame| {
            check(frame);
            rest += 1;
        })
        .expect("an orderly end");
        assert_eq!(counters.unread, rest, "what had been accepted is all there is");
        assert_eq!(counters.received, handed + rest + counters.dropped_ring);
        assert_eq!(capture.counters().received, counters.received, "nothing came afterwards");
        over.store(true, Ordering::Relaxed);
        assert!(u64::from(sending.join().expect("the sender")) >= counters.received);
    }
}

pub(crate) fn an_idle_wire_costs_nothing() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let spent = || {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
    };
    let (begun, before) = (Instant::now(), spent());
    for _ in 0..5 {
        assert!(matches!(capture.fill(256), Ok(Fill::Idle)));
    }
    assert!(begun.elapsed() >= Duration::from_millis(400), "it waits");
    assert!(spent() - before < Duration::from_millis(20), "{:?}", spent() - before);
}

/// What the source says after `trouble`, having handed out what lay before.
fn reports(trouble: impl Fn(&Host), expected: &str) {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let socket = sender(&lab.client);
    (0..100).for_each(|number| send(&socket, &frames::udp(1, 2, number, 0)));
    trouble(&lab.server);
    let mut handed = 0;
    let error = read_to_end(&mut capture, |_| handed += 1).expect_err("it is gone").to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(handed, 100);
    assert!(matches!(capture.fill(1), Ok(Fill::End)));
}

pub(crate) fn an_interface_that_goes_down_is_reported_once() {
    reports(|host| host.namespace.run(|| link::set_up(host.interface, false)).expect("down"), "went down");
}

pub(crate) fn an_interface_that_is_removed_is_reported_once() {
    reports(|host| host.namespace.run(|| link::remove(host.interface)).expect("removed"), "is gone");
}
