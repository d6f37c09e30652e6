//! Whole runs over it.

use crate::counting::open;
use crate::support::frames;
use crate::support::network::{LIMIT, quiet_lab, send, sender};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::{Engine, Shutdown};
use wharf::parse::Packet;
use wharf::sink::{Count, each};
use wharf::source::xdp::{AttachMode, Capture, Modes};
use wharf::source::{Fill, Source};
use wharf::sys::lab::Lab;

pub(crate) fn runs_by_workers_and_rings_balance() {
    const FRAMES: u32 = 20_000;
    for cores in [1, 2] {
        let lab = quiet_lab();
        let capture = open(&lab.server, Capture::on(lab.server.interface)).expect("a capture");
        let socket = sender(&lab.client);
        let shutdown = Shutdown::default();
        let end = shutdown.clone();
        let seen = Arc::new(AtomicU32::new(0));
        let progress = Arc::clone(&seen);
        let driver = thread::spawn(move || {
            let begun = Instant::now();
            for number in 0..FRAMES {
                // Far less under way than there is memory for.
                while number / 2 > progress.load(Ordering::Relaxed) + 2000 && begun.elapsed() < LIMIT {
                    thread::yield_now();
                }
                send(
                    &socket,
                    &frames::udp(40_000, if number.is_multiple_of(2) { 53 } else { 80 }, number, 100),
                );
            }
            thread::sleep(Duration::from_millis(100));
            end.request();
        });
        let mut count = Count::new();
        let next = Arc::clone(&seen);
        let report = Engine::builder()
            .source(capture)
            .output(
                "udp/53".parse().expect("a rule"),
                each(move |packet: &Packet<'_>| {
                    let number = 2 * next.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(packet.frame().data, frames::udp(40_000, 53, number, 100));
                }),
            )
            .rest(&mut count)
            .cores(0..cores)
            .queue(1024)
            .shutdown(shutdown)
            .run()
            .expect("a run");
        driver.join().expect("the driver");
        assert!(report.balanced(), "{report}");
        assert_eq!((report.total.received, report.total.lost()), (u64::from(FRAMES), 0), "{report}");
        assert_eq!(seen.load(Ordering::Relaxed), FRAMES / 2);
        assert_eq!(count.table().packets, u64::from(FRAMES / 2));
    }
}

/// Four queues, three workers: every packet comes once, those of a flow to one worker and in order.
pub(crate) fn queues_are_shared_out_among_workers() {
    const FLOWS: u16 = 200;
    const ROUNDS: u32 = 20;
    for mode in [AttachMode::Native, AttachMode::Generic] {
        let lab = Lab::of_queues(4).and_then(Lab::with_static_neighbours).expect("a laboratory");
        let options = Capture::on(lab.server.interface).modes(Modes::Only(mode));
        let mut capture = open(&lab.server, options).expect("a capture");
        assert_eq!(capture.queues(), 4);
        assert!(capture.divide(5).is_none() && capture.divide(1).is_none(), "no such way");
        let mut parts = capture.divide(3).expect("it comes apart").expect("three parts");
        assert!(matches!(capture.fill(1), Ok(Fill::End)) && capture.divide(2).is_none(), "it is at its end");
        let socket = sender(&lab.client);
        for number in 0..ROUNDS {
            (0..FLOWS).for_each(|flow| send(&socket, &frames::udp(1_000 + flow, 53, number, 20)));
        }
        // By flow: whose it is, and the numbers of its packets.
        let mut flows: BTreeMap<u16, (usize, Vec<u32>)> = BTreeMap::new();
        let mut counts = Vec::new();
        for (place, part) in parts.iter_mut().enumerate() {
            part.stop().expect("stop");
            while let Fill::Batch(batch) = part.fill(256).expect("an orderly end") {
                for frame in batch.frames() {
                    let flow = u16::from_be_bytes([frame.data[34], frame.data[35]]);
                    let (worker, numbers) = flows.entry(flow).or_insert((place, Vec::new()));
                    assert_eq!(*worker, place, "{mode:?}: flow {flow} came apart");
                    numbers.push(frames::read(frame.data).expect("ours").2);
                }
            }
            counts.push(part.counters());
        }
        assert!(flows.values().all(|(_, numbers)| numbers.iter().copied().eq(0..ROUNDS)), "{mode:?}");
        let received: Vec<u64> = counts.iter().map(|counts| counts.received).collect();
        assert_eq!(received.iter().sum::<u64>(), u64::from(FLOWS) * u64::from(ROUNDS));
        assert!(received.iter().all(|&received| received > 0), "{mode:?}: {received:?}");
        assert!(counts.iter().all(|counts| counts.unread + counts.dropped_ring == 0));
    }
}

/// Two workers that take no turns: what limits a run, and the sum, hold over both.
pub(crate) fn workers_with_queues_of_their_own_make_one_account() {
    const FRAMES: u32 = 4_000;
    for limit in [None, Some(1_000)] {
        let lab = Lab::of_queues(2).and_then(Lab::with_static_neighbours).expect("a laboratory");
        let capture = open(&lab.server, Capture::on(lab.server.interface)).expect("a capture");
        let socket = sender(&lab.client);
        let shutdown = Shutdown::default();
        let end = shutdown.clone();
        let driver = thread::spawn(move || {
            for number in 0..FRAMES {
                send(&socket, &frames::udp(1_000 + (number % 97) as u16, 53, number, 20));
            }
            thread::sleep(Duration::from_millis(200));
            end.request();
        });
        let mut count = Count::new();
        let builder = Engine::builder().source(capture).rest(&mut count).cores(0..2).shutdown(shutdown);
        let builder = if let Some(limit) = limit { builder.limit(limit) } else { builder };
        let report = builder.run().expect("a run");
        driver.join().expect("the driver");
        assert!(report.balanced(), "{report}");
        assert_eq!(count.table().packets, limit.unwrap_or(u64::from(FRAMES)), "{report}");
        // Where there is a limit, the rest is left unread.
        assert!(limit.is_some() || report.total.lost() == 0, "{report}");
    }
}
