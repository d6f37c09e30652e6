//! Outputs on threads of their own: what a slow one does to the others, what is dropped and what is not, and how they
//! end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::{Builder, DropReason, Engine, Error, Policy, Shutdown};
use wharf::frame::Interface;
use wharf::parse::Packet;
use wharf::sink::{self, Count, Deliveries, InterfaceStatistics, Sink, each};
use wharf::source::synthetic::{Protocol, Synthetic, Traffic};
use wharf::source::{self, Chunk, ChunkSource, Counters, Fill, Source};

/// A test that waits longer than this is stuck.
const LIMIT: Duration = Duration::from_secs(20);

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "stuck: {what}");
        thread::sleep(Duration::from_micros(50));
    }
}

/// UDP datagrams, to ports 53 and 80 in equal parts.
fn traffic(frames: u64) -> Traffic {
    let protocols = vec![(Protocol::Udp, 1)];
    Traffic { frames, protocols, ports: vec![53..=53, 80..=80], ..Traffic::default() }
}

/// Made-up frames, a chunk or a batch each time the test says so; live if it says so.
struct Paced {
    inner: Synthetic,
    /// Called before each reading, with the number of readings before.
    before: Box<dyn FnMut(u64) + Send>,
    readings: u64,
    live: bool,
    chunks: bool,
}

impl Paced {
    fn new(frames: u64, before: impl FnMut(u64) + Send + 'static) -> Self {
        let inner = Synthetic::new(&traffic(frames));
        Self { inner, before: Box::new(before), readings: 0, live: false, chunks: false }
    }

    fn pace(&mut self) {
        (self.before)(self.readings);
        self.readings += 1;
    }
}

impl Source for Paced {
    fn interfaces(&self) -> &[Interface] {
        self.inner.interfaces()
    }

    fn fill(&mut self, limit: usize) -> Result<Fill<'_>, source::Error> {
        self.pace();
        self.inner.fill(limit)
    }

    fn stop(&mut self) -> Result<(), source::Error> {
        self.inner.stop()
    }

    fn counters(&mut self) -> Counters {
        self.inner.counters()
    }

    fn is_live(&self) -> bool {
        self.live
    }

    fn chunks(&mut self) -> Option<&mut dyn ChunkSource> {
        if self.chunks { Some(self) } else { None }
    }
}

impl ChunkSource for Paced {
    fn fill_chunk(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool, source::Error> {
        self.pace();
        self.inner.fill_chunk(chunk, limit.min(256))
    }
}

/// What an output shows of itself while it runs.
#[derive(Default)]
struct Shown {
    writes: AtomicU64,
    packets: AtomicU64,
    finished: AtomicU64,
}

/// Counts what it is given, and does what the test wants before.
struct Probe<F> {
    shown: Arc<Shown>,
    last: u64,
    act: F,
}

impl<F: FnMut(&Deliveries<'_>) -> Result<(), sink::Error>> Probe<F> {
    fn new(act: F) -> (Self, Arc<Shown>) {
        let shown = Arc::new(Shown::default());
        (Self { shown: Arc::clone(&shown), last: 0, act }, shown)
    }
}

impl<F: FnMut(&Deliveries<'_>) -> Result<(), sink::Error>> Sink for Probe<F> {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), sink::Error> {
        for delivery in packets.iter() {
            let number = delivery.packet.frame().record.number;
            assert!(number > self.last, "in order");
            self.last = number;
        }
        (self.act)(&packets)?;
        self.shown.packets.fetch_add(packets.len() as u64, Ordering::SeqCst);
        self.shown.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), sink::Error> {
        self.shown.finished.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Shown {
    fn packets(&self) -> u64 {
        self.packets.load(Ordering::SeqCst)
    }
}

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
fn a_stop_request_drains_what_is_under_way() {
    let shutdown = Shutdown::default();
    let handle = shutdown.clone();
    let source = Paced::new(1_000_000, move |readings| {
        if readings == 30 {
            handle.request();
        }
    });
    let slow = || {
        Probe::new(|_| {
            thread::sleep(Duration::from_millis(1));
            Ok(())
        })
    };
    let ((first, first_shown), (second, second_shown)) = (slow(), slow());
    let report = Engine::builder()
        .source(source)
        .output("any/53".parse().unwrap(), first)
        .rest(second)
        .queue(64)
        .shutdown(shutdown)
        .run()
        .unwrap();
    assert!(report.balanced(), "{report}");
    // The request comes within the thirty-first reading, and is seen before the next.
    assert_eq!((report.total.received, report.total.delivered), (31 * 256, 31 * 256));
    assert_eq!(first_shown.packets() + second_shown.packets(), 31 * 256);
    assert_eq!([&first_shown, &second_shown].map(|shown| shown.finished.load(Ordering::SeqCst)), [1, 1]);
}

/// CPUs this process may use, up to three: one twice would be refused.
fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).take(3).collect()
}

