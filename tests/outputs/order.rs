//! What outputs are given: in order, and where it lies.

use crate::support::{Paced, Probe, cores, traffic};
use std::thread;
use std::time::Duration;
use wharf::engine::{Engine, Policy};
use wharf::parse::Packet;
use wharf::sink::{Deliveries, each};
use wharf::source::synthetic::Synthetic;

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
