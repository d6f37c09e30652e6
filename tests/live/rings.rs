//! Rings that overflow, grow, and stand side by side.

use crate::support::frames;
use crate::support::network::{LIMIT, device_counters, open, quiet_lab, read_to_end, send, sender};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::{DropReason, Engine, Shutdown};
use wharf::sink::{Count, Discard};
use wharf::source::packet::{Capture, Directions, PortSet, Spread};
use wharf::source::{Fill, Source};

/// Numbers in the payload, in the order in which frames were handed out, until one more than `last` have come, dropped
/// ones included, or the source has ended. Gives how many were lost before any of them.
fn read_until(capture: &mut Capture, numbers: &mut Vec<u32>, sent: &AtomicU64, done: &AtomicBool) -> u64 {
    let (begun, mut lost) = (Instant::now(), 0);
    loop {
        assert!(begun.elapsed() < LIMIT, "stuck");
        match capture.fill(256).expect("fill") {
            Fill::Batch(batch) => {
                lost += batch.lost();
                numbers.extend(batch.frames().map(|frame| frames::read(frame.data).expect("ours").2));
            }
            Fill::Idle => {}
            Fill::End => panic!("the end"),
        }
        if done.load(Ordering::SeqCst) {
            let counters = capture.counters();
            if counters.received == sent.load(Ordering::SeqCst) && counters.unread == 0 {
                return lost;
            }
        }
    }
}

pub(crate) fn a_ring_that_overflows_is_raised_once_without_loss_or_repetition() {
    let lab = quiet_lab();
    let options = Capture::on("server")
        .ring_bytes(256 << 10)
        .block_bytes(64 << 10)
        .raise_to(16 << 20)
        .retire_after(Duration::from_millis(2));
    let mut capture = open(&lab.server, options).expect("a capture");
    let socket = sender(&lab.client);
    let (sent, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let send_one = || {
        let number = sent.fetch_add(1, Ordering::SeqCst);
        send(&socket, &frames::udp(1, 2, number as u32, 100));
    };
    // Nobody reads: far more than four blocks hold.
    (0..5_000).for_each(|_| send_one());
    let mut numbers = Vec::new();
    let mut lost = 0;
    thread::scope(|scope| {
        // From now on somebody does, while frames keep coming: through the change from ring to ring, and after.
        scope.spawn(|| {
            for round in 0..400 {
                (0..100).for_each(|_| send_one());
                thread::sleep(Duration::from_millis(if round % 7 == 0 { 5 } else { 1 }));
            }
            done.store(true, Ordering::SeqCst);
        });
        lost = read_until(&mut capture, &mut numbers, &sent, &done);
    });
    let counters = capture.counters();
    assert!(counters.dropped_ring > 1_000, "{counters:?}");
    assert_eq!(lost, counters.dropped_ring, "told once, of the ring that was raised too");
    assert_eq!(counters.received, numbers.len() as u64 + counters.dropped_ring);
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order, none twice, across the change");
    let told = capture.ring_use().expect("a ring");
    assert_eq!((told.rings, told.raised_from), (2, Some(256 << 10)), "{told}");
    assert!(
        told.to_string().contains("server: raised from 1 to 16 MiB when the kernel lost packets"),
        "{told}"
    );
    assert_eq!(told.fullest_percent(), 100, "{told}");

    // What overflowed four blocks does not fill the larger ring.
    (0..5_000).for_each(|_| send_one());
    assert_eq!(read_until(&mut capture, &mut numbers, &sent, &done), 0);
    assert_eq!(capture.counters().dropped_ring, counters.dropped_ring, "nothing more is lost");
    assert!(numbers.is_sorted_by(|a, b| a < b));
    capture.stop().expect("stop");
    read_to_end(&mut capture, |_| panic!("nothing was left")).expect("an orderly end");
    assert_eq!(capture.ring_use().expect("rings").rings, 2, "once only");
}

/// No program keeps frames away from a ring that joins until it can take them; which is said, with the remedy.
pub(crate) fn rings_that_the_kernel_chooses_by_itself_are_not_raised_and_say_so() {
    for (spread, rollover) in [(Spread::RoundRobin, false), (Spread::Hash, true)] {
        let lab = quiet_lab();
        let options = Capture::on("server")
            .ring_bytes(256 << 10)
            .block_bytes(64 << 10)
            .raise_to(16 << 20)
            .parts(2)
            .spread(spread)
            .rollover(rollover);
        let mut capture = open(&lab.server, options).expect("a capture");
        let socket = sender(&lab.client);
        let told = capture.ring_use().expect("rings");
        assert!(!told.to_string().contains("raised"), "nothing is lost yet: {told}");
        (0..10_000).for_each(|number| send(&socket, &frames::udp(1, 2, number, 100)));
        assert!(capture.counters().dropped_ring > 0);
        thread::sleep(Duration::from_millis(50));
        let told = capture.ring_use().expect("rings");
        assert_eq!((told.rings, told.raised_from), (2, None), "{told}");
        let said = told.to_string();
        assert!(said.contains("server: the ring could not be raised: packets "), "{said}");
        assert!(said.contains("; --ring 16M has more from the start"), "{said}");
    }
}

/// What it says that it would bridge, read promptly, is what it then does when nobody reads: 16 blocks of 20 ms, however
/// little is in them.
pub(crate) fn what_a_ring_bridges_is_what_it_tells() {
    let lab = quiet_lab();
    let options = Capture::on("server").directions(Directions::In).ring_bytes(1 << 20).block_bytes(64 << 10);
    let mut capture = open(&lab.server, options.retire_after(Duration::from_millis(20))).expect("a capture");
    let socket = sender(&lab.client);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for number in 0..600 {
                send(&socket, &frames::udp(1, 2, number, 100));
                thread::sleep(Duration::from_millis(4));
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1200) {
            capture.fill(256).expect("fill");
        }
        let told = capture.ring_use().expect("a ring");
        assert_eq!((told.bridges, told.bridged), (Some(Duration::from_millis(320)), None), "{told}");
        sending.join().expect("sent");
    });
    capture.stop().expect("stop");
    read_to_end(&mut capture, |_| {}).expect("an orderly end");
    let counters = capture.counters();
    assert!(counters.dropped_ring > 0, "{counters:?}");
    let told = capture.ring_use().expect("a ring");
    let bridged = told.bridged.expect("it overflowed").as_millis();
    // A tick may be missed on a busy machine, and the first of the blocks is not counted.
    assert!((250..500).contains(&bridged) && told.bridges.is_none(), "{told}");
    assert!(
        told.to_string().contains(&format!("overflowed with the packets of {bridged} ms in it")),
        "{told}"
    );
}

