//! Rings of several workers, and of several interfaces, that are raised while frames come.

use crate::skip;
use crate::support::frames;
use crate::support::network::{LIMIT, open, quiet_lab, send, sender};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::{DropReason, Engine, Policy, Shutdown};
use wharf::parse::Packet;
use wharf::sink::each;
use wharf::source::packet::{Capture, Directions, Spread};
use wharf::source::{Fill, Source};

/// Blocks of a ring that is raised to 16 MiB.
const BLOCK: usize = 64 << 10;
const LARGER: usize = 16 << 20;
const FLOWS: u32 = 64;

/// The output stands still and the workers wait for it, until more has come than either ring holds. Then it goes on, and
/// frames keep coming through the change of both rings and after it.
pub(crate) fn rings_of_two_workers_are_raised_and_flows_keep_their_order() {
    let allowed = sched_getaffinity(None).expect("affinity");
    let cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(2).collect();
    if cores.len() < 2 {
        return skip("one CPU");
    }
    let lab = quiet_lab();
    let options =
        Capture::on("server").parts(2).spread(Spread::Ports).ring_bytes(4 * BLOCK).block_bytes(BLOCK);
    let options = options.raise_to(LARGER).retire_after(Duration::from_millis(2));
    let capture = open(&lab.server, options).expect("a capture");
    let (meter, socket) = (capture.meter(), sender(&lab.client));
    let (goes_on, sent, shutdown) = (AtomicBool::new(false), AtomicU64::new(0), Shutdown::default());
    let seen = Mutex::new(Vec::new());
    let both = 2 * (4 + LARGER / BLOCK);
    let end = shutdown.clone();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let burst = |count| {
                for _ in 0..count {
                    let number = sent.fetch_add(1, Ordering::SeqCst) as u32;
                    send(&socket, &frames::udp(1_000 + (number % FLOWS) as u16, 9, number, 100));
                }
            };
            burst(20_000);
            goes_on.store(true, Ordering::SeqCst);
            let begun = Instant::now();
            while meter.read().blocks < both && begun.elapsed() < LIMIT {
                burst(100);
                thread::sleep(Duration::from_millis(1));
            }
            burst(5_000);
            end.request();
        });
        let take = |packet: &Packet<'_>| {
            while !goes_on.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            // What is in the old rings is still there when the larger ones have some, too.
            if meter.read().blocks < both {
                thread::sleep(Duration::from_micros(100));
            }
            let frame = packet.frame();
            let port = u16::from_be_bytes([frame.data[34], frame.data[35]]);
            let (_, _, number) = frames::read(frame.data).expect("ours");
            seen.lock().unwrap().push((frame.record.number, port, number));
        };
        let builder = Engine::builder().source(capture).rest(each(take)).cores(cores);
        builder.full_ring(Policy::Wait).queue(1).shutdown(shutdown).run().expect("a run")
    });
    let dropped = report.total.dropped.get(&DropReason::KernelRingFull).copied().unwrap_or(0);
    assert!(report.balanced() && dropped > 1_000, "{report}");
    assert_eq!(report.total.received, sent.into_inner(), "{report}");
    let seen = seen.into_inner().unwrap();
    assert_eq!(report.total.delivered + dropped, report.total.received, "{report}");
    assert_eq!(seen.len() as u64, report.total.delivered);
    let mut numbers: Vec<_> = seen.iter().map(|(number, ..)| *number).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=seen.len() as u64), "each number once");
    let mut last = HashMap::new();
    for (_, port, number) in seen {
        let before = last.insert(port, number);
        assert!(before.is_none_or(|before| before < number), "port {port}: {number} after {before:?}");
    }
    assert_eq!(last.len(), FLOWS as usize, "every flow");
    let rings = report.rings.as_ref().expect("rings");
    assert_eq!((rings.rings, rings.raised_from), (4, Some(8 * BLOCK as u64)), "{report}");
    assert!(report.to_string().contains("\n  worker 1  ") && report.shares().is_some(), "{report}");
    assert!(report.to_string().contains("\nserver: raised from 1 to 16 MiB"), "{report}");
    assert_eq!((meter.read().raised, meter.news().len()), (1, 1), "{:?}", meter.news());
}

/// Two interfaces of one capture: the one that overflows is raised, the other is not until it does.
pub(crate) fn each_of_several_interfaces_has_its_ring_raised_by_itself() {
    let lab = quiet_lab();
    let open = |name: &str| {
        let options = Capture::on(name).directions(Directions::In).among(2);
        let options = options.ring_bytes(16 * BLOCK).block_bytes(BLOCK).raise_to(LARGER);
        open(&lab.server, options.retire_after(Duration::from_millis(20))).expect("a capture")
    };
    let mut capture = open("server").and(open("lo")).expect("both");
    let wire = sender(&lab.client);
    let local = lab.server.namespace.run(|| std::net::UdpSocket::bind("127.0.0.1:0")).expect("bind");
    let here = local.local_addr().expect("bound");
    let sent = [AtomicU64::new(0), AtomicU64::new(0)];
    let burst = |interface: usize, count| {
        for _ in 0..count {
            let number = sent[interface].fetch_add(1, Ordering::SeqCst) as u32;
            if interface == 0 {
                send(&wire, &frames::udp(1, 2, number, 100));
            } else {
                local.send_to(&[&number.to_be_bytes()[..], &[0; 96]].concat(), here).expect("sent");
            }
        }
    };
    let mut numbers = [Vec::new(), Vec::new()];
    for (overflowing, raised) in [(0, 1), (1, 2)] {
        // Nobody reads: far more than its ring holds.
        burst(overflowing, 20_000);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..300 {
                    [0, 1].into_iter().for_each(|interface| burst(interface, 20));
                    thread::sleep(Duration::from_millis(1));
                }
                done.store(true, Ordering::SeqCst);
            });
            let begun = Instant::now();
            loop {
                assert!(begun.elapsed() < LIMIT, "stuck");
                match capture.fill(256).expect("fill") {
                    Fill::Batch(batch) => batch.frames().for_each(|frame| {
                        let number = frame.data[42..46].try_into().expect("four bytes");
                        numbers[frame.record.interface.0 as usize].push(u32::from_be_bytes(number));
                    }),
                    Fill::Idle => {}
                    Fill::End => panic!("the end"),
                }
                let all: u64 = sent.iter().map(|sent| sent.load(Ordering::SeqCst)).sum();
                let counters = capture.counters();
                if done.load(Ordering::SeqCst) && counters.received == all && counters.unread == 0 {
                    break;
                }
            }
        });
        let told = capture.ring_use().expect("rings");
        assert_eq!(
            (told.rings, told.raised_from),
            (2 + raised, Some((raised * 16 * BLOCK) as u64)),
            "{told}"
        );
        let news = capture.meter().news();
        let of = ["server: raised from", "lo: raised from"];
        assert!(
            news.len() == raised && news.iter().zip(of).all(|(news, of)| news.starts_with(of)),
            "{news:?}"
        );
        for (interface, numbers) in numbers.iter().enumerate() {
            assert!(numbers.is_sorted_by(|a, b| a < b), "in order, none twice: {interface}");
        }
        let counters = capture.counters();
        let handed: usize = numbers.iter().map(Vec::len).sum();
        assert_eq!(counters.received, handed as u64 + counters.dropped_ring, "{counters:?}");
        assert!(counters.dropped_ring > 1_000 * raised as u64, "{counters:?}");
    }
}
