//! What a live capture could not take is in its file: on the packets after it, and in the statistics.

use crate::support::frames;
use crate::support::network::{LIMIT, open, quiet_lab, send, sender};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::{DropReason, Engine, Policy, Report, Shutdown};
use wharf::frame::InterfaceStatistics;
use wharf::parse::Packet;
use wharf::sink::{CaptureFileWriter, Count, Tee, each};
use wharf::source::packet::{Capture, Directions, Spread};
use wharf::source::{CaptureFile, Fill, Source};
use wharf::sys::lab::Host;

/// Floods a capture with a ring of 128 KiB, whose output takes its time, waits until all is through, and sends some more. Gives
/// the account, and `epb_dropcount` of every packet in the file.
fn overload(path: &Path, others: bool, policy: Policy) -> (Report, Vec<u64>) {
    let lab = quiet_lab();
    let options = Capture::on(lab.server.interface).ring_bytes(128 << 10).block_bytes(16 << 10);
    let capture = open(&lab.server, options.retire_after(Duration::from_millis(2))).expect("a capture");
    let socket = sender(&lab.client);
    let (shutdown, taken) = (Shutdown::default(), Arc::new(AtomicU64::new(0)));
    let seen = Arc::clone(&taken);
    let slow = each(move |_: &Packet<'_>| {
        if seen.fetch_add(1, Ordering::SeqCst) % 64 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let writer = CaptureFileWriter::create(path).expect("a file");
    let mut count = Count::new();
    let mut builder = Engine::builder().source(capture).full_ring(policy).queue(2).shutdown(shutdown.clone());
    builder = if others {
        builder.output("any/53".parse().expect("a rule"), Tee(slow, writer)).rest(&mut count)
    } else {
        builder.rest(Tee(slow, writer))
    };
    let driver = thread::spawn(move || {
        let settle = || {
            let begun = Instant::now();
            loop {
                let before = taken.load(Ordering::SeqCst);
                thread::sleep(Duration::from_millis(300));
                if taken.load(Ordering::SeqCst) == before {
                    return;
                }
                assert!(begun.elapsed() < LIMIT, "it does not settle");
            }
        };
        for number in 0..30_000 {
            send(&socket, &frames::udp(40_000, 53, number, 200));
        }
        settle();
        // One at a time: the first is not lost, and tells what was.
        for number in 0..5 {
            send(&socket, &frames::udp(40_000, 53, number, 200));
            settle();
        }
        shutdown.request();
    });
    let report = builder.run().expect("a run");
    driver.join().expect("the driver");
    assert!(report.balanced(), "{report}");

    let mut counts = Vec::new();
    let mut file = CaptureFile::open(path).expect("a capture file");
    while let Fill::Batch(batch) = file.fill(256).expect("undamaged") {
        counts.extend(batch.frames().map(|frame| frame.options.lost().unwrap_or(0)));
    }
    assert_eq!(file.counters().lost_earlier, report.total.lost(), "{report}");
    let [Some(statistics)] = file.statistics() else { panic!("one interface") };
    let lost_by_kernel = report.total.dropped.get(&DropReason::KernelRingFull).copied().unwrap_or(0);
    assert_eq!((statistics.received, statistics.dropped), (report.total.received, report.total.lost()));
    assert_eq!(statistics.accepted, Some(report.total.received));
    assert_eq!(statistics.dropped_by_system, Some(lost_by_kernel));
    assert_eq!(statistics.delivered, Some(report.total.received - report.total.lost()));
    assert_eq!(counts.len() as u64, report.outputs[0].ledger.delivered);
    (report, counts)
}

/// The same sum by tshark, if there is one.
fn tshark_sum(path: &Path) -> Option<u64> {
    let arguments = ["-T", "fields", "-e", "frame.drop_count", "-r"];
    let output = Command::new("tshark").args(arguments).arg(path).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().filter_map(|line| line.parse::<u64>().ok()).sum())
}

pub(crate) fn what_was_lost_stands_before_the_packets_after_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.pcapng");
    let mut reasons = Vec::new();
    for (others, policy) in [(false, Policy::Wait), (false, Policy::Drop), (true, Policy::Drop)] {
        let (report, counts) = overload(&path, others, policy);
        assert!(report.total.lost() > 0, "nothing was lost: {report}");
        assert_eq!(counts.iter().sum::<u64>(), report.total.lost(), "{report}");
        assert_eq!(counts[0], 0, "nothing was lost before the first: {report}");
        if let Some(sum) = tshark_sum(&path) {
            assert_eq!(sum, report.total.lost(), "{report}");
        }
        reasons.extend(report.total.dropped.keys().copied());
    }
    for reason in [DropReason::KernelRingFull, DropReason::OutputRingFull] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
}

/// Of two interfaces one loses, and one does not: the file has it by interface, whether one worker reads their rings or two.
pub(crate) fn each_interface_has_its_own_losses_however_many_read_it() {
    const SENT: u64 = 5_000;
    let lab = quiet_lab();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.pcapng");
    let allowed = rustix::thread::sched_getaffinity(None).expect("affinity");
    let cores: Vec<_> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).take(2).collect();
    for workers in 1..=cores.len() {
        let options = |host: &Host, bytes: usize, directions| {
            let options = Capture::on(host.interface).ring_bytes(bytes).block_bytes(16 << 10);
            let options = options.directions(directions).parts(workers).spread(Spread::RoundRobin);
            open(host, options).expect("a capture")
        };
        let small = options(&lab.server, 64 << 10, Directions::In);
        let capture = small.and(options(&lab.client, 8 << 20, Directions::Out)).expect("both");
        let socket = sender(&lab.client);
        (0..SENT).for_each(|number| send(&socket, &frames::udp(1, 2, number as u32, 200)));
        let shutdown = Shutdown::default();
        shutdown.request();
        let writer = CaptureFileWriter::create(&path).expect("a file");
        let builder =
            Engine::builder().source(capture).rest(writer).full_ring(Policy::Wait).shutdown(shutdown);
        let report = builder.cores(cores[..workers].iter().copied()).run().expect("a run");
        assert!(report.balanced() && report.workers.len() == workers, "{report}");
        let lost = report.total.lost();
        assert_eq!(report.total.dropped.get(&DropReason::KernelRingFull), Some(&lost), "{report}");

        let mut file = CaptureFile::open(&path).expect("a capture file");
        while !matches!(file.fill(256).expect("undamaged"), Fill::End) {}
        let statistics = |dropped| InterfaceStatistics {
            received: SENT,
            dropped,
            accepted: Some(SENT),
            dropped_by_system: Some(dropped),
            delivered: Some(SENT - dropped),
        };
        assert_eq!(file.statistics(), [Some(statistics(lost)), Some(statistics(0))], "{report}");
    }
}
