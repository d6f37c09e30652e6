//! A slow output, or one that blocks: what it loses, and what the others do.

use crate::support::{Paced, Probe, traffic, wait_until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use wharf::engine::{Builder, DropReason, Engine, Policy};
use wharf::parse::Packet;
use wharf::sink::{self, Count, Deliveries, InterfaceStatistics, Sink, each};
use wharf::source::synthetic::Synthetic;

#[test]
fn an_output_that_blocks_loses_its_own_packets_and_no_others() {
    const READINGS: u64 = 40;
    for (live, chunks, policy) in [
        (true, false, None),
        (true, true, None),
        (false, false, Some(Policy::Drop)),
        (false, true, Some(Policy::Drop)),
    ] {
        let open = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&open);
        let (slow, slow_shown) = Probe::new(move |_| {
            wait_until("the gate", || gate.load(Ordering::SeqCst));
            Ok(())
        });
        let (quick, quick_shown) = Probe::new(|_| Ok(()));
        let watched = Arc::clone(&quick_shown);
        // The quick one is never behind. The gate opens when all has been read.
        let mut source = Paced::new(READINGS * 256, move |readings| {
            wait_until("the quick output", || watched.writes.load(Ordering::SeqCst) == readings);
            open.store(readings == READINGS, Ordering::SeqCst);
        });
        (source.live, source.chunks) = (live, chunks);
        let mut dropped = Vec::new();
        let builder = Engine::builder().source(source).queue(4);
        let builder = if let Some(policy) = policy { builder.full_ring(policy) } else { builder };
        let report = builder
            .output("any/53".parse().unwrap(), slow)
            .output("any/80".parse().unwrap(), quick)
            .observe(Duration::from_millis(1), |snapshot| dropped.push(snapshot.dropped))
            .run()
            .unwrap();

        assert!(report.balanced(), "{report}");
        let [first, second] = [0, 1].map(|output| &report.outputs[output].ledger);
        let lost = first.dropped[&DropReason::OutputRingFull];
        assert_eq!((second.lost(), second.delivered), (0, quick_shown.packets()));
        assert_eq!((first.received, first.delivered), (first.delivered + lost, slow_shown.packets()));
        // Four in the ring and, most of the time, one in work, of forty.
        assert!((4..=5).contains(&slow_shown.writes.load(Ordering::SeqCst)));
        assert!(dropped.is_sorted() && dropped.last().is_none_or(|&last| last <= lost), "{dropped:?} {lost}");
        assert_eq!(report.total.received, READINGS * 256);
        assert_eq!(report.total.dropped, [(DropReason::OutputRingFull, lost)].into());
        assert_eq!(report.workers, std::slice::from_ref(&report.total));
        assert_eq!(report.total.unwanted_losses(), lost);
        assert!(report.to_string().contains(&format!("dropped ({lost} output ring full)")), "{report}");
        assert_eq!([&slow_shown, &quick_shown].map(|shown| shown.finished.load(Ordering::SeqCst)), [1, 1]);
    }
}

#[test]
fn a_counting_output_beside_a_blocked_one_counts_everything() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let (slow, _shown) = Probe::new(move |_| {
        wait_until("the gate", || gate.load(Ordering::SeqCst));
        Ok(())
    });
    let source = Paced::new(40 * 256, move |readings| open.store(readings == 40, Ordering::SeqCst));
    let mut count = Count::new();
    let report = Engine::builder()
        .source(source)
        .output("any/53".parse().unwrap(), slow)
        .rest(&mut count)
        .full_ring(Policy::Drop)
        .queue(1)
        .run()
        .unwrap();
    assert!(report.balanced() && report.outputs[0].ledger.lost() > 0, "{report}");
    assert_eq!(report.outputs[1].ledger.lost(), 0);
    assert_eq!(report.outputs[0].ledger.received + count.table().packets, 40 * 256);
}

#[test]
fn waiting_for_a_slow_output_loses_nothing() {
    let (slow, shown) = Probe::new(|_| {
        thread::sleep(Duration::from_micros(500));
        Ok(())
    });
    let mut queued = 0;
    let report = Engine::builder()
        .source(Synthetic::new(&traffic(50_000)))
        .rest(slow)
        .queue(2)
        .observe(Duration::from_millis(1), |snapshot| queued = queued.max(snapshot.queued))
        .run()
        .unwrap();
    assert_eq!(report.to_string(), "50000 received = 50000 delivered + 0 filtered out + 0 dropped");
    assert_eq!((shown.packets(), shown.finished.load(Ordering::SeqCst)), (50_000, 1));
    assert!((1..=2).contains(&queued), "{queued}");
}