pub(crate) fn a_raised_ring_is_read_after_the_old_one_even_if_that_is_stopped_meanwhile() {
    let lab = quiet_lab();
    let mut raised = 0;
    for pause in [0, 1, 5, 20, 100] {
        let options = Capture::on("server").ring_bytes(128 << 10).block_bytes(64 << 10).raise_to(4 << 20);
        let mut capture = open(&lab.server, options).expect("a capture");
        let socket = sender(&lab.client);
        let (mut sent, mut numbers) = (0, Vec::new());
        let mut burst = |count| {
            for _ in 0..count {
                send(&socket, &frames::udp(1, 2, sent, 100));
                sent += 1;
            }
        };
        burst(3_000);
        // Seen to overflow, the ring is being raised by now.
        assert!(capture.counters().dropped_ring > 0);
        thread::sleep(Duration::from_millis(pause));
        burst(500);
        capture.stop().expect("stop");
        burst(100);
        let (begun, mut lost) = (Instant::now(), 0);
        loop {
            match capture.fill(256).expect("fill") {
                Fill::Batch(batch) => {
                    lost += batch.lost();
                    numbers.extend(batch.frames().map(|frame| frames::read(frame.data).expect("ours").2));
                }
                Fill::Idle => assert!(begun.elapsed() < LIMIT, "stuck"),
                Fill::End => break,
            }
        }
        let counters = capture.counters();
        assert_eq!((counters.received, counters.unread), (3_500, 0), "pause {pause}");
        // What the old ring lost is told by the new one, if anything is in it.
        let told = numbers.last() == Some(&3_499);
        assert!(lost == counters.dropped_ring || lost == 0 && !told, "pause {pause}: {lost} of {counters:?}");
        raised += usize::from(told);
        assert_eq!(counters.received, numbers.len() as u64 + counters.dropped_ring, "pause {pause}");
        assert!(numbers.is_sorted_by(|a, b| a < b), "pause {pause}");
    }
    assert!(raised > 0, "no ring was raised in time");
}

/// Two of the CPUs that this process may use, or the one.
fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).expect("affinity");
    (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(2).collect()
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).expect("affinity");
}

