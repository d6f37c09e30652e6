//! Whole runs over it.

use crate::counting::open;
use crate::support::frames;
use crate::support::network::{LIMIT, quiet_lab, send, sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wharf::engine::{Engine, Shutdown};
use wharf::parse::Packet;
use wharf::sink::{Count, each};
use wharf::source::xdp::Capture;

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
