//! One ring per worker: who gets which frame.

use crate::skip;
use crate::support::frames;
use crate::support::network::{LIMIT, open, quiet_lab, send, sender};
use crate::traffic::{Flow, flows, of_flow};
use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::{DropReason, Engine, Report, Shutdown};
use wharf::parse::Packet;
use wharf::sink::{Count, each};
use wharf::source::packet::{Capture, Directions, Spread};
use wharf::source::{Fill, Source};
use wharf::sys::lab::{Host, Lab};

const WORKERS: usize = 2;
const FLOWS: u32 = 10_000;

/// What each part of a capture has seen, as numbers in the payload (or in the identification of a fragment) say.
fn parts_of(host: &Host, options: wharf::source::packet::Options, send_all: impl FnOnce()) -> Vec<Vec<u32>> {
    // Nobody reads while frames are sent: blocks are to be full, however long that takes on a busy machine.
    let options = options.parts(WORKERS).ring_bytes(32 << 20).retire_after(Duration::from_millis(250));
    let capture = open(host, options).expect("a capture");
    let mut capture: Box<dyn Source + Send> = Box::new(capture);
    let mut parts = capture.divide(WORKERS).expect("it comes apart").expect("parts");
    assert!(matches!(capture.fill(1), Ok(Fill::End)), "nothing is left of the whole");
    send_all();
    let read = |part: &mut Box<dyn Source + Send>| {
        part.stop().expect("stop");
        let (mut seen, begun) = (Vec::new(), Instant::now());
        loop {
            match part.fill(256).expect("fill") {
                Fill::Batch(batch) => {
                    seen.extend(
                        batch.frames().map(|frame| Flow::number(frame.data).expect("a frame of ours")),
                    );
                }
                Fill::Idle => assert!(begun.elapsed() < LIMIT, "stuck"),
                Fill::End => break,
            }
        }
        let counters = part.counters();
        assert_eq!((counters.received, counters.dropped_ring, counters.unread), (seen.len() as u64, 0, 0));
        seen
    };
    parts.iter_mut().map(read).collect()
}

/// Every packet of each flow, by the number it bears, came to one part, in order; says how many flows each part has.
fn check(flows: &[Flow], seen: &[Vec<u32>]) -> Vec<usize> {
    let mut owner = HashMap::new();
    let mut last: HashMap<u32, u32> = HashMap::new();
    for (part, numbers) in seen.iter().enumerate() {
        for &number in numbers {
            let flow = number / of_flow::PACKETS;
            let place = number % of_flow::PACKETS;
            assert_eq!(
                *owner.entry(flow).or_insert(part),
                part,
                "flow {flow} is torn: {:?}",
                flows[flow as usize]
            );
            let before = last.insert(flow, place);
            assert!(
                before.is_none_or(|before| before < place),
                "flow {flow} out of order: {place} after {before:?}"
            );
        }
    }
    (0..seen.len()).map(|part| owner.values().filter(|&&owner| owner == part).count()).collect()
}

pub(crate) fn a_flow_and_its_reverse_stay_on_one_worker_whole_or_in_fragments() {
    let lab = quiet_lab();
    let flows = flows(FLOWS);
    let socket = sender(&lab.client);
    let frames: Vec<_> = flows.iter().map(|flow| flow.frames()).collect();
    let sent: usize = frames.iter().map(Vec::len).sum();
    // Round by round, so that the packets of a flow are far apart. Out is what the client sends, in what the server
    // gets: the program sees either from another place.
    for (host, directions) in [(&lab.server, Directions::In), (&lab.client, Directions::Out)] {
        let options = Capture::on(host.interface).directions(directions);
        let seen = parts_of(host, options, || {
            for round in 0..of_flow::PACKETS as usize {
                frames.iter().filter_map(|frames| frames.get(round)).for_each(|frame| send(&socket, frame));
            }
        });
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), sent, "{directions:?}");
        let owned = check(&flows, &seen);
        assert_eq!(owned.iter().sum::<usize>(), FLOWS as usize);
        let (least, most) = (owned.iter().min().unwrap(), owned.iter().max().unwrap());
        assert!(most * 2 < least * 3, "uneven: {owned:?}");
    }
}

pub(crate) fn any_spreads_likewise() {
    let lab = quiet_lab();
    let flows = flows(500);
    let socket = sender(&lab.client);
    let seen = parts_of(&lab.server, Capture::on("any").directions(Directions::In), || {
        // Of several tags newer kernels do not tell the second one's kind here, without which they are not read.
        let flows = flows.iter().filter(|flow| flow.tags() <= 1);
        flows.flat_map(Flow::frames).for_each(|frame| send(&socket, &frame));
    });
    let owned = check(&flows, &seen);
    assert!(owned.iter().all(|&owned| owned > 50), "{owned:?}");
}

pub(crate) fn ports_spread_the_flows_of_two_hosts() {
    let lab = quiet_lab();
    let socket = sender(&lab.client);
    let both = |spread| {
        let seen = parts_of(&lab.server, Capture::on("server").spread(spread), || {
            for flow in 0..400 {
                let there = Flow::between_two_hosts(flow);
                there.frames().iter().for_each(|frame| send(&socket, frame));
            }
        });
        let flows: Vec<_> = (0..400).map(Flow::between_two_hosts).collect();
        check(&flows, &seen)
    };
    let by_ports = both(Spread::Ports);
    assert!(by_ports.iter().all(|&owned| owned > 100), "{by_ports:?}");
    let by_addresses = both(Spread::Hash);
    assert!(by_addresses.contains(&400), "one pair of hosts is one worker's: {by_addresses:?}");
}