#[test]
fn every_output_sees_the_sources_order_from_any_number_of_workers() {
    for (policy, depth) in [(Policy::Wait, 1), (Policy::Wait, 8), (Policy::Drop, 1), (Policy::Drop, 8)] {
        for workers in 1..=cores().len() {
            // Some chunks take their time, in one output or the other.
            let lame = |every: u64| {
                Probe::new(move |packets: &Deliveries<'_>| {
                    let number = packets.iter().next().map_or(0, |first| first.packet.frame().record.number);
                    if (number / 1024).is_multiple_of(every) {
                        thread::sleep(Duration::from_micros(300));
                    }
                    Ok(())
                })
            };
            let ((first, first_shown), (second, second_shown)) = (lame(5), lame(7));
            let report = Engine::builder()
                .source(Synthetic::new(&traffic(100_000)))
                .output("any/53".parse().unwrap(), first)
                .rest(second)
                .cores(cores().into_iter().take(workers))
                .full_ring(policy)
                .queue(depth)
                .run()
                .unwrap();
            assert!(report.balanced(), "{report}");
            assert_eq!((report.workers.len(), report.total.received), (workers, 100_000));
            assert_eq!(report.total.delivered, first_shown.packets() + second_shown.packets());
            assert!(policy == Policy::Drop || report.total.lost() == 0, "{report}");
        }
    }
}

#[test]
fn when_one_of_several_outputs_ends_the_others_get_what_was_read() {
    let full = || sink::Error::Io { path: "disk".into(), source: std::io::Error::from_raw_os_error(28) };
    let ends: [fn() -> sink::Error; 2] = [full, || sink::Error::Complete { accepted: 3 }];
    for (fails, end) in [true, false].into_iter().zip(ends) {
        for workers in 1..=cores().len() {
            let shown: Arc<Mutex<Option<Arc<Shown>>>> = Arc::default();
            let mine = Arc::clone(&shown);
            let (ending, ending_shown) = Probe::new(move |_| {
                let shown = mine.lock().unwrap();
                let writes = shown.as_ref().map_or(0, |shown| shown.writes.load(Ordering::SeqCst));
                if writes >= 5 { Err(end()) } else { Ok(()) }
            });
            *shown.lock().unwrap() = Some(Arc::clone(&ending_shown));
            let (other, other_shown) = Probe::new(|_| {
                thread::sleep(Duration::from_micros(200));
                Ok(())
            });
            let result = Engine::builder()
                .source(Synthetic::new(&traffic(1_000_000)))
                .output("any/53".parse().unwrap(), ending)
                .output("any/80".parse().unwrap(), other)
                .cores(cores().into_iter().take(workers))
                .run();
            let report = match &result {
                Ok(report) => report,
                Err(error) => error.report().unwrap(),
            };
            assert_eq!(result.is_err(), fails);
            assert!(report.balanced(), "{report}");
            assert!(report.total.received < 500_000, "it ends soon after: {report}");
            let [first, second] = [0, 1].map(|output| &report.outputs[output].ledger);
            assert_eq!((second.received, second.delivered), (other_shown.packets(), other_shown.packets()));
            assert_eq!(first.received + second.received, report.total.received);
            let (kept, lost) = (ending_shown.packets(), first.received - first.delivered);
            if fails {
                assert_eq!((first.delivered, first.dropped[&DropReason::OutputFailed]), (kept, lost));
            } else {
                assert_eq!((first.delivered, first.filtered_out), (kept + 3, lost));
            }
            assert_eq!(
                [ending_shown, other_shown].map(|shown| shown.finished.load(Ordering::SeqCst)),
                [1, 1]
            );
        }
    }
}

