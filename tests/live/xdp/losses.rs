//! What a queue could not take is told where it is missing.

use crate::command::{finish, start};
use crate::counting::open;
use crate::support::frames;
use crate::support::network::{LIMIT, device_counters, quiet_lab, send, sender};
use rustix::process::{Pid, Signal, kill_process};
use std::thread;
use std::time::{Duration, Instant};
use wharf::frame::Batch;
use wharf::source::xdp::Capture;
use wharf::source::{CaptureFile, Chunk, Fill, Source};

/// Numbers of frames, and how many were lost before each.
type Told = Vec<(u32, u64)>;

fn note(told: &mut Told, batch: Batch<'_>) {
    let first = batch.lost();
    let numbers = batch.frames().map(|frame| frames::read(frame.data).expect("ours").2);
    told.extend(numbers.enumerate().map(|(index, number)| (number, if index == 0 { first } else { 0 })));
}

/// Reads until nothing comes, or the end.
fn read_what_is_there(capture: &mut Capture, leased: bool, told: &mut Told) {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if leased {
            let mut chunk = Chunk::default();
            capture.chunks().expect("it lends").fill_chunk(&mut chunk, 100).expect("fill");
            if chunk.is_empty() {
                return;
            }
            chunk.batches().for_each(|batch| note(told, batch));
        } else {
            match capture.fill(10).expect("fill") {
                Fill::Batch(batch) => note(told, batch),
                Fill::Idle | Fill::End => return,
            }
        }
    }
    panic!("it does not settle");
}

pub(crate) fn what_was_lost_stands_before_the_next_packet() {
    let lab = quiet_lab();
    let socket = sender(&lab.client);
    for leased in [false, true] {
        let tiny = Capture::on(lab.server.interface).memory_bytes(1);
        let mut capture = open(&lab.server, tiny).expect("a capture");
        let mut told = Told::new();
        for round in 0..3 {
            (0..1_000).for_each(|number| send(&socket, &frames::udp(1, 2, round * 1_000 + number, 0)));
            read_what_is_there(&mut capture, leased, &mut told);
        }
        (3_000..3_010).for_each(|number| send(&socket, &frames::udp(1, 2, number, 0)));
        capture.stop().expect("stop");
        read_what_is_there(&mut capture, leased, &mut told);
        // Each loss is told by the very frame behind the gap.
        let mut next = 0;
        for &(number, lost) in &told {
            assert_eq!(u64::from(number - next), lost, "leased {leased}: before {number}: {told:?}");
            next = number + 1;
        }
        let lost: u64 = told.iter().map(|(_, lost)| lost).sum();
        assert_eq!((next, lost), (3_010, capture.counters().dropped_ring), "leased {leased}");
        assert!(lost > 2_000, "{lost}");
    }
}

pub(crate) fn a_file_says_what_is_not_in_it() {
    let lab = quiet_lab();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.pcapng");
    let file = path.to_str().expect("text");
    let arguments = ["sniff", "-i", "server", "--xdp", "-B", "1", "-w", file, "--when-full", "wait"];
    let (child, errors, _) = start(&lab.server, &arguments);
    let socket = sender(&lab.client);
    (0..20_000).for_each(|number| send(&socket, &frames::udp(40_000, 53, number, 0)));
    thread::sleep(Duration::from_millis(300));
    (0..10).for_each(|number| send(&socket, &frames::udp(40_000, 53, number, 0)));
    thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).expect("running");
    let (_, said) = finish(child, errors);
    let mut copy = CaptureFile::open(&path).expect("a capture");
    let mut counts = Vec::new();
    while let Fill::Batch(batch) = copy.fill(256).expect("whole") {
        counts.extend(batch.frames().map(|frame| frame.options.lost().unwrap_or(0)));
    }
    let lost: u64 = counts.iter().sum();
    assert!(lost > 0 && said.contains(&format!(" + {lost} dropped")), "{lost} told: {said}");
    assert_eq!(counts[0], 0, "nothing was lost before the first");
}

pub(crate) fn a_run_tells_what_it_loses_and_what_to_do() {
    let lab = quiet_lab();
    let arguments =
        ["sniff", "-i", "server", "--xdp", "-B", "1", "--count", "--stats", "50ms", "--stats-format", "json"];
    let (child, errors, _) = start(&lab.server, &arguments);
    let socket = sender(&lab.client);
    (0..20_000).for_each(|number| send(&socket, &frames::udp(40_000, 53, number, 0)));
    thread::sleep(Duration::from_millis(400));
    kill_process(Pid::from_child(&child), Signal::INT).expect("running");
    let (_, said) = finish(child, errors);
    let lines = || said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let sum = |path: &str| -> u64 { lines().map(|line| line.pointer(path).unwrap().as_u64().unwrap()).sum() };
    let lost = sum("/dropped/kernel_ring_full");
    assert!(lost > 0 && said.contains(&format!(" + {lost} dropped")), "{lost} told: {said}");
    assert!(sum("/ring/freezes") > 0, "{said}");
    assert!(lines().all(|line| line["ring"]["blocks"] == 64 && line["before_ring"].is_object()), "{said}");
    assert!(said.contains("\nring: 128 KiB, at most 100 % full"), "{said}");
    assert!(said.contains("(-B KIB)"), "{said}");
    // The device counts them as dropped, too: they are told once.
    assert!(device_counters(&lab.server).received_dropped >= lost, "{said}");
    assert!(said.contains("lost before the ring, as far as the host tells: nothing\n"), "{said}");
    assert!(!said.contains("not in the sum above") && !said.contains("rx_queue_0_drops"), "{said}");
    assert!(
        lines().all(|line| line["before_ring"]["interfaces"][0]["kernel"] == serde_json::json!([])),
        "{said}"
    );
}