pub(crate) fn turns_and_chance_spread_evenly_and_every_mode_loses_nothing() {
    let lab = quiet_lab();
    let socket = sender(&lab.client);
    for spread in [Spread::RoundRobin, Spread::Random, Spread::Cpu, Spread::Queue] {
        for rollover in [false, true] {
            let options = Capture::on("server").spread(spread).rollover(rollover);
            let seen = parts_of(&lab.server, options, || {
                (0..1000).for_each(|number| send(&socket, &frames::udp(1, 2, number, 0)));
            });
            let mut all = seen.concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..1000), "{spread} {rollover}");
            if matches!(spread, Spread::RoundRobin | Spread::Random) {
                assert!(seen.iter().all(|seen| seen.len() > 400), "{spread} {rollover}");
            }
        }
    }
}

/// A run over a capture with two workers, on the CPUs that are there.
fn run(
    lab: &Lab,
    limit: Option<u64>,
    drive: impl FnOnce(&Shutdown) + Send,
    each_packet: impl FnMut(&Packet<'_>) + Send,
) -> Report {
    let capture = open(&lab.server, Capture::on("server").parts(WORKERS)).expect("a capture");
    let shutdown = Shutdown::default();
    let mut builder = Engine::builder().source(capture).rest(each(each_packet)).cores(cores());
    if let Some(limit) = limit {
        builder = builder.limit(limit);
    }
    let builder = builder.shutdown(shutdown.clone());
    thread::scope(|scope| {
        scope.spawn(|| drive(&shutdown));
        builder.run().expect("a run")
    })
}

fn cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).expect("affinity");
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(WORKERS).collect()
}

pub(crate) fn a_run_on_two_workers_numbers_and_counts_every_packet_once() {
    if cores().len() < WORKERS {
        return skip("one CPU");
    }
    let lab = quiet_lab();
    let flows = flows(1_000);
    let socket = sender(&lab.client);
    let frames: Vec<_> = flows.iter().flat_map(Flow::frames).collect();
    let sent = frames.len() as u64;
    let seen = Mutex::new(Vec::new());
    let report = run(
        &lab,
        None,
        |shutdown| {
            frames.iter().for_each(|frame| send(&socket, frame));
            shutdown.request();
        },
        |packet| {
            let frame = packet.frame();
            seen.lock().unwrap().push((frame.record.number, Flow::number(frame.data).expect("ours")));
        },
    );
    assert!(report.balanced(), "{report}");
    assert_eq!((report.total.received, report.total.delivered), (sent, sent), "{report}");
    assert!(report.workers.iter().all(|worker| worker.received > sent / 4), "{:?}", report.workers);
    let rings = report.rings.as_ref().expect("rings");
    assert_eq!(rings.rings, WORKERS);
    let seen = seen.into_inner().unwrap();
    let mut numbers: Vec<_> = seen.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=sent), "each number once");
    check(&flows, &[seen.into_iter().map(|(_, number)| number).collect()]);
}

pub(crate) fn the_limit_is_exact_over_all_workers() {
    if cores().len() < WORKERS {
        return skip("one CPU");
    }
    let lab = quiet_lab();
    let frames: Vec<_> = flows(600).iter().flat_map(Flow::frames).collect();
    for limit in [1, 777, 1500] {
        let socket = sender(&lab.client);
        let mut count = 0;
        let report =
            run(&lab, Some(limit), |_| frames.iter().for_each(|frame| send(&socket, frame)), |_| count += 1);
        assert!(report.balanced(), "{report}");
        assert_eq!((count, report.total.delivered), (limit, limit), "{report}");
        let left = *report.total.dropped.get(&DropReason::LeftUnread).unwrap_or(&0);
        assert_eq!(report.total.received, limit + left, "{report}");
    }
}

pub(crate) fn an_interface_that_goes_ends_all_workers_and_is_told_once() {
    if cores().len() < WORKERS {
        return skip("one CPU");
    }
    let lab = quiet_lab();
    let capture = open(&lab.server, Capture::on("server").parts(WORKERS)).expect("a capture");
    let mut counts = Count::new();
    let builder = Engine::builder().source(capture).rest(&mut counts).cores(cores());
    let frames: Vec<_> = flows(300).iter().flat_map(Flow::frames).collect();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let socket = sender(&lab.client);
            frames.iter().for_each(|frame| send(&socket, frame));
            drop(socket);
            lab.client.namespace.run(|| wharf::sys::link::remove("client")).expect("removed");
        });
        builder.run().expect_err("it is gone")
    });
    assert_eq!(error.to_string(), "server: the interface is gone");
    let report = error.report().expect("a report");
    assert!(report.further_failures.is_empty(), "{:?}", report.further_failures);
    assert!(report.balanced(), "{report}");
    assert_eq!(report.total.delivered, frames.len() as u64, "{report}");
}