#[test]
fn where_there_is_one_cpu_a_sole_output_needs_no_thread() {
    let threads = |queue: Option<usize>| {
        let run = move || {
            assert!(core_affinity::set_for_current(core_affinity::get_core_ids().unwrap()[0]));
            let mut names = std::collections::BTreeSet::new();
            let sink = each(|_: &Packet<'_>| {
                names.insert(thread::current().name().unwrap().to_owned());
            });
            let builder = Engine::builder().source(Synthetic::new(&traffic(2_000))).rest(sink);
            let report = queue.into_iter().fold(builder, Builder::queue).run().unwrap();
            assert_eq!(report.to_string(), "2000 received = 2000 delivered + 0 filtered out + 0 dropped");
            Vec::from_iter(names)
        };
        thread::spawn(run).join().unwrap()
    };
    assert_eq!(threads(None), ["wharf-run"]);
    assert_eq!(threads(Some(2)), ["wharf-output-0"]);
}

#[test]
fn what_an_output_did_not_get_stands_before_the_next_packet_it_got() {
    /// Chunks that wait for the gate: the one in hand, and as many as the queue holds.
    const QUEUED: u64 = 1 + 4;
    /// Adds up what it is told of, and where: the number of the packet after each loss.
    #[derive(Default)]
    struct Told {
        losses: Vec<(u64, u64)>,
        statistics: Vec<InterfaceStatistics>,
        last: u64,
    }
    struct Keeper(Arc<Mutex<Told>>);
    impl Sink for Keeper {
        fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
            let mut told = self.0.lock().unwrap();
            for (index, frame) in packets.frames().enumerate() {
                let missing = frame.record.number - told.last - 1;
                if index == 0 && packets.lost() + missing > 0 {
                    told.losses.push((packets.lost(), missing));
                }
                told.last = frame.record.number;
            }
            Ok(())
        }

        fn finish(&mut self, statistics: &[InterfaceStatistics]) -> Result<(), sink::Error> {
            self.0.lock().unwrap().statistics = statistics.to_vec();
            Ok(())
        }
    }
    let told = Arc::new(Mutex::new(Told::default()));
    let open = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicBool::new(false));
    let (gate, entered) = (Arc::clone(&open), Arc::clone(&begun));
    let (probe, shown) = Probe::new(move |_| {
        entered.store(true, Ordering::SeqCst);
        wait_until("the gate", || gate.load(Ordering::SeqCst));
        Ok(())
    });
    // The gate opens after twenty chunks, of which the output has the first in hand before the second comes; once what
    // was queued is through, the others come one by one.
    let watched = Arc::clone(&shown);
    let mut source = Paced::new(40 * 256, move |readings| match readings {
        1 => wait_until("the output begins", || begun.load(Ordering::SeqCst)),
        0..20 => {}
        20 => {
            open.store(true, Ordering::SeqCst);
            wait_until("what was queued", || watched.writes.load(Ordering::SeqCst) == QUEUED);
        }
        _ => wait_until("one by one", || watched.writes.load(Ordering::SeqCst) == QUEUED + readings - 20),
    });
    (source.live, source.chunks) = (true, true);
    let report = Engine::builder()
        .source(source)
        .output("udp/53,80".parse().unwrap(), sink::Tee(probe, Keeper(Arc::clone(&told))))
        .rest(Count::new())
        .queue(4)
        .run()
        .unwrap();
    let lost = report.outputs[0].ledger.dropped[&DropReason::OutputRingFull];
    let told = told.lock().unwrap();
    assert_eq!(told.losses, [(lost, lost)], "{report}");
    let [statistics] = told.statistics[..] else { panic!("one interface") };
    assert_eq!((statistics.received, statistics.dropped), (40 * 256, lost));
    assert_eq!((statistics.dropped_by_system, statistics.delivered), (Some(0), Some(40 * 256 - lost)));
}