/// Both senders have a worker's CPU, and the rings room for some dozens of frames.
pub(crate) fn under_overload_the_ledger_sums_to_what_was_sent() {
    const EACH: u64 = 40_000;
    let lab = quiet_lab();
    let cores = cores();
    for workers in 1..=cores.len() {
        let options = Capture::on("server").parts(workers).spread(Spread::Ports).ring_bytes(1).block_bytes(1);
        let capture = open(&lab.server, options).expect("a capture");
        let before = device_counters(&lab.server);
        let shutdown = Shutdown::default();
        let mut counts = Count::new();
        let builder = Engine::builder().source(capture).rest(&mut counts).shutdown(shutdown.clone());
        let builder = builder.cores(cores[..workers].iter().copied());
        let report = thread::scope(|scope| {
            scope.spawn(|| {
                thread::scope(|senders| {
                    for sending in 1..=2 {
                        let (socket, core) = (sender(&lab.client), cores[0]);
                        senders.spawn(move || {
                            pin(core);
                            for number in 0..EACH {
                                // Many flows: there are some for either worker.
                                let port = 100 * sending + (number % 64) as u16;
                                send(&socket, &frames::udp(port, 9, number as u32, 0));
                            }
                        });
                    }
                });
                shutdown.request();
            });
            builder.run().expect("a run")
        });
        assert!(report.balanced(), "{report}");
        assert_eq!(report.total.received, 2 * EACH, "{report}");
        assert_eq!(device_counters(&lab.server).received - before.received, 2 * EACH);
        assert_eq!(report.workers.iter().map(|worker| worker.received).sum::<u64>(), 2 * EACH);
        assert!(report.workers.iter().all(|worker| worker.balanced()));
        let dropped = report.total.dropped.get(&DropReason::KernelRingFull).copied().unwrap_or(0);
        assert!(dropped > 0, "no overload: {report}");
        assert!(report.ring_freezes > 0, "{report}");
        assert_eq!(report.total.delivered + dropped, 2 * EACH, "{report}");
        assert!(report.to_string().contains("\nring"), "{report}");
    }
}

pub(crate) fn several_interfaces_are_one_source() {
    let lab = quiet_lab();
    let open =
        |name: &str| open(&lab.server, Capture::on(name).directions(Directions::In)).expect("a capture");
    let mut capture = open("server").and(open("lo")).expect("both");
    let names: Vec<_> =
        capture.interfaces().iter().map(|interface| interface.name.clone().unwrap()).collect();
    assert_eq!(names, ["server", "lo"]);
    let socket = sender(&lab.client);
    let local = lab.server.namespace.run(|| std::net::UdpSocket::bind("127.0.0.1:0")).expect("bind");
    for number in 0..100 {
        send(&socket, &frames::udp(1, 2, number, 0));
        local.send_to(b"here", local.local_addr().unwrap()).expect("send");
    }
    capture.stop().expect("stop");
    let (mut counts, mut numbers, mut last) = ([0; 2], Vec::new(), 0);
    read_to_end(&mut capture, |frame| {
        counts[frame.record.interface.0 as usize] += 1;
        last += 1;
        assert_eq!(frame.record.number, last, "numbered through");
        numbers.extend(frames::read(frame.data).map(|(_, _, number)| number));
    })
    .expect("the end");
    assert_eq!(counts, [100, 100]);
    assert!(numbers.into_iter().eq(0..100));
    assert_eq!((capture.counters().received, capture.counters().unread), (200, 0));
}

pub(crate) fn one_of_several_interfaces_that_goes_is_named_after_all_is_handed_out() {
    let lab = quiet_lab();
    let open = |name: &str| open(&lab.server, Capture::on(name)).expect("a capture");
    let capture = open("lo").and(open("server")).expect("both");
    let (socket, mut counts) = (sender(&lab.client), Count::new());
    (0..100).for_each(|number| send(&socket, &frames::udp(1, 2, number, 0)));
    let error = thread::scope(|scope| {
        scope.spawn(|| lab.client.namespace.run(|| wharf::sys::link::remove("client")).expect("removed"));
        Engine::builder().source(capture).rest(&mut counts).run().expect_err("it is gone")
    });
    assert_eq!(error.to_string(), "server: the interface is gone");
    let report = error.report().expect("a report");
    assert!(report.balanced() && report.total.delivered == 100, "{report}");
}

pub(crate) fn ports_are_chosen_in_the_kernel() {
    let lab = quiet_lab();
    for interface in ["server", "any"] {
        let options = Capture::on(interface)
            .directions(Directions::In)
            .only_ports(PortSet::new().udp(53..=53).tcp(80..=80));
        let capture = open(&lab.server, options).expect("a capture");
        let socket = sender(&lab.client);
        let shutdown = Shutdown::default();
        let report = thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..100 {
                    let [dns, other] = [53, 54].map(|port| frames::udp(9, port, number, 0));
                    for frame in
                        [&dns, &other, &frames::tcp(80, 9, number, 0), &frames::tcp(9, 53, number, 0)]
                    {
                        send(&socket, frame);
                    }
                    send(&socket, &frames::tagged(&dns, 0x8100, 5));
                    send(&socket, &frames::tagged(&other, 0x8100, 5));
                }
                shutdown.request();
            });
            let builder = Engine::builder().source(capture).output("udp/53".parse().unwrap(), Discard);
            builder
                .output("tcp/80".parse().unwrap(), Discard)
                .shutdown(shutdown.clone())
                .run()
                .expect("a run")
        });
        let [dns, web] = [0, 1].map(|output| report.outputs[output].ledger.delivered);
        assert_eq!((dns, web), (200, 100), "{interface}: {report}");
        assert_eq!((report.total.received, report.total.filtered_out), (300, 0), "{interface}: {report}");
        assert!(
            report
                .to_string()
                .contains("chosen in the kernel by ports, others are not counted: tcp/80 udp/53"),
            "{report}"
        );
    }
}
