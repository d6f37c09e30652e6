//! Whole runs over it.

use crate::counting::open;
use crate::support::frames;
use crate::support::network::{quiet_lab, send, sender};
use std::thread;
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
        let driver = thread::spawn(move || {
            for number in 0..FRAMES {
                if number.is_multiple_of(500) {
                    thread::sleep(std::time::Duration::from_millis(2));
                }
                send(
                    &socket,
                    &frames::udp(40_000, if number.is_multiple_of(2) { 53 } else { 80 }, number, 100),
                );
            }
            thread::sleep(std::time::Duration::from_millis(100));
            end.request();
        });
        let (mut count, mut next) = (Count::new(), 0);
        let report = Engine::builder()
            .source(capture)
            .output(
                "udp/53".parse().expect("a rule"),
                each(|packet: &Packet<'_>| {
                    assert_eq!(packet.frame().data, frames::udp(40_000, 53, next, 100));
                    next += 2;
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
        assert_eq!((next, count.table().packets), (FRAMES, u64::from(FRAMES / 2)));
    }
}
