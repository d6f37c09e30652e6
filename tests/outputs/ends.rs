//! How runs end: asked to, by an output that has enough, by a panic.

use crate::support::{Paced, Probe, Shown, cores, traffic};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use wharf::engine::{DropReason, Engine, Error, Policy, Shutdown};
use wharf::parse::Packet;
use wharf::sink::{self, each};
use wharf::source::synthetic::Synthetic;

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
        let readings = Arc::new(AtomicU64::new(0));
        let all_read = Arc::clone(&readings);
        let (ending, shown) = Probe::new(move |_| {
            written += 1;
            while all_read.load(Ordering::SeqCst) < 20 {
                thread::sleep(Duration::from_millis(1));
            }
            if written == 3 { Err(sink::Error::Complete { accepted: 10 }) } else { Ok(()) }
        });
        let mut source = Paced::new(20 * 256, move |before| readings.store(before, Ordering::SeqCst));
        source.live = live;
        let report = Engine::builder().source(source).rest(ending).queue(64).run().unwrap();
        assert!(report.balanced(), "{report}");
        assert_eq!((report.total.delivered, report.total.filtered_out), (2 * 256 + 10, 0));
        let unread = if live { 17 * 256 + 246 } else { 0 };
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