/// What was read beyond the end is not counted for a file, and is called unread for a live source, which has let go
/// of it.
#[test]
fn a_sole_output_that_ends_takes_the_run_back_to_where_it_ended() {
    for live in [false, true] {
        let mut written = 0;
        let (ending, shown) = Probe::new(move |_| {
            written += 1;
            // By now all has been read.
            thread::sleep(Duration::from_millis(if written == 1 { 100 } else { 0 }));
            if written == 3 { Err(sink::Error::Complete { accepted: 10 }) } else { Ok(()) }
        });
        let mut source = Paced::new(20 * 256, |_| ());
        source.live = live;
        let report = Engine::builder().source(source).rest(ending).queue(64).run().unwrap();
        assert!(report.balanced(), "{report}");
        assert_eq!((report.total.delivered, report.total.filtered_out), (2 * 256 + 10, 246));
        let unread = if live { 17 * 256 } else { 0 };
        assert_eq!(report.total.dropped.get(&DropReason::LeftUnread).copied().unwrap_or(0), unread);
        assert_eq!(report.total.unwanted_losses(), 0);
        assert_eq!(shown.finished.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_panic_of_an_output_or_of_a_source_is_passed_on() {
    let panicking = |run: &mut dyn FnMut() -> Result<wharf::engine::Report, Error>| {
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
        panic.downcast_ref::<&str>().copied().map(str::to_owned)
    };
    for policy in [Policy::Wait, Policy::Drop] {
        let sink =
            || each(|packet: &Packet<'_>| assert!(packet.frame().record.number != 3_000, "{}", "sink"));
        let run = || {
            let (other, _shown) = Probe::new(|_| Ok(()));
            let source = Synthetic::new(&traffic(100_000));
            let builder = Engine::builder().source(source).output("any/53".parse().unwrap(), other);
            builder.rest(sink()).full_ring(policy).run()
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
        assert!(panic.downcast_ref::<String>().is_some_and(|text| text == "sink"));

        let broken = || {
            Paced::new(100_000, |readings| {
                if readings == 9 {
                    panic!("source")
                }
            })
        };
        let said = panicking(&mut || {
            let (other, _shown) = Probe::new(|_| Ok(()));
            Engine::builder().source(broken()).rest(other).full_ring(policy).run()
        });
        assert_eq!(said.as_deref(), Some("source"));
    }
}

/// Frames are read where the generator put them: nothing is copied on the way to an output.
#[test]
fn outputs_read_the_sources_own_memory() {
    let source = Synthetic::new(&traffic(10_000));
    let table = source.table();
    let frames: Vec<usize> = table.frames().map(|frame| frame.data.as_ptr() as usize).collect();
    let mut seen = 0;
    let sink = each(|packet: &Packet<'_>| {
        seen += 1;
        assert!(frames.contains(&(packet.frame().data.as_ptr() as usize)));
    });
    Engine::builder().source(source.clone()).rest(sink).run().unwrap();
    assert_eq!(seen, 10_000);
}

/// A batch of a source that cannot part with its memory is copied, and whole.
#[test]
fn frames_that_cannot_leave_their_source_are_copied() {
    let expected = Synthetic::new(&traffic(5_000));
    let all: Vec<_> = expected.table().frames().map(|frame| frame.data.to_vec()).collect();
    let mut all = all.iter().cycle();
    let same =
        each(|packet: &Packet<'_>| assert_eq!(Some(packet.frame().data), all.next().map(|data| &data[..])));
    Engine::builder().source(Paced::new(5_000, |_| ())).rest(same).run().unwrap();
}

#[test]
fn what_an_output_did_not_get_stands_before_the_next_packet_it_got() {
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
    let mut before = 0;
    let mut source = Paced::new(40 * 256, move |readings| match readings {
        1 => wait_until("the output begins", || begun.load(Ordering::SeqCst)),
        0..20 => {}
        20 => {
            open.store(true, Ordering::SeqCst);
            // Until it stands still, with something written: on a busy machine the output may begin late.
            while before == 0 || watched.writes.load(Ordering::SeqCst) != before {
                before = watched.writes.load(Ordering::SeqCst);
                thread::sleep(Duration::from_millis(300));
            }
        }
        _ => wait_until("one by one", || watched.writes.load(Ordering::SeqCst) == before + readings - 20),
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
